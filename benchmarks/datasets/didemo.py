"""DiDeMo: videos from Flickr, with sentences about moments of them, counted in steps of five seconds.

`train_data.json`, `val_data.json`, `test_data.json`: rows with a sentence, a file name, and for each of at
least four annotators the first and last step that it speaks of. TABLE asks with all sentences of a video as
one paragraph, which its preset does: the catalog keeps them apart, each with its time.

The time of a sentence is what most annotators said; where no answer leads, the medians of the first and of
the last steps (the lower one of two). Steps 1 to 2 are the seconds 5 to 15.

A video is known by Flickr's user and number: the test list's 4,021 rows name 1,037 files but only 1,004
videos, because one video occurs under several endings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tagline.benchmarks.datasets.dataset import (
    BadAnnotations,
    Dataset,
    Item,
    PublishedCount,
    clean_split,
    rows_of,
    some_names,
    text_of,
)
from tagline.benchmarks.datasets.documents import AnnotationFile, Annotations
from tagline.tagging.catalog.records import Caption
from tagline.tagging.printable import safe

STEP = 5.0  # seconds
MOST_STEPS = 100  # a genuine video has six at most: beyond 30 seconds none is used
ROWS = {"train": 33_005, "val": 4180, "test": 4021}
VIDEOS = {"train": 8395, "val": 1065, "test": 1004}


def read(where: Path) -> Dataset:
    annotations = Annotations(where)
    items: dict[str, Item] = {}
    made = Dataset("didemo", [], [])
    if not any(annotations.get(f"{split}_data.json") for split in ROWS):
        raise BadAnnotations(f"{safe(where)} has none of train_data.json, val_data.json and test_data.json")
    for split in ROWS:
        document = annotations.get(f"{split}_data.json")
        if document is None:
            made.counts += [
                PublishedCount(f"{split} rows", ROWS[split], None),
                PublishedCount(f"{split} videos", VIDEOS[split], None),
            ]
            continue
        found, files = _videos(document, split)
        both = sorted(items.keys() & found.keys())
        if both:
            made.notes.append(
                f"in {split} and in an earlier split, kept in {split} alone: {some_names(both)}"
            )
        items |= found
        rows = sum(len(item.captions) for item in found.values())
        made.counts += [
            PublishedCount(f"{split} rows", ROWS[split], rows),
            PublishedCount(f"{split} videos", VIDEOS[split], len(found)),
        ]
        made.notes.append(f"{split}: {rows:,} rows, {len(found):,} videos, {files:,} file names")
    made.items = list(items.values())
    return made


def _videos(document: AnnotationFile, split: str) -> tuple[dict[str, Item], int]:
    """The videos of one list by Flickr's name, their sentences in its order; how many files it names."""
    files: set[str] = set()
    captions: dict[str, list[Caption]] = {}
    names: dict[str, dict[str, None]] = {}
    for number, row in enumerate(rows_of(document.json(), document.shown_name), 1):
        where = f"{document.shown_name}, entry {number}"
        name = text_of(row.get("video"), where, "video")
        sentence = text_of(row.get("description"), where, "description")
        start, end = moment(_steps(row.get("times"), where))
        key = video_of(name)
        captions.setdefault(key, []).append(Caption(sentence, start, end, clean_split(split, where)))
        files.add(name)
        # Some names end in a bare dot, and many copies were brought into another container.
        for possible in (name, PurePosixPath(name.rstrip(".")).stem):
            names.setdefault(key, {})[possible] = None
    items = {
        key: Item(key, (*names[key], key), tuple(sentences), split) for key, sentences in captions.items()
    }
    return items, len(files)


def video_of(name: str) -> str:
    """ "12090392@N02_13482799053_87ef417396.mov" is 12090392@N02_13482799053: user and number."""
    parts = name.split("_")
    return "_".join(parts[:2]) if len(parts) > 2 else PurePosixPath(name.rstrip(".")).stem


def moment(steps: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Start and end in seconds, from what each annotator said: (first step, last step)."""
    answers = Counter(steps).most_common()
    leading = [answer for answer, votes in answers if votes == answers[0][1]]
    if len(leading) == 1:
        first, last = leading[0]
    else:
        middle = (len(steps) - 1) // 2
        first = sorted(first for first, _ in steps)[middle]
        last = sorted(last for _, last in steps)[middle]
    return first * STEP, (last + 1) * STEP


def _steps(value: Any, where: str) -> list[tuple[int, int]]:
    try:
        steps = [(int(first), int(last)) for first, last in value]
    except (TypeError, ValueError, OverflowError):
        steps = []
    if not steps or not all(0 <= first <= last < MOST_STEPS for first, last in steps):
        raise BadAnnotations(
            f"{where} should have times such as [[1, 2], [1, 1]], counted in steps of {STEP:g} seconds"
        )
    return steps
