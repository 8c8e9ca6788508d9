"""The index at a size where comparing one by one is too slow: build, memory, one query, recall.

Rows are in clusters, as pictures and sentences are: directions of 20,000 things, each row near one of them.
Queries are new rows of the same world, asked one by one on one thread, of the index and of an exact one in
turn. `--set n=20000` sizes it down; what is compared stays the same.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.tagging.ml import ann

Floats = npt.NDArray[np.float32]

ROWS, WIDE = 1_000_000, 512
CLUSTERS = 20_000
SPREAD = 0.8  # of a row round its centre, against the centre's own length
PAGE_ROWS = 20_000


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """Build, save and open an index of n rows; ask it and an exact one the same queries."""
    from tagline.retrieval.index.faiss_index import FaissIndex

    rows, wide = int(options.get("n", ROWS)), int(options.get("d", WIDE))
    query_vectors = int(options.get("queries", "200"))
    world = ClusteredVectors(rows, wide)
    queries = world.queries(2 * query_vectors)

    begun = time.perf_counter()
    index = FaissIndex.build("bench", wide, rows, world.pages, queries[query_vectors:])
    build_seconds = time.perf_counter() - begun
    queries = queries[:query_vectors]  # never those by which it was tuned
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.index"
        index.save(path)
        size = path.stat().st_size
        del index
        begun = time.perf_counter()
        index = FaissIndex.open(path, "bench")
        open_seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    exact = ann.untrained(wide)
    for _, vectors in world.pages():
        exact.add(vectors)
    with ann.threads(1) as before:
        ours, theirs, busy, found, truth = _ask(index, exact, queries)
    recall = ann.recall(np.stack(found), np.stack(truth))
    values = {
        "speedup": round(float(np.median(theirs) / np.median(ours)), 1),
        "recall_at_10": round(recall, 4),
        "memory_ratio": round(size / (4 * rows * wide), 4),
        "build_seconds": round(build_seconds, 1),
        "open_seconds": round(open_seconds, 2),
        "megabytes": round(size / 2**20, 1),
        "p50_ms": round(1000 * float(np.median(ours)), 3),
        "p99_ms": round(1000 * float(np.quantile(ours, 0.99)), 3),
        "exact_p50_ms": round(1000 * float(np.median(theirs)), 3),
        "exact_p99_ms": round(1000 * float(np.quantile(theirs, 0.99)), 3),
    }
    return {
        "values": values,
        "configuration": {
            "rows": rows,
            "dimensions": wide,
            "clusters": world.clusters,
            "spread": SPREAD,
            "queries": query_vectors,
            "threads_of_a_query": 1,
            "threads_of_the_build": before,
            "exact": index.exact,
            "cells_looked_into": index.probes,
            "candidates_for_a_result": index.widen,
            "recall_when_built": index.recall,
        },
        "seeds": [0],
        "details": {
            "peak_megabytes_until_opened": round(peak / 2**20),
            # On a busy machine these say more: seconds of the processor, not of the clock on the wall.
            "cpu_p50_ms": round(1000 * float(np.median(busy[0])), 3),
            "cpu_speedup": round(float(np.median(busy[1]) / np.median(busy[0])), 1),
            "cores": os.cpu_count(),
        },
    }


def _ask(index: Any, exact: Any, queries: Floats) -> tuple[Any, Any, Any, Any, Any]:
    """Each query of both, in turn, after a warm-up.

    Returns the wall seconds of ours and of exact's, the processor's of both [2, Q], and the ids of both.
    """
    walls, busy, answers = [], [], []
    for query in [*queries[:5], *queries]:
        one = np.ascontiguousarray(query[None])
        seconds = [(time.perf_counter(), time.process_time())]
        ids, _ = index.search(one, 10)
        seconds.append((time.perf_counter(), time.process_time()))
        _, rows = exact.search(one, 10)
        seconds.append((time.perf_counter(), time.process_time()))
        wall, processor = np.diff(np.array(seconds), axis=0).T
        walls.append(wall)
        busy.append(processor)
        answers.append((ids[0], rows[0]))
    found, truth = zip(*answers[5:], strict=True)
    ours, theirs = np.array(walls[5:]).T
    return ours, theirs, np.array(busy[5:]).T, found, truth


class ClusteredVectors:
    """Unit vectors in clusters, made page by page and the same each time."""

    def __init__(self, rows: int, wide: int) -> None:
        self.rows, self.wide = rows, wide
        self.clusters = max(16, min(CLUSTERS, rows // 50))
        self.centres = ann.unit(np.random.default_rng(0).standard_normal((self.clusters, wide), np.float32))

    def pages(self) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
        for first in range(0, self.rows, PAGE_ROWS):
            count = min(PAGE_ROWS, self.rows - first)
            yield np.arange(first, first + count), self._rows(count, first + 1)

    def queries(self, count: int) -> Floats:
        return self._rows(count, -1)

    def _rows(self, count: int, seed: int) -> Floats:
        rng = np.random.default_rng([7, seed + 1])
        near = self.centres[rng.integers(0, self.clusters, count)]
        noise = rng.standard_normal((count, self.wide), np.float32) * np.float32(SPREAD / np.sqrt(self.wide))
        return ann.unit(near + noise)
