"""What is chosen on validation seeds: from which score on a detector is believed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.playhouse.render import renderer
from tagline.benchmarks.playhouse.train import dataset
from tagline.benchmarks.playhouse.truth import truth as sighted
from tagline.benchmarks.playhouse.world.scenario import SPLIT_BASES, scenario

VIDEOS = 160
THRESHOLDS = np.round(np.arange(0.06, 0.9, 0.02), 2)
Counts = npt.NDArray[np.int64]  # [classes, MARKS]


def choose_thresholds(folder: Path, persons: bool, videos: int = VIDEOS) -> tuple[list[float], float]:
    """From which score on each class is believed, so that F1 of a video's tags is best on validation
    videos, and that F1. One mark serves all things: most of them are too rare to have their own."""
    from tagline.experts.vision.yolo import Detector

    detector = Detector.open(folder, "cpu")
    names = [detector.names[number] for number in range(len(detector.names))]
    right, wrong, missed = (np.zeros((len(names), len(THRESHOLDS)), np.int64) for _ in range(3))
    for seed in range(SPLIT_BASES["val"], SPLIT_BASES["val"] + videos):
        plain = sighted.visible_things(seed, persons)
        best = _scores(detector, seed)
        for row, name in enumerate(names):
            scores = np.array(best.get(name, ()), float)
            scores_found = (scores[:, None] >= THRESHOLDS).sum(0) >= 2
            right[row] += scores_found & (name in plain.must)
            wrong[row] += scores_found & (name not in plain.may)
            missed[row] += ~scores_found & (name in plain.must)
    chosen, f1 = best_thresholds(right, wrong, missed, each=persons)
    return [float(THRESHOLDS[place]) for place in chosen], f1


def best_thresholds(right: Counts, wrong: Counts, missed: Counts, *, each: bool) -> tuple[list[int], float]:
    """Places in MARKS, one a class, with the best F1 over all classes; the same place unless `each`."""
    rows = np.arange(len(right))

    def f1(places: Sequence[int]) -> float:
        r, w, m = (int(counts[rows, places].sum()) for counts in (right, wrong, missed))
        return 2 * r / max(2 * r + w + m, 1)

    every = range(right.shape[1])
    chosen = [max(every, key=lambda place: f1([place] * len(rows)))] * len(rows)
    for _ in range(3 if each else 0):
        for row in rows:
            chosen[row] = max(every, key=lambda place: f1([*chosen[:row], place, *chosen[row + 1 :]]))
    return chosen, f1(chosen)


def _scores(detector: object, seed: int) -> dict[str, list[float]]:
    """The best score of each name in each frame, one frame a second."""
    world, rng = scenario(seed), Random(f"choosing {seed}")
    numbers = [second * world.fps for second in range(int(np.ceil(world.duration)))]
    drawn = [np.asarray(renderer.picture(world, number / world.fps, number)) for number in numbers]
    frames = np.stack(list(dataset.compressed(drawn, world, rng)))
    best: dict[str, list[float]] = defaultdict(list)
    for boxes in detector.detect(detector.fit(frames), 0.05, 0.7):  # type: ignore[attr-defined]
        seen: dict[str, float] = {}
        for row in boxes:
            name = detector.names[int(row[5])]  # type: ignore[attr-defined]
            seen[name] = max(seen.get(name, 0.0), float(row[4]))
        for name, score in seen.items():
            best[name].append(score)
    return best


def logit_shift(chosen: float, wanted: float) -> float:
    """What to add to a score's logit so that `chosen` becomes `wanted`."""

    def logit(p: float) -> float:
        return float(np.log(p / (1 - p)))

    return logit(wanted) - logit(chosen)


def accuracy(found: Sequence[int], truth: Sequence[int]) -> float:
    return round(float(np.mean(np.array(found) == np.array(truth))), 3)
