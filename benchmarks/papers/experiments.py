"""One line of a table with one seed: a model trained, then tested on the test split, kept when it is done.

A unit's folder is named after everything that its figures depend on (configuration, what is learnt from and
tested on), so the same run again finds what is done, and another run never mistakes it for its own. A
training that was interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagline.benchmarks.papers.studies import Experiment, StudyPlan
from tagline.experts.storage import write_atomic
from tagline.tagging.ml.config import BadConfig, as_dict, digest

if TYPE_CHECKING:
    from tagline.table.data import TrainingData
    from tagline.table.ranking import Evaluation
    from tagline.table.rows import Row
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ml.data import Example, Examples

Say = Callable[[str], None]
FIGURES = "figures.json"
VERSION = 1  # of what stands in figures.json


def run_experiment(
    catalog: Catalog, experiment: Experiment, seed: int, plan: StudyPlan, home: Path, say: Say
) -> dict[str, Any]:
    """The figures of a unit: as they were kept, or after training and testing it now."""
    config = replace(experiment.config, train=replace(experiment.config.train, seed=seed))
    work = _retrieval if experiment.model == "table" else _tagging
    found: dict[str, Any] = work(catalog, config, plan, home, say)
    return {**found, "variant": experiment.variant, "model": experiment.model, "seed": seed}


def _load_figures(folder: Path) -> dict[str, Any] | None:
    path = folder / FIGURES
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if found.get("version") == VERSION else None


def _store_figures(folder: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    figures = {"version": VERSION, "folder": folder.name, **found}
    write_atomic(folder / FIGURES, json.dumps(figures, ensure_ascii=False) + "\n")
    # The model stays; the states of its optimiser are several times as large and nobody needs them now.
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return figures


# -- TABLE ---------------------------------------------------------------------------------------------


def _retrieval(catalog: Catalog, config: Any, plan: StudyPlan, home: Path, say: Say) -> dict[str, Any]:
    from tagline.table.rows import rows
    from tagline.table.train import load_training_data
    from tagline.tagging.ml.splits import subset

    data = load_training_data(catalog, config, most=plan.train, say=say)
    tested = subset(rows(catalog, config.model.tags, "test", config.train.protocol), plan.test)
    if not tested:
        raise BadConfig(
            f"{catalog.name} has no captioned videos of the split test; prepare the data set first"
        )
    tested, bad = _readable(data, tested)
    sides = [[(r.key, r.texts, r.tags) for r in side] for side in (data.train, data.validation, tested)]
    folder = home / f"table-seed{config.train.seed}-{digest(as_dict(config), sides)[:10]}"
    found = _load_figures(folder)
    if found is not None:
        return found
    begun = time.perf_counter()
    model, tokenizer = _trained_table(config, data, folder, say)
    learned = time.perf_counter() - begun
    from tagline.table.evaluate import evaluate_model

    evaluation = evaluate_model(model, tested, data.frames, tokenizer)
    of = [row.key for row in tested for _ in row.texts]
    return _store_figures(
        folder,
        {
            "figures": retrieval_figures(evaluation),
            "intervals": retrieval_figures(evaluation, intervals=True),
            "ranks": _ranks(evaluation),
            "of": [digest(key)[:16] for key in of],  # which queries belong to one video
            "videos": {"train": len(data.train), "val": len(data.validation), "test": len(tested)},
            "tagged": sum(bool(row.tags) for row in tested),
            "left_out": [list(map(str, one)) for one in (*data.left_out, *bad)],
            "seconds": {"training": round(learned, 1), "all": round(time.perf_counter() - begun, 1)},
            "config": as_dict(config),
        },
    )


def _readable(data: TrainingData, tested: list[Row]) -> tuple[list[Row], list[tuple[str, str]]]:
    from tagline.table.frame_cache import FrameCache

    assert isinstance(data.frames, FrameCache)
    work = [(row.key, row.path) for row in tested if row.path is not None]
    bad = {key: (str(path), why) for key, path, why in data.frames.fill(work) if why is not None}
    return [row for row in tested if row.key not in bad], list(bad.values())


def _trained_table(config: Any, data: TrainingData, folder: Path, say: Say) -> tuple[Any, Any]:
    """The trained model; where the training had ended already, as it was saved."""
    from tagline.table.saving import CONFIG, from_pretrained
    from tagline.table.train import train
    from tagline.tagging.ml.trainer import MODEL

    if (folder / MODEL / CONFIG).exists():
        saved = from_pretrained(folder / MODEL)
        return saved.model, saved.tokenizer
    outcome = train(config, data, folder, report=(), say=say)
    return outcome.model, outcome.tokenizer


def retrieval_figures(found: Evaluation, *, intervals: bool = False) -> dict[str, Any]:
    """Figures by column: "t2v_r1", and "dual_t2v_r1" with the inference strategy; or their intervals."""
    figures: dict[str, Any] = {}
    for before, evaluation in (("", found), ("dual_", found.dual)):
        if evaluation is None:
            continue
        for way, metrics in (("t2v", evaluation.t2v), ("v2t", evaluation.v2t)):
            for name in ("r1", "r5", "r10", "mdr", "mnr"):
                if not intervals:
                    figures[f"{before}{way}_{name}"] = getattr(metrics, name)
                elif name in metrics.intervals:
                    limits = metrics.intervals[name]
                    figures[f"{before}{way}_{name}"] = [limits.low, limits.high]
    return figures


def _ranks(found: Evaluation) -> dict[str, list[float]]:
    ranks = {"t2v": found.t2v_ranks.tolist(), "v2t": found.v2t_ranks.tolist()}
    if found.dual is not None:
        ranks["dual_t2v"] = found.dual.t2v_ranks.tolist()
    return ranks


# -- OP-TSG ------------------------------------------------------------------------------------------


def _tagging(catalog: Catalog, config: Any, plan: StudyPlan, home: Path, say: Say) -> dict[str, Any]:
    from tagline.benchmarks.baselines import retriever_of
    from tagline.experts.devices import choose_device
    from tagline.tagging.generator.data import examples_of_test, from_catalog

    if config.train.towers is None and plan.weights is not None:
        config = replace(config, train=replace(config.train, collection=plan.weights))
    device = choose_device("auto")
    examples = from_catalog(catalog, config, device, most=plan.train)
    tested, bad = examples_of_test(catalog, config, device, most=plan.test)
    if not tested:
        raise BadConfig(f"{catalog.name} has no tagged videos of the split test; prepare the data set first")
    sides = [
        [(e.key, e.title, e.tags) for e in side] for side in (examples.train, examples.validation, tested)
    ]
    checksum = digest(as_dict(config), sides, examples.frames_by)[:10]
    folder = home / f"tagger-seed{config.train.seed}-{checksum}"
    found = _load_figures(folder)
    if found is not None:
        return found
    begun = time.perf_counter()
    retriever = retriever_of(config.model, examples.train)
    trained = _trained_tagger(config, examples, retriever, folder, say)
    learned = time.perf_counter() - begun
    figures, predicted = _test_tagger(trained, retriever, examples.train, tested)
    return _store_figures(
        folder,
        {
            "figures": figures,
            "said": predicted,
            "truth": [list(one.tags) for one in tested],
            "videos": {
                "train": len(examples.train),
                "val": len(examples.validation),
                "test": len(tested),
            },
            "left_out": [list(map(str, one)) for one in (*examples.left_out, *bad)],
            "seconds": {"training": round(learned, 1), "all": round(time.perf_counter() - begun, 1)},
            "config": as_dict(config),
        },
    )


def _trained_tagger(config: Any, examples: Examples, retriever: Any, folder: Path, say: Say) -> Any:
    from tagline.benchmarks.baselines import make_model
    from tagline.tagging.generator.saving import CONFIG, from_pretrained
    from tagline.tagging.generator.train import train
    from tagline.tagging.ml.trainer import MODEL

    if (folder / MODEL / CONFIG).exists():
        return from_pretrained(folder / MODEL, make_model=make_model, config_class=type(config.model))
    outcome = train(config, examples, folder, make_model=make_model, retriever=retriever, report=(), say=say)
    return outcome.trained


def _test_tagger(
    trained: Any, retriever: Any, train: list[Example], tested: list[Example]
) -> tuple[dict[str, float], list[list[tuple[str, float]]]]:
    """The papers' columns in percent, and what was said of each video with calibrated scores."""
    from tagline.tagging.generator.predict import predict_all
    from tagline.tagging.generator.train import score_predictions
    from tagline.tagging.ml.calibration import reliability

    predicted = predict_all(trained.model, trained.collator(retriever), tested)
    figures = {
        f"{part}_{key}": 100 * getattr(found, key)
        for part, found in score_predictions(train, tested, predicted).items()
        for key in ("precision", "recall", "f1")
    }
    sure = [[(tag, trained.calibration(value)) for tag, value in tags] for tags in predicted]
    pairs = [(value, tag in one.tags) for tags, one in zip(sure, tested, strict=True) for tag, value in tags]
    figures["ece"] = reliability([score for score, _ in pairs], [right for _, right in pairs]).ece
    train_tags = {tag for one in train for tag in one.tags}
    figures["tags_said"] = sum(map(len, predicted)) / len(predicted)
    figures["novel_said"] = sum(tag not in train_tags for tags in predicted for tag, _ in tags) / len(
        predicted
    )
    return figures, [[(tag, round(value, 4)) for tag, value in tags] for tags in sure]
