"""Whether scores mean what they say: of the tags with a score near 0.8, are eight in ten right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The tags whose scores lie in one stretch."""

    count: int
    mean_score: float  # mean score
    precision: float  # share that is right


@dataclass(frozen=True, slots=True)
class Reliability:
    """How scores and truth agree: expected calibration error and Brier score (0 is best), and the bins."""

    ece: float
    brier: float
    bins: tuple[Bin, ...]  # only those that hold a tag


def reliability(scores: Sequence[float], right: Sequence[bool], bins: int = BINS) -> Reliability:
    """ECE over bins of equal width: the mean distance of score and precision, each tag counting the same.

    A score on the edge of two bins belongs to the upper one; 1.0 belongs to the last.
    """
    if len(scores) != len(right):
        raise ValueError(f"{len(scores)} scores but {len(right)} answers")
    said, hit = np.asarray(scores, float), np.asarray(right, float)
    if not len(said):
        return Reliability(0.0, 0.0, ())
    if not ((said >= 0) & (said <= 1)).all():
        raise ValueError("a score must lie between 0 and 1")
    place = np.minimum((said * bins).astype(int), bins - 1)
    found = []
    for number in range(bins):
        own = place == number
        if own.any():
            found.append(Bin(int(own.sum()), float(said[own].mean()), float(hit[own].mean())))
    ece = sum(one.count * abs(one.mean_score - one.precision) for one in found) / len(said)
    return Reliability(float(ece), float(((said - hit) ** 2).mean()), tuple(found))
