"""Whether scores mean what they say: of the tags with a score near 0.8, are eight in ten right?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


GROUPS = 20
FEWEST = 20  # tags in a group


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising line through points: what the model says (0..1) against the precision that was seen."""

    scores: tuple[float, ...] = (0.0, 1.0)
    precisions: tuple[float, ...] = (0.0, 1.0)

    def __call__(self, score: float) -> float:
        return float(np.clip(np.interp(score, self.scores, self.precisions), 0.0, 1.0))

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.precisions) or not self.scores:
            raise ValueError("a calibration needs as many precisions as scores")
        if any(np.diff(self.scores) <= 0) or any(np.diff(self.precisions) < 0):
            raise ValueError("a calibration must rise")


def fit_calibration(scores: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Isotonic regression of precision on score.

    Tags are put into groups of like scores first, each with half a right and half a wrong one added, so
    that no score of a small validation set is 0 or 1. Too few tags to say: scores stay as they are.
    """
    from scipy.optimize import isotonic_regression

    if len(scores) < FEWEST:
        return Calibration()
    order = np.argsort(np.asarray(scores, float), kind="stable")
    said, hit = np.asarray(scores, float)[order], np.asarray(right, float)[order]
    cuts = np.array_split(np.arange(len(said)), max(1, min(GROUPS, len(said) // FEWEST)))
    middles = np.array([said[cut].mean() for cut in cuts])
    seen = np.array([(hit[cut].sum() + 0.5) / (len(cut) + 1) for cut in cuts])
    risen = isotonic_regression(seen, weights=np.array([len(cut) for cut in cuts])).x
    kept = np.concatenate([[True], np.diff(middles) > 1e-9])  # equal scores make one point
    points = {float(s): float(r) for s, r in zip(middles[kept], risen[kept], strict=True)}
    return Calibration(tuple(points), tuple(points.values()))


def best_threshold(
    videos: Sequence[tuple[Mapping[str, float], Collection[str]]],
) -> float:
    """The score of the best example-based F1, from (score by tag, true tags) of videos that have tags."""
    there = [(scores, set(truth)) for scores, truth in videos if truth]
    best, reached = 0.5, -1.0
    for least in _candidate_thresholds([score for scores, _ in there for score in scores.values()]):
        precisions, recalls = [], []
        for scores, truth in there:
            said = {tag for tag, score in scores.items() if score >= least}
            right = len(said & truth)
            precisions.append(right / len(said) if said else 0.0)
            recalls.append(right / len(truth))
        p, r = (float(np.mean(own)) if own else 0.0 for own in (precisions, recalls))
        f1 = 2 * p * r / (p + r) if p + r else 0.0
        if f1 > reached + 1e-12:
            best, reached = least, f1
    return best


def _candidate_thresholds(scores: Sequence[float], most: int = 100) -> list[float]:
    """Thresholds worth trying: scores that occur, at most so many of them, evenly spread."""
    every = np.unique(np.asarray(scores, float))
    if len(every) > most:
        every = every[np.linspace(0, len(every) - 1, most).astype(int)]
    found: list[float] = every.tolist()
    return found
