"""The nearest of many vectors: exact while they are few, beyond that a FAISS index that keeps a promise.

Used for the videos that are most like a video, and for the tags that fit it best.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # [N, D]
Numbers = npt.NDArray[np.int64]

EXACT = 20_000  # rows up to which everything is compared with everything
AT_ONCE = 4_000_000  # scores in memory at a time
TUNING_QUERIES = 200  # queries on which the index proves itself
NO_ROW = -1  # the number of "no more rows"


def unit(vectors: npt.ArrayLike) -> Vectors:
    """Each row scaled to length 1; a row of zeros stays one."""
    rows = np.asarray(vectors, np.float32)
    found: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return found


class VectorIndex:
    """Rows that can be searched, and to which more can be added at any time without training.

    Beyond EXACT rows an inverted file (IVF) is built, which looks only into the lists that lie next to the
    query: into as many as it needs to find `promise` of the exact answers, on queries like those it will get.
    """

    def __init__(
        self,
        vectors: Vectors,
        *,
        promise: float = 0.97,
        queries: Vectors | None = None,
        seed: int = 0,
        exact: int = EXACT,
    ) -> None:
        """queries: examples of what will be asked, by which the index is adjusted; else rows of its own."""
        self._rows = np.ascontiguousarray(vectors, np.float32)  # with room for more behind
        self._count = len(self._rows)
        self.target_recall = promise
        self._index: Any = None
        if len(self.vectors) > exact:
            rng = np.random.default_rng(seed)
            asked = self.vectors if queries is None else np.ascontiguousarray(queries, np.float32)
            some = rng.choice(len(asked), min(TUNING_QUERIES, len(asked)), replace=False)
            self._index = self._build(asked[some], seed)

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

    def search(self, queries: Vectors, count: int) -> tuple[Vectors, Numbers]:
        """The best `count` rows of each query, best first: scores [B, count] and numbers [B, count].

        Where there are fewer rows the rest is -inf and NONE. Equal scores of an exact search come in the
        order of their numbers.
        """
        asked = np.ascontiguousarray(queries, np.float32)
        if self._index is None:
            return self.exact_search(asked, count)
        scores, numbers = self._index.search(asked, count)
        return np.where(numbers >= 0, scores, -np.inf).astype(np.float32), numbers.astype(np.int64)

    def exact_search(self, queries: Vectors, count: int) -> tuple[Vectors, Numbers]:
        """`search` by comparing with every row."""
        scores = np.full((len(queries), count), -np.inf, np.float32)
        numbers = np.full((len(queries), count), NO_ROW, np.int64)
        kept = min(count, len(self))
        if not kept:
            return scores, numbers
        step = max(1, AT_ONCE // len(self))
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            found = queries[rows] @ self.vectors.T  # [b, N]
            order = top_columns(found, kept)
            scores[rows, :kept] = np.take_along_axis(found, order, axis=1)
            numbers[rows, :kept] = order
        return scores, numbers

    def _build(self, asked: Vectors, seed: int) -> Any:
        import faiss

        count, width = self.vectors.shape
        lists = max(1, int(2 * count**0.5))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = seed + 1
        index.cp.niter = 5
        index.cp.min_points_per_centroid = 8
        index.cp.max_points_per_centroid = 32  # the lists need not be good, only found quickly
        index.train(self.vectors)
        index.add(self.vectors)
        _, wanted = self.exact_search(asked, 10)
        index.nprobe = 4
        while index.nprobe < lists:
            _, found = index.search(asked, 10)
            if recall(found, wanted) >= self.target_recall:
                break
            index.nprobe = min(2 * index.nprobe, lists)
        return index


def recall(found: Numbers, wanted: Numbers) -> float:
    """The share of the wanted numbers that were found, [B, K] each; those that are NONE do not count."""
    right = sum(len(set(a) & set(b) - {NO_ROW}) for a, b in zip(found.tolist(), wanted.tolist(), strict=True))
    return right / max(int((wanted != NO_ROW).sum()), 1)


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
