"""MSR-VTT: 10,000 videos with 20 sentences each; the splits 1k-A (9k), 7k and the official one.

The sentences come in `MSRVTT_data.json` or in the two original files (`train_val_videodatainfo.json` and
`test_videodatainfo.json`), which have the same form; the splits in `MSRVTT_train.9k.csv` or
`MSRVTT_train.7k.csv` and `MSRVTT_JSFUSION_test.csv`. Under 1k-A and 7k a test video asks with one sentence
alone, as it stands in JSFusion's list, so that figures compare with the papers'; the other nineteen of it,
and videos that the split does not use, bring no captions into the catalog: nothing could learn from them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tagline.benchmarks.datasets.dataset import (
    BadAnnotations,
    Dataset,
    Item,
    PublishedCount,
    clean_split,
    rows_of,
    seconds,
    some_names,
    split_counts,
    text_of,
)
from tagline.benchmarks.datasets.documents import AnnotationFile, Annotations
from tagline.tagging.catalog.records import Caption
from tagline.tagging.printable import safe

VARIANTS = ("1k-A", "7k", "full")
TRAIN_LIST = {"1k-A": "MSRVTT_train.9k.csv", "7k": "MSRVTT_train.7k.csv"}
TEST_LIST = "MSRVTT_JSFUSION_test.csv"

VIDEOS: dict[str, dict[str, int | None]] = {
    "1k-A": {"train": 9000, "test": 1000},
    "7k": {"train": 7010, "test": 1000},
    "full": {"train": 6513, "val": 497, "test": 2990},
}
CAPTIONS: dict[str, dict[str, int | None]] = {
    "1k-A": {"train": 180_000, "test": 1000},
    "7k": {"train": 140_200, "test": 1000},
    "full": {"train": 130_260, "val": 9940, "test": 59_800},
}
CATEGORIES = (
    "music",
    "people",
    "gaming",
    "sports/actions",
    "news/events/politics",
    "education",
    "tv shows",
    "movie/comedy",
    "animation",
    "vehicles/autos",
    "howto",
    "travel",
    "science/technology",
    "animals/pets",
    "kids/family",
    "documentary",
    "food/drink",
    "cooking",
    "beauty/fashion",
    "advertisement",
)


@dataclass(slots=True)
class OfficialVideo:
    """One video of the original files."""

    split: str
    category: str | None
    duration: float | None  # seconds
    sentences: list[str] = field(default_factory=list)


def read(where: Path, variant: str = "1k-A") -> Dataset:
    annotations = Annotations(where)
    official = videos_of(annotations)
    if variant == "full":
        splits = {key: video.split for key, video in official.items()}
        asked: dict[str, str] = {}
    else:
        asked = test_sentences(annotations[TEST_LIST])
        splits = _splits(annotations[TRAIN_LIST[variant]], asked)
    items = [_item(key, video, splits.get(key, ""), asked.get(key)) for key, video in official.items()]
    counts = [
        PublishedCount("videos", 10_000, len(official)),
        PublishedCount("captions", 200_000, sum(len(video.sentences) for video in official.values())),
        *split_counts((item for item in items if item.split), VIDEOS[variant], CAPTIONS[variant]),
    ]
    made = Dataset("msrvtt", items, counts, variant=variant)
    unknown = [key for key in splits if key not in official]
    if unknown:
        made.notes.append(f"the lists name videos that have no sentences, left out: {some_names(unknown)}")
    if asked:
        _compare(made, official, asked)
    return made


def videos_of(annotations: Annotations) -> dict[str, OfficialVideo]:
    """Every video with its sentences, from whichever of the original files there are, each once."""
    merged = annotations.get("MSRVTT_data.json")
    documents = [merged] if merged else annotations.all(lambda name: name.endswith("videodatainfo.json"))
    if not documents:
        raise BadAnnotations(
            f"{safe(annotations.where)} has neither MSRVTT_data.json nor train_val_videodatainfo.json and "
            "test_videodatainfo.json, plain or zipped; put them there"
        )
    videos: dict[str, OfficialVideo] = {}
    seen: set[Any] = set()
    contents = [(document, _content(document)) for document in documents]
    for document, content in contents:
        for row in rows_of(content["videos"], document.shown_name):
            key = text_of(row.get("video_id"), document.shown_name, "video_id")
            videos.setdefault(key, _official(row, document.shown_name))
    for document, content in contents:
        for row in rows_of(content["sentences"], document.shown_name):
            key = text_of(row.get("video_id"), document.shown_name, "video_id")
            number = row.get("sen_id")
            numbered = isinstance(number, int | str)
            if key in videos and not (numbered and (key, number) in seen):
                seen.add((key, number) if numbered else None)
                videos[key].sentences.append(text_of(row.get("caption"), document.shown_name, "caption"))
    return videos


def _content(document: AnnotationFile) -> dict[str, Any]:
    content = document.json()
    if not isinstance(content, dict) or not {"videos", "sentences"} <= content.keys():
        raise BadAnnotations(f"{document.shown_name} should have the keys videos and sentences")
    return content


def _official(row: dict[str, Any], where: str) -> OfficialVideo:
    category = row.get("category")
    known = isinstance(category, int) and 0 <= category < len(CATEGORIES)
    start, end = seconds(row.get("start time"), where), seconds(row.get("end time"), where)
    return OfficialVideo(
        clean_split(str(row.get("split", "")), where),
        CATEGORIES[category] if known and isinstance(category, int) else None,
        end - start if start is not None and end is not None and end > start else None,
    )


def test_sentences(document: AnnotationFile) -> dict[str, str]:
    """The one sentence with which each test video is asked for."""
    asked: dict[str, str] = {}
    for row, where in document.csv_rows():
        if "video_id" not in row or "sentence" not in row:
            raise BadAnnotations(f"{document.shown_name} should have the columns video_id and sentence")
        if row["video_id"] in asked:
            raise BadAnnotations(f"{where} names {safe(row['video_id'], 40)} a second time")
        asked[row["video_id"]] = row["sentence"]
    return asked


def _splits(document: AnnotationFile, asked: dict[str, str]) -> dict[str, str]:
    """Which split each video belongs to. A video both learnt from and asked for would be a false figure."""
    train = []
    for row, _ in document.csv_rows():
        if "video_id" not in row:
            raise BadAnnotations(f"{document.shown_name} should have the column video_id")
        train.append(row["video_id"])
    both = sorted(asked.keys() & set(train))
    if both:
        raise BadAnnotations(f"{document.shown_name} trains on videos of the test set: {some_names(both)}")
    return {**dict.fromkeys(train, "train"), **dict.fromkeys(asked, "test")}


def _item(key: str, video: OfficialVideo, split: str, asked: str | None) -> Item:
    texts = [] if not split else [asked] if asked is not None else video.sentences
    captions = tuple(Caption(text, split=split) for text in texts)
    return Item(key, (key,), captions, split, category=video.category, duration=video.duration)


# -- JSFusion's sentences beside the official ones ---------------------------------------------------


def loosely(sentence: str) -> str:
    """Without regard to case, commas and spaces."""
    return re.sub(r"[\s,]+", "", sentence.lower())


def letters(sentence: str) -> str:
    """Letters and digits alone: JSFusion's list lost hyphens, colons, slashes and ampersands."""
    return re.sub(r"[\W_]+", "", sentence.lower())


def matched(official: list[str], sentence: str) -> str:
    """How a sentence of the list agrees with one of its video's own: the strictest way that holds."""
    if sentence in official:
        return "exact"
    if loosely(sentence) in map(loosely, official):
        return "loose"
    return "letters" if letters(sentence) in map(letters, official) else "none"


def _compare(made: Dataset, official: dict[str, OfficialVideo], asked: dict[str, str]) -> None:
    found = {key: matched(official[key].sentences, text) for key, text in asked.items() if key in official}
    ways = Counter(found.values())
    exact, loose = ways["exact"], ways["exact"] + ways["loose"]
    made.counts += [
        PublishedCount("test sentences as an annotator wrote them", 965, exact),
        PublishedCount("... but for case, commas and spaces", 988, loose),
        PublishedCount("... but for any punctuation", 1000, loose + ways["letters"]),
    ]
    if ways["letters"]:
        rest = [key for key, way in found.items() if way == "letters"]
        made.notes.append(
            f"{ways['letters']} test sentences differ from an annotator's in a hyphen, colon, slash or "
            f"ampersand only, and ask as the list has them: {some_names(rest, 12)}"
        )
    if ways["none"]:
        rest = [key for key, way in found.items() if way == "none"]
        made.notes.append(
            f"{ways['none']} test sentences are nobody's among their video's own; they ask all the same: "
            f"{some_names(rest)}"
        )
