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
SHARPNESS = (1.0, 1.5, 2.0, 3.0, 4.0)  # temperatures that are tried, in 1 / spread of a query's similarities
DAMPINGS = (0.0, 0.25, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
CONTRASTS = (1.0, 2.0, 3.0, 4.5)  # of the softmax that tells how good a setting is, in the same unit


@dataclass(frozen=True, slots=True)
class Setting:
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


PLAIN = Setting("plain")
METHODS = ("plain", "inverted", "dynamic", "balanced", "local", "standard")


def normalise(live: Any, bank: Any, setting: Setting) -> Scores:
    """The live scores [Q, C] with hubs made smaller, by the bank's scores of the same candidates [B, C]."""
    live, bank = np.asarray(live, np.float64), np.asarray(bank, np.float64)
    if live.shape[-1] != bank.shape[-1]:
        raise ValueError(f"{live.shape[-1]} candidates of the live queries but {bank.shape[-1]} of the bank")
    if setting.method == "plain" or not len(bank):
        return live
    if setting.method == "standard":
        spread = bank.std(axis=0)
        return np.asarray((live - bank.mean(axis=0)) / np.maximum(spread, 1e-9))
    smaller = live - setting.damping * hubness(bank, setting)
    if setting.method == "dynamic":
        hubs = np.zeros(bank.shape[1], bool)
        hubs[bank.argmax(axis=1)] = True
        return np.where(hubs[live.argmax(axis=1)][:, None], smaller, live)
    return np.asarray(smaller)


def hubness(bank: Any, setting: Setting, given: Scores | None = None) -> Scores:
    """How near each candidate is to the bank [C], in the unit of the similarities.

    given: what `giving` said of a sample of the candidates; with it, each candidate is seen by itself, and
    a large library can be gone through page by page.
    """
    bank = np.asarray(bank, np.float64)
    if setting.method == "local":
        nearest = min(setting.neighbours, len(bank))
        return np.asarray(np.sort(bank, axis=0)[-nearest:].mean(axis=0))
    return np.asarray(_log_sum(_votes(bank, setting, given)) / setting.temperature)


def giving(bank: Any, setting: Setting) -> Scores:
    """What each query of the bank has to share out among the candidates, as a logarithm: [B]."""
    bank = np.asarray(bank, np.float64)
    if setting.method != "balanced":
        return np.zeros(len(bank))
    votes, held = setting.temperature * bank, np.zeros(bank.shape[1])
    for _ in range(ROUNDS):
        shared = votes - _log_sum((votes - held).T)[:, None]
        # Half-way each time: the plain iteration swings when the bank and the candidates differ in number.
        held = 0.5 * held + 0.5 * _log_sum(shared)
    return _log_sum((votes - held).T)


def without_own(bank: Any, setting: Setting) -> Scores:
    """The hubness that each query of the bank would meet if it were not in it itself: [B, C]."""
    bank = np.asarray(bank, np.float64)
    if len(bank) < 2:
        return np.zeros_like(bank)
    if setting.method == "local":
        nearest = min(setting.neighbours, len(bank) - 1)
        best = np.sort(bank, axis=0)[-nearest - 1 :]  # one more than wanted: one of them may be its own
        left_out = np.maximum(bank, best[0])
        return np.asarray((best.sum(axis=0) - left_out) / nearest)
    return np.asarray(_log_sum_of_others(_votes(bank, setting)) / setting.temperature)


def fit(bank: Any, right: Sequence[int] | npt.NDArray[np.int64]) -> Setting:
    """The setting that serves the queries of the bank best, each normalised by all others.

    right: the column of the right answer of each row. Served best is whose right answers are the least
    surprising under a softmax over the candidates: smoother than counting first places. Doing nothing
    is among the choices.
    """
    bank, right = np.asarray(bank, np.float64), np.asarray(right, np.int64)
    if len(bank) < 2 or bank.shape[1] < 2:
        return PLAIN
    spread = float(np.mean(bank.std(axis=1)))
    if not np.isfinite(spread) or spread <= 0:
        return PLAIN
    best, least = PLAIN, _surprise(bank, right, spread)
    for setting in _settings(1 / spread):
        found = without_own(bank, setting)
        for damping in DAMPINGS[1:]:
            surprise = _surprise(bank - damping * found, right, spread)
            if surprise < least - 1e-9:
                best, least = replace(setting, damping=damping), surprise
    return best


def _settings(unit: float) -> Iterator[Setting]:
    for method in ("inverted", "balanced"):
        for sharpness in SHARPNESS:
            yield Setting(method, temperature=sharpness * unit)
    for neighbours in (3, 10):
        yield Setting("local", neighbours=neighbours)


def _surprise(scores: Scores, right: npt.NDArray[np.int64], spread: float) -> float:
    """Mean negative log-likelihood of the right answers, at the contrast that suits the scores best."""
    found = np.inf
    for contrast in CONTRASTS:
        logits = scores * (contrast / spread)
        own = logits[np.arange(len(right)), right]
        found = min(found, float(np.mean(_log_sum(logits.T) - own)))
    return found


def _votes(bank: Scores, setting: Setting, given: Scores | None = None) -> Scores:
    """The logarithm of what each query of the bank gives to each candidate: [B, C]."""
    given = giving(bank, setting) if given is None else given
    return np.asarray(setting.temperature * bank - given[:, None])


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
