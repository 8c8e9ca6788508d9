"""`msrvtt-words`: real words. One caption of MSR-VTT is the title; what others agree on are the tags.

Title: one caption of a video, chosen by a hash of its name. Tags: the nouns, verbs and noun phrases that at
least three of its other nineteen annotators used (benchmarks/quality/noun_phrases.py finds them). Train and
test are the official split, 6,513 + 497 and 2,990 videos; no video is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from tagline.benchmarks.quality import taggers
from tagline.benchmarks.quality.noun_phrases import concepts
from tagline.benchmarks.quality.taggers import COPYING, METHODS, RETRIEVAL_AUGMENTED

if TYPE_CHECKING:
    from tagline.tagging.generator.config import TaggerRunConfig
    from tagline.tagging.ml.data import Example

FOLDER = Path("annotations", "msrvtt")
FILES = ("train_val_annotation.zip", "test_videodatainfo.json.zip")
MIN_ANNOTATORS = 3  # annotators
# Rows of recall and ranking: our name here, theirs in benchmarks/quality/recall_ranking.py.
TWO_STAGE = {"text-channel": "text_channel", "classifier": "classifier", "ranker": "two_stage"}
# Of the preset `small`: one seed of all methods is a matter of an hour and a half of a core.
SIZES: dict[str, Any] = {
    "width": 96,
    "hybrid_layers": 1,
    "decoder_layers": 2,
    "vocabulary": 6000,  # every word of a tag is whole
    "lr": 1e-3,
    "epochs": 6,
}


def measure(options: dict[str, str]) -> dict[str, Any]:
    """folder=ANNOTATIONS methods=op-tsg,asl seeds=0 preset=small epochs=8 train=N test=N set.KEY=VALUE.

    methods=none prints the statistics of the tag set and trains nothing. What was trained before is kept.
    Beside the generators: text-channel (tags of videos with titles like it), classifier, ranker (recall and
    ranking), op-tsg-rag (ours, told the tags of similar videos), and -copy (words may be copied from the
    title). ranker.KEY=VALUE changes the ranker.
    """
    from tagline.tagging.ml.config import as_dict

    rows = split_rows(read_annotations(options))
    for side, key in (("train", "train"), ("test", "test")):
        if key in options:
            rows[side] = rows[side][: int(options[key])]
    figures = statistics(rows["train"], rows["test"])
    print(json.dumps(figures), file=sys.stderr, flush=True)
    methods = METHODS | RETRIEVAL_AUGMENTED | COPYING
    usual = ",".join([*methods, *TWO_STAGE])
    names = [name for name in options.get("methods", usual).split(",") if name != "none"]
    taggers.check_names("methods", names, [*methods, *TWO_STAGE])
    seeds = taggers.seeds_of(options, "0")
    config = settings(options)
    data = taggers.TaggerData(rows["train"], rows["validate"], rows["test"])
    written = [name for name in names if name in methods]
    values, runs = taggers.table({name: methods[name] for name in written}, seeds, config, data)
    values = {**figures, **values, **_two_stage(names, data, options, seeds)}
    values |= taggers.copied(rows["train"], rows["test"])
    taggers.add_rare_figures(values, written)
    return {
        "values": values,
        "configuration": {"agreeing": MIN_ANNOTATORS, "methods": names, "config": as_dict(config)},
        "seeds": seeds,
        "details": runs,
    }


def _two_stage(
    names: Sequence[str], rows: taggers.TaggerData, options: Mapping[str, str], seeds: Sequence[int]
) -> dict[str, float]:
    """The rows of recall and ranking, under the names of this table."""
    from tagline.benchmarks.quality import recall_ranking
    from tagline.tagging.neighbours.views import ViewEncoder

    wanted = {name: TWO_STAGE[name] for name in names if name in TWO_STAGE}
    if not wanted:
        return {}
    found, _ = recall_ranking.table(rows, ViewEncoder.open("auto"), options, seeds)
    values = {key: value for key, value in found.items() if key.startswith(("recall_", "negatives_"))}
    for name, key in wanted.items():
        values |= {k.replace(key, name, 1): v for k, v in found.items() if k.startswith(key)}
    return values


def read_annotations(options: Mapping[str, str]) -> dict[str, tuple[str, list[str]]]:
    """Each video's split ("train", "validate", "test") and its captions, from the two official files."""
    given = options.get("folder") or os.environ.get("TAGLINE_TEST_DATA")
    if not given:
        raise ValueError("msrvtt-words needs the annotations of MSR-VTT; name their folder with folder=PATH")
    folder = Path(given) if (Path(given) / FILES[0]).is_file() else Path(given) / FOLDER
    splits: dict[str, str] = {}
    captions: dict[str, list[str]] = {}
    for name in FILES:
        split_names = _read(folder / name)
        splits |= {video["video_id"]: video["split"] for video in split_names["videos"]}
        for sentence in split_names["sentences"]:
            captions.setdefault(sentence["video_id"], []).append(sentence["caption"])
    return {video: (split, captions.get(video, [])) for video, split in splits.items()}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"there is no {path}; put MSR-VTT's annotations there")
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".json") and not n.startswith("__MACOSX"))
        found: dict[str, Any] = json.loads(archive.read(name))
        return found


def split_rows(videos: Mapping[str, tuple[str, list[str]]]) -> dict[str, list[Example]]:
    """ "train", "validate" and "test" examples, in the order of the videos' names."""
    from tagline.tagging.ml.data import Example

    rows: dict[str, list[Example]] = {"train": [], "validate": [], "test": []}
    for video in sorted(videos):
        split, captions = videos[video]
        if len(captions) < MIN_ANNOTATORS + 1:
            continue
        title, tags = example(video, captions)
        if tags:
            rows[split].append(Example(video, video, title, tags))
    return rows


def example(video: str, captions: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The title and the tags of one video."""
    chosen = int.from_bytes(hashlib.sha256(video.encode()).digest()[:8], "big") % len(captions)
    counts = Counter(c for i, caption in enumerate(captions) if i != chosen for c in concepts(caption))
    tags = sorted((c for c in counts if counts[c] >= MIN_ANNOTATORS), key=lambda c: (-counts[c], c))
    return captions[chosen], tuple(tags)


def statistics(train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """The tag set in numbers, and what titles say already."""
    named = round(mean(_in_title(one) for one in test), 3)
    return {**taggers.statistics(train, test), "tags_in_title": named}


def _in_title(one: Example) -> float:
    """The share of a video's tags that its title says already."""
    named = concepts(one.title)
    return sum(tag in named for tag in one.tags) / len(one.tags)


def settings(options: Mapping[str, str]) -> TaggerRunConfig:
    """The configuration of all methods. Titles only: there are no videos."""
    config = taggers.base(options, "small", SIZES)
    return replace(config, model=replace(config.model, use_frames=False))
