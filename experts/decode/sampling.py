"""Sampling: which pictures of a video a sampling asks for, and where one shot ends and the next begins.

Pure arithmetic on timestamps, in whole ticks of the stream's own time base, so nothing is ever rounded
twice: a wanted time maps to the picture that is on the screen then, the latest whose timestamp is not
after it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tagline.experts.footage import Changes, PerSecond, PerShot, Sampling, Sound, Uniform, Windows, evenly

Ticks = npt.NDArray[np.int64]

# Shots are found in small pictures, one every 1/SHOT_RATE seconds, at most SHOT_LOOKS of a video.
SHOT_RATE = 4
SHOT_PICTURES = 600
SHOT_SIDE = 24  # pixels of the shorter side
SHOT_LEAST = 18.0  # grey levels of 255 by which neighbours differ, at the least, at a cut
WATCH = 0.5  # seconds between the small pictures in which changes are sought, at most
WATCHED = 100_000  # of them in a video, at most
SHOT_TIMES = 3.0  # and how often more than is usual around there


@dataclass(frozen=True)
class Timeline:
    """When each picture of a video is shown.

    pts: ticks, ascending [N]; end: the tick at which the last picture goes; base: seconds a tick;
    broken: the tick from which on nothing is there, if the file breaks off before its end.
    """

    pts: Ticks
    end: int
    base: Fraction
    broken: int | None = None

    @property
    def first(self) -> int:
        return int(self.pts[0])

    @property
    def length(self) -> int:
        return self.end - self.first

    @property
    def usual(self) -> int:
        """Ticks between two pictures, most of the time; 0 if there is but one picture."""
        return int(np.median(np.diff(self.pts))) if len(self.pts) > 1 else 0

    def shown(self, tick: int) -> int:
        """Number of the picture on the screen at `tick`; before the first picture, the first."""
        return max(0, int(np.searchsorted(self.pts, tick, side="right")) - 1)


def ticks_of(sampling: Sampling, timeline: Timeline, shots: Sequence[int] = ()) -> list[int]:
    """The ticks at which a sampling wants to see what is shown, ascending.

    shots: the tick at which each shot begins, for `PerShot`.
    """
    if isinstance(sampling, Uniform):
        return evenly(sampling.count, timeline.length, timeline.first)
    if isinstance(sampling, PerSecond):
        rate = Fraction(sampling.rate).limit_denominator(1_000_000)
        count = -(-timeline.length * timeline.base * rate // 1)  # rounded up
        if count > sampling.most:
            return evenly(sampling.most, timeline.length, timeline.first)
        return [timeline.first + int(i / rate / timeline.base) for i in range(max(1, int(count)))]
    if isinstance(sampling, Changes):  # those that are watched
        return ticks_of(PerSecond(1 / min(WATCH, sampling.interval), WATCHED), timeline)
    if isinstance(sampling, Windows):
        return _windows(sampling, timeline)
    if isinstance(sampling, PerShot):
        return _per_shot(sampling, timeline, shots)
    assert isinstance(sampling, Sound)
    return []


def watch_step(sampling: Changes, timeline: Timeline) -> float:
    """Seconds between the pictures that are watched for changes."""
    return max(min(WATCH, sampling.interval), float(timeline.length * timeline.base) / WATCHED)


def _windows(sampling: Windows, timeline: Timeline) -> list[int]:
    step = Fraction(sampling.step).limit_denominator(1_000_000) / timeline.base
    span = (sampling.length - 1) * step
    latest = max(Fraction(timeline.first), int(timeline.pts[-1]) - span)
    ticks: list[int] = []
    for centre in evenly(sampling.count, timeline.length, timeline.first):
        begin = min(max(centre - span / 2, Fraction(timeline.first)), latest)
        ticks += [int(begin + i * step) for i in range(sampling.length)]
    return ticks


def _per_shot(sampling: PerShot, timeline: Timeline, shots: Sequence[int]) -> list[int]:
    begins = list(shots) or [timeline.first]
    ends = [*begins[1:], timeline.end]
    most = max(1, sampling.most // sampling.count)
    if len(begins) > most:  # as many shots as there is room for, evenly spread
        chosen = evenly(most, len(begins))
        begins, ends = [begins[i] for i in chosen], [ends[i] for i in chosen]
    count = min(sampling.count, sampling.most)
    return [tick for a, b in zip(begins, ends, strict=True) for tick in evenly(count, b - a, a)]


def shot_ticks(timeline: Timeline) -> list[int]:
    """The ticks of the small pictures in which shots are sought."""
    return ticks_of(PerSecond(rate=float(SHOT_RATE), most=SHOT_PICTURES), timeline)


def shots_of(ticks: Sequence[int], pictures: npt.NDArray[np.uint8]) -> list[int]:
    """Where shots begin, from small pictures uint8 [N, H, W, 3] seen at `ticks` [N].

    A cut is where two neighbours differ much, and much more than their surroundings do: a pan differs
    everywhere, a cut in one place. A fade is many small steps and gives none.
    """
    if len(ticks) == 0:
        return []
    if len(ticks) == 1:
        return [ticks[0]]
    flat = pictures.reshape(len(pictures), -1).astype(np.int16)
    change = np.abs(np.diff(flat, axis=0)).mean(axis=1)  # [N - 1]
    begins = [ticks[0]]
    for i, step in enumerate(change):
        around = np.concatenate([change[max(0, i - 4) : i], change[i + 1 : i + 5]])
        usual = float(np.median(around)) if len(around) else 0.0
        if step >= SHOT_LEAST and step >= SHOT_TIMES * usual:
            begins.append(ticks[i + 1])
    return begins


def lost(timeline: Timeline, tick: int, seen: int | None) -> bool:
    """Whether the picture for `tick` was lost, when the latest that could be decoded is at `seen`.

    One missing picture is no loss: a player shows the one before, and some codecs send packets that
    were never meant to be shown. More than that, and it would be a guess.
    """
    due = int(timeline.pts[timeline.shown(tick)])
    if seen is None or (timeline.broken is not None and tick >= timeline.broken):
        return True
    return abs(due - seen) > timeline.usual * 3 // 2


def latest(ordered: Sequence[int], tick: int) -> int:
    """Position of the last entry not after `tick`, or -1."""
    return bisect_right(ordered, tick) - 1
