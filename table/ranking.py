"""Ranks and what is counted from them: R@K, median and mean rank, both ways, safe against ties and NaN.

The place of the right answer is 1 for the best score. Two conventions matter, and both are ours to say:

- Ties. Candidates with the same score share their places, and each gets the middle of them (two tied for
  places 1 and 2 are both 1.5). R@K counts a rank below K + 1, so half a place is rounded in favour of the
  query and everything wider is not: a model that gives every video the same score finds nothing.
- NaN. A candidate without a number is worse than any with one. If the *right* answer has no number, its
  rank is the number of candidates: the last place.

No step needs the whole matrix of queries by candidates: scores come in blocks of rows (`Matrix`, `Product`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.float64]

BLOCK = 1024  # rows of scores held at a time


# -- scores, in blocks of rows ---------------------------------------------------------------------


class Scores(Protocol):
    """Scores of queries (rows) against candidates (columns), higher is better."""

    shape: tuple[int, int]

    def rows(self, first: int, last: int) -> Floats:
        """float [last - first, candidates]."""

    def transposed(self) -> Scores:
        """The same scores with candidates as queries."""


class Matrix:
    """Scores that are there already: [queries, candidates], any float type, NumPy or torch."""

    def __init__(self, values: Any) -> None:
        if hasattr(values, "detach"):  # torch; NumPy knows no bfloat16
            values = values.detach().cpu().float().numpy()
        self.values = np.asarray(values)
        if self.values.ndim != 2:
            raise ValueError(f"scores must be queries by candidates, not of shape {self.values.shape}")
        self.shape = (self.values.shape[0], self.values.shape[1])

    def rows(self, first: int, last: int) -> Floats:
        block = self.values[first:last]
        # Half precision and integers widen without loss; comparing them as they are is slow.
        return block if block.dtype == np.float64 else block.astype(np.float32, copy=False)

    def transposed(self) -> Scores:
        return Matrix(self.values.T)


class Product:
    """Inner products of two sets of vectors: [queries, D] with [candidates, D]."""

    def __init__(self, queries: Floats, candidates: Floats) -> None:
        self.queries = np.asarray(queries, dtype=np.float32)
        self.candidates = np.asarray(candidates, dtype=np.float32)
        self.shape = (len(self.queries), len(self.candidates))

    def rows(self, first: int, last: int) -> Floats:
        return self.queries[first:last] @ self.candidates.T

    def transposed(self) -> Scores:
        return Product(self.candidates, self.queries)


class DualSoftmax:
    """Scores times a softmax over all queries of the same candidate: CAMoE's inference strategy.

    revised[q, c] = score[q, c] · softmax over q of (temperature · score[q, c])

    It uses every query of the test at once, which a live search cannot do; it always stands in its own
    column. NaN scores take no part in the softmax.
    """

    def __init__(self, scores: Scores, temperature: float = 100.0) -> None:
        self.scores, self.temperature, self.shape = scores, temperature, scores.shape
        total = np.full(self.shape[1], -np.inf)  # log-sum-exp over the queries, [candidates]
        for first, last in _blocks(self.shape[0]):
            block = self.temperature * scores.rows(first, last).astype(np.float64)
            block = np.where(np.isnan(block), -np.inf, block)
            total = np.logaddexp(total, _log_sum_exp(block))
        self.total = total

    def rows(self, first: int, last: int) -> Floats:
        block = self.scores.rows(first, last).astype(np.float64)
        return block * np.exp(self.temperature * block - self.total)

    def transposed(self) -> Scores:
        # The other way has another prior: its queries are the candidates of this way.
        return DualSoftmax(self.scores.transposed(), self.temperature)


class _GroupBest:
    """The best score of each group of neighbouring candidates: [queries, groups]. NaN never wins."""

    def __init__(self, scores: Scores, order: Ints, starts: Ints) -> None:
        self.scores, self.order, self.starts = scores, order, starts
        self.shape = (scores.shape[0], len(starts))

    def rows(self, first: int, last: int) -> Floats:
        block = self.scores.rows(first, last)[:, self.order]
        best: Floats = np.fmax.reduceat(block, self.starts, axis=1)
        return best

    def transposed(self) -> Scores:
        raise TypeError("a group of candidates is no query")


def _blocks(count: int, size: int = BLOCK) -> Iterator[tuple[int, int]]:
    for first in range(0, count, size):
        yield first, min(first + size, count)


def _log_sum_exp(block: Floats) -> Floats:
    """Down the columns: [rows, candidates] to [candidates]; a column of -inf stays -inf."""
    if not len(block):
        return np.full(block.shape[1], -np.inf)
    top = block.max(axis=0)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        summed: Floats = safe + np.log(np.exp(block - safe).sum(axis=0))
    return summed


# -- ranks -----------------------------------------------------------------------------------------


def ranks(scores: Scores | Any, right: Sequence[int] | Ints, block: int = BLOCK) -> Ranks:
    """The place of the right candidate of every query: float64 [queries], 1 is best.

    right: the column of the right answer of each row.
    """
    return _ranks_and_ties(scores, right, block)[0]


def _ranks_and_ties(scores: Any, right: Any, block: int = BLOCK) -> tuple[Ranks, int]:
    """The ranks, and how many queries have another candidate with exactly the right one's score."""
    scores = scores if hasattr(scores, "rows") else Matrix(scores)
    right = np.asarray(right, dtype=np.int64)
    if len(right) != scores.shape[0]:
        raise ValueError(f"{scores.shape[0]} queries but {len(right)} right answers")
    if len(right) and (right.min() < 0 or right.max() >= scores.shape[1]):
        raise ValueError(f"a right answer lies outside the {scores.shape[1]} candidates")
    out, tied = np.empty(len(right)), 0
    for first, last in _blocks(len(right), block):
        found = scores.rows(first, last)
        # The right score is taken from the block itself: a product computed apart may differ in its last bit.
        mine = np.take_along_axis(found, right[first:last, None], axis=1)
        # Comparisons with NaN are false, which puts candidates without a number behind.
        above = np.count_nonzero(found > mine, axis=1)
        equal = np.count_nonzero(found == mine, axis=1) - 1  # itself
        lost = np.isnan(mine[:, 0])
        out[first:last] = np.where(lost, scores.shape[1], above + 1 + np.maximum(equal, 0) / 2)
        tied += int(np.count_nonzero(~lost & (equal > 0)))
    return out, tied


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is counted from the ranks of one way. Percentages, except the two ranks. NaN if no queries."""

    r1: float
    r5: float
    r10: float
    mdr: float
    mnr: float
    queries: int
    tied: int = 0  # queries whose right answer shares its score with another candidate
    intervals: dict[str, Interval] = field(default_factory=dict)  # 95 %, by name of the figure

    def as_dict(self) -> dict[str, Any]:
        """For JSON: a figure over nothing is None there."""
        found = asdict(self)
        return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in found.items()}


FIGURES: dict[str, Callable[[Ranks], float]] = {
    "r1": lambda r: 100.0 * float(np.mean(r < 2)),
    "r5": lambda r: 100.0 * float(np.mean(r < 6)),
    "r10": lambda r: 100.0 * float(np.mean(r < 11)),
    "mdr": lambda r: float(np.median(r)),
    "mnr": lambda r: float(np.mean(r)),
}


def metrics(places: Ranks, tied: int = 0) -> Metrics:
    """R@1, R@5, R@10, median and mean rank of one way."""
    r1, r5, r10, mdr, mnr = (count(places) if len(places) else float("nan") for count in FIGURES.values())
    return Metrics(r1, r5, r10, mdr, mnr, queries=len(places), tied=tied)


# -- intervals and comparisons -----------------------------------------------------------------------


def intervals(
    places: Ranks,
    groups: Sequence[int] | Ints | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap intervals of every figure.

    groups: queries with the same number stand or fall together (captions of one video are no independent
    draws); without it each query is its own.
    """
    if not len(places) or resamples < 1:
        return {}
    samples = {name: np.empty(resamples) for name in FIGURES}
    for i, chosen in enumerate(_draws(len(places), groups, resamples, seed)):
        drawn = places[chosen]
        for name, count in FIGURES.items():
            samples[name][i] = count(drawn)
    edge = 100 * (1 - level) / 2
    return {name: Interval(*np.percentile(drawn, [edge, 100 - edge])) for name, drawn in samples.items()}


def _draws(count: int, groups: Any, resamples: int, seed: int) -> Iterator[Ints]:
    """Row numbers of each bootstrap sample: whole groups drawn with replacement."""
    rng = np.random.default_rng(seed)
    if groups is None:
        for _ in range(resamples):
            yield rng.integers(0, count, count)
        return
    order, starts, sizes = _grouping(np.asarray(groups))
    for _ in range(resamples):
        chosen = rng.integers(0, len(starts), len(starts))
        lengths = sizes[chosen]
        # Positions within `order`: each chosen group's start, then one after another.
        inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        yield order[np.repeat(starts[chosen], lengths) + inside]


def _grouping(groups: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows sorted by group, where each group starts in that order, and how long it is."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    return order.astype(np.int64), starts.astype(np.int64), sizes.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Difference:
    """Second run minus first, with a 95 % interval and the chance of so large a difference from luck."""

    value: float
    low: float
    high: float
    p: float


def paired(
    first: Ranks,
    second: Ranks,
    figure: str = "r1",
    groups: Sequence[int] | Ints | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Compare two runs on the same queries.

    The interval comes from drawing the queries again (both runs get the same draw); p from swapping the
    runs of randomly chosen queries, or groups of queries: if the runs were alike, a swap would not matter.
    """
    if len(first) != len(second):
        raise ValueError(f"the runs have {len(first)} and {len(second)} queries; a pair needs the same ones")
    if not len(first):
        raise ValueError("there are no queries to compare")
    count = FIGURES[figure]
    value = count(second) - count(first)
    drawn = np.array(
        [count(second[rows]) - count(first[rows]) for rows in _draws(len(first), groups, resamples, seed)]
    )
    rng = np.random.default_rng([seed, 1])
    labels = np.arange(len(first)) if groups is None else np.unique(groups, return_inverse=True)[1]
    extreme = 0
    for _ in range(resamples):
        swap = rng.random(labels.max() + 1)[labels] < 0.5
        a, b = np.where(swap, second, first), np.where(swap, first, second)
        extreme += abs(count(b) - count(a)) >= abs(value) - 1e-9
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Difference(value, float(low), float(high), (extreme + 1) / (resamples + 1))


# -- the whole evaluation ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Both ways; `dual` is the same with the dual softmax, where asked for."""

    t2v: Metrics
    v2t: Metrics
    t2v_ranks: Ranks  # [texts]
    v2t_ranks: Ranks  # [videos that have a text]
    dual: Evaluation | None = None

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {"t2v": self.t2v.as_dict(), "v2t": self.v2t.as_dict()}
        if self.dual is not None:
            found["dual"] = self.dual.as_dict()
        return found


def evaluate(
    scores: Scores | Any,
    video_of_text: Sequence[int] | Ints | None = None,
    *,
    temperature: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Every figure of a retrieval test, text to video and video to text.

    scores: [texts, videos]. video_of_text: the column of each row's video; by default row i is of video i.
    temperature: of the dual softmax; None leaves that column out. resamples: 0 for no intervals.

    With several texts to a video (MSVD), every text is a query of its own; the other way a video looks
    for its *group* of texts: each group scores as its best text, and the rank is among the groups. This is
    the protocol of CLIP4Clip, which the papers' figures follow. Videos without a text ask nothing, but
    remain candidates of the texts.
    """
    scores = scores if hasattr(scores, "rows") else Matrix(scores)
    if video_of_text is None:
        if scores.shape[0] != scores.shape[1]:
            raise ValueError(f"{scores.shape[0]} texts, {scores.shape[1]} videos: say whose each text is")
        video_of_text = np.arange(scores.shape[0])
    of = np.asarray(video_of_text, dtype=np.int64)
    found = _both_ways(scores, of, resamples, seed)
    if temperature is None:
        return found
    return replace(found, dual=_both_ways(DualSoftmax(scores, temperature), of, resamples, seed))


def _both_ways(scores: Scores, of: Ints, resamples: int, seed: int) -> Evaluation:
    t2v, tied = _ranks_and_ties(scores, of)
    forward = replace(metrics(t2v, tied), intervals=intervals(t2v, of, resamples=resamples, seed=seed))

    order, starts, _ = _grouping(of)
    if not len(starts):
        return Evaluation(forward, metrics(np.empty(0)), t2v, np.empty(0))
    with_text = of[order[starts]]  # the videos that have a text, ascending: one group each
    groups = _GroupBest(_RowSubset(scores.transposed(), with_text), order, starts)
    v2t, tied = _ranks_and_ties(groups, np.arange(len(starts)))
    backward = replace(metrics(v2t, tied), intervals=intervals(v2t, resamples=resamples, seed=seed))
    return Evaluation(forward, backward, t2v, v2t)


class _RowSubset:
    """Some of the rows of other scores."""

    def __init__(self, scores: Scores, chosen: Ints) -> None:
        self.scores, self.chosen = scores, chosen
        self.shape = (len(chosen), scores.shape[1])

    def rows(self, first: int, last: int) -> Floats:
        wanted = self.chosen[first:last]  # ascending
        if not len(wanted):
            return np.empty((0, self.shape[1]), np.float32)
        low = int(wanted[0])
        return self.scores.rows(low, int(wanted[-1]) + 1)[wanted - low]

    def transposed(self) -> Scores:
        raise TypeError("chosen rows cannot be transposed")
