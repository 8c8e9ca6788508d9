"""Shards into a catalog: what a cluster found, as if this machine had looked itself."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tagline.experts.footage import Coverage, Facts
from tagline.experts.tags import Embedding, Modality, Report, Sighting, Tag, Word
from tagline.tagging.catalog.records import Look, Place, row_to_facts
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.ray import shards
from tagline.tagging.ray.shards import ShardStore
from tagline.tagging.ray.sources import from_text, is_url
from tagline.tagging.ray.stages import FACTS

AT_ONCE = 200  # parts whose rows lie in memory together
Row = dict[str, Any]


@dataclass(slots=True)
class ShardImportResult:
    """What an import did."""

    videos: int = 0  # contents
    looks: int = 0  # taken over
    known: int = 0  # looks that the catalog has already, just so
    failures: int = 0


@dataclass(slots=True)
class _ContentRows:
    """Everything that some parts say about one content."""

    videos: list[Row] = field(default_factory=list)
    looks: list[Row] = field(default_factory=list)
    failures: list[Row] = field(default_factory=list)
    findings: dict[tuple[str, str], dict[str, list[Row]]] = field(default_factory=dict)  # (expert, part)


def import_shards(catalog: Catalog, url: str) -> Iterator[ShardImportResult]:
    """Bring the shards at `url` into a catalog; yields how far it is. Doing it again changes nothing.

    One transaction a video. A look that the catalog has from the same expert in the same version, with the
    same settings and weights, stays as it is.
    """
    store = ShardStore(url)
    parts = store.parts()
    newest = {(row["hash"], row["expert"]): row["part"] for row in shards.current_looks(store, parts, ())}
    brought = ShardImportResult()
    ordered = sorted(parts)
    for start in range(0, len(ordered), AT_ONCE):
        for digest, content in _contents(store, set(ordered[start : start + AT_ONCE])).items():
            content.looks = [r for r in content.looks if newest[digest or "", r["expert"]] == r["part"]]
            with catalog.transaction():
                if digest is None:
                    _paths(catalog, content, brought)
                else:
                    _content(catalog, digest, content, brought)
        yield brought


def _contents(store: ShardStore, parts: set[str]) -> dict[str | None, _ContentRows]:
    """The rows of some parts by the content that they are about; None: sources that could not be opened."""
    found: dict[str | None, _ContentRows] = defaultdict(_ContentRows)
    for table in shards.TABLES:
        files = store.files(table, parts)
        if not files:
            continue
        for row in store.dataset(table, parts).to_table().to_pylist():
            content = found[row["hash"]]
            if table in ("videos", "looks", "failures"):
                getattr(content, table).append(row)
            else:
                of = content.findings.setdefault((row["expert"], row["part"]), defaultdict(list))
                of[table].append(row)
    return dict(found)


def _content(catalog: Catalog, digest: str, content: _ContentRows, brought: ShardImportResult) -> None:
    """One content with its places, looks and failures."""
    facts = _facts(content.videos)
    brought.videos += bool(content.videos)
    places = [place for row in content.videos if (place := _place(row)) is not None]
    video_id = catalog.save(digest, places[0] if places else None, facts=facts)
    for place in places[1:]:
        catalog.put_path(video_id, place)
    addresses = [row["url"] for row in content.videos if is_url(row["url"])]
    video = catalog.video(video_id)
    if addresses and video is not None and video.title is None:
        catalog.put_video(digest, title=addresses[0])  # the only name by which people know it
    done = catalog.done(video_id)
    last_looked = {row["expert"]: row["at"] for row in content.looks}
    for row in content.looks:
        if done.get(row["expert"]) == (row["version"], row["fingerprint"]):
            brought.known += 1
            continue
        catalog.put_look(video_id, _look(row, content.findings.get((row["expert"], row["part"]), {})))
        brought.looks += 1
    for row in shards.newest_rows(content.failures, "expert"):
        stale = facts is not None if row["expert"] == "" else row["at"] <= last_looked.get(row["expert"], "")
        if not stale and done.get(row["expert"], ("", ""))[1] != row["fingerprint"]:
            catalog.put_failure(row["reason"], row["fingerprint"], video_id=video_id, expert=row["expert"])
            brought.failures += 1


def _paths(catalog: Catalog, content: _ContentRows, brought: ShardImportResult) -> None:
    """Sources that could not even be opened. One that could be since then needs no excuse."""
    for row in shards.newest_rows(content.failures, "url"):
        path = from_text(row["url"])
        if not is_url(path) and catalog.place(path) is None:
            catalog.put_failure(row["reason"], "", path=path)
            brought.failures += 1


def _facts(videos: list[Row]) -> Facts | None:
    """What was last read of the file itself."""
    read = [row for row in videos if row["codec"] is not None]
    if not read:
        return None
    row = max(read, key=lambda row: str(row["at"]))
    return row_to_facts(tuple(row[name] for name in FACTS), row["title"], row["created"])


def _place(row: Row) -> Place | None:
    path = from_text(row["url"])
    return None if is_url(path) else Place(path, row["size"], int(row["stamp"] or 0))


def _look(row: Row, findings: dict[str, list[Row]]) -> Look:
    expert, modality = row["expert"], Modality(row["modality"])
    report = Report(notes=json.loads(row["notes"]), facts=json.loads(row["facts"]))
    report.tags = [
        Tag(t["text"], Modality(t["modality"]), t["score"], t["start"], t["end"], expert, t["best"])
        for t in findings.get("tags", ())
    ]
    for s in findings.get("sightings", ()):
        box = (s["x"], s["y"], s["width"], s["height"])
        report.sightings.append(Sighting(s["text"], s["score"], s["time"], None if box[0] is None else box))
    report.words = [
        Word(w["text"], w["start"], w["end"], w["probability"]) for w in findings.get("transcripts", ())
    ]
    report.vectors = [
        Embedding(v["start"], v["end"], np.array(v["values"], np.float32))
        for v in findings.get("vectors", ())
    ]
    seen = Coverage(**json.loads(row["coverage"]))
    return Look(
        expert,
        modality,
        row["version"],
        row["fingerprint"],
        report,
        seconds=row["seconds"],
        coverage=seen,
        # The shard holds what the catalog would have stored: tags of other modalities were left out there.
        also=tuple({tag.modality for tag in report.tags} - {modality}),
    )
