"""The playhouse's sets: what people would write about a video, from the truth.json beside it.

Captions, title, user tags and split, never the truth itself: what is in the picture, when and where stays out
of the catalog, so that nothing that is measured can have read it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tagline.benchmarks.datasets.shared import (
    BadAnnotations,
    PublishedCount,
    Dataset,
    Item,
    clean_split,
    seconds,
    split_counts,
)
from tagline.benchmarks.datasets.sources import AnnotationFile
from tagline.tagging.names import safe
from tagline.tagging.records import Caption


def read(where: Path) -> Dataset:
    from tagline.benchmarks.playhouse.render import VideoSpec
    from tagline.benchmarks.playhouse.sets import SET_SIZES, TRUTH

    path = where if where.is_file() else where / TRUTH
    if not path.is_file():
        raise BadAnnotations(f"{safe(where)} has no {TRUTH}; `tagline bench playhouse render` writes one")
    document = AnnotationFile(path.name, safe(path), path)
    content = document.json()
    try:
        rows = [
            (VideoSpec(int(row["seed"]), clean_split(row["split"], document.shown_name)), row)
            for row in content["videos"]
        ]
        items = [_item(spec.name, spec.split, row, document.shown_name) for spec, row in rows]
        name = str(content.get("set", ""))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnnotations(f"{document.shown_name} is not a playhouse's truth ({error!r})") from error
    sizes = {split: count for split, (count, _) in SET_SIZES.get(name, {}).items()}
    counts = [
        PublishedCount("videos", sum(sizes.values()) or None, len(items)),
        *split_counts(items, sizes, {split: 20 * count for split, count in sizes.items()}),
        PublishedCount("user tags", None, sum(len(item.tags) for item in items)),
    ]
    return Dataset("playhouse", items, counts, variant=name)


def _item(name: str, split: str, row: dict[str, Any], where: str) -> Item:
    return Item(
        key=name,
        names=(name,),
        captions=tuple(
            Caption(str(c["text"]), seconds(c["start"], where), seconds(c["end"], where), split)
            for c in row["captions"]
        ),
        split=split,
        title=str(row["title"]),
        tags=tuple(map(str, row["user_tags"])),
        duration=seconds(row["duration"], where),
    )
