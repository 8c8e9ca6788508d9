"""The tables of a catalog as they are looked through and copied: their columns, and what a value may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tagline.tagging.catalog import kinds, values
from tagline.tagging.catalog.records import MOST_SIGHTINGS, MOST_TAGS, MOST_WORDS
from tagline.tagging.catalog.values import BadValue, Kind, maybe, row_id, seconds, tag_text, text, whole

FACTS = ("duration", "width", "height", "fps", "codec", "rotation", "colour", "has_sound", "start")


@dataclass(frozen=True, slots=True)
class Table:
    """One table. key: the column by whose order it is read; most: rows of one expert and video."""

    name: str
    columns: dict[str, Kind]
    key: str = "id"
    most: int | None = None
    made: bool = False  # made of others, and made anew

    def check(self, row: Sequence[Any]) -> None:
        """Raises BadValue where one of the values cannot be."""
        for kind, value in zip(self.columns.values(), row, strict=True):
            kind(value)

    def places(self, *names: str) -> list[int]:
        """Where in a row these columns are."""
        listed = list(self.columns)
        return [listed.index(name) for name in names]

    def within_bounds(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], bool]]:
        """Each row, and whether it is among the first `most` of its expert and video."""
        counted: dict[tuple[Any, ...], int] = {}
        places = self.places("video_id", "expert") if self.most is not None else []
        for row in rows:
            key = tuple(row[place] for place in places)
            counted[key] = counted.get(key, 0) + 1
            yield row, self.most is None or counted[key] <= self.most


def span(nothing: bool = False) -> dict[str, Kind]:
    kind = maybe(seconds) if nothing else seconds
    return {"start": kind, "end": kind}


_OF_VIDEO: dict[str, Kind] = {"id": whole, "video_id": row_id}

# In the order in which they are saved: what people said comes first, then what it is about.
TABLES = (
    Table(
        "verdict",
        {
            "id": whole,
            "act": whole,
            "kind": values.decision,
            "video_id": maybe(row_id),
            "modality": maybe(values.modality),
            "text": tag_text,
            "target": maybe(tag_text),
            **span(nothing=True),
            "at": text,
        },
    ),
    Table(
        "video",
        {
            "id": row_id,
            "hash": text,
            "size": maybe(whole),
            "title": maybe(text),
            "created": maybe(text),
            **dict(zip(FACTS, kinds.FACTS, strict=True)),
        },
    ),
    Table("path", {**_OF_VIDEO, "path": values.path, "size": whole, "mtime_ns": whole, "gone": values.flag}),
    Table("caption", {**_OF_VIDEO, "text": text, **span(nothing=True), "split": text}),
    Table(
        "run",
        {
            "video_id": row_id,
            "expert": text,
            "modality": values.modality,
            "version": text,
            "fingerprint": text,
            "seconds": maybe(seconds),
            "coverage": values.coverage,
            "notes": values.notes,
            "facts": values.facts,
            "at": text,
        },
        key="video_id",
    ),
    Table(
        "failure",
        {
            "id": whole,
            "video_id": maybe(row_id),
            "path": maybe(values.path),
            "expert": text,
            "fingerprint": text,
            "reason": text,
            "at": text,
        },
    ),
    Table(
        "tag",
        {
            **_OF_VIDEO,
            "expert": text,
            "modality": values.modality,
            "said": tag_text,
            "text": tag_text,
            "score": values.share,
            **span(),
            "best": maybe(seconds),
        },
        most=MOST_TAGS,
    ),
    Table(
        "sighting",
        {
            **_OF_VIDEO,
            "expert": text,
            "text": tag_text,
            "score": values.number,
            "time": seconds,
            **dict.fromkeys(("x", "y", "width", "height"), maybe(values.number)),
        },
        most=MOST_SIGHTINGS,
    ),
    Table(
        "word",
        {**_OF_VIDEO, "expert": text, "text": tag_text, **span(), "probability": values.number},
        most=MOST_WORDS,
    ),
    Table(
        "vector",
        {**_OF_VIDEO, "source": text, "fingerprint": text, **span(), "floats": values.floats},
    ),
    Table(
        "embedded",
        {"video_id": row_id, "fingerprint": text, "upstream": text, "revision": whole, "at": text},
        key="video_id",
    ),
    Table("meta", {"key": text, "value": values.long_text}, key="key"),
)

__all__ = ["FACTS", "TABLES", "BadValue", "Table"]
