"""`msrvtt-words`: real words. One caption of MSR-VTT is the title; what others agree on are the tags.

Title: one caption of a video, chosen by a hash of its name. Tags: the nouns, verbs and noun phrases that at
least three of its other nineteen annotators used (benchmarks/chunks.py finds them). Train and test are the
official split, 6,513 + 497 and 2,990 videos; no video is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.chunks import concepts

if TYPE_CHECKING:
    from tagging.generator.config import Config
    from tagging.generator.data import Example
    from tagging.generator.train import Outcome

FOLDER = Path("annotations", "msrvtt")
FILES = ("train_val_annotation.zip", "test_videodatainfo.json.zip")
AGREEING = 3  # annotators

# What differs between the methods; encoders, schedule and data are the same.
METHODS: dict[str, dict[str, Any]] = {
    "bin": {"method": "bin"},
    "asl": {"method": "asl"},
    "frequent-first": {"order": "frequent first"},
    "rare-first": {"order": "rare first"},
    "order-free": {"order": "learned"},
    "open-book": {"method": "open-book", "order": "frequent first"},
    "op-tsg": {},
}


def measure(options: dict[str, str]) -> dict[str, Any]:
    """folder=ANNOTATIONS methods=op-tsg,asl seeds=0,1,2 preset=small epochs=20 train=N test=N set.KEY=VALUE.

    methods=none prints the statistics of the tag set and trains nothing.
    """
    rows = split_rows(read_annotations(options))
    for side, key in (("train", "train"), ("test", "test")):
        if key in options:
            rows[side] = rows[side][: int(options[key])]
    figures = statistics(rows["train"], rows["test"])
    print(json.dumps(figures), flush=True)
    names = [name for name in options.get("methods", ",".join(METHODS)).split(",") if name != "none"]
    seeds = [int(seed) for seed in options.get("seeds", "0,1,2").split(",")]
    values: dict[str, Any] = dict(figures)
    details: dict[str, Any] = {}
    for name in names:
        runs = [_run(name, seed, rows, options) for seed in seeds]
        details[name] = runs
        keys = runs[0].keys()
        values |= {f"{name}_{key}": round(mean(run[key] for run in runs), 4) for key in keys}
    _rare(values, names)
    return {
        "values": values,
        "configuration": {"agreeing": AGREEING, "methods": names, "preset": options.get("preset", "small")},
        "seeds": seeds,
        "details": details,
    }


def _rare(values: dict[str, Any], names: Sequence[str]) -> None:
    """The number that matters: rare tags, ours and the best rival's."""
    rivals = [values[f"{name}_rare_f1"] for name in names if name != "op-tsg"]
    if "op-tsg" in names:
        values["rare_f1_optsg"] = values["op-tsg_rare_f1"]
    if rivals:
        values["rare_f1_best_rival"] = max(rivals)


def read_annotations(options: Mapping[str, str]) -> dict[str, tuple[str, list[str]]]:
    """Each video's split ("train", "validate", "test") and its captions, from the two official files."""
    given = options.get("folder") or os.environ.get("TAGLINE_TEST_DATA")
    if not given:
        raise ValueError("msrvtt-words needs the annotations of MSR-VTT; name their folder with folder=PATH")
    folder = Path(given) if (Path(given) / FILES[0]).is_file() else Path(given) / FOLDER
    splits: dict[str, str] = {}
    said: dict[str, list[str]] = {}
    for name in FILES:
        told = _read(folder / name)
        splits |= {video["video_id"]: video["split"] for video in told["videos"]}
        for sentence in told["sentences"]:
            said.setdefault(sentence["video_id"], []).append(sentence["caption"])
    return {video: (split, said.get(video, [])) for video, split in splits.items()}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"there is no {path}; put MSR-VTT's annotations there")
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".json") and not n.startswith("__MACOSX"))
        found: dict[str, Any] = json.loads(archive.read(name))
        return found


def split_rows(videos: Mapping[str, tuple[str, list[str]]]) -> dict[str, list[Example]]:
    """ "train", "validate" and "test" examples, in the order of the videos' names."""
    from tagging.generator.data import Example

    rows: dict[str, list[Example]] = {"train": [], "validate": [], "test": []}
    for video in sorted(videos):
        split, captions = videos[video]
        if len(captions) < AGREEING + 1:
            continue
        title, tags = example(video, captions)
        if tags:
            rows[split].append(Example(video, video, title, tags))
    return rows


def example(video: str, captions: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The title and the tags of one video."""
    chosen = int.from_bytes(hashlib.sha256(video.encode()).digest()[:8], "big") % len(captions)
    counts = Counter(c for i, caption in enumerate(captions) if i != chosen for c in concepts(caption))
    tags = sorted((c for c in counts if counts[c] >= AGREEING), key=lambda c: (-counts[c], c))
    return captions[chosen], tuple(tags)


def statistics(train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """The tag set in numbers, as the supplement of OP-TSG prints them."""
    from tagging.scoring import tag_sets

    sets = tag_sets([one.tags for one in train], [one.tags for one in test])
    every = {tag for one in (*train, *test) for tag in one.tags}
    return {
        "train_videos": len(train),
        "test_videos": len(test),
        "tags": len(every),
        "tags_both": len(sets.full),
        "tags_common": len(sets.common),
        "tags_rare": len(sets.rare),
        "tags_a_video": round(mean(len(one.tags) for one in (*train, *test)), 2),
        "tags_in_title": round(mean(_in_title(one) for one in test), 3),
    }


def _in_title(one: Example) -> float:
    """The share of a video's tags that its title says already."""
    named = concepts(one.title)
    return sum(tag in named for tag in one.tags) / len(one.tags)


def _run(
    name: str, seed: int, rows: Mapping[str, Sequence[Example]], options: Mapping[str, str]
) -> dict[str, float]:
    from tagging.generator.data import Examples
    from tagging.generator.train import train
    from tagging.training import to_stderr

    config = settings(name, seed, options)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        examples = Examples(list(rows["train"]), list(rows["validate"]))
        outcome = train(config, examples, Path(folder) / "run", report=(), say=to_stderr)
    found = tested(outcome, rows["train"], rows["test"])
    return {**found, "seconds": round(time.perf_counter() - begun, 1)}


def settings(name: str, seed: int, options: Mapping[str, str]) -> Config:
    """The configuration of a method. Titles only: there are no videos."""
    from tagging.generator.config import changed, preset

    config: Config = preset(options.get("preset", "small"))
    config = changed(
        config, [f"{key[4:]}={value}" for key, value in options.items() if key.startswith("set.")]
    )
    epochs = int(options.get("epochs", config.train.epochs))
    model = replace(config.model, use_frames=False, **METHODS[name])
    return replace(config, model=model, train=replace(config.train, seed=seed, epochs=epochs))


def tested(outcome: Outcome, train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """The papers' columns on the test videos."""
    from tagging.generator.methods import predict_all
    from tagging.generator.trainer import score

    trained = outcome.trained
    make = trained.collator(outcome.shelf)
    said = predict_all(trained.model, make, test)
    scores = score(train, test, said)
    found = {
        f"{part}_{key}": getattr(s, key)
        for part, s in scores.items()
        for key in ("precision", "recall", "f1")
    }
    known = {tag for one in train for tag in one.tags}
    new = [sum(tag not in known for tag, _ in tags) for tags in said]
    return {**found, "tags_said": mean(map(len, said)), "novel_said": mean(new)}
