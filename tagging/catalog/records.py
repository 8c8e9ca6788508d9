"""What goes into the catalog and comes out of it, as plain records; and what is refused at the door."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tagline.experts.footage import Coverage, Facts
from tagline.experts.tags import Modality, Report, Tag
from tagline.tagging.catalog.values import BadValue
from tagline.tagging.vocabulary import clean

MOST_TAGS = 2_000  # a report
MOST_SIGHTINGS = 50_000
MOST_WORDS = 500_000


@dataclass(frozen=True, slots=True)
class Video:
    """One content and where it lies."""

    id: int
    hash: str
    paths: list[str]  # absolute; may hold surrogates (os.fsdecode): show them through names.safe
    facts: Facts | None  # None: it could not be read
    title: str | None
    created: str | None  # ISO 8601
    gone: bool = False  # none of its files was there when last looked for
    size: int | None = None  # bytes

    @property
    def label(self) -> str:
        """One of its paths; where none of its files is there, its hash."""
        return self.paths[0] if self.paths else self.hash

    @property
    def duration(self) -> float | None:
        return self.facts.duration if self.facts else None


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence about a video or a stretch of it. `split` is "train", "val", "test" or ""."""

    text: str
    start: float | None = None  # seconds; None: about the whole video
    end: float | None = None
    split: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of an expert's last full look at a video."""

    expert: str
    modality: Modality
    version: str
    fingerprint: str
    seconds: float | None
    coverage: Coverage
    notes: list[str]
    facts: dict[str, Any]
    at: str

    @property
    def weights(self) -> tuple[str, ...]:
        """By which weights it spoke: names with the beginnings of their hashes; () where that is unknown."""
        return self._texts("weights")

    @property
    def looks(self) -> int | None:
        """How many frames it looked at; None where it only listens, or that was not written down."""
        found = self.facts.get("looks") if isinstance(self.facts, dict) else None
        return found if type(found) is int and found >= 0 else None

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Every modality that it looked for, its own first."""
        others = (Modality(text) for text in self._texts("modalities") if text in set(Modality))
        return tuple(dict.fromkeys((self.modality, *others)))

    def _texts(self, name: str) -> tuple[str, ...]:
        values = self.facts.get(name) if isinstance(self.facts, dict) else None
        return tuple(v for v in values if isinstance(v, str)) if isinstance(values, list) else ()


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong. `expert` is "" where the file itself could not be read."""

    video_id: int | None
    path: str | None
    expert: str
    fingerprint: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person said. accept, reject, add: of one video; rename, merge, alias: everywhere."""

    id: int
    act: int  # verdicts of one act are undone together
    kind: str
    video_id: int | None
    modality: Modality | None  # None: whichever
    text: str
    target: str | None
    start: float | None
    end: float | None
    at: str


@dataclass(frozen=True, slots=True)
class Place:
    """A file as it was found: path as os gives it, size in bytes, time of its last change."""

    path: str
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Look:
    """One expert's look at one video: a report, or the reason why there is none."""

    expert: str
    modality: Modality
    version: str
    fingerprint: str
    report: Report | None = None
    reason: str | None = None
    seconds: float | None = None
    coverage: Coverage = field(default_factory=Coverage)
    also: tuple[Modality, ...] = ()  # other modalities that its tags may have


class Vectors(NamedTuple):
    """All vectors of one source, in the order of video and start."""

    ids: npt.NDArray[np.int64]  # [N] video ids
    spans: npt.NDArray[np.float64]  # [N, 2] seconds
    values: npt.NDArray[np.float32]  # [N, D]


class TagCount(NamedTuple):
    """How often a tag is used over the library."""

    text: str
    modality: Modality
    videos: int
    spans: int


class ExpertCounts(NamedTuple):
    """How far one expert is with a library."""

    expert: str
    videos: int  # that it has looked at
    failed: int  # at which it failed


@dataclass(frozen=True, slots=True)
class LibraryCounts:
    """How much a library holds."""

    videos: int  # known, also those whose files are gone
    here: int  # of which a file was there when last looked for
    files: int  # that were there when last looked for
    unreadable: int  # files and videos that could not be read
    experts: list[ExpertCounts]  # in the order of their names


def now() -> str:
    """When a row was written: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def checked(report: Report, modality: Modality, also: Collection[Modality] = ()) -> Report:
    """The report as it may be stored: clean texts, finite numbers, caps; what was left out is a note.

    An expert speaks for its own senses only: text on the screen never becomes an object.
    """
    notes = [clean(note, 500) for note in report.notes]
    tags = [tag for tag in map(_tag, report.tags) if tag is not None]
    _note_dropped(notes, len(report.tags) - len(tags), "tags without a text, a score or a time")
    own = [tag for tag in tags if tag.modality == modality or tag.modality in also]
    _note_dropped(
        notes, len(tags) - len(own), f"tags that were not of the sense {' or '.join([modality, *also])}"
    )
    clipped = sum(not 0.0 <= tag.score <= 1.0 for tag in report.tags if math.isfinite(tag.score))
    if clipped:
        notes.append(f"clipped: scores outside 0 to 1 ({clipped})")
    _note_dropped(notes, len(own) - MOST_TAGS, f"tags beyond {MOST_TAGS}, the weakest")
    if len(own) > MOST_TAGS:
        strongest = sorted(range(len(own)), key=lambda i: (-own[i].score, i))[:MOST_TAGS]
        own = [own[i] for i in sorted(strongest)]

    sightings = [s for s in report.sightings if _finite(s.score, s.time, *(s.box or ())) and clean(s.text)]
    _note_dropped(notes, len(report.sightings) - len(sightings), "sightings without a score or a place")
    _note_dropped(notes, len(sightings) - MOST_SIGHTINGS, f"sightings beyond {MOST_SIGHTINGS}")
    words = [w for w in report.words if _finite(w.start, w.end, w.probability) and clean(w.text)]
    _note_dropped(notes, len(report.words) - len(words), "words without a time")
    _note_dropped(notes, len(words) - MOST_WORDS, f"words beyond {MOST_WORDS}")
    vectors = [v for v in report.vectors if _finite(v.start, v.end) and bool(np.isfinite(v.values).all())]
    _note_dropped(notes, len(report.vectors) - len(vectors), "vectors that held no numbers")
    return Report(own, sightings[:MOST_SIGHTINGS], words[:MOST_WORDS], vectors, notes, dict(report.facts))


def _tag(tag: Tag) -> Tag | None:
    text = clean(tag.text)
    if not text or not _finite(tag.score, tag.start, tag.end):
        return None
    start = max(float(tag.start), 0.0)
    best = float(tag.best) if tag.best is not None and math.isfinite(tag.best) else None
    score = min(max(float(tag.score), 0.0), 1.0)
    return Tag(text, tag.modality, score, start, max(float(tag.end), start), tag.source, best)


def _finite(*numbers: float) -> bool:
    return all(math.isfinite(number) for number in numbers)


def _note_dropped(notes: list[str], count: int, what: str) -> None:
    if count > 0:
        notes.append(f"left out: {what} ({count})")


def facts_to_row(facts: Facts | None) -> tuple[Any, ...]:
    """duration, width, height, fps, codec, rotation, colour, has_sound, start"""
    if facts is None:
        return (None,) * 9
    duration = facts.duration if facts.duration is not None and math.isfinite(facts.duration) else None
    return (
        duration,
        facts.width,
        facts.height,
        str(facts.fps) if facts.fps is not None else None,
        clean(facts.codec),
        facts.rotation,
        clean(facts.colour),
        int(facts.has_sound),
        facts.start,
    )


def row_to_facts(row: tuple[Any, ...], title: str | None, created: str | None) -> Facts | None:
    """From values as kinds.FACTS has them."""
    duration, width, height, fps, codec, rotation, colour, has_sound, start = row
    if codec is None:
        return None
    if None in (width, height, rotation, colour):
        raise BadValue("facts that lack something")
    return Facts(
        duration, width, height, fps, codec, rotation, colour, bool(has_sound), title, created, start or 0.0
    )


def canonical_json(value: Any) -> str:
    """JSON that any reader takes: sorted keys, numpy numbers as numbers, NaN as null."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, (bool, int)):
        return value
    return str(value)


def coverage_to_json(coverage: Coverage) -> str:
    return canonical_json(asdict(coverage))
