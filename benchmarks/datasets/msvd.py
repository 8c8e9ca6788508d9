"""MSVD: 1,970 videos from YouTube with about forty sentences each.

Captions in `captions_msvd.json` ({"-4wsuPCjDBc_5_15": ["a squirrel ...", ...]}) or in the original
`AllVideoDescriptions.txt` (a name and a sentence on each line); splits in `train_list.txt`, `val_list.txt`
and `test_list.txt`, one name on each line. Each file is called like its video. `raw-captions.pkl` is not
read: a pickle is a program.
"""

from __future__ import annotations

from pathlib import Path

from tagline.benchmarks.datasets.shared import (
    BadAnnotations,
    Count,
    Dataset,
    Item,
    some,
    split_counts,
    text_of,
)
from tagline.benchmarks.datasets.sources import Shelf
from tagline.tagging.names import safe
from tagline.tagging.records import Caption

LISTS = {"train": "train_list.txt", "val": "val_list.txt", "test": "test_list.txt"}


def read(where: Path) -> Dataset:
    shelf = Shelf(where)
    sentences = _sentences(shelf)
    splits: dict[str, str] = {}
    for split, name in LISTS.items():
        for key in shelf[name].text().split():
            if splits.setdefault(key, split) != split:
                raise BadAnnotations(f"{safe(key, 60)} is in the {splits[key]} list and the {split} list")
    items = [
        Item(key, (key,), tuple(Caption(text, split=splits[key]) for text in texts), splits[key])
        for key, texts in sentences.items()
        if key in splits
    ]
    counts = [
        Count("videos", 1970, len(items)),
        Count("captions", 80_827, sum(len(item.captions) for item in items)),
        *split_counts(
            items,
            {"train": 1200, "val": 100, "test": 670},
            {"train": 48_774, "val": 4290, "test": 27_763},
        ),
    ]
    made = Dataset("msvd", items, counts)
    bare = [key for key in splits if key not in sentences]
    if bare:
        made.notes.append(f"the lists name videos that have no sentences, left out: {some(bare)}")
    spare = len(sentences) - len(items)
    if spare:
        made.notes.append(f"left out, because they are in none of the lists: {spare:,} with sentences")
    return made


def _sentences(shelf: Shelf) -> dict[str, list[str]]:
    document = shelf.get("captions_msvd.json")
    if document is not None:
        content = document.json()
        if not isinstance(content, dict) or not all(isinstance(texts, list) for texts in content.values()):
            raise BadAnnotations(f"{document.shown} should hold a list of sentences for each video")
        where = document.shown
        return {key: [text_of(t, where, "a sentence") for t in texts] for key, texts in content.items()}
    document = shelf.get("AllVideoDescriptions.txt")
    if document is None:
        pickle = shelf.get("raw-captions.pkl")
        instead = f"; {pickle.shown} is a pickle, which could run anything, and is not read" if pickle else ""
        raise BadAnnotations(
            f"{safe(shelf.where)} has neither captions_msvd.json nor AllVideoDescriptions.txt{instead}"
        )
    found: dict[str, list[str]] = {}
    for line in document.text().split("\n"):
        key, _, text = line.strip().partition(" ")
        if text and not key.startswith("#"):
            found.setdefault(key, []).append(text)
    return found
