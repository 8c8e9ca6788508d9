"""Fusion: one order of the candidates from several, by weights that tune/fit.py fits.

Each signal (words, picture, tags ...) gives a score to some of the candidates. It enters twice: as its score
and as the reciprocal of its place, because places survive what scores do not, another model's scale for
one, while scores know how far the first is ahead. Fitting finds weights of both kinds, none below zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SIGNALS = ("words", "video", "span", "tags")  # in the order of the columns
ABSOLUTE = frozenset({"words"})  # already a share from 0 to 1; the others have a scale of their model
DAMPING = 10.0  # of reciprocal places: how little the first is ahead of the second


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """What each signal counts: for its score, and for the reciprocal of its place (times DAMPING + 1)."""

    scores: tuple[float, ...]  # [signals], in the order of SIGNALS
    places: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scores) != len(SIGNALS) or len(self.places) != len(SIGNALS):
            raise ValueError(f"weights are wanted for {', '.join(SIGNALS)}")

    @property
    def column(self) -> Floats:
        return np.array([*self.scores, *self.places], np.float64)


def feature_table(signals: Mapping[str, Mapping[int, float]], candidates: Sequence[int]) -> Floats:
    """What is weighed, [candidates, 2 · signals]: the scores of each signal, then its reciprocal places.

    A signal that was not asked stays zero everywhere; a candidate that one did not find has its lowest
    score and no place.
    """
    found = np.zeros((len(candidates), 2 * len(SIGNALS)))
    for column, name in enumerate(SIGNALS):
        given = signals.get(name)
        if not given or not len(candidates):
            continue
        scores = np.array([given.get(one, np.nan) for one in candidates], np.float64)
        here = np.isfinite(scores)
        if not here.any():
            continue
        found[:, column] = _comparable(scores, here, name)
        found[here, len(SIGNALS) + column] = (DAMPING + 1) / (DAMPING + ranks_of(scores[here]))
    return found


def ranks_of(scores: Floats) -> Floats:
    """The place of each score, 1 is best; equal scores share the middle of their places."""
    order = np.argsort(-scores, kind="stable")
    found = np.empty(len(scores))
    found[order] = np.arange(1, len(scores) + 1)
    _, group = np.unique(scores, return_inverse=True)
    return np.asarray((np.bincount(group, found) / np.bincount(group))[group])


def _comparable(scores: Floats, here: npt.NDArray[np.bool_], name: str) -> Floats:
    if name in ABSOLUTE:
        return np.where(here, scores, 0.0)
    known = scores[here]
    spread = float(known.std())
    return np.asarray(np.where(here, scores - known.mean(), known.min() - known.mean()) / max(spread, 1e-6))


def fuse(found: Floats, weights: FusionWeights) -> Floats:
    """One score for each candidate; a softmax over them says how likely each is the one that was meant."""
    return np.asarray(found @ weights.column)
