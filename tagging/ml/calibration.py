"""Scores that mean something: fitted to how often they are right, checked, and cut where F1 is best."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GROUPS = 20
MIN_GROUP = 20  # scores in a group
BINS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising line through points: a score (0..1) against the precision that was seen there."""

    scores: tuple[float, ...] = (0.0, 1.0)
    precisions: tuple[float, ...] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.precisions) or not self.scores:
            raise ValueError("a calibration needs as many precisions as scores")
        if not (np.all(np.diff(self.scores) > 0) and np.all(np.diff(self.precisions) >= 0)):
            raise ValueError("a calibration must rise")

    def __call__(self, score: float) -> float:
        return float(self.apply(score))

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """Of many at a time, in the same shape."""
        found = np.interp(np.asarray(scores, np.float64), self.scores, self.precisions)
        return np.asarray(np.clip(found, 0.0, 1.0))


def calibration_from_json(data: Mapping[str, Any]) -> Calibration:
    """The line that a file holds."""
    if set(data) != {"scores", "precisions"}:
        raise ValueError(
            f"a calibration has scores and precisions, not {', '.join(sorted(data)) or 'nothing'}"
        )
    return Calibration(tuple(map(float, data["scores"])), tuple(map(float, data["precisions"])))


def fit_calibration(
    scores: npt.ArrayLike, right: npt.ArrayLike, *, groups: int | None = GROUPS
) -> Calibration:
    """Isotonic regression of precision on score: the likeliest line that never falls.

    With groups, like scores are put together first, each group with half a right and half a wrong one added,
    so that no score of a small set is 0 or 1; too few for one group, and scores stay as they are. With None,
    each score is a step of its own, and only the two ends are pulled in by one case, as in Laplace's rule.
    Equal scores are never torn apart.
    """
    said, hit = _checked(scores, right)
    order = np.argsort(said, kind="stable")
    said, hit = said[order], hit[order]
    if groups is None:
        return _by_steps(said, hit) if len(said) else Calibration()
    return _by_groups(said, hit, groups) if len(said) >= MIN_GROUP else Calibration()


def _by_groups(said: Floats, hit: Floats, groups: int) -> Calibration:
    from scipy.optimize import isotonic_regression

    parts = np.array_split(said, max(1, min(groups, len(said) // MIN_GROUP)))
    ends = np.unique(np.searchsorted(said, [part[-1] for part in parts], side="right"))
    counts = np.diff(ends, prepend=0)
    means = np.add.reduceat(said, ends - counts) / counts
    shares = (np.add.reduceat(hit, ends - counts) + 0.5) / (counts + 1)
    risen = isotonic_regression(shares, weights=counts).x
    apart = np.diff(means, prepend=-np.inf) > 1e-9
    return Calibration(tuple(means[apart].tolist()), tuple(risen[apart].tolist()))


def _by_steps(said: Floats, hit: Floats) -> Calibration:
    from scipy.optimize import isotonic_regression

    levels, place, counts = np.unique(said, return_inverse=True, return_counts=True)
    risen = isotonic_regression(np.bincount(place, hit) / counts, weights=counts).x
    first = np.flatnonzero(np.diff(risen, prepend=-1.0) > 0)  # of each stair
    last = np.append(first[1:], len(levels)) - 1
    stairs, cases = risen[first], np.add.reduceat(counts, first)
    # Each end is pulled in where it is certain, but never past its neighbour.
    inward = stairs[[1, -2]] if len(stairs) > 1 else np.array([0.5, 0.5])
    low, high = 0.5 / (cases[0] + 1), (cases[-1] + 0.5) / (cases[-1] + 1)
    if stairs[0] == 0.0:
        stairs[0] = min(low, inward[0])
    if stairs[-1] == 1.0:
        stairs[-1] = max(high, inward[1])
    points = dict(zip(levels[first].tolist(), stairs.tolist(), strict=True))
    points |= dict(zip(levels[last].tolist(), stairs.tolist(), strict=True))
    return Calibration(tuple(sorted(points)), tuple(points[score] for score in sorted(points)))


@dataclass(frozen=True, slots=True)
class Bin:
    """The scores that lie in one stretch."""

    count: int
    mean_score: float
    precision: float  # share that is right


@dataclass(frozen=True, slots=True)
class Reliability:
    """How scores and truth agree: expected calibration error and Brier score (0 is best), and the bins."""

    ece: float
    brier: float
    bins: tuple[Bin, ...]  # only those that hold a score


def reliability(scores: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """ECE over bins of equal width: the mean distance of score and precision, each score counting the same.

    A score on the edge of two bins belongs to the upper one; 1.0 belongs to the last. Of no scores at all
    both errors are 0: nothing was promised.
    """
    said, hit = _checked(scores, right)
    if not len(said):
        return Reliability(0.0, 0.0, ())
    if not ((said >= 0) & (said <= 1)).all():
        raise ValueError("a score must lie between 0 and 1")
    place = np.minimum((said * bins).astype(int), bins - 1)
    found = []
    for number in np.unique(place):
        own = place == number
        found.append(Bin(int(own.sum()), float(said[own].mean()), float(hit[own].mean())))
    ece = sum(one.count * abs(one.mean_score - one.precision) for one in found) / len(said)
    return Reliability(float(ece), float(((said - hit) ** 2).mean()), tuple(found))


def best_threshold(videos: Sequence[tuple[Mapping[str, float], Collection[str]]]) -> float:
    """The score of the best example-based F1, from (score by tag, true tags) of videos that have tags."""
    there = [(scores, set(truth)) for scores, truth in videos if truth]
    return best_f1_threshold(
        np.repeat(np.arange(len(there)), [len(scores) for scores, _ in there]),
        [score for scores, _ in there for score in scores.values()],
        [tag in truth for scores, truth in there for tag in scores],
        [len(truth) for _, truth in there],
    )


def best_f1_threshold(
    video: npt.NDArray[np.int64], scores: npt.ArrayLike, right: npt.ArrayLike, true_tags: npt.ArrayLike
) -> float:
    """The same of columns: each score's video (its number), whether its tag is right; true tags by video.

    F1 is that of mean precision and mean recall over the videos, of which each has true tags. All thresholds
    are tried at once: from the highest score down, each tag changes the two means by what it changes its own
    video's. Of equally good ones the lowest; 0.5 where there is nothing to choose from.
    """
    said, hit = _checked(scores, right)
    truths = np.asarray(true_tags, np.float64)
    if not len(said):
        return 0.5
    order = np.argsort(-said, kind="stable")
    video, said, hit = video[order], said[order], hit[order]
    inside = np.argsort(video, kind="stable")  # by video, there best first
    starts = np.flatnonzero(np.diff(video[inside], prepend=-1))
    sizes = np.diff(np.append(starts, len(said)))
    running = np.cumsum(hit[inside])
    hits = running - np.repeat(running[starts] - hit[inside][starts], sizes)
    ranks = np.arange(len(said)) - np.repeat(starts, sizes) + 1
    gained = np.empty(len(said))
    gained[inside] = np.diff(hits / ranks, prepend=0.0)
    gained[inside[starts]] = hit[inside[starts]]
    precision = np.cumsum(gained) / len(truths)
    recall = np.cumsum(hit / truths[video]) / len(truths)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    whole = np.append(said[1:] < said[:-1], True)  # equal scores are said together
    good = np.flatnonzero(whole & (f1 >= f1[whole].max() - 1e-9))
    return float(said[good[-1]])


def _checked(scores: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Floats, Floats]:
    said, hit = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    if said.shape != hit.shape:
        raise ValueError(f"{said.size} scores but {hit.size} answers")
    if np.isnan(said).any():
        raise ValueError("a score is no number")
    return said, hit
