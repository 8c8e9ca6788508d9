"""`table-training`: TABLE's training against the published way, same model, same videos, same machine.

The model is CLIP4Clip's mean of frames (no tags) on the playhouse's CLIP, all of it trained. The published
way (benchmarks/baselines/clip4clip_training.py) decodes and encodes for every caption; ours decodes each
video once, into a cache, and lets several captions of a video share a pass of its visual encoder.

- `speedup`: captions a second, ours over plain, while both train; decoding once is not in it.
- `time_ratio`: wall time until ours reaches the validation R@1 that the plain way has at its end, decoding
  included, over the plain way's time. Ours may see `more` times its captions, since it has the time; where it
  never reaches that R@1 the ratio is that of its whole run, and `reached` says so.
- `share_costs`: R@1 that sharing costs at the same number of captions: plain's minus ours, in points.

Both ways are tested by the same code between steps, and that is counted in neither time.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from tagline.benchmarks.fixtures import playhouse_set
from tagline.benchmarks.fixtures.playhouse_set import PlayhouseVideo
from tagline.benchmarks.quality.table_ablation import base, some, towers_folder
from tagline.benchmarks.quality.taggers import seeds_of
from tagline.benchmarks.registry import cache

if TYPE_CHECKING:
    from tagline.table.config import TableConfig
    from tagline.table.frame_cache import FrameCache
    from tagline.table.rows import Row

# Of the plain way: so many captions as it does in some minutes on two cores.
CAPTIONS, TEXTS = 2048, 8  # of the plain way's training; queries of each validation video
# So few that, as in a real training, each comes up several times.
VIDEOS, VALIDATION = 300, 100
SHARE, MORE, TESTS = 4, 1.5, 4
SIZES: dict[str, Any] = {
    "frames": 6,
    "layers": 0,
    "modalities": [],
    "residual": "frame",
    "video_projection": False,
    "vtm": False,
    "mlm": False,
    "batch": 64,
    "share": SHARE,
    "lr_towers": 3e-4,
    "lr_fusion": 3e-4,
    "weight_decay": 0.05,
}


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """folder=DIR videos=N val=N captions=N share=4 more=1.5 tests=4 workers=0 seeds=0,1,2 set.KEY=VALUE."""
    from tagline.tagging.ml.config import as_dict

    eyes = playhouse_set.clip_towers(options)
    config = base({**_as_options(SIZES), **options}, eyes, towers_folder(options))
    world = playhouse_set.read_set({key: value for key, value in options.items() if key != "videos"})
    for split, key, most in (("train", "videos", VIDEOS), ("val", "val", VALIDATION)):
        world[split] = world[split][: int(options.get(key, most))]
    seeds = seeds_of(options)
    runs = [
        cached_run(replace(config, train=replace(config.train, seed=seed)), world, options, eyes.fingerprint)
        for seed in seeds
    ]
    keys = [key for key, value in runs[0].items() if isinstance(value, float | int)]
    values: dict[str, Any] = {key: round(mean(float(run[key]) for run in runs), 3) for key in keys}
    values["reached"] = sum(bool(run["reached"]) for run in runs)  # seeds
    values["share"] = int(options.get("share", SHARE))
    return {
        "values": values,
        "configuration": {"config": as_dict(config), "towers": eyes.fingerprint, "share": values["share"]},
        "seeds": seeds,
        "details": runs,
    }


def _as_options(sizes: Mapping[str, Any]) -> dict[str, str]:
    return {f"set.{key}": json.dumps(value) for key, value in sizes.items()}


def cached_run(
    config: TableConfig,
    world: Mapping[str, Sequence[PlayhouseVideo]],
    options: Mapping[str, str],
    towers: str,
) -> dict[str, Any]:
    from tagline.tagging.ml.config import as_dict, digest

    about = {
        "config": as_dict(replace(config, train=replace(config.train, weights=None))),
        "data": digest([[one.name for one in world[split]] for split in ("train", "val")]),
        "options": {key: value for key, value in options.items() if key not in ("seeds", "folder", "towers")},
        "towers": towers,
        "code": [cache.code_fingerprint("tagline.table"), SHARE, MORE, CAPTIONS, TEXTS, TESTS],
    }
    return cache.cached_figures("table-training", about, lambda: _run(config, world, options))


def _run(
    config: TableConfig, world: Mapping[str, Sequence[PlayhouseVideo]], options: Mapping[str, str]
) -> dict[str, Any]:
    """Both ways with one seed, one after the other."""
    from tagline.table.frame_cache import FrameCache

    captions = int(options.get("captions", CAPTIONS))
    train, validation = (_rows(world[split], most) for split, most in (("train", 10_000), ("val", TEXTS)))
    with tempfile.TemporaryDirectory() as folder:
        frames = FrameCache(config.model.frames, _side(config), Path(folder) / "frames")
        list(frames.fill([(row.key, row.path) for row in validation if row.path is not None]))
        plain = train_baseline(config, train, validation, frames, captions, int(options.get("workers", 0)))
        ours = train_table(config, train, validation, frames, captions, options, Path(folder))
    reached = [seconds for seconds, r1 in ours["course"] if r1 >= plain["r1"]]
    whole = ours["course"][-1][0]
    at_same = min(ours["course"], key=lambda point: abs(point[0] / whole - 1 / ours["more"]))
    return {
        "speedup": ours["captions_a_second"] / plain["captions_a_second"],
        "time_ratio": (ours["decoding"] + (reached[0] if reached else whole)) / plain["seconds"],
        "reached": bool(reached),
        "share_costs": plain["r1"] - at_same[1],
        "r1_plain": plain["r1"],
        "r1_ours": max(r1 for _, r1 in ours["course"]),
        "r1_before": ours["r1_before"],
        "plain_captions_a_second": plain["captions_a_second"],
        "our_captions_a_second": ours["captions_a_second"],
        "plain_seconds": plain["seconds"],
        "our_seconds": whole,
        "our_decoding_seconds": ours["decoding"],
        "course": ours["course"],
    }


def _rows(known: Sequence[PlayhouseVideo], most: int) -> list[Row]:
    from tagline.table.rows import Row

    return [Row(one.name, one.name, tuple(some(one, most)), "", one.path) for one in known]


def _side(config: TableConfig) -> int:
    from tagline.table.encoders import architecture

    return int(architecture(config.model.architecture)["vision_cfg"]["image_size"])


def train_baseline(
    config: TableConfig,
    train: Sequence[Row],
    validation: Sequence[Row],
    frames: FrameCache,
    captions: int,
    workers: int,
) -> dict[str, float]:
    import torch

    from tagline.benchmarks.baselines import clip4clip_training
    from tagline.table.evaluate import evaluate_model
    from tagline.table.model import Table
    from tagline.table.tokenizer import Tokenizer
    from tagline.table.train import initial_weights
    from tagline.tagging.ml.trainer import to_stderr

    weights = initial_weights(config.train.weights)
    tokenizer = Tokenizer.beside(weights)
    torch.manual_seed(config.train.seed)
    model = Table.build(config.model, weights)
    done = clip4clip_training.train(model, config, train, tokenizer, captions, workers=workers, say=to_stderr)
    found = evaluate_model(model, validation, frames, tokenizer, temperature=None, resamples=0)
    return {"r1": found.t2v.r1, "seconds": done.seconds, "captions_a_second": done.captions_a_second}


def train_table(
    config: TableConfig,
    train: Sequence[Row],
    validation: Sequence[Row],
    frames: FrameCache,
    captions: int,
    options: Mapping[str, str],
    folder: Path,
) -> dict[str, Any]:
    """TABLE's own training, on `more` times the captions: as many of each video as make one epoch of it."""
    from tagline.table.data import TrainingData
    from tagline.table.evaluate import evaluate_model
    from tagline.table.model import Table
    from tagline.table.tokenizer import Tokenizer
    from tagline.table.train import initial_weights
    from tagline.table.train import train as run
    from tagline.tagging.ml.trainer import to_stderr

    share, more = int(options.get("share", SHARE)), float(options.get("more", MORE))
    weights = initial_weights(config.train.weights)
    untrained, tokenizer = Table.build(config.model, weights), Tokenizer.beside(weights)
    before = evaluate_model(untrained, validation, frames, tokenizer, temperature=None, resamples=0)
    chosen = _enough(train, round(more * captions), share)
    begun = time.perf_counter()
    filled = frames.fill([(row.key, row.path) for row in chosen if row.path is not None])
    unread = [why for _, _, why in filled if why is not None]
    decoding = time.perf_counter() - begun
    if unread:
        raise RuntimeError(unread[0])
    tests = int(options.get("tests", TESTS))
    settings = replace(config.train, epochs=1, share=share, evaluations=tests)
    data = TrainingData(chosen, list(validation), frames)
    outcome = run(replace(config, train=settings), data, folder / "run", report=(), say=to_stderr)
    tested = [entry for entry in outcome.history if "eval_r1" in entry]
    steps = max(entry["step"] for entry in tested)
    seconds = max(entry["eval_trained"] for entry in tested if entry["step"] == steps)
    return {
        "course": [(entry["eval_trained"], entry["eval_r1"]) for entry in tested],
        "captions_a_second": steps * settings.batch / seconds,
        "decoding": decoding,
        "more": more,
        "r1_before": before.t2v.r1,
    }


def _enough(rows: Sequence[Row], captions: int, share: int) -> list[Row]:
    """So many captions in all, spread over the videos in units of `share`; what is not needed is left out."""
    groups = -(-captions // share)
    each, more = divmod(groups, len(rows))
    counts = [share * (each + (i < more)) for i in range(len(rows))]
    return [replace(row, texts=row.texts[:count]) for row, count in zip(rows, counts, strict=True) if count]
