"""Plain folders: `captions.csv` or `captions.jsonl` beside the videos, or anywhere else.

A row says something of one video; several rows may be about one. Columns (and other names that are taken):

    video      the file, with or without folder and ending  (file, filename, file_name, path, image, video_id)
    caption    a sentence, in JSON also a list of them      (captions, sentence, text, description)
    split      train, val, test or nothing, which means train
    start end  seconds that the sentence speaks of
    title      one for each video
    tags       the uploader's; | or , between them          (tag, keywords)
    category   one for each video                           (class)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tagline.benchmarks.datasets.dataset import (
    BadAnnotations,
    Dataset,
    Item,
    PublishedCount,
    clean_split,
    seconds,
    split_counts,
    text_of,
)
from tagline.benchmarks.datasets.documents import Annotations
from tagline.tagging.catalog.records import Caption
from tagline.tagging.printable import safe

NAMES = ("captions.csv", "captions.jsonl", "captions.json", "captions.tsv")
COLUMNS = {
    "video": ("video", "file", "filename", "file_name", "path", "image", "video_id"),
    "caption": ("caption", "captions", "sentence", "text", "description"),
    "split": ("split",),
    "start": ("start",),
    "end": ("end",),
    "title": ("title",),
    "tags": ("tags", "tag", "keywords"),
    "category": ("category", "class"),
}
Row = dict[str, Any]


def read(where: Path) -> Dataset:
    annotations = Annotations(where)
    documents = [d for d in (annotations.get(name) for name in NAMES) if d] or annotations.all(
        lambda name: where.is_file() and name.lower().endswith((".csv", ".tsv", ".jsonl", ".json"))
    )
    if not documents:
        raise BadAnnotations(f"{safe(where)} has no captions.csv and no captions.jsonl; write one of them")
    items: list[Item] = []
    for document in documents[:1]:  # of several forms of one list the first counts
        items = list(items_of(_rows(document)))
    counts = [PublishedCount("videos", None, len(items)), *split_counts(items)]
    counts.append(PublishedCount("captions", None, sum(len(item.captions) for item in items)))
    made = Dataset("plain", items, counts)
    made.notes += [
        f"{document.shown_name} is not read beside {documents[0].shown_name}" for document in documents[1:]
    ]
    return made


def _rows(document: Any) -> Iterator[tuple[Row, str]]:
    if document.name.lower().endswith((".csv", ".tsv")):
        yield from document.csv_rows("\t" if document.name.lower().endswith(".tsv") else ",")
        return
    for row, where in document.json_rows():
        if not isinstance(row, dict):
            raise BadAnnotations(f"{where} should be an object with a video and a caption")
        yield row, where


# -- rows to items: webdataset.py, create.py and pexel.py have such rows, too ------------------------


@dataclass(slots=True)
class _VideoRows:
    split: str | None = None
    captions: list[Caption] = field(default_factory=list)
    tags: dict[str, None] = field(default_factory=dict)
    title: str | None = None
    category: str | None = None


def items_of(rows: Iterable[tuple[Row, str]]) -> Iterator[Item]:
    """One item for each video that the rows name, in the order of its first row."""
    videos: dict[str, _VideoRows] = {}
    for row, where in rows:
        name = text_of(pick(row, "video"), where, "video").strip()
        if not name:
            raise BadAnnotations(f"{where} names no video")
        _add_row(videos.setdefault(name, _VideoRows()), row, where, name)
    for name, known in videos.items():
        yield Item(
            key=name,
            names=(name, stem(name)),
            captions=tuple(known.captions),
            split=known.split or "",
            title=known.title,
            tags=tuple(known.tags),
            category=known.category,
        )


def _add_row(gathered: _VideoRows, row: Row, where: str, name: str) -> None:
    split = clean_split(text_of(pick(row, "split") or "", where, "split"), where)
    if gathered.split is not None and split != gathered.split:
        raise BadAnnotations(
            f"{where} puts {safe(name, 60)} into {split!r}, an earlier row {gathered.split!r}"
        )
    gathered.split = split
    start, end = seconds(pick(row, "start"), where), seconds(pick(row, "end"), where)
    if start is not None and end is not None and end < start:
        raise BadAnnotations(f"{where} ends at {end:g} s before it starts at {start:g} s")
    texts = pick(row, "caption")
    for text in texts if isinstance(texts, list) else [texts or ""]:
        if text_of(text, where, "caption").strip():
            gathered.captions.append(Caption(text.strip(), start, end, split))
    gathered.tags.update(dict.fromkeys(tags_of(pick(row, "tags"), where)))
    gathered.title = gathered.title or _joined_text(pick(row, "title"), where, "title")
    gathered.category = gathered.category or _joined_text(pick(row, "category"), where, "category")


def pick(row: Row, what: str) -> Any:
    """The value of a column under whichever of its names."""
    return next((row[name] for name in COLUMNS[what] if row.get(name) is not None), None)


def tags_of(value: Any, where: str) -> list[str]:
    """A list of tags, or one text with | or , between them."""
    if value is None:
        return []
    if not isinstance(value, list):
        text = text_of(value, where, "tags")
        value = re.split(r"[|]" if "|" in text else r"[,，、]", text)
    return [tag for tag in (text_of(one, where, "a tag").strip() for one in value) if tag]


def _joined_text(value: Any, where: str, what: str) -> str | None:
    """A text, or the texts of a list as one."""
    if isinstance(value, list):
        value = ", ".join(text_of(one, where, what) for one in value)
    return None if value is None else text_of(value, where, what).strip() or None


def stem(name: str) -> str:
    """The name without folder and ending."""
    return PurePosixPath(name).stem
