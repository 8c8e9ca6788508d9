"""LSMDC: short stretches of films, one sentence each, for retrieval as TABLE and others use it.

`LSMDC16_annos_training.csv`, `LSMDC16_annos_val.csv` and `LSMDC16_challenge_1000_publictect.csv`: no header,
no quotes, six columns between tabs: name, start and end in the film (aligned to the sentence), start and end
of the stretch that was cut out, sentence. The file of a stretch is called like it and may lie in a folder of
its film. A name stands on several lines of the training list, never of the test list. The test list has 1,000
videos, as TABLE says; the papers' 118,081 counts videos that these lists do not hold, so it is not asked for.
"""

from __future__ import annotations

import re
from pathlib import Path

from tagline.benchmarks.datasets.dataset import (
    BadAnnotations,
    Dataset,
    Item,
    PublishedCount,
    some_names,
    split_counts,
)
from tagline.benchmarks.datasets.documents import AnnotationFile, Annotations
from tagline.tagging.catalog.records import Caption
from tagline.tagging.printable import safe

LISTS = {
    "train": ("LSMDC16_annos_training.csv",),
    "val": ("LSMDC16_annos_val.csv",),
    "test": ("LSMDC16_challenge_1000_publictect.csv", "LSMDC16_challenge_1000_publictext.csv"),
}
TIME = r"\d\d\.\d\d\.\d\d\.\d\d\d"  # 01.02.27.034: hours, minutes, seconds, thousandths


def read(where: Path) -> Dataset:
    annotations = Annotations(where)
    found = {split: annotations.get(*names) for split, names in LISTS.items()}
    if not any(found.values()):
        raise BadAnnotations(f"{safe(where)} has none of LSMDC's lists, such as {LISTS['train'][0]}")
    sentences: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    both: list[str] = []
    for split, document in found.items():
        for key, sentence, row in _rows(document) if document else ():
            if splits.get(key, split) != split:  # nobody may learn what is asked for
                both.append(key)
                sentences.pop(key)
            elif split == "test" and key in sentences:
                raise BadAnnotations(f"{row}: {safe(key, 80)} is in the test list a second time")
            splits[key] = split
            sentences.setdefault(key, []).append(sentence)
    items = [
        Item(
            key,
            (key, f"{film(key)}/{key}"),
            tuple(Caption(text, split=splits[key]) for text in texts),
            splits[key],
        )
        for key, texts in sentences.items()
    ]
    counts = split_counts(items, {"train": None, "val": None, "test": 1000}, {"test": 1000})
    counts.append(PublishedCount("films", None, len({film(key) for key in sentences})))
    made = Dataset("lsmdc", items, counts)
    if both:
        made.notes.append(f"in two lists, kept in the later of train, val, test alone: {some_names(both)}")
    made.notes += [f"there is no {LISTS[split][0]}" for split, document in found.items() if not document]
    return made


def film(key: str) -> str:
    """ "3009_BATTLE_LOS_ANGELES_00.03.07.170-00.03.09.675" is of 3009_BATTLE_LOS_ANGELES."""
    return re.sub(rf"_{TIME}-{TIME}$", "", key)


def _rows(document: AnnotationFile) -> list[tuple[str, str, str]]:
    """(name, sentence, where it stands)"""
    rows = []
    for number, row in enumerate(document.text().split("\n"), 1):
        if not row.strip():
            continue
        where = f"{document.shown_name}, line {number}"
        parts = row.rstrip("\r").split("\t")
        # The challenge's own files have a seventh column, the sentence put otherwise.
        if len(parts) not in (6, 7) or not parts[0].strip():
            raise BadAnnotations(f"{where} should have a name, four times and a sentence between tabs")
        rows.append((parts[0].strip(), parts[5].strip(), where))
    return rows
