"""Pexel-tagging: pictures with a title and the uploaders' tags, in English.

OP-TSG's supplement describes it (Section 1.2) and prints no file format: a picture, its title, its tags, and
which of train and test it is in. So lists are read that say just that, as JSON, lines of JSON or CSV, with
"train" or "test" in the file's name or a `split` for each row:

    {"image": "1005324.jpeg", "title": "woman playing tennis", "tags": ["tennis", "tennis court"]}

The published figures do not add up by a few (27,752 + 6,003 - 28,094 = 5,661 tags in both, the text says
5,669); they are compared as they are printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagline.benchmarks.datasets.create import split_of_file, tag_counts
from tagline.benchmarks.datasets.plain import items_of
from tagline.benchmarks.datasets.shared import PICTURES, BadAnnotations, Dataset
from tagline.benchmarks.datasets.sources import AnnotationFile, Annotations
from tagline.tagging.names import safe


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
