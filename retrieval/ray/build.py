"""Building a sharded index on a Ray cluster: train on a sample, add in parallel, check the recall."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagline.retrieval.index.base import Vectors
from tagline.retrieval.ray import index_shard
from tagline.retrieval.ray.index_shard import DONE_FILE, TRAINED, IndexShard, Location, ShardedIndex
from tagline.tagging.catalog import files
from tagline.tagging.ml import ann
from tagline.tagging.ray import ClusterError, shards
from tagline.tagging.ray.connection import connected
from tagline.tagging.ray.shards import ShardStore

ROWS_PER_SHARD = 1_000_000  # rows of a piece
EVAL_QUERIES = 200  # rows that ask for their neighbours when the recall is measured
TARGET_RECALL = 0.985  # recall at 10 at which looking into more cells stops
TOP = 10


def build_sharded_index(
    url: str,
    out: Path,
    source: str,
    address: str,
    *,
    fingerprint: str | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    say: Callable[[str], None] = lambda text: None,
) -> ShardedIndex:
    """An index of the vectors that `source` left in the shards at `url`, in a folder that every node sees.

    A piece that is there, made of the same vectors, is kept: only what is missing is built.
    """
    store = ShardStore(url)
    parts = store.parts()
    fingerprint, groups, rows = plan_shards(store, parts, source, fingerprint, rows_per_shard)
    try:
        out = files.without_links(out.resolve())
    except files.NotOurs as error:
        raise ClusterError(str(error)) from error
    out.mkdir(parents=True, exist_ok=True)
    with connected(address):
        import ray

        say(f"{rows} vectors of {source} in {len(groups)} pieces")
        if not _same_training(out, fingerprint, source, rows):
            trained = ray.get(ray.remote(_train).remote(url, groups, source, fingerprint, rows))
            for old in out.glob(f"*/{DONE_FILE}"):
                old.unlink()
            ann.save(ann.from_bytes(trained), out / TRAINED)
            (out / "trained.txt").write_text(_training_id(fingerprint, source, rows))
        names = [f"shard-{number:05d}" for number in range(len(groups))]
        task = ray.remote(_build_shard)
        work = [
            task.options(max_retries=-1).remote(url, group, source, fingerprint, str(out / name))
            for name, group in zip(names, groups, strict=True)
        ]
        counts = ray.get(work)
        dimensions = int(ann.load(out / TRAINED).d)
        head = ShardedIndex(fingerprint, source, dimensions, sum(counts), 1, tuple(names), store.url)
        head = _tune_probes(out, head, say)
    head.write(out)
    return head


def plan_shards(
    store: ShardStore, parts: set[str], source: str, fingerprint: str | None, rows_per_shard: int
) -> tuple[str, list[list[str]], int]:
    """The vectors' fingerprint, the parts that each piece is made of, and the number of vectors."""
    import pyarrow.compute as pc

    found = store.dataset("vectors", parts).to_table(
        columns=["part", "fingerprint"], filter=pc.field("expert") == source
    )
    fingerprints = set(found["fingerprint"].unique().to_pylist())
    if not fingerprints:
        raise ClusterError(f"{store.url} holds no vectors of {source!r}; tag with the expert that makes them")
    if fingerprint is None and len(fingerprints) > 1:
        raise ClusterError(
            f"the vectors of {source!r} were made by {len(fingerprints)} different models; "
            "run `tagline tag --cluster` again to bring them up to date"
        )
    chosen = fingerprint or fingerprints.pop()
    mine = found.filter(pc.equal(found["fingerprint"], chosen))
    sizes = {row["values"]: row["counts"] for row in mine["part"].value_counts().to_pylist()}
    groups: list[list[str]] = [[]]
    filled = 0
    for part in sorted(sizes):
        if filled and filled + sizes[part] > rows_per_shard:
            groups.append([])
            filled = 0
        groups[-1].append(part)
        filled += sizes[part]
    return chosen, groups, sum(sizes.values())


def load(url: str, parts: Sequence[str], source: str, fingerprint: str) -> tuple[Vectors, list[Location]]:
    """The vectors of some parts that count, float32 [N, D] of length 1, and where each is."""
    store = ShardStore(url)
    whole = store.parts()
    newest = {
        row["hash"]: row["part"] for row in shards.current_looks(store, whole, ()) if row["expert"] == source
    }
    rows: list[Any] = []
    locations: list[Location] = []
    for row in store.dataset("vectors", set(parts) & whole).to_table().to_pylist():
        if row["expert"] == source and row["fingerprint"] == fingerprint:
            values = np.array(row["values"], np.float32)
            # Superseded looks, and what is no direction at all, cannot be found.
            if newest.get(row["hash"]) == row["part"] and np.isfinite(values).all() and values.any():
                rows.append(values)
                locations.append(Location(row["hash"], row["start"], row["end"]))
    if len({len(row) for row in rows}) > 1:
        raise ClusterError(f"the vectors of {source!r} in {url} differ in length")
    return ann.unit(np.stack(rows)) if rows else np.zeros((0, 0), np.float32), locations


def _train(url: str, groups: list[list[str]], source: str, fingerprint: str, rows: int) -> Any:
    """Cells and codes from parts drawn at random, as bytes."""
    wanted = index_shard.ROWS_PER_CELL * index_shard.cell_count(rows)
    order = [part for group in groups for part in group]
    np.random.default_rng(0).shuffle(order)
    some: list[Vectors] = []
    while order and sum(map(len, some)) < wanted:
        batch, order = order[:64], order[64:]
        vectors, _ = load(url, batch, source, fingerprint)
        if len(vectors):
            some.append(vectors)
    if not some:
        raise ClusterError(f"{url} holds no vectors of {source!r} that can be searched")
    return ann.to_bytes(index_shard.train(np.concatenate(some)[:wanted], rows))


def _build_shard(url: str, parts: list[str], source: str, fingerprint: str, folder: str) -> int:
    """Make one piece, unless it is there, of the same parts; returns its rows."""
    target = Path(folder)
    checksum = hashlib.sha256("\n".join([fingerprint, source, *parts]).encode()).hexdigest()
    done = target / DONE_FILE
    if done.exists():
        built, _, count = done.read_text().partition(" ")
        if built == checksum:
            return int(count)
    vectors, locations = load(url, parts, source, fingerprint)
    trained = ann.load(target.parent / TRAINED)
    if not len(vectors):
        vectors = np.zeros((0, trained.d), np.float32)
    index_shard.write_shard(target, trained, vectors, locations)
    done.write_text(f"{checksum} {len(vectors)}")
    return len(vectors)


def _training_id(fingerprint: str, source: str, rows: int) -> str:
    """What cells are learnt for: they serve until there are four times as many rows."""
    return f"{fingerprint} {source} {max(rows, 1).bit_length() // 2}"


def _same_training(out: Path, fingerprint: str, source: str, rows: int) -> bool:
    written = out / "trained.txt"
    return (
        (out / TRAINED).exists()
        and written.exists()
        and written.read_text() == _training_id(fingerprint, source, rows)
    )


def _tune_probes(out: Path, head: ShardedIndex, say: Callable[[str], None]) -> ShardedIndex:
    """Look into more cells until rows of the first piece find their true neighbours in it."""
    from dataclasses import replace

    shard = IndexShard(out / head.shards[0], head)
    count = len(shard.vectors)
    if not count:
        return head
    rows = np.random.default_rng(0).permutation(count)[:EVAL_QUERIES]
    queries = np.asarray(shard.vectors[np.sort(rows)], np.float32)
    truth = ann.ExactPages(queries, TOP)
    for start in range(0, count, 65_536):
        page = np.asarray(shard.vectors[start : start + 65_536], np.float32)
        truth.update(np.arange(start, start + len(page)) + shard.first, page)

    def recall_at(probes: int) -> float:
        shard.probes = probes
        return ann.recall(shard.search(queries, TOP)[0], truth.numbers)

    most = max(1, int(shard.index.nlist))
    probes, recall = ann.tune_probes(recall_at, TARGET_RECALL, first=head.probes, most=most)
    say(f"recall at {TOP} is {recall:.3f} with {probes} of {most} cells")
    return replace(head, probes=probes)
