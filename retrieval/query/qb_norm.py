"""QB-Norm: lowers the scores of hubs, videos that are near to every query, by a bank of known queries.

A dual softmax over all queries of a test lifts its figures, but nobody who searches has all queries. A bank
of other queries (captions of the library, or queries written from its tags) stands in for them: how near a
video is to the bank says how much of a hub it is, and a part of that is taken off its similarity.

Everything here is NumPy over similarities: rows are queries, columns are candidates, higher is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

ROUNDS = 5  # of balancing; more change the potentials by less than a thousandth of a similarity


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

    potentials: what `probe_potentials` said of a sample of the candidates; with it, each candidate is seen by
    itself, and a large library can be gone through page by page.
    """
    probes = np.asarray(probes, np.float64)
    if qb_norm.method == "local":
        nearest = min(qb_norm.neighbours, len(probes))
        return np.asarray(np.sort(probes, axis=0)[-nearest:].mean(axis=0))
    return np.asarray(log_sum(votes(probes, qb_norm, potentials)) / qb_norm.temperature)


def probe_potentials(probes: Any, qb_norm: QBNorm) -> Scores:
    """What each query of the bank has to share out among the candidates, as a logarithm: [B]."""
    probes = np.asarray(probes, np.float64)
    if qb_norm.method != "balanced":
        return np.zeros(len(probes))
    logits, received = qb_norm.temperature * probes, np.zeros(probes.shape[1])
    for _ in range(ROUNDS):
        shared = logits - log_sum((logits - received).T)[:, None]
        # Half-way each time: the plain iteration swings when the bank and the candidates differ in number.
        received = 0.5 * received + 0.5 * log_sum(shared)
    return log_sum((logits - received).T)


def votes(probes: Scores, qb_norm: QBNorm, potentials: Scores | None = None) -> Scores:
    """The logarithm of what each query of the bank gives to each candidate: [B, C]."""
    potentials = probe_potentials(probes, qb_norm) if potentials is None else potentials
    return np.asarray(qb_norm.temperature * probes - potentials[:, None])


def log_sum(x: Scores) -> Scores:
    """log Σ exp down the columns: [B, C] to [C]."""
    top = x.max(axis=0)
    return np.asarray(top + np.log(np.exp(x - top).sum(axis=0)))
