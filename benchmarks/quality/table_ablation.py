"""`table-ablation`: TABLE's Table 5 on the playhouse, row by row, and beyond it.

Tags are those that trained experts gave, out of the catalog of the rendered set; captions are the truth's.
All rows share data, schedule and sizes. The visual tower is that of the playhouse's CLIP, frozen, and each
frame goes through it once for all rows: the paper moves it at a rate of 1e-7, close to not at all. All rows
have the text tower of benchmarks/quality/distilled_text.py, which knows the words of the training captions.
Intervals are bootstrapped over test videos, with the queries of all seeds of a video drawn together.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from tagline.benchmarks.fixtures import playhouse_set
from tagline.benchmarks.fixtures.playhouse_set import PlayhouseVideo
from tagline.benchmarks.quality.taggers import seeds_of
from tagline.benchmarks.registry import cache

if TYPE_CHECKING:
    from tagline.experts.clip import ClipEncoder
    from tagline.experts.tags import Tag
    from tagline.table.config import TableConfig
    from tagline.table.data import TrainingData
    from tagline.table.ranking import Evaluation
    from tagline.table.rows import Row

# The preset `playhouse` with the sizes of a table of minutes. The text tower learns, so its rate is not
# the paper's: that of a CLIP which has seen 400 million pairs would leave this one where it is.
SIZES: dict[str, Any] = {
    "text_length": 24,
    "tag_length": 40,
    "init": "scaled",
    "most": 4,
    "epochs": 1,
    "batch": 64,
    "share": 2,
    "lr_towers": 1e-3,
    "lr_fusion": 1e-3,
    "evaluations": 2,
}
VIDEOS = 1000  # of training; half of the set, so that the table is done in two hours
CAPTIONS, TEXTS = 20, 4  # of each training video; of each test video, every one a query
SIDE = 128  # pixels that frames are decoded at before CLIP's own preparation

_TAGS = ("object", "person", "motion", "scene", "speech")  # in the order in which the paper adds them
_ALONE = {"vtm": False, "mlm": False}
ROWS: dict[str, dict[str, Any]] = {
    "no_tags": {"modalities": (), **_ALONE},
    **{name: {"modalities": _TAGS[: i + 1], **_ALONE} for i, name in enumerate(_TAGS)},
    "vtm": {"modalities": _TAGS, "vtm": True, "mlm": False},
    "mlm": {"modalities": _TAGS, "vtm": True, "mlm": True},
    # Beyond the paper, each beside its whole model.
    **{name: {"modalities": (*_TAGS, name), "vtm": True, "mlm": True} for name in ("screen", "generated")},
}
FULL = "mlm"  # the paper's whole model
DETAILS_ONLY = ("tags_cut", "seconds", "core_seconds")  # in the details alone


@dataclass(frozen=True, slots=True)
class AblationInputs:
    """What all rows share."""

    world: Mapping[str, Sequence[PlayhouseVideo]]  # videos by split
    tags: Mapping[str, Sequence[Tag]]  # by the file's name, as the experts gave them
    frames: Mapping[str, Any]  # by the file's name: float32 [frames, D], as the frozen visual tower sees them
    towers: str  # its fingerprint
    captions: int  # of each training video
    texts: int  # of each test video


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """folder=DIR library=DIR videos=N seeds=0,1,2 rows=no_tags,mlm epochs=N captions=N texts=N set.KEY=VALUE.

    The rows "screen" and "generated" are there once the training videos have such tags. save=DIR keeps the
    models: that of row vtm and seed 0 as DIR/vtm-0/model.
    """
    from tagline.benchmarks.quality.distilled_text import distilled
    from tagline.tagging.ml.config import as_dict
    from tagline.tagging.ml.trainer import to_stderr

    options = {"videos": str(VIDEOS), "captions": str(CAPTIONS), **options}
    eyes = playhouse_set.clip_towers(options)
    world = playhouse_set.read_set(options)
    captions = [some(one, int(options["captions"])) for one in world["train"]]
    towers = towers_folder(options)
    config = base(options, eyes, towers)
    given = given_of(options, world, eyes, config)  # first: it says what is missing
    start = distilled(towers, captions, config.model.text_length, to_stderr)
    config = replace(config, train=replace(config.train, weights=str(start)))
    names = options["rows"].split(",") if "rows" in options else _rows(given)
    seeds = seeds_of(options)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in seeds:  # seed by seed, so that an interrupted table has every row
        for name in names:
            row = varied(config, ROWS[name], seed)
            if "save" in options:
                made = _run(row, *data_of(given, row), Path(options["save"]).expanduser() / f"{name}-{seed}")
            else:
                made = cached_run(row, given)
            runs[name].append(made)
    return {
        "values": _values(runs, [len(some(one, given.texts)) for one in given.world["test"]]),
        "configuration": {
            "config": as_dict(config),
            "visual_tower": "frozen",
            "towers": given.towers,
            "captions_a_training_video": given.captions,
            "queries_a_test_video": given.texts,
            "tags_a_video": _counts(given),
        },
        "seeds": seeds,
        "details": {name: [_without_ranks(one) for one in own] for name, own in runs.items()},
    }


# -- what is learned from ----------------------------------------------------------------------------


def given_of(
    options: Mapping[str, str],
    world: Mapping[str, Sequence[PlayhouseVideo]],
    eyes: ClipEncoder,
    config: TableConfig,
) -> AblationInputs:
    from tagline.experts.footage import Uniform
    from tagline.tagging.ml.trainer import to_stderr

    tags = _tags(options, world)
    every = [one for own in world.values() for one in own]
    sampling = Uniform(config.model.frames, side=SIDE)
    return AblationInputs(
        world,
        tags,
        playhouse_set.frame_vectors(every, sampling, eyes, to_stderr),
        eyes.fingerprint,
        int(options["captions"]),
        int(options.get("texts", TEXTS)),
    )


def _tags(options: Mapping[str, str], world: Mapping[str, Sequence[PlayhouseVideo]]) -> dict[str, list[Tag]]:
    """The tags of each video by its file's name, from the catalog that `tagline tag` filled."""
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ml.config import BadConfig

    library = Path(options.get("library", playhouse_set.home(options))).expanduser()
    with Catalog.open(library, create=False) as catalog:
        found = {Path(v.paths[0]).name: list(catalog.tags(v.id)) for v in catalog.videos() if v.paths}
    absent = [one.name for own in world.values() for one in own if one.name not in found]
    if absent:
        raise BadConfig(
            f"{len(absent)} videos were not tagged, the first is {absent[0]}; "
            f"run `tagline tag {library} --weights playhouse`"
        )
    return found


def base(options: Mapping[str, str], eyes: ClipEncoder, folder: Path) -> TableConfig:
    """The preset `playhouse` on the towers of the given CLIP, with SIZES, epochs=N and set.KEY=VALUE."""
    from tagline.benchmarks.quality.distilled_text import CONFIG
    from tagline.table.config import load_preset
    from tagline.tagging.ml.config import with_settings

    found = load_preset("playhouse")
    found = with_settings(found, [f"{key}={json.dumps(value)}" for key, value in SIZES.items()])
    towers = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    found = replace(
        found,
        model=replace(
            found.model,
            architecture=towers["model_cfg"],
            heads=towers["model_cfg"]["text_cfg"]["heads"],
            mean=tuple(eyes.preparation.mean),
            std=tuple(eyes.preparation.std),
        ),
        train=replace(found.train, weights=str(folder)),
    )
    found = with_settings(found, [f"{k[4:]}={v}" for k, v in options.items() if k.startswith("set.")])
    return replace(found, train=replace(found.train, epochs=int(options.get("epochs", found.train.epochs))))


def towers_folder(options: Mapping[str, str]) -> Path:
    """Where the CLIP lies that everything starts from."""
    from tagline.experts.weights import registry

    path = registry.find(options.get("towers") or registry.for_expert("appearance", "playhouse")).path
    return path if path.is_dir() else path.parent


def data_of(given: AblationInputs, config: TableConfig) -> tuple[TrainingData, list[Row]]:
    """Training and validation rows with their frames, and the rows of the test."""
    from tagline.table.data import TrainingData
    from tagline.table.frame_cache import FramesInMemory
    from tagline.table.rows import Row, one_text, tag_text

    def row(one: PlayhouseVideo, texts: Sequence[str]) -> Row:
        tags = tag_text(given.tags[one.name], config.model.tags)
        return Row(one.name, one.name, tuple(texts), tags, one.path)

    world = given.world
    train = [row(one, some(one, given.captions)) for one in world["train"]]
    validation = [one_text(row(one, [c.text for c in one.truth.captions])) for one in world["val"]]
    test = [row(one, some(one, given.texts)) for one in world["test"]]
    return TrainingData(train, validation, FramesInMemory(dict(given.frames))), test


def some(one: PlayhouseVideo, most: int) -> list[str]:
    """So many captions of a video, each wording once, chosen by a hash."""
    every = dict.fromkeys(caption.text for caption in one.truth.captions)
    order = sorted(every, key=lambda text: hashlib.sha256(f"{one.name}:{text}".encode()).digest())
    return order[:most]


# -- one row -----------------------------------------------------------------------------------------


def _rows(given: AblationInputs) -> list[str]:
    tag_texts = {tag.modality for one in given.world["train"] for tag in given.tags[one.name]}
    return [name for name in ROWS if name not in ("screen", "generated") or name in tag_texts]


def varied(config: TableConfig, changes: Mapping[str, Any], seed: int) -> TableConfig:
    """The configuration of a row with this seed."""
    choice = replace(config.model.tags, modalities=tuple(changes["modalities"]))
    model = replace(config.model, tags=choice, vtm=changes["vtm"], mlm=changes["mlm"])
    return replace(config, model=model, train=replace(config.train, seed=seed))


def cached_run(config: TableConfig, given: AblationInputs) -> dict[str, Any]:
    from tagline.tagging.ml.config import as_dict, digest

    data, test = data_of(given, config)
    rows = [(row.key, row.texts, row.tags) for row in (*data.train, *data.validation, *test)]
    about = {
        "config": as_dict(replace(config, train=replace(config.train, weights=None))),
        "data": digest(rows),
        "towers": given.towers,
        "text_tower": Path(str(config.train.weights)).name,  # a digest of what it was made of
        "code": cache.code_fingerprint("tagline.table"),
    }

    def in_passing() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            return _run(config, data, test, Path(folder) / "run")

    return cache.cached_figures("table-ablation", about, in_passing)


def _run(config: TableConfig, data: TrainingData, test: Sequence[Row], folder: Path) -> dict[str, Any]:
    from tagline.table.evaluate import evaluate_model
    from tagline.table.train import train
    from tagline.tagging.ml.trainer import to_stderr

    begun, spent = time.perf_counter(), time.process_time()
    outcome = train(config, data, folder, report=(), say=to_stderr)
    found = evaluate_model(outcome.model, test, data.frames, outcome.tokenizer, resamples=0)
    assert found.dual is not None
    length = config.model.tag_length
    ids = outcome.tokenizer([row.tags for row in test], length)
    tested = [entry["eval_r1"] for entry in outcome.history if "eval_r1" in entry]
    return {
        **_figures(found, ""),
        **_figures(found.dual, "dual_"),
        "validation_r1": [round(r1, 2) for r1 in tested],
        # Videos whose tags fill all places: some tags may have been cut.
        "tags_cut": round(float((ids[:, -1] > 0).float().mean()), 3),
        "seconds": round(time.perf_counter() - begun, 1),
        "core_seconds": round(time.process_time() - spent, 1),
    }


def _figures(found: Evaluation, suffix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for way, m in (("t2v", found.t2v), ("v2t", found.v2t)):
        flat |= {f"{suffix}{way}_{key}": getattr(m, key) for key in ("r1", "r5", "r10", "mdr", "mnr")}
    return {**flat, f"{suffix}t2v_ranks": found.t2v_ranks.tolist()}


# -- the table ---------------------------------------------------------------------------------------


def _values(runs: Mapping[str, Sequence[Mapping[str, Any]]], texts: Sequence[int]) -> dict[str, Any]:
    """Means over seeds, and of R@1 text to video the interval, for each row; then what must be shown."""
    from tagline.table.ranking import intervals, paired

    seeds = len(next(iter(runs.values())))
    groups = np.tile(np.repeat(np.arange(len(texts)), texts), seeds)
    places = {
        (name, suffix): np.concatenate([np.asarray(run[f"{suffix}t2v_ranks"]) for run in own])
        for name, own in runs.items()
        for suffix in ("", "dual_")
    }
    values: dict[str, Any] = {}
    edges = {}
    for name, own in runs.items():
        for key, value in own[0].items():
            if isinstance(value, float | int) and key not in DETAILS_ONLY:
                values[f"{name}_{key}"] = round(mean(run[key] for run in own), 2)
        for mark in ("", "dual_"):
            found = edges[name, mark] = intervals(places[name, mark], groups)["r1"]
            values[f"{name}_{mark}t2v_r1_interval"] = [
                round(float(edge), 2) for edge in (found.low, found.high)
            ]
        if seeds > 1:
            values[f"{name}_t2v_r1_sd"] = round(stdev(run["t2v_r1"] for run in own), 2)
    if "no_tags" in runs and FULL in runs:
        values["r1_full"], values["r1_no_tags"] = values[f"{FULL}_t2v_r1"], values["no_tags_t2v_r1"]
        values["ci_apart"] = bool(edges[FULL, ""].low > edges["no_tags", ""].high)
        gain = paired(places["no_tags", ""], places[FULL, ""], groups=groups)
        values["gain"] = [round(float(x), 2) for x in (gain.value, gain.low, gain.high)]
    return values


def _without_ranks(run: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if not key.endswith("ranks")}


def _counts(given: AblationInputs) -> dict[str, float]:
    """How many different tags of each modality a video has."""
    names = [one.name for own in given.world.values() for one in own]
    tags = [{(tag.modality, tag.text) for tag in given.tags[name]} for name in names]
    whole = Counter(modality for own in tags for modality, _ in own)
    return {str(modality): round(count / len(names), 2) for modality, count in sorted(whole.items())}
