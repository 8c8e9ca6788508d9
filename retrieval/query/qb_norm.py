"""The query bank: taking the advantage from hubs, videos that are near to every query, for one live query.

A dual softmax over all queries of a test lifts its figures, but nobody who searches has all queries. A bank
of other queries (captions of the library, or queries written from its tags) stands in for them: how near a
video is to the bank says how much of a hub it is, and a part of that is taken off its similarity.

Everything here is NumPy over similarities: rows are queries, columns are candidates, higher is better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

ROUNDS = 5  # of balancing; more change the potentials by less than a thousandth of a similarity
TEMPERATURES = (
    1.0,
    1.5,
    2.0,
    3.0,
    4.0,
)  # temperatures that are tried, in 1 / spread of a query's similarities
DAMPINGS = (0.0, 0.25, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
CONTRASTS = (1.0, 2.0, 3.0, 4.5)  # of the softmax that tells how good a setting is, in the same unit


@dataclass(frozen=True, slots=True)
class QBNorm:
    """How hubs are made smaller.

    method: "plain", not at all; "inverted", the inverted softmax (Smith et al., 2017), damped; "dynamic",
    the same, but only where the best candidate is a hub (QB-Norm, Bogolin et al., 2022); "balanced", each
    query of the bank shares out one vote, again and again until no candidate wins by being a hub among
    them (Sinkhorn); "local", by the nearest queries of the bank (CSLS, Conneau et al., 2018); "standard",
    as multiples of the spread over the bank.
    """

    method: str = "inverted"
    # For cosines of CLIP's kind. Both were found on other matrices than those that are measured here.
    temperature: float = 70.0
    damping: float = 0.6  # 1: the whole of it is taken off
    neighbours: int = 10


PLAIN = QBNorm("plain")
QB_NORM_METHODS = ("plain", "inverted", "dynamic", "balanced", "local", "standard")


def normalise(live: Any, probes: Any, qb_norm: QBNorm) -> Scores:
    """The live scores [Q, C] with hubs made smaller, by the bank's scores of the same candidates [B, C]."""
    live, probes = np.asarray(live, np.float64), np.asarray(probes, np.float64)
    if live.shape[-1] != probes.shape[-1]:
        raise ValueError(
            f"{live.shape[-1]} candidates of the live queries but {probes.shape[-1]} of the bank"
        )
    if qb_norm.method == "plain" or not len(probes):
        return live
    if qb_norm.method == "standard":
        spread = probes.std(axis=0)
        return np.asarray((live - probes.mean(axis=0)) / np.maximum(spread, 1e-9))
    smaller = live - qb_norm.damping * hubness(probes, qb_norm)
    if qb_norm.method == "dynamic":
        is_hub = np.zeros(probes.shape[1], bool)
        is_hub[probes.argmax(axis=1)] = True
        return np.where(is_hub[live.argmax(axis=1)][:, None], smaller, live)
    return np.asarray(smaller)


def hubness(probes: Any, qb_norm: QBNorm, potentials: Scores | None = None) -> Scores:
    """How near each candidate is to the bank [C], in the unit of the similarities.

    given: what `giving` said of a sample of the candidates; with it, each candidate is seen by itself, and
    a large library can be gone through page by page.
    """
    probes = np.asarray(probes, np.float64)
    if qb_norm.method == "local":
        nearest = min(qb_norm.neighbours, len(probes))
        return np.asarray(np.sort(probes, axis=0)[-nearest:].mean(axis=0))
    return np.asarray(_log_sum(_votes(probes, qb_norm, potentials)) / qb_norm.temperature)


def probe_potentials(probes: Any, qb_norm: QBNorm) -> Scores:
    """What each query of the bank has to share out among the candidates, as a logarithm: [B]."""
    probes = np.asarray(probes, np.float64)
    if qb_norm.method != "balanced":
        return np.zeros(len(probes))
    votes, received = qb_norm.temperature * probes, np.zeros(probes.shape[1])
    for _ in range(ROUNDS):
        shared = votes - _log_sum((votes - received).T)[:, None]
        # Half-way each time: the plain iteration swings when the bank and the candidates differ in number.
        received = 0.5 * received + 0.5 * _log_sum(shared)
    return _log_sum((votes - received).T)


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
    return np.asarray(_log_sum_of_others(_votes(probes, qb_norm)) / qb_norm.temperature)


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
    for setting in _choices(1 / spread):
        found = hubness_leaving_one_out(probes, setting)
        for damping in DAMPINGS[1:]:
            surprise = _negative_log_likelihood(probes - damping * found, right, spread)
            if surprise < least - 1e-9:
                best, least = replace(setting, damping=damping), surprise
    return best


def _choices(inverse_spread: float) -> Iterator[QBNorm]:
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
        found = min(found, float(np.mean(_log_sum(logits.T) - own)))
    return found


def _votes(probes: Scores, qb_norm: QBNorm, potentials: Scores | None = None) -> Scores:
    """The logarithm of what each query of the bank gives to each candidate: [B, C]."""
    potentials = probe_potentials(probes, qb_norm) if potentials is None else potentials
    return np.asarray(qb_norm.temperature * probes - potentials[:, None])


def _log_sum(x: Scores) -> Scores:
    """log Σ exp down the columns: [B, C] to [C]."""
    top = x.max(axis=0)
    return np.asarray(top + np.log(np.exp(x - top).sum(axis=0)))


def _log_sum_of_others(x: Scores) -> Scores:
    """For each row the log Σ exp of all other rows, exact also where one row outweighs all: [B, C]."""
    before = np.logaddexp.accumulate(x, axis=0)
    after = np.logaddexp.accumulate(x[::-1], axis=0)[::-1]
    found = np.empty_like(x)
    found[0], found[-1] = after[1], before[-2]
    found[1:-1] = np.logaddexp(before[:-2], after[2:])
    return found
