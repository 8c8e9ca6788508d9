"""Fitting what query/ applies: the weights of fusion, and QB-Norm, by queries with known answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.retrieval.query.fuse import FusionWeights
from tagline.retrieval.query.qb_norm import PLAIN, QBNorm, Scores, log_sum, votes

Floats = npt.NDArray[np.float64]

RIDGE = 1e-3  # draws weights that nothing speaks for to zero
TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0)  # that are tried, in 1 / spread of a query's similarities
DAMPINGS = (0.0, 0.25, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
CONTRASTS = (1.0, 2.0, 3.0, 4.5)  # of the softmax that tells how good a setting is, in the same unit


def fit_weights_to(
    tables: Sequence[Floats],
    right: Sequence[int],
    start: FusionWeights,
    ridge: float = RIDGE,
    most: int = 200,
) -> FusionWeights:
    """The weights under which the right candidates are the likeliest.

    tables: one for each query, from `feature_table`; right: the row of its right candidate, -1 if it is not
    among them: such a query can teach nothing. The problem is convex: there is one answer.
    """
    from scipy.optimize import minimize

    usable = [(one, row) for one, row in zip(tables, right, strict=True) if row >= 0 and len(one) > 1]
    if not usable:
        return start
    size = len(start.column)

    def surprise(weights: Floats) -> tuple[float, Floats]:
        value, slope = ridge * float(weights @ weights), 2 * ridge * weights
        for one, row in usable:
            logits = one @ weights
            logits -= logits.max()
            share = np.exp(logits)
            total = share.sum()
            value += float(np.log(total) - logits[row]) / len(usable)
            slope = slope + (share @ one / total - one[row]) / len(usable)
        return value, slope

    done: Any = minimize(
        surprise,
        start.column,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * size,
        options={"maxiter": most},
    )
    rounded = [round(float(weight), 4) for weight in done.x]
    return FusionWeights(tuple(rounded[: size // 2]), tuple(rounded[size // 2 :]))


def fit_qb_norm(probes: Any, right: Sequence[int] | npt.NDArray[np.int64]) -> QBNorm:
    """The setting that serves the queries of the bank best, each normalised by all others.

    right: the column of the right answer of each row. Served best is whose right answers are the least
    surprising under a softmax over the candidates: smoother than counting first places. Doing nothing
    is among the choices.
    """
    probes, right = np.asarray(probes, np.float64), np.asarray(right, np.int64)
    if len(probes) < 2 or probes.shape[1] < 2:
        return PLAIN
    spread = float(np.mean(probes.std(axis=1)))
    if not np.isfinite(spread) or spread <= 0:
        return PLAIN
    best, least = PLAIN, _negative_log_likelihood(probes, right, spread)
    for setting in _settings(1 / spread):
        found = hubness_leaving_one_out(probes, setting)
        for damping in DAMPINGS[1:]:
            surprise = _negative_log_likelihood(probes - damping * found, right, spread)
            if surprise < least - 1e-9:
                best, least = replace(setting, damping=damping), surprise
    return best


def hubness_leaving_one_out(probes: Any, qb_norm: QBNorm) -> Scores:
    """The hubness that each query of the bank would meet if it were not in it itself: [B, C]."""
    probes = np.asarray(probes, np.float64)
    if len(probes) < 2:
        return np.zeros_like(probes)
    if qb_norm.method == "local":
        nearest = min(qb_norm.neighbours, len(probes) - 1)
        best = np.sort(probes, axis=0)[-nearest - 1 :]  # one more than wanted: one of them may be its own
        left_out = np.maximum(probes, best[0])
        return np.asarray((best.sum(axis=0) - left_out) / nearest)
    return np.asarray(_log_sum_of_others(votes(probes, qb_norm)) / qb_norm.temperature)


def _settings(inverse_spread: float) -> Iterator[QBNorm]:
    for method in ("inverted", "balanced"):
        for sharpness in TEMPERATURES:
            yield QBNorm(method, temperature=sharpness * inverse_spread)
    for neighbours in (3, 10):
        yield QBNorm("local", neighbours=neighbours)


def _negative_log_likelihood(scores: Scores, right: npt.NDArray[np.int64], spread: float) -> float:
    """Mean negative log-likelihood of the right answers, at the contrast that suits the scores best."""
    found = np.inf
    for contrast in CONTRASTS:
        logits = scores * (contrast / spread)
        own = logits[np.arange(len(right)), right]
        found = min(found, float(np.mean(log_sum(logits.T) - own)))
    return found


def _log_sum_of_others(x: Scores) -> Scores:
    """For each row the log Σ exp of all other rows, exact also where one row outweighs all: [B, C]."""
    before = np.logaddexp.accumulate(x, axis=0)
    after = np.logaddexp.accumulate(x[::-1], axis=0)[::-1]
    found = np.empty_like(x)
    found[0], found[-1] = after[1], before[-2]
    found[1:-1] = np.logaddexp(before[:-2], after[2:])
    return found
