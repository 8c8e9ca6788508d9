"""Stand-ins that let everything around the experts run in milliseconds: videos that are small text files,
a decoder that reads them, experts that repeat what they say, and libraries filled without any of these.

A test of the run:      fakes.use_fakes(monkeypatch), fakes.write_video(path, tags={"object": ["dog"]})
A test of what follows: catalog = fakes.library(tmp_path, {"a.mp4": {"tags": {"object": ["dog"]}}})
"""

from __future__ import annotations

import hashlib
import json
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from shaking import shaken

from tagline.experts.footage import (
    Coverage,
    Facts,
    Footage,
    Sampling,
    Sound,
    Uniform,
    Unreadable,
    View,
    Windows,
)
from tagline.experts.tags import Embedding, Modality, Report, Sighting, Tag, Word
from tagline.tagging.catalog.records import Look, Place
from tagline.tagging.catalog.write import Catalog

FIRST_LINE = "a stand-in for a video\n"
DURATION = 10.0  # seconds


def write_video(path: Path, **content: Any) -> Path:
    """A stand-in for a video. All of it is optional:

    tags: {modality: ["dog" or ("dog", score, start, end), ...]}; words: "a transcript"; duration: seconds;
    title, created; sound: False; unreadable: a reason; raises: {expert: a message}; salt: anything at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FIRST_LINE + json.dumps(content, sort_keys=True), encoding="utf-8")
    return path


def content_of(path: str | Path) -> dict[str, Any]:
    """What `write_video` wrote. Any other file is a video without anything in it."""
    data = Path(path).read_bytes()
    first = FIRST_LINE.encode()
    return dict(json.loads(data[len(first) :])) if data.startswith(first) else {}


def facts_of(content: Mapping[str, Any]) -> Facts:
    return Facts(
        duration=content.get("duration", DURATION),
        width=64,
        height=36,
        fps=Fraction(25),
        codec="h264",
        rotation=0,
        colour="bt709",
        has_sound=content.get("sound", True),
        title=content.get("title"),
        created=content.get("created"),
    )


class FakeDecoder:
    """Takes the place of experts.decoder.Decoder. `read_paths` holds what was asked for, of all of them."""

    VERSION = "stand-in 1"
    read_paths: list[Path] = []  # noqa: RUF012 (shared on purpose: tests count what was decoded)

    def __init__(self, jobs: int | None = None, limits: object = None) -> None:
        self.jobs = jobs

    def __enter__(self) -> FakeDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_all(
        self, orders: Iterable[tuple[Any, tuple[Sampling, ...]]]
    ) -> Iterator[tuple[Any, Footage | Unreadable]]:
        for source, samplings in orders:
            try:
                yield source, self.read(Path(source), samplings)
            except Unreadable as error:
                yield source, error

    def read(self, path: Path, samplings: Sequence[Sampling]) -> Footage:
        self.read_paths.append(path)
        try:
            content = content_of(path)
        except OSError as error:
            raise Unreadable(error.strerror or "it cannot be opened") from error
        if content.get("unreadable"):
            raise Unreadable(content["unreadable"])
        facts = facts_of(content)
        views = {sampling: _view(sampling, facts.duration or 0.0) for sampling in samplings}
        wanted = sum(len(view.times) for view in views.values())
        hears = any(isinstance(sampling, Sound) for sampling in samplings)
        heard = "not asked" if not hears else "read" if facts.has_sound else "absent"
        sound = np.zeros(16, np.float32) if heard == "read" else None
        return Footage(str(path), facts, views, sound, coverage=Coverage(wanted, wanted, heard))


def _view(sampling: Sampling, duration: float) -> View:
    if isinstance(sampling, Sound):
        return View(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0))
    count = sampling.count if isinstance(sampling, Uniform) else 1
    if isinstance(sampling, Windows):
        count = sampling.count * sampling.length
    times = (np.arange(count) + 0.5) * duration / count
    return View(np.zeros((count, 36, 64, 3), np.uint8), times)


class FakeExpert:
    """Repeats what a stand-in for a video says of its modality. Cheap, deterministic, counts its calls."""

    name = "object"
    modality = Modality.OBJECT
    needs: tuple[Sampling, ...] = (Uniform(2, side=36),)
    looked: list[tuple[str, str]] = []  # noqa: RUF012 (expert and path, of all of them, in order)

    def __init__(
        self,
        *,
        version: str = "1",
        confidence: float = 0.0,
        weights: str = "none",
        collection: str = "public",
        absent: str | None = None,
    ) -> None:
        self.version = version
        self.confidence = confidence
        self.weights = weights
        self.collection = collection
        self.absent = absent

    def missing(self) -> str | None:
        return self.absent

    def fingerprint(self) -> str:
        everything = (self.name, self.version, self.confidence, self.weights, self.collection)
        return hashlib.sha256(repr(everything).encode()).hexdigest()

    def load(self, device: str) -> None:
        self.device = device

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [self._report(footage) for footage in batch]

    def _report(self, footage: Footage) -> Report:
        self.looked.append((self.name, footage.path))
        content = content_of(footage.path)
        if self.name in content.get("raises", {}):
            raise ValueError(content["raises"][self.name])
        report = report_of(content, self.modality, self.name)
        report.tags = [tag for tag in report.tags if tag.score >= self.confidence]
        return report


class FakeObjects(FakeExpert):
    pass


class FakeScenes(FakeExpert):
    name = "scene"
    modality = Modality.SCENE


class FakeSpeech(FakeExpert):
    name = "speech"
    modality = Modality.SPEECH
    needs = (Sound(),)


class FakeScreen(FakeExpert):
    name = "screen"
    modality = Modality.SCREEN


EXPERTS = {
    "object": "fakes:FakeObjects",
    "scene": "fakes:FakeScenes",
    "speech": "fakes:FakeSpeech",
    "screen": "fakes:FakeScreen",
}


def experts() -> list[FakeExpert]:
    return [FakeObjects(), FakeScenes(), FakeSpeech(), FakeScreen()]


def use_fakes(monkeypatch: Any) -> type[FakeDecoder]:
    """Put the stand-ins in the place of the decoder and of the built-in experts, for one test."""
    import tagline.experts.base

    stand_in = types.ModuleType("tagline.experts.decode.decoder")
    stand_in.Decoder = FakeDecoder  # type: ignore[attr-defined]
    stand_in.VERSION = FakeDecoder.VERSION  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tagline.experts.decode.decoder", stand_in)
    monkeypatch.setattr(tagline.experts.base, "BUILT_IN", dict(EXPERTS))
    monkeypatch.setattr(tagline.experts.base, "entry_points", lambda group: ())
    monkeypatch.setattr(FakeDecoder, "read_paths", [])
    monkeypatch.setattr(FakeExpert, "looked", [])
    return FakeDecoder


def report_of(content: Mapping[str, Any], modality: Modality, source: str) -> Report:
    """The report that an expert of this modality gives on a stand-in with this content."""
    duration = content.get("duration", DURATION)
    report = Report()
    for said in content.get("tags", {}).get(str(modality), ()):
        text, score, start, end = (said, 0.9, 0.0, duration) if isinstance(said, str) else said
        report.tags.append(Tag(text, modality, score, start, end, source, best=start))
        if modality in (Modality.OBJECT, Modality.PERSON):
            report.sightings.append(Sighting(text, score, start, (0.25, 0.25, 0.5, 0.5)))
    if modality == Modality.SPEECH:
        spoken = content.get("words", "").split()
        step = duration / max(len(spoken), 1)
        report.words = [Word(word, i * step, (i + 1) * step, 0.9) for i, word in enumerate(spoken)]
        report.facts = {"listener": "stand-in"}
    if modality == Modality.SCENE:
        seed = int.from_bytes(hashlib.sha256(repr(sorted(content)).encode()).digest()[:4], "big")
        values = np.random.default_rng(seed).standard_normal(8).astype(np.float32)
        report.vectors = [Embedding(0.0, duration, shaken(values))]
    return report


def library(folder: Path, videos: Mapping[str, Mapping[str, Any]], *, files: bool = True) -> Catalog:
    """A catalog of a folder, filled as a run of all fake experts would fill it, without one.

    videos: {file name: what `write_video` takes}. With `files`, the stand-ins are written, too.
    """
    catalog = Catalog.open(folder)
    for name, content in videos.items():
        path = folder / name
        data = (FIRST_LINE + json.dumps(content, sort_keys=True)).encode()
        place = Place(str(path), len(data), 1)
        if files:
            stat = write_video(path, **content).stat()
            place = Place(str(path), stat.st_size, stat.st_mtime_ns)
        digest = hashlib.sha256(data).hexdigest()
        looks = [
            Look(
                expert.name,
                expert.modality,
                expert.version,
                expert.fingerprint(),
                report_of(content, expert.modality, expert.name),
                seconds=0.1,
                coverage=Coverage(2, 2),
            )
            for expert in experts()
        ]
        reason = content.get("unreadable")
        catalog.save(
            digest,
            place,
            facts=None if reason else facts_of(content),
            looks=() if reason else looks,
            unreadable=reason,
            decoder=FakeDecoder.VERSION,
        )
    return catalog
