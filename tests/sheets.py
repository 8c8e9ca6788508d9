"""What the tests of sidecars share: sheets with every nasty text, and one way to call every format."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tagline.experts.tags import Modality, Tag
from tagline.tagging.formats import coco, csvs, jsons, nfo, parquet, transcript, webvtt, xmp
from tagline.tagging.formats.sheet import VideoExport

HASH = "ab" * 32
seconds = st.floats(0, 90_000, allow_nan=False)
texts = st.text(min_size=1, max_size=30).filter(str.strip)
nasty = st.sampled_from(
    [
        "=cmd|' /C calc'!A0",
        "+1",
        "-1+2",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "'=1",
        "''",
        "]]>",
        "<svg onload=alert(1)>",
        "a & b",
        "--> now",
        "a\n\nb",
        "a|b/c",
        "\x00\x1b[2J",
        "\ufffe\uffff",
        "\u202ereversed",
        "\u2028line",
        "＝1",
        "NOTE tagline {}",
        '"quoted", and; more',
    ]
)


@st.composite
def tags(draw: Any) -> Tag:
    start = draw(seconds)
    end = start + draw(seconds)
    best = draw(st.none() | st.floats(0, 200_000, allow_nan=False))
    return Tag(
        draw(nasty | texts),
        draw(st.sampled_from(Modality)),
        draw(st.floats(0, 1, allow_nan=False)),
        start,
        end,
        draw(st.sampled_from(["object", "speech", "person", "somebody's expert"])),
        best,
    )


def sheet(*some: Tag, **more: Any) -> VideoExport:
    return VideoExport(HASH, "/films/holiday.mp4", tags=some, **more)


sheets = st.lists(tags(), max_size=6).map(lambda some: sheet(*some))
DOG = Tag("dog", Modality.OBJECT, 0.875, 1.5, 4.25, "object", 2.0)
CAT = Tag("cat", Modality.OBJECT, 0.5, 0.0, 1.0, "object", 0.5)
ANNA = Tag("Anna", Modality.HUMAN, 1.0, 0.0, 9.0, "human")


def one(module: Any) -> tuple[Callable[[VideoExport, bytes | None], bytes], Callable[[bytes], Any]]:
    """`merge` and `read` of one video, also for formats in which a file holds many."""
    if hasattr(module, "merge"):
        return module.merge, module.read

    def merge(said: VideoExport, old: bytes | None) -> bytes:
        out = io.BytesIO()
        before = io.BytesIO(old) if old is not None else None
        module.write(out, iter([said]), frozenset([said.video]), before)
        return out.getvalue()

    def read(data: bytes) -> Any:
        return next(iter(module.read(io.BytesIO(data))), None)

    return merge, read


LOSSLESS = [xmp, webvtt, jsons, csvs, parquet]
EVERY = [*LOSSLESS, nfo, transcript, coco]
