"""Questions to shards where they lie, without a catalog: who has a tag, and which tags there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tagline.tagging.ray import shards
from tagline.tagging.ray.shards import ShardStore
from tagline.tagging.vocabulary import normal

SUMS = ("videos", "looks", "tags", "vectors", "failures")


def find_tags(
    url: str, text: str, *, modality: str | None = None, least: float = 0.0, limit: int = 100
) -> Iterator[dict[str, Any]]:
    """Spans whose tag has `text` for its normal form, the surest first: url, text, score, start, end, ..."""
    import pyarrow.compute as pc

    store = ShardStore(url)
    parts = store.parts()
    # Experts say "Dogs" and "dog": each word may end otherwise, so the filter is wide and the test exact.
    first = normal(text).split(" ")[0][:3]
    where = (pc.field("score") >= least) & pc.match_substring(pc.field("text"), first, ignore_case=True)
    if modality:
        where = where & (pc.field("modality") == modality)
    rows = shards.current_rows(store, "tags", where, parts).to_pylist()
    hits = [row for row in rows if normal(row["text"], row["modality"]) == normal(text, row["modality"])]
    hits.sort(key=lambda row: (-row["score"], row["hash"], row["start"]))
    where = addresses(store, parts, {row["hash"] for row in hits[:limit]})
    for row in hits[:limit]:
        yield {
            "url": where.get(row["hash"], row["hash"]),
            **{name: row[name] for name in ("text", "modality", "score", "start", "end", "expert", "hash")},
        }


def tag_counts(url: str, *, modality: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Every tag as it was said, with the number of its videos and spans, the most used first."""
    import pyarrow.compute as pc

    store = ShardStore(url)
    where = pc.field("modality") == modality if modality else None
    table = shards.current_rows(store, "tags", where)
    groups = table.group_by(["text", "modality"]).aggregate([("hash", "count_distinct"), ("hash", "count")])
    rows = [
        {
            "text": row["text"],
            "modality": row["modality"],
            "videos": row["hash_count_distinct"],
            "spans": row["hash_count"],
        }
        for row in groups.to_pylist()
    ]
    rows.sort(key=lambda row: (-row["videos"], -row["spans"], row["text"]))
    return rows[:limit]


def row_counts(url: str) -> dict[str, int]:
    """How many rows each table has, superseded looks not counted."""
    store = ShardStore(url)
    parts = store.parts()
    found = {"parts": len(parts)}
    for table in SUMS:
        if table == "videos":
            column = store.dataset(table, parts).to_table(columns=["hash"])["hash"]
            found[table] = len(column.unique())
        elif table == "looks":
            found[table] = len(shards.current_looks(store, parts, ()))
        elif table == "failures":
            found[table] = store.dataset(table, parts).count_rows()
        else:
            found[table] = shards.current_rows(store, table, None, parts).num_rows
    return found


def addresses(store: ShardStore, parts: set[str], digests: set[str]) -> dict[str, str]:
    """Where each of these contents lies."""
    import pyarrow.compute as pc

    if not digests:
        return {}
    wanted: Sequence[str] = sorted(digests)
    rows = store.dataset("videos", parts).to_table(
        columns=["hash", "url"], filter=pc.field("hash").isin(wanted)
    )
    return {row["hash"]: row["url"] for row in rows.to_pylist()}
