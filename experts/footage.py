"""Footage: one decoded video, and the words in which an expert says which part of it to decode."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]  # [T, H, W, 3], RGB, upright
Seconds = npt.NDArray[np.float64]  # [T]

MAX_LOOKS = 8_000  # of one `Changes` at one video
SOUND_RATE = 16_000  # samples per second, mono


class Unreadable(Exception):
    """A file that gives no footage. The message says why, in words for people."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The file's own metadata, corrected by what decoding showed."""

    duration: float | None  # seconds of picture, first to last frame's end; else of sound
    width: int  # of the upright picture; 0: there is sound alone
    height: int
    fps: Fraction | None  # average frame rate
    codec: str
    rotation: int  # degrees clockwise that were applied: 0, 90, 180 or 270
    colour: str  # "bt709", "bt2020 hlg", …; "" if the file does not say
    has_sound: bool
    title: str | None = None
    created: str | None = None  # ISO 8601
    start: float = 0.0  # seconds: the file's own timestamp at second 0 of our clock, which is a player's
    comment: str | None = None  # of whoever made the file; not kept in the catalog

    @property
    def has_pictures(self) -> bool:
        return self.width > 0


@dataclass(frozen=True, slots=True)
class Uniform:
    """`count` frames, at the midpoints of as many equal parts of the video."""

    count: int
    side: int | None = None  # scale the shorter side down to this many pixels; None: as it is


@dataclass(frozen=True, slots=True)
class PerSecond:
    """One frame every 1/rate seconds; if that is more than `most`, `most` uniform frames."""

    rate: float = 1.0
    most: int = 60
    side: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """A frame every `interval` seconds, and at a cut, but none while nothing changes.

    However long nothing changes, there is a frame every `longest_gap` seconds. If there are more than a
    video may hand over, they lie further apart, evenly; `View.interval` says how far.
    """

    interval: float = 1.0
    longest_gap: float = 30.0
    side: int | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """`count` windows of `length` frames, `step` seconds apart, spread over the video, for motion.

    A video shorter than a window gives its last frame again.
    """

    count: int
    length: int
    step: float  # seconds between neighbouring frames of a window
    side: int | None = None


@dataclass(frozen=True, slots=True)
class PerShot:
    """`count` frames of every shot, at most `most` in all; shots are found from the pictures."""

    count: int = 1
    most: int = 60
    side: int | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """The whole sound track: float32 [S], mono, 16 kHz."""


Sampling = Uniform | PerSecond | Changes | Windows | PerShot | Sound


@dataclass(frozen=True, slots=True)
class View:
    """The frames that one sampling asked for. For `Windows`, `length` neighbours belong together.

    frames: uint8 [T, H, W, 3]; times: seconds [T], the presentation times of the frames themselves.
    Second 0 is where a player's clock starts: at the first picture or the first sound, whichever comes
    first. What could not be read is left out (whole windows of `Windows`), so T may be less than asked
    for; `Coverage` says so.

    Of `Changes` alone: until: seconds [T], up to when each picture is known to have stayed as it is, not
    before its time; interval: seconds between two frames where everything changes.
    """

    frames: Pictures
    times: Seconds
    until: Seconds | None = None
    interval: float | None = None


@dataclass(slots=True)
class Coverage:
    """What was asked for and what could be read, so that "no dog" and "not looked at" differ."""

    wanted: int = 0
    read: int = 0
    sound: str = "not asked"  # "not asked" | "read" | "absent" | "partly" | "unreadable"
    notes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.read == self.wanted and self.sound in ("not asked", "read", "absent")


@dataclass(slots=True)
class Footage:
    """One decoded video. Frames and sound are read-only views into memory that `close` gives back.

    What a sampling's view holds depends on the file and that sampling alone, never on what other
    experts asked for.
    """

    path: str
    facts: Facts
    views: dict[Any, View]
    sound: npt.NDArray[np.float32] | None  # [S] at SOUND_RATE; None where not asked or absent
    sound_start: float = 0.0  # seconds on the clock of the pictures
    coverage: Coverage = field(default_factory=Coverage)
    release: Callable[[], None] | None = None
    # Vectors of frames by who made them and at what size, then by time: see `ClipEncoder.embed_views`.
    embeddings: dict[tuple[Any, ...], dict[float, npt.NDArray[np.float32]]] = field(default_factory=dict)

    def view(self, sampling: Sampling) -> View:
        return self.views[sampling]

    def windows(self, sampling: Windows) -> list[View]:
        """The whole windows of a sampling: each has `sampling.length` frames."""
        view = self.views[sampling]
        cuts = range(0, len(view.times), sampling.length)
        return [View(view.frames[i : i + sampling.length], view.times[i : i + sampling.length]) for i in cuts]

    def close(self) -> None:
        """Give the memory back. Views must not be used afterwards."""
        release, self.release = self.release, None
        self.views, self.sound, self.embeddings = {}, None, {}
        if release is not None:
            release()


@dataclass(frozen=True, slots=True)
class Work:
    """One file to be looked at, as it travels through the decoder and the panel: a path that knows more."""

    path: Path
    experts: tuple[str, ...]  # the names of those that shall look
    title: str | None = None  # where the caller knows it better than the file does
    job: Any = None  # the caller's own, handed back untouched

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def evenly(count: int, length: int, first: int = 0) -> list[int]:
    """So many of `length` whole numbers from `first` on, each in the middle of its share of them."""
    return [first + (2 * i + 1) * length // (2 * count) for i in range(count)]


def distinct_samplings(samplings: Iterable[Sampling]) -> tuple[Sampling, ...]:
    """Every sampling once, in the order first asked for."""
    return tuple(dict.fromkeys(samplings))
