"""Frame and sound buffers in shared memory, which the decoder's child fills and its parent reads."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from tagline.experts.footage import Pictures, Unreadable, Windows

PAGE = 4096


def anonymous_memory(size: int = 0) -> int:
    """A descriptor of memory that has no name, so that nothing is left behind however a process ends."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("footage", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class SharedMemory:
    """Bytes under one descriptor. What was never written reads as zero."""

    def __init__(self) -> None:
        self.fd = anonymous_memory()

    def write(self, place: int, values: np.ndarray[Any, Any]) -> None:
        data = np.ascontiguousarray(values).data.cast("B")
        while data:
            done = os.pwrite(self.fd, data, place)
            data, place = data[done:], place + done

    def move(self, source: int, target: int, size: int) -> None:
        os.pwrite(self.fd, os.pread(self.fd, size, source), target)

    def close(self) -> None:
        os.close(self.fd)


class FrameBuffer:
    """The pictures of all samplings, one block each, each picture in its own place.

    wanted: for each sampling, the ticks of its pictures in order (a tick may occur more than once).
    """

    def __init__(
        self, store: SharedMemory, place: int, samplings: Sequence[Any], wanted: Sequence[list[int]]
    ) -> None:
        self.memory = store
        self.end = -(-place // PAGE) * PAGE
        self.samplings, self.wanted = samplings, wanted
        self.destinations: dict[int, list[tuple[int, int]]] = {}  # tick: (sampling, place in it)
        for view, ticks in enumerate(wanted):
            for slot, tick in enumerate(ticks):
                self.destinations.setdefault(tick, []).append((view, slot))
        self.times: list[list[int | None]] = [[None] * len(ticks) for ticks in wanted]
        self.sides: list[int | None] = [sampling.side for sampling in samplings]
        self.shapes: list[tuple[int, int]] = []
        self.places: list[int] = []
        self.shrunk: int | None = None
        self.size: tuple[int, int] | None = None  # of the decoded picture
        self.frame: Any = None  # the first picture, for what it says of itself
        self._last: tuple[Any, dict[int | None, Pictures]] = (None, {})

    @property
    def ticks(self) -> list[int]:
        return sorted(self.destinations)

    def lay_out(self, frame: Any, most_view: int, most: int) -> None:
        """Fix the sizes of all blocks by the first picture. A view that is too big gets a smaller side."""
        self.size, self.frame = (frame.width, frame.height), frame
        for number, ticks in enumerate(self.wanted):
            shape = upright_size(frame, self.sides[number])
            needed = len(ticks) * shape[0] * shape[1] * 3
            if needed > most_view:
                side = int(min(shape) * (most_view / needed) ** 0.5)
                while side > 1 and len(ticks) * math.prod(upright_size(frame, side)) * 3 > most_view:
                    side -= 1  # the longer side was rounded up
                self.sides[number] = self.shrunk = max(1, side)
                shape = upright_size(frame, self.sides[number])
            self.shapes.append(shape)
            self.places.append(self.end)
            self.end += -(-len(ticks) * shape[0] * shape[1] * 3 // PAGE) * PAGE
        if self.end > most:
            raise Unreadable(f"gives {self.end / 1e9:.1f} GB of pictures and sound, more than the limit")

    def put(self, tick: int, frame: Any, stamp: int) -> None:
        if self.size is not None and (frame.width, frame.height) != self.size:
            was, now = (f"{width}x{height}" for width, height in (self.size, (frame.width, frame.height)))
            raise Unreadable(f"the picture changes its size under way, from {was} to {now}")
        if self._last[0] is not frame:
            self._last = (frame, {})
        for view, slot in self.destinations.get(tick, ()):
            side = self.sides[view]
            if side not in self._last[1]:
                self._last[1][side] = upright(frame, side)
            picture = self._last[1][side]
            if picture.shape[:2] != self.shapes[view]:
                raise Unreadable("the picture turns under way")
            self.memory.write(self.places[view] + slot * picture.size, picture)
            self.times[view][slot] = stamp

    def close_gaps(self) -> list[list[int]]:
        """Leave out what was lost, whole windows for `Windows`; the ticks of what stays, per sampling."""
        stays: list[list[int]] = []
        for view, times in enumerate(self.times):
            sampling = self.samplings[view]
            together = sampling.length if isinstance(sampling, Windows) else 1
            stamps: list[int] = []
            for first in range(0, len(times), together):
                group = times[first : first + together]
                if None in group:
                    continue
                size = self.shapes[view][0] * self.shapes[view][1] * 3
                if len(stamps) != first:
                    for i in range(together):
                        self.memory.move(
                            self.places[view] + (first + i) * size,
                            self.places[view] + (len(stamps) + i) * size,
                            size,
                        )
                stamps += [stamp for stamp in group if stamp is not None]
            stays.append(stamps)
        return stays


def scaled(frame: Any, side: int | None) -> dict[str, Any]:
    short = min(frame.width, frame.height)
    if side is None or short <= side:
        return {}
    return {
        "width": max(1, round(frame.width * side / short)),
        "height": max(1, round(frame.height * side / short)),
        "interpolation": "AREA",
    }


def upright_size(frame: Any, side: int | None) -> tuple[int, int]:
    """(height, width) of the upright picture."""
    scale = scaled(frame, side)
    size = scale.get("height", frame.height), scale.get("width", frame.width)
    return size[::-1] if rotation(frame) % 180 else size


def upright(frame: Any, side: int | None) -> Pictures:
    """A decoded picture as uint8 [H, W, 3], RGB, turned as the file asks for.

    side: the shorter side is scaled down to this many pixels, never up; None: as it is.
    """
    picture = frame.to_ndarray(format="rgb24", **scaled(frame, side))
    return np.ascontiguousarray(np.rot90(picture, rotation(frame) // -90))


def rotation(frame: Any) -> int:
    """Degrees clockwise by which a decoded picture must be turned to be upright."""
    return round(-(frame.rotation or 0) / 90) * 90 % 360
