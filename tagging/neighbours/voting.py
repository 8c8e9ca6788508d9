"""From similar videos to tags: scores made comparable, votes within a source, consensus over the sources.

Three plain steps, each a function:

    normalise   cosines of one source -> weights that sum to 1      the same for a·x + b instead of x
    shares      weights and tags      -> what share of the weight has each tag
    consensus   shares of all sources -> one score a tag            what more sources name counts more
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A tag that similar videos have."""

    text: str
    score: float  # 0..1: 1 if every source finds it on all of its videos
    sources: tuple[str, ...]  # which of them name it
    neighbours: tuple[int, ...]  # numbers of the videos that have it, the weightiest first


def normalise(scores: npt.ArrayLike, mean: float, spread: float, sharpness: float = 1.0) -> Floats:
    """Weights of the neighbours of one video in one source: how far each stands out, as shares of 1.

    scores: [K], -inf where there is no neighbour; mean, spread: of the scores that this source gives to any
    two videos. A score counts by its distance from that mean in units of that spread, so cosines of one
    model, which may all lie between 0.7 and 0.9, compare with those of another. No neighbour: all zeros.
    """
    raised = sharpness * (np.asarray(scores, np.float64) - mean) / max(spread, 1e-12)
    there = np.isfinite(raised)
    if not there.any():
        return np.zeros_like(raised)
    weights = np.where(there, np.exp(np.where(there, raised - raised[there].max(), 0.0)), 0.0)
    found: Floats = weights / weights.sum()
    return found


def shares(
    weights: npt.ArrayLike,
    tags: Sequence[Sequence[str]],
    rejected: Sequence[Sequence[str]] | None = None,
) -> dict[str, float]:
    """What share of the weight of one source's neighbours has each tag; a rejection takes its share away.

    No share is above 1: weights that sum to 1 may pass it by the last bit when they are added one by one.
    """
    found: dict[str, float] = defaultdict(float)
    for weight, own in zip(np.asarray(weights, np.float64).tolist(), tags, strict=True):
        for tag in dict.fromkeys(own):
            found[tag] += weight
    for weight, own in zip(np.asarray(weights).tolist(), rejected or [()] * len(tags), strict=True):
        for tag in dict.fromkeys(own):
            if tag in found:
                found[tag] -= weight
    return {tag: min(share, 1.0) for tag, share in found.items() if share > 1e-9}


def consensus(votes: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """One score a tag, 0..1, from the shares of every source that had an opinion.

    The mean share times the share of the sources that name the tag: Fox and Shaw's CombMNZ (1994), scaled
    so that 1 means that every neighbour of every source has it. Shares of at most 1 give scores of at most
    1 to the last bit: rounding keeps order, so N of them sum to at most N.
    """
    if not votes:
        return {}
    total: dict[str, float] = defaultdict(float)
    named: dict[str, int] = defaultdict(int)
    for own in votes.values():
        for tag, share in own.items():
            total[tag] += share
            named[tag] += 1
    count = len(votes)
    return {tag: total[tag] * named[tag] / count**2 for tag in total}
