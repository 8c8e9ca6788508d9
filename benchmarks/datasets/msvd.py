"""MSVD: 1,970 videos from YouTube with about forty sentences each.

Captions in `captions_msvd.json` ({"-4wsuPCjDBc_5_15": ["a squirrel ...", ...]}) or in the original
`AllVideoDescriptions.txt` (a name and a sentence on each line); splits in `train_list.txt`, `val_list.txt`
and `test_list.txt`, one name on each line. Each file is called like its video. `raw-captions.pkl` is not
read: a pickle is a program.
"""

from __future__ import annotations

from pathlib import Path

from tagline.benchmarks.datasets.dataset import (
    BadAnnotations,
    Dataset,
    Item,
    PublishedCount,
    some_names,
    split_counts,
    text_of,
)
from tagline.benchmarks.datasets.documents import Annotations
from tagline.tagging.catalog.records import Caption
from tagline.tagging.printable import safe

LISTS = {"train": "train_list.txt", "val": "val_list.txt", "test": "test_list.txt"}


def read(where: Path) -> Dataset:
    annotations = Annotations(where)
    sentences = _sentences(annotations)
    splits: dict[str, str] = {}
    for split, name in LISTS.items():
        for key in annotations[name].text().split():
            if splits.setdefault(key, split) != split:
                raise BadAnnotations(f"{safe(key, 60)} is in the {splits[key]} list and the {split} list")
    items = [
        Item(key, (key,), tuple(Caption(text, split=splits[key]) for text in texts), splits[key])
        for key, texts in sentences.items()
        if key in splits
    ]
    counts = [
        PublishedCount("videos", 1970, len(items)),
        PublishedCount("captions", 80_827, sum(len(item.captions) for item in items)),
        *split_counts(
            items,
            {"train": 1200, "val": 100, "test": 670},
            {"train": 48_774, "val": 4290, "test": 27_763},
        ),
    ]
    made = Dataset("msvd", items, counts)
    bare = [key for key in splits if key not in sentences]
    if bare:
        made.notes.append(f"the lists name videos that have no sentences, left out: {some_names(bare)}")
    spare = len(sentences) - len(items)
    if spare:
        made.notes.append(f"left out, because they are in none of the lists: {spare:,} with sentences")
    return made


def _sentences(annotations: Annotations) -> dict[str, list[str]]:
    document = annotations.get("captions_msvd.json")
    if document is not None:
        content = document.json()
        if not isinstance(content, dict) or not all(isinstance(texts, list) for texts in content.values()):
            raise BadAnnotations(f"{document.shown_name} should hold a list of sentences for each video")
        where = document.shown_name
        return {key: [text_of(t, where, "a sentence") for t in texts] for key, texts in content.items()}
    document = annotations.get("AllVideoDescriptions.txt")
    if document is None:
        pickle = annotations.get("raw-captions.pkl")
        instead = (
            f"; {pickle.shown_name} is a pickle, which could run anything, and is not read" if pickle else ""
        )
        raise BadAnnotations(
            f"{safe(annotations.where)} has neither captions_msvd.json nor AllVideoDescriptions.txt{instead}"
        )
    found: dict[str, list[str]] = {}
    for line in document.text().split("\n"):
        key, _, text = line.strip().partition(" ")
        if text and not key.startswith("#"):
            found.setdefault(key, []).append(text)
    return found
