"""An index in Milvus: a file (milvus-lite), a server or a cluster by its address; same answers as FAISS.

The rows lie in a collection whose name holds the model's fingerprint, so that vectors of two models never
meet. Beside the catalog lies a small file that says where the collection is and how far it has come.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from tagline.retrieval.index.base import BadIndex, Ids, Vectors, WrongWidth
from tagline.tagging.catalog import approvals, files
from tagline.tagging.printable import safe

FORMAT = 1
MOST_BYTES = 1 << 20  # of the small file
BATCH = 1000  # rows of one message; Milvus takes no more than 64 MB
MAX_ROWS = 16_384  # rows that Milvus gives for one query
REBUILD_HINT = "run `tagline index --rebuild` to make it again from the catalog"


class MilvusIndex:
    """Rows in a collection of Milvus. `Index` says what the methods do."""

    def __init__(
        self, address: str, fingerprint: str, dimensions: int, *, name: str = "video", token: str = ""
    ) -> None:
        """Open the collection, made if it is not there. address: a file that ends in .db, or http://HOST:PORT.

        token: what the server wants to know, "user:password" or a key; else TAGLINE_MILVUS_TOKEN. It is not
        written down.
        """
        self.address, self.fingerprint, self.dimensions = address, fingerprint, dimensions
        self.name, self.revision = name, 0
        self.collection = f"tagline_{re.sub('[^0-9A-Za-z]', '_', name)}_{fingerprint[:40]}"
        with _as_sentence(address):
            self.client: Any = _client(address, token or os.environ.get("TAGLINE_MILVUS_TOKEN", ""))
            if not self.client.has_collection(self.collection):
                self._make()
            description = self.client.describe_collection(self.collection)
            size = next(f["params"]["dim"] for f in description["fields"] if f["name"] == "vector")
            if int(size) != dimensions:
                raise BadIndex(
                    f"the collection {self.collection} at {safe(address)} has vectors of {size} numbers, "
                    f"the library's have {dimensions}; {REBUILD_HINT}"
                )
            self.client.load_collection(self.collection)

    def _make(self) -> None:
        from pymilvus import DataType

        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dimensions)
        how = self.client.prepare_index_params()
        how.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
        # Strong: who has added a row finds it, whichever server answers.
        self.client.create_collection(
            self.collection, schema=schema, index_params=how, consistency_level="Strong"
        )

    def __len__(self) -> int:
        with _as_sentence(self.address):
            rows = self.client.query(self.collection, filter="", output_fields=["count(*)"])
        return int(rows[0]["count(*)"])

    def ids(self) -> Ids:
        found: list[int] = []
        with _as_sentence(self.address):
            pages = self.client.query_iterator(
                self.collection, batch_size=BATCH, filter="id >= 0", output_fields=["id"]
            )
            try:
                while page := pages.next():
                    found += [int(row["id"]) for row in page]
            finally:
                pages.close()
        return np.unique(np.array(found, np.int64))

    def add(self, ids: Ids, vectors: Vectors) -> None:
        ids, vectors = np.asarray(ids, np.int64), np.atleast_2d(np.asarray(vectors, np.float32))
        if len(ids) != len(vectors):
            raise ValueError(f"{len(ids)} ids for {len(vectors)} vectors")
        if len(ids) and vectors.shape[1] != self.dimensions:
            raise WrongWidth("vectors", vectors.shape[1], self.dimensions)
        if not np.isfinite(vectors).all():
            raise ValueError("vectors that hold no numbers cannot be searched for")
        # The last of several with the same id is the one that holds.
        last = {int(number): place for place, number in enumerate(ids)}
        rows = [{"id": number, "vector": vectors[place].tolist()} for number, place in last.items()]
        with _as_sentence(self.address):
            for start in range(0, len(rows), BATCH):
                self.client.upsert(self.collection, rows[start : start + BATCH])

    def remove(self, ids: Ids) -> None:
        gone = [int(number) for number in np.asarray(ids, np.int64)]
        with _as_sentence(self.address):
            for start in range(0, len(gone), BATCH):
                self.client.delete(self.collection, ids=gone[start : start + BATCH])

    def search(self, queries: Vectors, k: int) -> tuple[Ids, Vectors]:
        queries = np.atleast_2d(np.asarray(queries, np.float32))
        if queries.shape[1] != self.dimensions:
            raise WrongWidth("queries", queries.shape[1], self.dimensions)
        total = len(self)
        width = max(0, min(k, total))
        if width > MAX_ROWS:
            raise ValueError(f"Milvus gives {MAX_ROWS} rows at most, not {width}")
        ids = np.full((len(queries), width), -1, np.int64)
        scores = np.full((len(queries), width), -np.inf, np.float32)
        sound = np.flatnonzero(np.isfinite(queries).all(axis=1))
        if width and len(sound):
            self._fill(queries, sound, ids, scores, min(total, MAX_ROWS))
        return ids, scores

    def _fill(self, queries: Vectors, rows: Any, ids: Ids, scores: Vectors, most: int) -> None:
        """Write the best rows of these queries; asks for more where ties hide the border."""
        width = ids.shape[1]
        depth = min(most, width + 1)
        while len(rows):
            with _as_sentence(self.address):
                found = self.client.search(
                    self.collection,
                    data=[queries[row].tolist() for row in rows],
                    limit=depth,
                    output_fields=["id"],
                    search_params={"metric_type": "IP"},
                )
            unsure = []
            for row, hits in zip(rows, found, strict=True):
                near = np.array([hit["id"] for hit in hits], np.int64)
                score = np.array([hit["distance"] for hit in hits], np.float32)
                order = np.lexsort((near, -np.round(score, 6)))[:width]
                ids[row, : len(order)], scores[row, : len(order)] = near[order], score[order]
                last = np.round(score, 6)
                if len(last) > width and last[-1] == last[order[-1]] and depth < most:
                    unsure.append(row)
            rows, depth = np.array(unsure, np.int64), min(most, 4 * depth)

    def save(self, path: Path) -> None:
        """Write where the collection is. The rows are in it already, and stay there whatever happens here."""
        with _as_sentence(self.address):
            self.client.flush(self.collection)
        head = {
            "tagline": "index in milvus",
            "format": FORMAT,
            "address": self.address,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "dimensions": self.dimensions,
            "revision": self.revision,
        }
        files.replace(path, json.dumps(head, indent=1) + "\n")

    @classmethod
    def open(cls, path: Path, fingerprint: str, *, token: str = "") -> Self:
        try:
            head = json.loads(files.read(path, MOST_BYTES))
            ours, form = head["tagline"] == "index in milvus", int(head["format"])
            about = head["address"], head["fingerprint"], int(head["dimensions"])
            revision, name = int(head["revision"]), str(head["name"])
        except files.NotOurs as error:
            raise BadIndex(str(error)) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadIndex(f"the index {safe(path)} is damaged; {REBUILD_HINT}") from error
        if not ours:
            raise BadIndex(f"{safe(path)} is no index of tagline; move it away and {REBUILD_HINT}")
        if form > FORMAT:
            raise BadIndex(
                f"the index {safe(path)} was written by a newer tagline; update, or {REBUILD_HINT}"
            )
        if about[1] != fingerprint:
            raise BadIndex(
                f"the index {safe(path)} is of another model than the library's vectors; {REBUILD_HINT}"
            )
        if not approvals.is_approved(str(about[0])):
            where = safe(str(about[0]), 200)
            raise BadIndex(
                f"the index {safe(path)} is in Milvus at {where}, which you have not approved, so it is not "
                f"asked; if you trust it, run `tagline approve {where}`"
            )
        index = cls(*about, name=name, token=token)
        index.revision = revision
        return index

    def stored_revision(self, path: Path) -> int:
        """How far this very collection has come, by what `save` wrote there; 0 if that is of another."""
        try:
            head = json.loads(files.read(path, MOST_BYTES))
            same = all(head[key] == getattr(self, key) for key in ("address", "name", "fingerprint"))
            return int(head["revision"]) if same and len(self) else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def close(self) -> None:
        self.client.close()


def _client(address: str, token: str) -> Any:
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise BadIndex("an index in Milvus needs pymilvus; run `pip install 'tagline[milvus]'`") from error
    return MilvusClient(address, token=token, timeout=30)


@contextmanager
def _as_sentence(address: str) -> Iterator[None]:
    """What Milvus says, in a sentence that names the server."""
    try:
        yield
    except (BadIndex, ValueError):
        raise
    except Exception as error:  # pymilvus has many kinds, and so has gRPC below it
        if not type(error).__module__.startswith(("pymilvus", "grpc", "milvus_lite")):
            raise
        why = " ".join(str(error).split())[:200]
        raise BadIndex(
            f"Milvus at {safe(address)} does not do what was asked ({why}); is it running?"
        ) from error
