"""CREATE and Pexel-tagging: titles, captions and the uploaders' tags, in Chinese and in English.

Two forms are read. The sample on the data set's page, `demo.json`: one object in a call, `getJson({...})`,
with a list of videos under each of its twelve categories, 240 in all. And lists, one object for each video,
as JSON or lines of JSON, with "train", "val" or "test" in the file's name. The keys of a video are the
sample's: caption, ann_title, tag, class, url. A file is called like the last part of the url.

The figures beside it are those of OP-TSG's supplement (Table 1), for CREATE-210k as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tagline.benchmarks.datasets.dataset import (
    PICTURES,
    BadAnnotations,
    Dataset,
    Item,
    PublishedCount,
    text_of,
)
from tagline.benchmarks.datasets.documents import AnnotationFile, Annotations, parsed
from tagline.benchmarks.datasets.plain import items_of
from tagline.tagging.printable import safe

CALL = re.compile(r"\s*\w+\s*\((.*)\)\s*;?\s*", re.DOTALL)


def read_create(where: Path) -> Dataset:
    documents = Annotations(where).all(lambda name: name.lower().endswith((".json", ".jsonl")))
    if not documents:
        raise BadAnnotations(f"{safe(where)} has neither demo.json nor lists such as train.jsonl")
    rows = [row for document in documents for row in _create_rows(document)]
    items = list(items_of(rows))
    if all(document.name == "demo.json" for document in documents):
        counts = [
            PublishedCount("videos of the sample", 240, len(items)),
            PublishedCount("its categories", 12, len({item.category for item in items})),
            PublishedCount("its user tags", None, sum(len(item.tags) for item in items)),
            PublishedCount("unique", None, len({tag for item in items for tag in item.tags})),
        ]
    else:
        counts = tag_counts(items, videos=(210_000, 10_000), unique=(17_573, 3686, 18_464, 2795))
    return Dataset("create", items, counts)


def tag_counts(
    items: Sequence[Item], videos: tuple[int, int], unique: tuple[int, int, int, int], what: str = "videos"
) -> list[PublishedCount]:
    """videos: of train as published, and to what it was rounded (a test set has 5k). unique: tags in train,
    in test, in either, in both."""
    train = {tag for item in items if item.split == "train" for tag in item.tags}
    test = {tag for item in items if item.split == "test" for tag in item.tags}
    return [
        PublishedCount(f"train {what}", videos[0], sum(item.split == "train" for item in items), videos[1]),
        PublishedCount(f"test {what}", 5000, sum(item.split == "test" for item in items), 1000),
        PublishedCount("unique tags in train", unique[0], len(train)),
        PublishedCount("unique tags in test", unique[1], len(test)),
        PublishedCount("unique tags in either", unique[2], len(train | test)),
        PublishedCount("unique tags in both", unique[3], len(train & test)),
    ]


def split_of_file(name: str) -> str:
    """Of "create_train.jsonl"; "latest.json" is no test set."""
    found = re.search(r"(?<![a-z])(train|val|test)(ing|idation)?(?![a-z])", name.lower())
    return found.group(1) if found else ""


def _create_rows(document: AnnotationFile) -> Iterator[tuple[dict[str, Any], str]]:
    call = CALL.fullmatch(document.text())
    listed = _by_category(call.group(1), document) if call else document.json_rows()
    for row, where in listed:
        if not isinstance(row, dict):
            raise BadAnnotations(f"{where} should be an object with caption, ann_title, tag, class and url")
        split = row.get("split") or split_of_file(document.name)
        yield {**row, "video": _name(row, where), "title": row.get("ann_title"), "split": split}, where


def _by_category(text: str, document: AnnotationFile) -> list[tuple[Any, str]]:
    content = parsed(text, document.shown_name)
    if not isinstance(content, dict) or not all(isinstance(rows, list) for rows in content.values()):
        raise BadAnnotations(f"{document.shown_name} should hold a list of videos under each category")
    return [
        (row, f"{document.shown_name}, {safe(category, 20)}, entry {number}")
        for category, rows in content.items()
        for number, row in enumerate(rows, 1)
    ]


def _name(row: dict[str, Any], where: str) -> str:
    name = row.get("video") or row.get("video_id") or row.get("vid")
    if name is None:
        name = text_of(row.get("url"), where, "url").split("?")[0].rstrip("/")
        name = PurePosixPath(name).name.removesuffix(".html")
    return text_of(name, where, "url")


def read_pexel(where: Path) -> Dataset:
    documents = Annotations(where).all(lambda name: name.lower().endswith((".json", ".jsonl", ".csv")))
    if not documents:
        raise BadAnnotations(f"{safe(where)} has no lists such as train.jsonl and test.jsonl")
    items = list(items_of(row for document in documents for row in _pexel_rows(document)))
    counts = tag_counts(items, videos=(162_000, 1000), unique=(27_752, 6003, 28_094, 5669), what="pictures")
    return Dataset("pexel", items, counts, endings=PICTURES)


def _pexel_rows(document: AnnotationFile) -> Iterator[tuple[dict[str, Any], str]]:
    rows = document.csv_rows() if document.name.lower().endswith(".csv") else document.json_rows()
    for row, where in rows:
        if not isinstance(row, dict):
            raise BadAnnotations(f"{where} should be an object with image, title and tags")
        # The words of a picture are its title: that is what the model reads, and no caption.
        title = row.get("title") or row.get("caption")
        spare = {key: value for key, value in row.items() if key not in ("caption", "text", "description")}
        yield {**spare, "title": title, "split": row.get("split") or split_of_file(document.name)}, where
