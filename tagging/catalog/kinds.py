"""What the columns of the rows may hold that become records, in the order in which they are read."""

from __future__ import annotations

from tagline.tagging.catalog.values import (
    Kind,
    coverage,
    facts,
    flag,
    fraction,
    maybe,
    modality,
    notes,
    number,
    path,
    row_id,
    seconds,
    share,
    tag_text,
    text,
    whole,
)

FACTS: tuple[Kind, ...] = (
    maybe(seconds),  # duration
    maybe(whole),  # width
    maybe(whole),
    maybe(fraction),  # fps
    maybe(text),  # codec
    maybe(whole),  # rotation
    maybe(text),  # colour
    maybe(flag),  # has_sound
    maybe(seconds),  # start
)


ABOUT = (
    maybe(text),
    maybe(text),
    maybe(whole),
    *FACTS,
)
TAG = (
    tag_text,
    modality,
    share,
    seconds,
    seconds,
    text,
    maybe(seconds),
)
SIGHTING = (
    text,
    tag_text,
    number,
    seconds,
    *(maybe(number),) * 4,
)
CAPTION = (text, maybe(seconds), maybe(seconds), text)
RUN = (
    text,
    modality,
    text,
    text,
    maybe(seconds),
    coverage,
    notes,
    facts,
    text,
)
FAILURE = (maybe(whole), maybe(path), *(text,) * 4)
PLACE = (whole, row_id, path, flag)
