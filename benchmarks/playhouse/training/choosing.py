"""What is chosen on validation seeds: from which score on a detector is believed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.playhouse import sighted, stage
from benchmarks.playhouse.scenario import SPLIT_BASES, scenario
from benchmarks.playhouse.training import material

VIDEOS = 160
MARKS = np.round(np.arange(0.06, 0.75, 0.02), 2)


def threshold(folder: Path, persons: bool, videos: int = VIDEOS) -> tuple[float, float]:
    """The score that gives the best F1 of a video's tags on validation videos, and that F1."""
    from experts.seeing.yolo import Detector

    detector = Detector.open(folder, "cpu")
    right, wrong, missed = (np.zeros(len(MARKS)) for _ in range(3))
    for seed in range(SPLIT_BASES["val"], SPLIT_BASES["val"] + videos):
        plain = sighted.sighted(seed, persons)
        best = _scores(detector, seed)
        for number, mark in enumerate(MARKS):
            said = {name for name, scores in best.items() if sum(score >= mark for score in scores) >= 2}
            right[number] += len(said & plain.must)
            wrong[number] += len(said - plain.may)
            missed[number] += len(plain.must - said)
    f1 = 2 * right / np.maximum(2 * right + wrong + missed, 1)
    return float(MARKS[f1.argmax()]), float(f1.max())


def _scores(detector: object, seed: int) -> dict[str, list[float]]:
    """The best score of each name in each frame, one frame a second."""
    world, rng = scenario(seed), Random(f"choosing {seed}")
    numbers = [second * world.fps for second in range(int(np.ceil(world.duration)))]
    drawn = [np.asarray(stage.picture(world, number / world.fps, number)) for number in numbers]
    frames = np.stack(list(material.compressed(drawn, world, rng)))
    best: dict[str, list[float]] = defaultdict(list)
    for boxes in detector.detect(detector.fit(frames), 0.05, 0.7):  # type: ignore[attr-defined]
        seen: dict[str, float] = {}
        for row in boxes:
            name = detector.names[int(row[5])]  # type: ignore[attr-defined]
            seen[name] = max(seen.get(name, 0.0), float(row[4]))
        for name, score in seen.items():
            best[name].append(score)
    return best


def shift(chosen: float, wanted: float) -> float:
    """What to add to a score's logit so that `chosen` becomes `wanted`."""

    def logit(p: float) -> float:
        return float(np.log(p / (1 - p)))

    return logit(wanted) - logit(chosen)


def accuracy(found: Sequence[int], truth: Sequence[int]) -> float:
    return round(float(np.mean(np.array(found) == np.array(truth))), 3)
