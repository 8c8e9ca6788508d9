"""Nearest vectors by inner product: exact while they are few, beyond that with FAISS, imported here alone.

Scores come with row numbers, best first. Where there are fewer rows than asked for, the rest is -inf and
NO_ROW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # [N, D]
Numbers = npt.NDArray[np.int64]

EXACT = 20_000  # rows up to which everything is compared with everything
AT_ONCE = 4_000_000  # scores in memory at a time
TUNING_QUERIES = 200  # on which an index proves itself
NO_ROW = -1


def unit(vectors: npt.ArrayLike) -> Vectors:
    """Each row scaled to length 1, in one block of memory; a row of zeros stays one."""
    rows = np.ascontiguousarray(vectors, np.float32)
    found: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return found


# -- exact answers -------------------------------------------------------------------------------------


def exact(queries: Vectors, vectors: Vectors, k: int) -> tuple[Vectors, Numbers]:
    """The k best rows of each query by comparing with every row, equal scores in the order of numbers."""
    scores = np.full((len(queries), k), -np.inf, np.float32)
    numbers = np.full((len(queries), k), NO_ROW, np.int64)
    kept = min(k, len(vectors))
    if not kept:
        return scores, numbers
    step = max(1, AT_ONCE // len(vectors))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        found = queries[rows] @ vectors.T  # [b, N]
        order = top_columns(found, kept)
        scores[rows, :kept] = np.take_along_axis(found, order, axis=1)
        numbers[rows, :kept] = order
    return scores, numbers


def top_columns(scores: Vectors, count: int) -> Numbers:
    """The columns of the `count` largest scores of each row, largest first, ties by number."""
    if count < scores.shape[1]:
        # Ties at the edge are let in and sorted out below, so that the answer does not depend on chance.
        edge = np.partition(scores, scores.shape[1] - count, axis=1)[:, -count]
        found = []
        for row, least in zip(scores, edge, strict=True):
            columns = np.flatnonzero(row >= least)
            found.append(columns[np.argsort(-row[columns], kind="stable")][:count])
        return np.stack(found).astype(np.int64)
    return np.argsort(-scores, axis=1, kind="stable").astype(np.int64)


def top_k(scores: Vectors, numbers: Numbers, k: int) -> tuple[Vectors, Numbers]:
    """The k best of each row of [Q, N] candidates, equal scores (to a millionth) in the order of numbers."""
    order = np.lexsort((numbers, -np.round(scores, 6)), axis=1)[:, :k]
    scores, numbers = np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)
    missing = ((0, 0), (0, k - order.shape[1]))
    return (
        np.pad(scores, missing, constant_values=-np.inf).astype(np.float32),
        np.pad(numbers, missing, constant_values=NO_ROW),
    )


class ExactPages:
    """The exact best rows of some queries, gathered while pages of rows go by."""

    def __init__(self, queries: Vectors, k: int) -> None:
        self.queries, self.k = queries, k
        self.scores, self.numbers = exact(queries, queries[:0], k)

    def update(self, numbers: Numbers, vectors: Vectors) -> None:
        """numbers: what the rows of this page are called."""
        if not len(self.queries):
            return
        scores, rows = exact(self.queries, vectors, min(self.k, len(vectors)))
        both = np.concatenate([self.scores, scores], 1), np.concatenate([self.numbers, numbers[rows]], 1)
        self.scores, self.numbers = top_k(*both, self.k)


def recall(found: Numbers, wanted: Numbers) -> float:
    """The share of the wanted numbers that were found, [Q, K] each; those that are NO_ROW do not count."""
    both = zip(found.tolist(), wanted.tolist(), strict=True)
    right = sum(len(set(a) & set(b) - {NO_ROW}) for a, b in both)
    return right / max(int((wanted != NO_ROW).sum()), 1)


def tune_probes(
    recall_at: Callable[[int], float], target: float, *, first: int, most: int
) -> tuple[int, float]:
    """How many cells must be looked into for a recall, doubled until it is reached; and the recall then."""
    probes = first
    while True:
        found = recall_at(probes)
        if found >= target or probes >= most:
            return probes, found
        probes = min(2 * probes, most)


# -- FAISS ---------------------------------------------------------------------------------------------


def untrained(dimensions: int, recipe: str = "Flat") -> Any:
    """An empty index by a recipe of FAISS (its "index factory"); "Flat" is exact and needs no training."""
    faiss = _faiss()
    return faiss.index_factory(dimensions, recipe, faiss.METRIC_INNER_PRODUCT)


def is_exact(index: Any) -> bool:
    return isinstance(index, _faiss().IndexFlat)


def search(
    index: Any, queries: Vectors, k: int, *, probes: int | None = None, widen: int | None = None
) -> tuple[Vectors, Numbers]:
    """probes: cells looked into; widen: with a refining index, candidates for each result."""
    faiss, how = _faiss(), None
    if probes is not None:
        how = faiss.SearchParametersIVF(nprobe=probes)
    if widen is not None:
        how = faiss.IndexRefineSearchParameters(k_factor=widen, base_index_params=how)
    scores, numbers = index.search(np.ascontiguousarray(queries, np.float32), k, params=how)
    return np.where(numbers >= 0, scores, -np.inf).astype(np.float32), numbers.astype(np.int64)


def save(index: Any, path: Path) -> None:
    _faiss().write_index(index, str(path))


def load(path: Path) -> Any:
    return _faiss().read_index(str(path))


def save_to(index: Any, write: Callable[[Any], int]) -> None:
    """Piece by piece to a function that says how many bytes it took."""
    faiss = _faiss()
    faiss.write_index(index, faiss.PyCallbackIOWriter(write))


def to_bytes(index: Any) -> npt.NDArray[np.uint8]:
    found: npt.NDArray[np.uint8] = _faiss().serialize_index(index)
    return found


def from_bytes(data: npt.NDArray[np.uint8]) -> Any:
    """Raises RuntimeError where that is no index."""
    return _faiss().deserialize_index(data)


@contextmanager
def threads(count: int) -> Iterator[int]:
    """FAISS on so many threads; yields how many there were."""
    faiss = _faiss()
    before = int(faiss.omp_get_max_threads())
    faiss.omp_set_num_threads(count)
    try:
        yield before
    finally:
        faiss.omp_set_num_threads(before)


def _faiss() -> Any:
    import faiss  # a tenth of a second, and nothing that a few rows need

    return faiss


# -- an index that grows -------------------------------------------------------------------------------


class VectorIndex:
    """Rows that can be searched, and to which more can be added at any time without training.

    Beyond `exact` rows an inverted file (IVF) is built, which looks only into the lists that lie next to the
    query: into as many as it needs for `target_recall` of the exact answers, on queries like those to come.
    """

    def __init__(
        self,
        vectors: Vectors,
        *,
        target_recall: float = 0.97,
        queries: Vectors | None = None,
        seed: int = 0,
        exact: int = EXACT,
    ) -> None:
        """queries: examples of what will be asked, by which the index is adjusted; else rows of its own."""
        self._rows = np.ascontiguousarray(vectors, np.float32)  # with room for more behind
        self._count = len(self._rows)
        self.target_recall = target_recall
        self._index: Any = None
        self._probes = 0
        if len(self.vectors) > exact:
            rng = np.random.default_rng(seed)
            asked = self.vectors if queries is None else np.ascontiguousarray(queries, np.float32)
            some = rng.choice(len(asked), min(TUNING_QUERIES, len(asked)), replace=False)
            self._build(asked[some], seed)

    def __len__(self) -> int:
        return self._count

    @property
    def vectors(self) -> Vectors:
        """All rows: [N, D]."""
        return self._rows[: self._count]

    def add(self, vectors: Vectors) -> None:
        """More rows. They are found from now on."""
        more = np.ascontiguousarray(vectors, np.float32)
        end = self._count + len(more)
        if end > len(self._rows):  # a quarter more than needed, so that tag by tag is not copy by copy
            roomy = np.empty((end + end // 4, more.shape[1]), np.float32)
            roomy[: self._count] = self.vectors
            self._rows = roomy
        self._rows[self._count : end] = more
        self._count = end
        if self._index is not None:
            self._index.add(more)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Numbers]:
        """The best k rows of each query, best first: scores and numbers, both [Q, k]."""
        if self._index is None:
            return self.exact_search(queries, k)
        return search(self._index, queries, k, probes=self._probes)

    def exact_search(self, queries: Vectors, k: int) -> tuple[Vectors, Numbers]:
        """`search` by comparing with every row."""
        return exact(np.ascontiguousarray(queries, np.float32), self.vectors, k)

    def _build(self, asked: Vectors, seed: int) -> None:
        count, width = self.vectors.shape
        lists = max(1, int(2 * count**0.5))
        index = untrained(width, f"IVF{lists},Flat")
        index.cp.seed = seed + 1
        index.cp.niter = 5
        index.cp.min_points_per_centroid = 8
        index.cp.max_points_per_centroid = 32  # the lists need not be good, only found quickly
        index.train(self.vectors)
        index.add(self.vectors)
        _, wanted = self.exact_search(asked, 10)
        self._probes, _ = tune_probes(
            lambda probes: recall(search(index, asked, 10, probes=probes)[1], wanted),
            self.target_recall,
            first=4,
            most=lists,
        )
        self._index = index
