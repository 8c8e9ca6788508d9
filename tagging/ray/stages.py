"""The stages of a run on a cluster: read, one look for each expert, write. Plain callables that know no Ray.

Between them travel parcels, one a video, as one column of bytes. A stage never fails because of a video.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagline.experts.footage import (
    Coverage,
    Facts,
    Footage,
    Sampling,
    Sound,
    Unreadable,
    Work,
    distinct_samplings,
)
from tagline.experts.panel import Panel, PanelResult
from tagline.tagging.catalog.records import Look, canonical_json, checked, coverage_to_json, facts_to_row
from tagline.tagging.pipeline.plan import StalenessRule, decoder_version
from tagline.tagging.pipeline.run import TRANSIENT, looks_of
from tagline.tagging.pipeline.settings import Settings
from tagline.tagging.pipeline.walk import same_file
from tagline.tagging.ray import ClusterError
from tagline.tagging.ray.shards import Rows, ShardStore
from tagline.tagging.ray.sources import FetchError, VideoSource, fetch, to_text

if TYPE_CHECKING:
    import pyarrow as pa

RECORD_COLUMN = "record"
FACTS = ("duration", "width", "height", "fps", "codec", "rotation", "colour", "has_sound", "start")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Which experts shall look, and what they must be: the same everywhere as where the run was started."""

    settings: Settings
    rule: StalenessRule
    needs: Mapping[str, tuple[Sampling, ...]]
    collection: str | None = None
    allow_pickle: bool = False
    device: str = "cpu"

    @property
    def names(self) -> tuple[str, ...]:
        return self.rule.names


@dataclass(slots=True)
class DoneInShards:
    """What shards say has been done: by hash, what `StalenessRule` asks for."""

    done: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    places: dict[tuple[str, int, str], str] = field(default_factory=dict)  # (url, size, stamp): hash

    def stale(self, digest: str, rule: StalenessRule) -> tuple[str, ...]:
        """The experts that still have to look at this content."""
        return rule.stale(self.done.get(digest, {}), self.failed.get(digest, {})).names


@dataclass(slots=True)
class VideoRecord:
    """One video on its way through the stages."""

    source: VideoSource
    digest: str | None = None
    names: tuple[str, ...] = ()  # the experts that shall look
    footage: Footage | None = None  # as much of it as the stages to come need
    facts: Facts | None = None
    coverage: Coverage = field(default_factory=Coverage)
    reason: str | None = None  # why the content cannot be read
    source_failure: str | None = None  # why the source could not be opened: nothing is known of its content
    looks: list[Look] = field(default_factory=list)
    unloadable: dict[str, str] = field(default_factory=dict)  # experts that could not be loaded
    seconds: dict[str, float] = field(default_factory=dict)  # of each stage
    cpu: dict[str, float] = field(default_factory=dict)  # CPU seconds of each stage's own work


def cpu_seconds() -> float:
    """What this process and its children, the decoder's among them, have used of the CPU."""
    import psutil

    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            used = process.cpu_times()
            total += used.user + used.system
    return total


def pack(records: Iterable[Any]) -> pa.Table:
    import pyarrow as pa

    data = [pickle.dumps(record, protocol=5) for record in records]
    return pa.table({RECORD_COLUMN: pa.array(data, pa.large_binary())})


def unpack(batch: pa.Table) -> list[Any]:
    return [pickle.loads(cell.as_buffer()) for cell in batch[RECORD_COLUMN]]


class ReadStage:
    """Sources to parcels with footage: fetched, hashed, and decoded once for all experts still to look."""

    def __init__(self, order: RunSpec, known: DoneInShards) -> None:
        from tagline.experts.decode.decoder import Decoder

        self.order, self.known = order, known
        self.decoder = Decoder(jobs=1)  # one child for one actor: the pool is as large as it shall be

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pack([self.read(source) for source in unpack(batch)])

    def read(self, source: VideoSource) -> VideoRecord:
        """Decode one source, or say why not."""
        begun, used = time.perf_counter(), cpu_seconds()
        record = VideoRecord(source)
        try:
            with fetch(source) as (path, digest):
                record.digest = digest
                record.names = self.known.stale(digest, self.order.rule)
                if record.names:
                    self._decode(path, record)
                if source.place is not None and not same_file(source.place):
                    raise FetchError(
                        "changed or went away while it was being read; the next run reads it again"
                    )
        except FetchError as error:
            record = VideoRecord(source, source_failure=str(error))
        record.seconds["read"] = time.perf_counter() - begun
        record.cpu["read"] = cpu_seconds() - used
        return record

    def _decode(self, path: Path, record: VideoRecord) -> None:
        samplings = distinct_samplings(need for name in record.names for need in self.order.needs[name])
        try:
            footage = self.decoder.read(path, samplings)
        except Unreadable as error:
            if str(error).startswith(TRANSIENT):
                raise FetchError(str(error)) from error
            record.reason, record.names = str(error), ()
            return
        footage.path = record.source.url
        record.footage, record.facts, record.coverage = footage, footage.facts, footage.coverage


class ExpertStage:
    """One expert's stage: what the panel does with it, on parcels. `later`: the experts after it."""

    def __init__(self, order: RunSpec, name: str, batch: int, later: Sequence[str]) -> None:
        self.order, self.name, self.later = order, name, tuple(later)
        self.expert = order.settings.build(name, collection=order.collection, allow_pickle=order.allow_pickle)
        here = self.expert.fingerprint()
        if here != order.rule.current[self.expert.name][1]:
            absent = self.expert.missing()
            raise ClusterError(
                f"{self.expert.name} on the node {socket.gethostname()} is not the one that the run was "
                f"started with ({absent or 'other weights, settings or version'}); "
                "install the same on every node"
            )
        self.panel = Panel([self.expert], device=order.device, batch=batch)

    def __call__(self, batch: pa.Table) -> pa.Table:
        records = unpack(batch)
        self.look([record for record in records if self.expert.name in record.names and record.footage])
        for parcel in records:
            self._drop_unused_views(parcel)
        return pack(records)

    def look(self, records: Sequence[VideoRecord]) -> None:
        """Add the expert's look to each parcel."""
        if not records:
            return
        begun, used = time.perf_counter(), cpu_seconds()
        name = self.expert.name
        group = [PanelResult(Work(Path(record.source.url), (name,)), record.footage) for record in records]
        self.panel.run_batch(group)
        spent = (time.perf_counter() - begun) / len(records)
        worked = (cpu_seconds() - used) / len(records)
        for parcel, seen in zip(records, group, strict=True):
            parcel.seconds[name], parcel.cpu[name] = spent, worked
            if name not in seen.reports:
                parcel.unloadable[name] = self.panel.broken.get(name, "gave no report")
            for look in looks_of(seen, {name: self.expert}, self.order.rule):
                if look.report is not None:
                    look.report = checked(look.report, look.modality, look.also)
                parcel.looks.append(look)

    def _drop_unused_views(self, record: VideoRecord) -> None:
        """Drop the views that nobody after this stage asks for."""
        footage = record.footage
        if footage is None:
            return
        needed = distinct_samplings(
            n for name in self.later if name in record.names for n in self.order.needs[name]
        )
        if not needed:
            record.footage = None
            return
        footage.views = {
            sampling: footage.views[sampling] for sampling in needed if sampling in footage.views
        }
        if Sound() not in needed:
            footage.sound = None


class WriteStage:
    """Parcels to a part of the shards, and for each a line on what became of it."""

    def __init__(self, out: str) -> None:
        self.store = ShardStore(out)

    def __call__(self, batch: pa.Table) -> pa.Table:
        records: list[VideoRecord] = unpack(batch)
        begun = time.perf_counter()
        fresh = [record for record in records if _worth_writing(record)]
        if fresh:
            self.store.write(part_of(fresh), rows_of(fresh))
        spent = (time.perf_counter() - begun) / max(len(records), 1)
        return pack(_source_result(parcel, spent) for parcel in records)


@dataclass(frozen=True, slots=True)
class SourceResult:
    """What became of one source, as the run that was started hears it."""

    url: str
    looked: tuple[str, ...] = ()
    tags: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[tuple[str, str], ...] = ()  # expert or "", reason
    broken: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=dict)


def _source_result(record: VideoRecord, writing: float) -> SourceResult:
    failures = [(look.expert, look.reason or "") for look in record.looks if look.report is None]
    failures += [("", reason) for reason in (record.reason, record.source_failure) if reason]
    good = [look for look in record.looks if look.report is not None]
    return SourceResult(
        record.source.url,
        tuple(look.expert for look in good),
        {look.expert: len(look.report.tags) for look in good if look.report is not None},
        tuple(failures),
        record.unloadable,
        {**record.seconds, "write": writing},
        record.cpu,
    )


def _worth_writing(record: VideoRecord) -> bool:
    """Whether there is anything to keep: also that a known content lies at this place."""
    return record.digest is not None or record.source_failure is not None


def part_of(records: Sequence[VideoRecord]) -> str:
    """A part's name, from what is in it: written again after a loss, it takes its own place."""
    parts = sorted(
        canonical_json(
            [
                record.source.url,
                record.digest,
                record.reason or record.source_failure,
                [[look.expert, look.fingerprint, look.reason] for look in record.looks],
            ]
        )
        for record in records
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def rows_of(records: Sequence[VideoRecord], now: Callable[[], str] | None = None) -> Rows:
    """The rows of every table."""
    at = now() if now else datetime.now(UTC).isoformat(timespec="microseconds")
    rows: Rows = {
        name: [] for name in ("videos", "looks", "tags", "sightings", "transcripts", "vectors", "failures")
    }
    written: set[tuple[str | None, str]] = set()
    for record in records:
        source, digest = record.source, record.digest
        url = to_text(source.url)
        if digest is not None:
            rows["videos"].append(_video_row(record, url, at))
        if record.reason or record.source_failure:
            fingerprint = decoder_version() if record.reason else ""
            rows["failures"].append(
                _failure(digest, "", url, fingerprint, record.reason or record.source_failure or "", at)
            )
        for look in record.looks:
            if (digest, look.expert) in written:
                continue  # another file of the same content, in the same part
            written.add((digest, look.expert))
            if look.report is None:
                rows["failures"].append(
                    _failure(digest, look.expert, url, look.fingerprint, look.reason or "", at)
                )
            elif digest is not None:
                _look_rows(rows, digest, look, at)
    return rows


def _failure(
    digest: str | None, expert: str, url: str, fingerprint: str, reason: str, at: str
) -> dict[str, Any]:
    return {
        "hash": digest,
        "expert": expert,
        "url": url,
        "fingerprint": fingerprint,
        "reason": reason,
        "at": at,
    }


def _video_row(record: VideoRecord, url: str, at: str) -> dict[str, Any]:
    source, facts = record.source, record.facts
    row = dict(zip(FACTS, facts_to_row(facts), strict=True))
    if row["has_sound"] is not None:
        row["has_sound"] = bool(row["has_sound"])
    named = {"title": facts.title if facts else None, "created": facts.created if facts else None}
    return {
        **row,
        **named,
        "hash": record.digest,
        "url": url,
        "size": source.size,
        "stamp": source.stamp,
        "at": at,
    }


def _look_rows(rows: Rows, digest: str, look: Look, at: str) -> None:
    report = look.report
    assert report is not None
    key = {"hash": digest, "expert": look.expert}
    rows["looks"].append(
        {
            **key,
            "modality": str(look.modality),
            "version": look.version,
            "fingerprint": look.fingerprint,
            "seconds": look.seconds,
            "coverage": coverage_to_json(look.coverage),
            "at": at,
            "notes": canonical_json(report.notes),
            "facts": canonical_json(report.facts),
        }
    )
    for t in report.tags:
        row = {"modality": str(t.modality), "text": t.text, "score": t.score}
        rows["tags"].append({**key, **row, "start": t.start, "end": t.end, "best": t.best})
    for s in report.sightings:
        box = dict(zip(("x", "y", "width", "height"), s.box or (None,) * 4, strict=True))
        rows["sightings"].append(
            {**key, "text": s.text, "score": float(s.score), "time": float(s.time), **box}
        )
    for w in report.words:
        rows["transcripts"].append(
            {**key, "text": w.text, "start": w.start, "end": w.end, "probability": w.probability}
        )
    for v in report.vectors:
        location = {"fingerprint": look.fingerprint, "start": float(v.start), "end": float(v.end)}
        rows["vectors"].append({**key, **location, "values": v.values.astype("<f4")})
