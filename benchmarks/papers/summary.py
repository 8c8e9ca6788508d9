"""Of many units one result: means and spreads over seeds, intervals over queries, differences of lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean, stdev
from typing import Any

import numpy as np

from tagline.benchmarks.papers.studies import OURS

ExperimentFigures = Mapping[str, Any]  # what a unit kept


def by_variant(experiments: Sequence[ExperimentFigures]) -> dict[tuple[str, str], list[ExperimentFigures]]:
    """Units of the same line, by (model, variant), in the order of their seeds."""
    found: dict[tuple[str, str], list[ExperimentFigures]] = defaultdict(list)
    for experiment in experiments:
        found[experiment["model"], experiment["variant"]].append(experiment)
    return {key: sorted(own, key=lambda unit: unit["seed"]) for key, own in found.items()}


def summarise(experiments: Sequence[ExperimentFigures]) -> dict[str, dict[str, Any]]:
    """By variant: mean and spread of each figure over the seeds, and what they are based on."""
    summary: dict[str, dict[str, Any]] = {}
    for (model, variant), own in by_variant(experiments).items():
        keys = own[0]["figures"]
        summary[variant] = {
            "model": model,
            "seeds": [unit["seed"] for unit in own],
            "mean": {key: mean(unit["figures"][key] for unit in own) for key in keys},
            "spread": {
                key: stdev(unit["figures"][key] for unit in own) if len(own) > 1 else None for key in keys
            },
            "intervals": _intervals(model, own),
            "videos": own[0]["videos"],
            "seconds": [unit["seconds"]["training"] for unit in own],
        }
    return summary


def _intervals(model: str, own: Sequence[ExperimentFigures]) -> dict[str, list[float]]:
    """95 % intervals of the mean over seeds, from drawing the test videos again."""
    if model == "table":
        from tagline.table.ranking import intervals

        # All seeds answer the same queries: a video drawn again brings all its queries of all seeds.
        groups = np.unique(np.concatenate([unit["of"] for unit in own]), return_inverse=True)[1]
        found = {}
        for column, key in (("t2v", "t2v"), ("dual_t2v", "dual_t2v")):
            if key in own[0]["ranks"]:
                ranks = np.concatenate([np.asarray(unit["ranks"][key], float) for unit in own])
                for name, limits in intervals(ranks, groups).items():
                    found[f"{column}_{name}"] = [limits.low, limits.high]
        return found
    draws = _draws(len(own[0]["truth"]))
    samples = np.mean([_example_f1(unit)[draws] for unit in own], axis=0)  # per seed: [draws, videos, 2]
    return {"example_f1": [float(edge) for edge in np.percentile(_f1(samples), [2.5, 97.5])]}


def comparisons(experiments: Sequence[ExperimentFigures]) -> list[dict[str, Any]]:
    """Our line against every other one that was trained: difference, 95 % interval, chance by luck."""
    variants = by_variant(experiments)
    found = []
    for model, figure in (("table", "t2v_r1"), ("tagger", "example_f1")):
        ours = next((own for (of, name), own in variants.items() if of == model and name in OURS), None)
        for (of, name), own in variants.items():
            if ours is None or of != model or name in OURS:
                continue
            pairs = [(o, r) for o in ours for r in own if o["seed"] == r["seed"]]
            if pairs:
                difference = _compare_ranks(pairs) if model == "table" else _compare_tags(pairs)
                found.append({"variant": name, "figure": figure, **difference})
    return found


def _compare_ranks(pairs: Sequence[tuple[ExperimentFigures, ExperimentFigures]]) -> dict[str, float]:
    from tagline.table.ranking import paired

    theirs, ours, groups = [], [], []
    for our, their in pairs:
        if our["of"] != their["of"]:  # a video was unreadable for one of them
            return {}
        ours += our["ranks"]["t2v"]
        theirs += their["ranks"]["t2v"]
        groups += our["of"]
    numbers = np.unique(groups, return_inverse=True)[1]
    return asdict(paired(np.asarray(theirs, float), np.asarray(ours, float), "r1", numbers))


# -- taggers -------------------------------------------------------------------------------------------


def _draws(videos: int, resamples: int = 2000, seed: int = 0) -> Any:
    """int [resamples, videos]: the videos of each bootstrap sample."""
    return np.random.default_rng(seed).integers(0, videos, (resamples, videos))


def _example_f1(experiment: ExperimentFigures) -> Any:
    """float [videos, 2]: precision and recall of each video, over the tags that any test video has."""
    allowed = {tag for tags in experiment["truth"] for tag in tags}
    rows = []
    for truth, predicted in zip(experiment["truth"], experiment["said"], strict=True):
        guess = allowed.intersection(tag for tag, _ in predicted)
        right = len(guess & set(truth))
        rows.append((right / len(guess) if guess else 0.0, right / len(set(truth)) if truth else 0.0))
    return np.array(rows)


def _f1(samples: Any) -> Any:
    """[..., videos, 2] to [...]: percent; the harmonic mean of mean precision and mean recall."""
    precision, recall = samples[..., 0].mean(-1), samples[..., 1].mean(-1)
    total = precision + recall
    return 100 * np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)


def _compare_tags(pairs: Sequence[tuple[ExperimentFigures, ExperimentFigures]]) -> dict[str, float]:
    """Paired bootstrap over the test videos, all seeds of a video together; p from swapping the runs."""
    ours = np.mean([_example_f1(our) for our, _ in pairs], axis=0)
    theirs = np.mean([_example_f1(their) for _, their in pairs], axis=0)
    value = float(_f1(ours) - _f1(theirs))
    draws = _draws(len(ours))
    low, high = np.percentile(_f1(ours[draws]) - _f1(theirs[draws]), [2.5, 97.5])
    swap = np.random.default_rng([0, 1]).random((len(draws), len(ours), 1)) < 0.5
    swapped = _f1(np.where(swap, theirs, ours)) - _f1(np.where(swap, ours, theirs))
    extreme = int((np.abs(swapped) >= abs(value) - 1e-9).sum())
    return {"value": value, "low": float(low), "high": float(high), "p": (extreme + 1) / (len(draws) + 1)}
