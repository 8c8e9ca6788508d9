"""An index in FAISS: exact while that is fast, approximate beyond, in one file that is swapped in whole.

Exact: float32 rows, each compared. Approximate: rows in cells round centres (IVF), of which a query looks
into a few; inside, 4-bit codes choose (PQ with fast scan), and 8-bit rows decide their order (refinement).
How many cells and how many candidates is measured when the index is built, against the exact answers to a
sample of queries. Both append and mark what was removed; `worn` says when building anew is worth it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from tagline.retrieval.index.base import BadIndex, Ids, Vectors, WrongWidth
from tagline.tagging.catalog import files
from tagline.tagging.ml import ann
from tagline.tagging.printable import safe

Pages = Callable[[], Iterator[tuple[Ids, Vectors]]]  # all rows, page by page, from the beginning each time

MAGIC = b"TAGINDEX"
VERSION = 1
HEADER = 4096  # bytes: magic, version, length of the JSON, the JSON
REBUILD_HINT = "run `tagline index --rebuild` to make it again from the catalog"

# One query over 256 MB of rows takes about 10 ms on one core; beyond that it shows in a live search.
EXACT_BYTES = 256 << 20
TARGET_RECALL = 0.98  # recall at 10 at which tuning stops; 8-bit rows hardly give more
MIN_GAIN = 0.001  # recall that looking at twice as much must bring
EVAL_QUERIES = 200  # rows that ask for their neighbours when the recall is measured
TOP = 10


class FaissIndex:
    """Rows in FAISS. `Index` says what the methods do."""

    def __init__(self, fingerprint: str, dimensions: int, inner: Any = None) -> None:
        self.fingerprint, self.dimensions = fingerprint, dimensions
        self.revision = 0
        self.recall: float | None = None  # at 10, against exact, when it was built
        self.probes, self.widen = 1, 1  # cells looked into; candidates for each result
        self.built = 0  # rows at the time
        self._inner = inner if inner is not None else ann.untrained(dimensions)
        self._ids = np.zeros(0, np.int64)  # of every row of `_inner`
        self._dead = np.zeros(0, np.bool_)
        self._removed = 0

    # -- what every index can do -----------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._ids) - self._removed

    def ids(self) -> Ids:
        return np.sort(self._ids[~self._dead])

    def add(self, ids: Ids, vectors: Vectors) -> None:
        ids, vectors = np.asarray(ids, np.int64), self._checked(vectors)
        if len(ids) != len(vectors):
            raise ValueError(f"{len(ids)} ids for {len(vectors)} vectors")
        # The last of several with the same id is the one that holds.
        _, last = np.unique(ids[::-1], return_index=True)
        last_rows = np.sort(len(ids) - 1 - last)
        self.remove(ids)
        self._append(ids[last_rows], vectors[last_rows])

    def remove(self, ids: Ids) -> None:
        if len(ids) and len(self._ids):
            self._dead |= np.isin(self._ids, np.asarray(ids, np.int64))
            self._removed = int(self._dead.sum())

    def search(self, queries: Vectors, k: int) -> tuple[Ids, Vectors]:
        queries = np.atleast_2d(np.asarray(queries, np.float32))
        if queries.shape[1] != self.dimensions:
            raise WrongWidth("queries", queries.shape[1], self.dimensions)
        width = max(0, min(k, len(self)))
        ids = np.full((len(queries), width), -1, np.int64)
        scores = np.full((len(queries), width), -np.inf, np.float32)
        sound = np.flatnonzero(np.isfinite(queries).all(axis=1))
        if width and len(sound):
            found = self._best(queries[sound], width)
            ids[sound], scores[sound] = found
        return ids, scores

    def save(self, path: Path) -> None:
        with files.replacing(path) as file:
            self._write(file)

    @classmethod
    def open(cls, path: Path, fingerprint: str) -> Self:
        head, body = _read(path)
        if head["fingerprint"] != fingerprint:
            raise BadIndex(
                f"the index {safe(path)} is of another model than the library's vectors; {REBUILD_HINT}"
            )
        try:
            _check_head(head)
            rows = head["rows"]
            inner = ann.from_bytes(body[rows * 9 :])
            index = cls(head["fingerprint"], int(head["dimensions"]), inner)
            index._ids = body[: rows * 8].view("<i8").astype(np.int64)
            index._dead = body[rows * 8 : rows * 9].astype(np.bool_)
            index._removed = int(index._dead.sum())
            if inner.ntotal != rows or inner.d != index.dimensions:
                raise ValueError("rows")
        except (RuntimeError, ValueError, MemoryError, KeyError, TypeError) as error:
            raise BadIndex(f"the index {safe(path)} is damaged; {REBUILD_HINT}") from error
        for name in ("revision", "recall", "probes", "widen", "built"):
            setattr(index, name, head[name])
        return index

    # -- what building and keeping it up to date needs ----------------------------------------------------

    @classmethod
    def build(cls, fingerprint: str, dimensions: int, count: int, pages: Pages, queries: Vectors) -> Self:
        """An index of `count` rows, exact or approximate by their number, checked against exact answers.

        queries: as people put them, float32 [Q, D], beside rows of the library, for the check.
        """
        index = cls(fingerprint, dimensions)
        is_exact = exact(count, dimensions)
        wanted = np.random.default_rng(0).permutation(count)[
            : EVAL_QUERIES if is_exact else max(EVAL_QUERIES, 64 * _cells(count))
        ]
        sample = _sample(pages, np.sort(wanted)) if count else queries[:0]
        if not is_exact:
            index._inner = _untrained(count, dimensions)
            index._inner.train(sample)
        eval_rows = sample[:: max(1, len(sample) // EVAL_QUERIES)][:EVAL_QUERIES]
        groups = [some for some in (eval_rows, queries) if len(some)]
        truth = ann.ExactPages(np.concatenate(groups) if groups else queries[:0], TOP)
        for ids, vectors in pages():
            index._append(ids, index._checked(vectors))
            truth.update(ids, vectors)
        index.built = len(index)
        if len(index) and groups:
            cuts = np.cumsum([len(some) for some in groups])[:-1]
            index._tune(groups, np.split(truth.numbers, cuts))
        return index

    @property
    def exact(self) -> bool:
        return ann.is_exact(self._inner)

    @property
    def needs_rebuild(self) -> bool:
        """Whether building anew is worth it: much was removed, or it has outgrown how it was built."""
        alive = len(self)
        return (
            self._removed > max(1000, alive)
            or self.exact != exact(alive, self.dimensions)
            or (not self.exact and alive > 4 * self.built)
        )

    def _append(self, ids: Ids, vectors: Vectors) -> None:
        self._inner.add(vectors)
        self._ids = np.concatenate([self._ids, ids])
        self._dead = np.concatenate([self._dead, np.zeros(len(ids), np.bool_)])

    def _checked(self, vectors: Vectors) -> Vectors:
        vectors = np.ascontiguousarray(np.atleast_2d(vectors), np.float32)
        if vectors.shape[1] != self.dimensions:
            raise WrongWidth("vectors", vectors.shape[1], self.dimensions)
        if not np.isfinite(vectors).all():
            raise ValueError("vectors that hold no numbers cannot be searched for")
        return vectors

    def _best(self, queries: Vectors, width: int) -> tuple[Ids, Vectors]:
        """Ids and scores [Q, at most width]. Asks for more where removed rows or ties hide the border."""
        total = len(self._ids)
        depth = min(total, width + 1 + min(self._removed, width))
        while True:
            scores, rows = self._search_inner(queries, depth)
            alive = (rows >= 0) & ~self._dead[rows] & ~np.isnan(scores)
            enough = alive.sum(axis=1) >= width
            if self.exact:
                enough &= self._past_ties(scores, alive, width)
            if depth >= total or bool(enough.all()):
                break
            depth = min(total, 4 * depth)
        ids = np.where(alive, self._ids[rows], -1)
        scores = np.where(alive, scores, -np.inf).astype(np.float32)
        scores, ids = ann.top_k(scores, ids, width)
        return ids, scores

    def _past_ties(self, scores: Vectors, alive: Any, width: int) -> Any:
        """Whether the last row that was found scores less than the last that is wanted: bool [Q]."""
        alive_scores = np.where(alive, np.round(scores, 6), -np.inf)
        wanted = -np.sort(-alive_scores, axis=1)[:, min(width, alive_scores.shape[1]) - 1]
        return np.round(scores[:, -1], 6) < wanted

    def _search_inner(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        if self.exact:
            return ann.search(self._inner, queries, k)
        return ann.search(self._inner, queries, max(k, TOP), probes=self.probes, widen=self.widen)

    def _tune(self, groups: list[Vectors], truths: list[Ids]) -> None:
        """Look into more until every group of queries gets its neighbours, or more gives little more."""

        def recall() -> float:
            return min(ann.recall(self.search(g, TOP)[0], t) for g, t in zip(groups, truths, strict=True))

        if not self.exact:
            self.probes, self.widen = 8, 8
        self.recall = recall()
        steps = () if self.exact else ("probes", "widen") * 5
        for name in steps:
            most = max(64, _cells(self.built) // 32) if name == "probes" else 32
            before = getattr(self, name)
            if self.recall >= TARGET_RECALL or before >= most:
                continue
            setattr(self, name, 2 * before)
            found = recall()
            if found < self.recall + MIN_GAIN:
                setattr(self, name, before)
            else:
                self.recall = found

    def _write(self, file: Any) -> None:
        checksum = hashlib.sha256()

        def write(data: Any) -> int:
            checksum.update(data)
            return int(file.write(data))

        file.write(bytes(HEADER))
        write(self._ids.astype("<i8").tobytes())
        write(self._dead.astype(np.uint8).tobytes())
        ann.save_to(self._inner, write)
        head = {
            "fingerprint": self.fingerprint,
            "dimensions": self.dimensions,
            "rows": len(self._ids),
            "revision": self.revision,
            "recall": self.recall,
            "probes": self.probes,
            "widen": self.widen,
            "built": self.built,
            "sha256": checksum.hexdigest(),
        }
        text = json.dumps(head).encode()
        file.seek(0)
        file.write(MAGIC + struct.pack("<II", VERSION, len(text)) + text)


def exact(count: int, dimensions: int) -> bool:
    """Whether so many rows are compared one by one."""
    return count * dimensions * 4 <= EXACT_BYTES


def _read(path: Path) -> tuple[dict[str, Any], Any]:
    """The header, and the bytes after it, uint8 [N], mapped; both checked."""
    try:
        file = os.fdopen(files.open_file(path), "rb")
        start = file.read(HEADER)
        if start[: len(MAGIC)] != MAGIC:
            raise BadIndex(f"{safe(path)} is no index of tagline; move it away and {REBUILD_HINT}")
        version, length = struct.unpack_from("<II", start, len(MAGIC))
        if version > VERSION:
            raise BadIndex(
                f"the index {safe(path)} was written by a newer tagline; update, or {REBUILD_HINT}"
            )
        head = json.loads(start[len(MAGIC) + 8 :][:length])
        body: Any = np.memmap(file, np.uint8, "r", HEADER)
        if hashlib.sha256(body).hexdigest() != head["sha256"]:
            raise ValueError("checksum")
    except files.NotOurs as error:
        raise BadIndex(str(error)) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise BadIndex(f"the index {safe(path)} is damaged; {REBUILD_HINT}") from error
    return head, body


def _check_head(head: dict[str, Any]) -> None:
    """Refuse what `_write` cannot have written."""
    for name in ("rows", "dimensions", "revision", "probes", "widen", "built"):
        if type(head[name]) is not int or not 0 <= head[name] < 2**43:
            raise ValueError(name)
    if head["recall"] is not None and not 0.0 <= float(head["recall"]) <= 1.0:
        raise ValueError("recall")


def _cells(count: int) -> int:
    """How many cells so many rows are put into: a power of two near 4 √N."""
    return 1 << max(4, round(math.log2(4 * math.sqrt(max(count, 1)))))


def _untrained(count: int, dimensions: int) -> Any:
    subquantizers = dimensions // 2 if dimensions % 2 == 0 else dimensions
    recipe = f"IVF{_cells(count)},PQ{subquantizers}x4fs,Refine(SQ8)"
    return ann.untrained(dimensions, recipe)


def _sample(pages: Pages, wanted: Any) -> Vectors:
    """The rows with these numbers, ascending, in the order of the pages."""
    first, found = 0, []
    for ids, vectors in pages():
        low, high = np.searchsorted(wanted, (first, first + len(ids)))
        found.append(vectors[wanted[low:high] - first])
        first += len(ids)
    return np.ascontiguousarray(np.concatenate(found), np.float32)
