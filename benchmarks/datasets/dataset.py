"""What a reader of a data set yields, the check of its counts, and the small things that readers share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tagline.tagging.catalog.records import Caption
from tagline.tagging.pipeline.walk import ENDINGS
from tagline.tagging.printable import safe

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
SPLITS = {
    "": "",
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class BadAnnotations(Exception):
    """Annotations that cannot be read. The message says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Item:
    """One video of a data set."""

    key: str  # what the data set calls it
    names: tuple[str, ...]  # its file may be called so, with or without an ending or a folder; best first
    captions: tuple[Caption, ...] = ()
    split: str = ""  # train, val, test; "": this variant of the data set does not use it
    title: str | None = None
    tags: tuple[str, ...] = ()  # the uploader's own
    category: str | None = None
    duration: float | None = None  # seconds, where the annotations tell


@dataclass(frozen=True, slots=True)
class PublishedCount:
    """A published figure beside the one that was found."""

    what: str
    expected: int | None  # None: none was published
    found: int | None  # None: there is no file to count in
    to: int = 1  # published rounded to so many: "162k" is to=1000

    @property
    def ok(self) -> bool | None:
        if self.expected is None:
            return None
        return self.found is not None and round(self.found / self.to) * self.to == self.expected


@dataclass(slots=True)
class Dataset:
    """Everything that a reader found."""

    name: str
    items: list[Item]
    counts: list[PublishedCount]
    notes: list[str] = field(default_factory=list)  # sentences for people
    variant: str = ""  # of the splits: "1k-A"
    endings: frozenset[str] = ENDINGS  # of its files


def clean_split(value: str, where: str) -> str:
    """ "Training" and "validate" are train and val. Anything unknown is refused: it might be a test set."""
    try:
        return SPLITS[value.strip().lower()]
    except KeyError:
        raise BadAnnotations(
            f"{where} names a split {safe(value, 40)!r}; it is to be train, val, test or empty"
        ) from None


def split_counts(
    items: Iterable[Item],
    videos: Mapping[str, int | None] = {},
    captions: Mapping[str, int | None] = {},
) -> list[PublishedCount]:
    """Videos and captions of each split beside the published figures; splits that nobody asks for only if
    they are there."""
    listed = list(items)
    of_videos = Counter(item.split for item in listed)
    of_captions = Counter(caption.split for item in listed for caption in item.captions)
    counts = []
    for split in ("train", "val", "test"):
        for what, found, expected in (("videos", of_videos, videos), ("captions", of_captions, captions)):
            if split in expected or found[split]:
                counts.append(PublishedCount(f"{split} {what}", expected.get(split), found[split]))
    return counts


def text_of(value: Any, where: str, what: str) -> str:
    """A value that must be text."""
    if not isinstance(value, str):
        raise BadAnnotations(f"{where} should have a text as {what}, not {type(value).__name__}")
    return value


def rows_of(value: Any, where: str) -> list[dict[str, Any]]:
    """A value that must be a list of objects."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise BadAnnotations(f"{where} should be a list of objects")
    return value


def seconds(value: Any, where: str) -> float | None:
    """A time in seconds, or None where nothing stands."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        time = float(value)
    except (TypeError, ValueError, OverflowError):
        time = math.nan
    if not math.isfinite(time) or time < 0:
        raise BadAnnotations(f"{where} has the time {safe(str(value), 40)!r}; times are seconds from 0 on")
    return time


def some_names(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(safe(name, 60) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
