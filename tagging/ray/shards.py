"""Shards: what a cluster run leaves behind, as Parquet files that any program reads.

    OUT/shards.json            whose files these are
    OUT/TABLE/PART.parquet     TABLE is one of `TABLES`; PART is named after what is in it
    OUT/parts/PART             written last: without it a part does not count

A part is written whole or not at all, and the same results written twice have the same name. Where two runs
looked at the same video, the newer look of each expert counts, and every other table follows the looks.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagline.tagging.catalog import files as owned
from tagline.tagging.printable import safe
from tagline.tagging.ray import ClusterError
from tagline.tagging.ray.sources import filesystem, is_url

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
HEAD = "shards.json"
PARTS = "parts"
Rows = dict[str, list[dict[str, Any]]]

_KEY = "part string, hash string, expert string"
_COLUMNS = {
    "videos": "part string, hash string, url string, size int64, stamp string, duration double, width int32,"
    " height int32, fps string, codec string, rotation int32, colour string, has_sound bool, start double,"
    " title string, created string, at string",
    "looks": f"{_KEY}, modality string, version string, fingerprint string, seconds double, coverage string,"
    " notes string, facts string, at string",
    "tags": f"{_KEY}, modality string, text string, score double, start double, end double, best double",
    "sightings": f"{_KEY}, text string, score double, time double, x double, y double, width double,"
    " height double",
    "transcripts": f"{_KEY}, text string, start double, end double, probability double",
    "vectors": f"{_KEY}, fingerprint string, start double, end double, values list<float>",
    "failures": f"{_KEY}, url string, fingerprint string, reason string, at string",
}
TABLES: dict[str, dict[str, str]] = {
    table: dict(column.split() for column in columns.split(", ")) for table, columns in _COLUMNS.items()
}


def schema(table: str) -> pa.Schema:
    import pyarrow as pa

    kinds: dict[str, Any] = {
        "string": pa.string(),
        "double": pa.float64(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "list<float>": pa.list_(pa.float32()),
    }
    return pa.schema([(name, kinds[kind]) for name, kind in TABLES[table].items()])


class ShardStore:
    """The folder or bucket that holds the shards of one or many runs."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.fs, self.root = filesystem(self.url)
        self.atomic = is_url(self.url) and not self.url.startswith("file://")  # object stores: all or nothing

    def create(self) -> None:
        """Make it ours; refuses a folder of somebody else's, and one in which a link leads elsewhere."""
        if not self.atomic:
            try:
                owned.without_links(Path(self.root))
            except owned.NotOurs as error:
                raise ClusterError(str(error)) from error
        head = f"{self.root}/{HEAD}"
        if self.fs.exists(head):
            self.check()
            return
        if self.fs.exists(self.root) and self.fs.ls(self.root, detail=False):
            raise ClusterError(f"{safe(self.url)} holds other files; name a new folder for the shards")
        self.fs.makedirs(f"{self.root}/{PARTS}", exist_ok=True)
        self.put(HEAD, json.dumps({"tagline": "shards", "format": FORMAT}).encode())

    def check(self) -> None:
        """Raises ClusterError unless shards that this version reads are here."""
        try:
            head = json.loads(self.fs.cat_file(f"{self.root}/{HEAD}"))
            ours = head.get("tagline") == "shards"
            form = int(head["format"])
        except FileNotFoundError:
            raise ClusterError(f"there are no shards at {safe(self.url)}") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            ours, form = False, 0
        if not ours:
            raise ClusterError(f"{safe(self.url)} holds no shards of tagline")
        if form > FORMAT:
            raise ClusterError(f"{safe(self.url)} was written by a newer tagline; install that to read it")

    def put(self, name: str, data: bytes) -> None:
        """Write one file so that a reader sees all of it or none."""
        path = f"{self.root}/{name}"
        if self.atomic:
            self.fs.pipe_file(path, data)
            return
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        beside = f"{path}.{uuid.uuid4().hex[:8]}.part"
        self.fs.pipe_file(beside, data)
        self.fs.mv(beside, path)

    def parts(self) -> set[str]:
        """The parts that were written to their end."""
        self.check()
        folder = f"{self.root}/{PARTS}"
        self.fs.invalidate_cache(folder)
        if not self.fs.exists(folder):
            return set()
        names = (path.rpartition("/")[2] for path in self.fs.ls(folder, detail=False))
        return {name for name in names if not name.endswith(".part")}

    def files(self, table: str, parts: set[str] | None = None) -> list[str]:
        """The files of a table that belong to whole parts."""
        parts = self.parts() if parts is None else parts
        folder = f"{self.root}/{table}"
        self.fs.invalidate_cache(folder)
        if not self.fs.exists(folder):
            return []
        found = self.fs.ls(folder, detail=False)
        return sorted(path for path in found if path.rpartition("/")[2].removesuffix(".parquet") in parts)

    def dataset(self, table: str, parts: set[str] | None = None) -> Any:
        """A table as a pyarrow dataset, for anything that pyarrow, DuckDB or Polars can ask."""
        import pyarrow.dataset as ds

        return ds.dataset(
            self.files(table, parts), schema=schema(table), format="parquet", filesystem=self.fs
        )

    def write(self, part: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """One part: its tables, then the mark that they are whole."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for table, listed in rows.items():
            if not listed:
                continue
            out = pa.BufferOutputStream()
            whole = [{**row, "part": part} for row in listed]
            pq.write_table(pa.Table.from_pylist(whole, schema=schema(table)), out, compression="zstd")
            self.put(f"{table}/{part}.parquet", out.getvalue().to_pybytes())
        self.put(f"{PARTS}/{part}", b"")


def newest_rows(rows: Iterable[dict[str, Any]], *key: str) -> list[dict[str, Any]]:
    """Of the rows that agree in `key`, the one written last; of those at the same second, of one part."""
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        name = tuple(row[column] for column in key)
        held = best.get(name)
        if held is None or (row["at"], row["part"]) > (held["at"], held["part"]):
            best[name] = row
    return list(best.values())


def current_looks(
    store: ShardStore, parts: set[str] | None = None, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The look that counts of every expert at every video."""
    needed = None if columns is None else list(dict.fromkeys([*columns, "part", "hash", "expert", "at"]))
    found = store.dataset("looks", parts).to_table(columns=needed).to_pylist()
    return newest_rows(found, "hash", "expert")


def current_rows(store: ShardStore, table: str, where: Any = None, parts: set[str] | None = None) -> pa.Table:
    """The rows of a table that belong to looks that count, filtered by a pyarrow expression."""
    import pyarrow as pa

    parts = store.parts() if parts is None else parts
    found = store.dataset(table, parts).to_table(filter=where)
    if not found.num_rows:
        return found
    valid = {(row["hash"], row["expert"], row["part"]) for row in current_looks(store, parts, ())}
    keys = zip(*(found[name].to_pylist() for name in ("hash", "expert", "part")), strict=True)
    return found.filter(pa.array([key in valid for key in keys]))


def current_vectors(
    store: ShardStore, source: str, parts: set[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of `vectors` of one expert that count, file by file: hash, fingerprint, start, end, values."""
    import pyarrow.dataset as ds

    parts = store.parts() if parts is None else parts
    valid = {(row["hash"], row["part"]) for row in current_looks(store, parts, ()) if row["expert"] == source}
    for batch in store.dataset("vectors", parts).to_batches(filter=ds.field("expert") == source):
        for row in batch.to_pylist():
            if (row["hash"], row["part"]) in valid:
                yield row
