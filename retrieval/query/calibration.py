"""Calibration: from scores to probabilities that hold, and the threshold below which a query is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RIDGE = 0.01
STEPS = 50


@dataclass(frozen=True, slots=True)
class Logistic:
    """Platt's curve over one or more features: 1 / (1 + exp(-(weights · x + bias)))."""

    weights: tuple[float, ...]
    bias: float

    def __call__(self, x: Floats) -> Floats:
        """[N, F] to probabilities [N]."""
        return _sigmoid(np.asarray(x, np.float64) @ np.array(self.weights) + self.bias)


def fit_logistic(x: Floats, right: Sequence[bool] | npt.NDArray[np.bool_], ridge: float = RIDGE) -> Logistic:
    """The curve that makes what happened most likely: Newton's method on features x [N, F].

    Both outcomes count the same in all, however many of each there are; and, as Platt has it, no outcome
    is taken as quite certain, so that few cases give no steep curve.
    """
    x, y = np.asarray(x, np.float64), np.asarray(right, bool)
    if not y.any() or y.all():
        raise ValueError("both outcomes are needed to learn from")
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    design = np.column_stack([(x - centre) / spread, np.ones(len(x))])
    yes, no = int(y.sum()), int((~y).sum())
    target = np.where(y, (yes + 1) / (yes + 2), 1 / (no + 2))
    count = np.where(y, len(y) / (2 * yes), len(y) / (2 * no))
    hold = ridge * len(y) * np.eye(design.shape[1])
    hold[-1, -1] = 1e-9
    found = np.zeros(design.shape[1])
    for _ in range(STEPS):
        p = _sigmoid(design @ found)
        slope = design.T @ (count * (p - target)) + hold @ found
        bend = (design * (count * p * (1 - p))[:, None]).T @ design + hold
        step = np.linalg.solve(bend, slope)
        found -= np.clip(step, -4, 4)  # far from the answer the parabola leads too far
        if np.abs(step).max() < 1e-10:
            break
    weights = found[:-1] / spread
    return Logistic(tuple(map(float, weights)), float(found[-1] - weights @ centre))


def similarity_chance(z: float) -> float:
    """How surely something is shown that is as near to a query as this: 0..1, never falling with z.

    z: how far it stands out from what is nearest to queries without an answer, in their spreads. As near as
    those is 0.12; one spread nearer is 0.5, two are 0.88.
    """
    return float(_sigmoid(np.asarray(2.0 * (z - 1.0))))


def noisy_or(*chances: float) -> float:
    """That one at least of independent pieces of evidence, each in 0..1, is right."""
    missed = 1.0
    for chance in chances:
        missed *= 1.0 - min(max(chance, 0.0), 1.0)
    return 1.0 - missed


def falling(scores: Sequence[float]) -> list[float]:
    """Scores in the order of their hits, none above the one before it: the order stays the fusion's."""
    return [float(score) for score in np.minimum.accumulate(np.asarray(scores, np.float64))]


def refusal_threshold(answerable: Floats, refused: float = 0.04) -> float:
    """The score below which a query is refused, so that at most this share of the answerable ones are.

    answerable: scores of queries that have an answer. A query exactly on the line is answered.
    """
    ordered = np.sort(np.asarray(answerable, np.float64))
    if not len(ordered):
        return float("-inf")
    return float(ordered[min(int(refused * len(ordered)), len(ordered) - 1)])


def balanced_threshold(unanswerable: Floats, answerable: Floats, answered: float, refused: float) -> float:
    """The line that keeps both promises with the same room to spare; if both cannot be kept, the second.

    unanswerable: chances that queries without an answer were given; at most the share `answered` of them may
    pass. answerable: those of queries with one, of which at most the share `refused` may not.
    """
    high = refusal_threshold(answerable, refused)
    if not len(unanswerable) or not np.isfinite(high):
        return high
    low = float(np.quantile(unanswerable, 1 - answered))
    if low >= high:
        return high
    edges = np.clip([low, high], 1e-9, 1 - 1e-9)
    return float(_sigmoid(np.mean(np.log(edges / (1 - edges)))))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
