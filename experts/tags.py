"""What an expert found: tags with times, and the sightings, words and vectors behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

HUMAN_SOURCE = "human"  # who says what a person said; there is an expert called "person"


class Modality(StrEnum):
    """Which sense a tag comes from. The order is the order in which TABLE reads them."""

    OBJECT = "object"
    PERSON = "person"
    SCENE = "scene"
    MOTION = "motion"
    SPEECH = "speech"
    SOUND = "sound"
    SCREEN = "screen"
    GENERATED = "generated"
    TITLE = "title"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Tag:
    """One thing that is in a video, and when."""

    text: str
    modality: Modality
    score: float  # 0..1
    start: float  # seconds
    end: float  # seconds, never before start
    source: str  # who said so: an expert's name, or HUMAN_SOURCE
    best: float | None = None  # the second at which it is seen or heard most clearly


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something seen in one frame, before sightings become spans."""

    text: str
    score: float  # 0..1
    time: float  # seconds
    box: tuple[float, float, float, float] | None = None  # x, y, width, height as shares of the picture


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word of a transcript."""

    text: str
    start: float  # seconds
    end: float  # seconds
    probability: float  # 0..1


@dataclass(frozen=True, slots=True)
class Embedding:
    """One vector that stands for a stretch of a video."""

    start: float  # seconds
    end: float  # seconds
    values: Vector  # [D]


@dataclass(slots=True)
class Report:
    """Everything that one expert says about one video."""

    tags: list[Tag] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    vectors: list[Embedding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was not looked at, in words
    facts: dict[str, Any] = field(default_factory=dict)  # e.g. which ASR backend was used


def to_spans(
    sightings: Iterable[Sighting],
    modality: Modality,
    source: str,
    *,
    gap: float,
    tail: float = 0.0,
    min_frames: int = 1,
) -> list[Tag]:
    """Merge what was seen in single frames into tags with a start and an end.

    Sightings of the same text no more than `gap` seconds apart are one tag. `tail` is how long a
    single frame stands for (the distance to the next sampled frame), so that a thing seen once has a
    length. Texts seen in fewer than `min_frames` distinct frames of the video are dropped. The score
    of a tag is the best score in its span. The result is ordered by start, then text.
    """
    by_text: dict[str, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        by_text[sighting.text].append(sighting)

    tags: list[Tag] = []
    for text, seen in by_text.items():
        if len({s.time for s in seen}) < min_frames:
            continue
        seen.sort(key=lambda s: s.time)
        run = [seen[0]]
        for sighting in seen[1:]:
            if sighting.time - run[-1].time > gap:
                tags.append(_one_tag(text, run, modality, source, tail))
                run = []
            run.append(sighting)
        tags.append(_one_tag(text, run, modality, source, tail))
    return sorted(tags, key=lambda tag: (tag.start, tag.text))


def _one_tag(text: str, run: list[Sighting], modality: Modality, source: str, tail: float) -> Tag:
    best = max(run, key=lambda s: s.score)
    return Tag(text, modality, best.score, run[0].time, run[-1].time + tail, source, best.time)
