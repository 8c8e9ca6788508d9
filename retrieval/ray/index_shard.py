"""A sharded index: very many vectors as folders that machines build and serve on their own.

    OUT/index.json         what belongs together: fingerprint, source, dimensions, rows, probes, pieces
    OUT/trained.faiss      cells and codes, trained on a sample; the same for every shard
    OUT/NAME/index.faiss   IVF-PQ: which rows may be near
    OUT/NAME/vectors.f16   the vectors themselves, read only where a row may be near: they decide the order
    OUT/NAME/rows.parquet  of which video and which part of it each row is
    OUT/NAME/done          written last: without it the shard is made again

The id of a row is its shard's number and its place in it, so the shards' ids never meet.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tagline.experts.storage import write_atomic
from tagline.retrieval.index.base import BadIndex, Ids, Vectors
from tagline.tagging.ml import ann
from tagline.tagging.printable import safe

FORMAT = 1
MANIFEST = "index.json"
TRAINED = "trained.faiss"
DONE_FILE = "done"
MAX_ROWS = 1 << 32  # a piece has fewer
RERANK_FACTOR = 10  # rows whose vectors are read, for each row that is wanted
MIN_ROWS_PER_CELL = 39  # rows that FAISS wants for each cell that it learns
ROWS_PER_CELL = 256  # rows for each cell that are enough to learn from


class Location(NamedTuple):
    """Where in the library a row is."""

    video: str  # the hash of its content
    start: float  # seconds
    end: float


@dataclass(frozen=True, slots=True)
class ShardedIndex:
    """What belongs together."""

    fingerprint: str
    source: str  # the expert whose vectors these are
    dimensions: int
    rows: int
    probes: int  # cells that a question looks into
    shards: tuple[str, ...]
    source_url: str = ""  # where the vectors came from: who knows the videos' addresses

    def write(self, folder: Path) -> None:
        data = {"tagline": "sharded index", "format": FORMAT, **asdict(self)}
        write_atomic(folder / MANIFEST, json.dumps(data, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path, fingerprint: str | None = None) -> ShardedIndex:
        """Raises BadIndex, whose message names the command, where it cannot be used."""
        again = "run `tagline index SHARDS --cluster ADDRESS` again"
        try:
            data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            ours, form = data.pop("tagline") == "sharded index", int(data.pop("format"))
            if ours and form > FORMAT:
                raise BadIndex(f"{safe(folder)} was written by a newer tagline; update, or {again}")
            head = cls(**{**data, "shards": tuple(data["shards"])})
        except FileNotFoundError:
            raise BadIndex(f"there is no index at {safe(folder)}; {again}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadIndex(f"{safe(folder / MANIFEST)} is damaged; {again}") from error
        if not ours:
            raise BadIndex(f"{safe(folder)} holds no index of tagline; {again}")
        if fingerprint is not None and head.fingerprint != fingerprint:
            raise BadIndex(f"the index {safe(folder)} is of another model than the questions; {again}")
        return head


class IndexShard:
    """One piece, ready to be asked."""

    def __init__(self, folder: Path, head: ShardedIndex) -> None:
        self.folder, self.probes, self.dimensions = folder, head.probes, head.dimensions
        self.index: Any = ann.load(folder / "index.faiss")
        count = int(self.index.ntotal)
        self.first = int(folder.name.rpartition("-")[2]) * MAX_ROWS
        self.vectors: Any = np.memmap(folder / "vectors.f16", np.float16, "r", shape=(count, head.dimensions))

    def search(self, queries: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The best rows: ids and scores, both [Q, k], best first; -1 and -inf where there are fewer."""
        _, near = ann.search(self.index, queries, k * RERANK_FACTOR, probes=self.probes)
        scores = np.full(near.shape, -np.inf, np.float32)
        for row, (query, ids) in enumerate(zip(queries, near, strict=True)):
            there = ids >= 0
            scores[row, there] = self.vectors[ids[there] - self.first].astype(np.float32) @ query
        return _ids_first(ann.top_k(scores, near, k))

    def locations(self, ids: Ids) -> list[Location]:
        """Which stretch each of these rows is."""
        import pyarrow.parquet as pq

        columns = ("hash", "start", "end")
        table = pq.read_table(self.folder / "rows.parquet", columns=list(columns), memory_map=True)
        rows = table.take(np.asarray(ids) - self.first).to_pylist()
        return [Location(*(row[name] for name in columns)) for row in rows]


def merge_top_k(results: Sequence[tuple[Ids, Vectors]], k: int) -> tuple[Ids, Vectors]:
    """The best rows of all pieces, from the best of each."""
    ids, scores = (np.concatenate([found[place] for found in results], 1) for place in (0, 1))
    return _ids_first(ann.top_k(scores, ids, k))


def _ids_first(found: tuple[Vectors, Ids]) -> tuple[Ids, Vectors]:
    return found[1], found[0]


def cell_count(rows: int) -> int:
    """How many cells so many rows are put into: about 4 √N, no more than can be learnt."""
    return max(1, min(1 << round(math.log2(4 * math.sqrt(max(rows, 1)))), rows // MIN_ROWS_PER_CELL))


def train(sample: Vectors, rows: int) -> Any:
    """Cells and codes for an index of `rows` rows, learnt from a sample, float32 [N, D]."""
    dimensions = sample.shape[1]
    subquantizers = next(n for n in range(max(dimensions // 4, 1), 0, -1) if dimensions % n == 0)
    learnable = len(sample) // MIN_ROWS_PER_CELL  # cells that the sample is enough for
    bits = 8 if learnable >= 256 else max(1, int(math.log2(max(learnable, 2))))
    cells = min(cell_count(rows), max(1, learnable))
    index = ann.untrained(dimensions, f"IVF{cells},PQ{subquantizers}x{bits}")
    index.train(sample)
    return index


def write_shard(folder: Path, trained: Any, vectors: Vectors, locations: Sequence[Location]) -> None:
    """Make a piece from its rows: float32 [N, D], each of length 1, and where each is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE_FILE).unlink(missing_ok=True)
    first = int(folder.name.rpartition("-")[2]) * MAX_ROWS
    trained.reset()
    trained.add_with_ids(vectors, np.arange(first, first + len(vectors), dtype=np.int64))
    ann.save(trained, folder / "index.faiss")
    vectors.astype(np.float16).tofile(folder / "vectors.f16")
    table = pa.table({name: [getattr(s, f) for s in locations] for name, f in _COLUMNS})
    pq.write_table(table, folder / "rows.parquet", row_group_size=65_536)


_COLUMNS = (("hash", "video"), ("start", "start"), ("end", "end"))
