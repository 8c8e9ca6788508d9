"""Where a video is cut into spans: one for each shot, and a window that strides through long ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tagline.experts.decode.sampling import SHOT_SIDE, shots_of
from tagline.experts.footage import PerSecond, Pictures, Seconds

VERSION = 1  # another way of cutting is another version
RATE, MOST = 2.0, 600  # frames a second, and at most of a video
SHORTEST = 1.0  # seconds: a shorter shot belongs to the one before it
WINDOW = 6.0  # seconds of a window in a shot that is longer than one and a half of it
LEAST = 4  # frames of a window, where frames are far apart


class Span(NamedTuple):
    """A stretch of a video and the frames that show it."""

    start: float  # seconds
    end: float
    first: int  # frames first, first + 1, … last - 1
    last: int


def sampling(side: int) -> PerSecond:
    """The frames that spans are cut from."""
    return PerSecond(RATE, MOST, side)


def spans(frames: Pictures, times: Seconds, duration: float | None) -> list[Span]:
    """Cut a video. frames: uint8 [T, H, W, 3], in the order of `times` [T].

    Together the spans cover every frame; windows of a long shot overlap by half.
    """
    return spans_between(_shots(frames, times), times, duration) if len(times) else []


def spans_between(shots: Sequence[int], times: Seconds, duration: float | None) -> list[Span]:
    """Cut a video whose shots are known by the frames with which they begin; times: at least one."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / RATE
    end = max(duration or 0.0, float(times[-1]) + min(step, 1 / RATE))
    borders = [*shots, len(times)]
    found = []
    for first, last in pairwise(borders):
        stop = float(times[last]) if last < len(times) else end
        found += _windows(times, first, last, stop, max(WINDOW, LEAST * step))
    return found


def _shots(frames: Pictures, times: Seconds) -> list[int]:
    """The frames with which shots begin, those left out that begin too soon after another."""
    begins = shots_of(list(range(len(times))), _small(frames))
    kept = [0]
    for begin in begins[1:]:
        if times[begin] - times[kept[-1]] >= SHORTEST:
            kept.append(begin)
    return kept


def _windows(times: Seconds, first: int, last: int, end: float, length: float) -> list[Span]:
    """One shot, frames first … last - 1, as one span or as windows that overlap by half."""
    start = float(times[first])
    if end - start <= 1.5 * length:
        return [Span(start, end, first, last)]
    count = int(np.ceil((end - start) / (length / 2))) - 1
    starts = np.linspace(start, end - length, count)
    found = []
    for begin in starts:
        low = int(np.searchsorted(times[first:last], begin - 1e-6)) + first
        high = int(np.searchsorted(times[first:last], begin + length - 1e-6)) + first
        found.append(Span(float(begin), float(begin) + length, min(low, last - 1), max(high, low + 1)))
    return found


def _small(frames: Pictures) -> Pictures:
    """Each frame as about SHOT_SIDE pixels of its shorter side: means of square blocks."""
    count, height, width, _ = frames.shape
    block = max(1, min(height, width) // SHOT_SIDE)
    cut = frames[:, : height // block * block, : width // block * block]
    blocks = cut.reshape(count, height // block, block, width // block, block, 3)
    small: Pictures = blocks.mean(axis=(2, 4)).astype(np.uint8)
    return small
