"""Changes: looks at a video where it changes, chosen while it is decoded. Runs in the guarded child only.

A small picture is compared every half second with that of the last look. Where no part of it differs, nobody
needs to look again, and it is known that the look's picture was on the screen until then.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.experts.decode.buffer import PAGE, SharedMemory, upright, upright_size
from tagline.experts.decode.sampling import SHOT_LEAST, Timeline, ticks_of, watch_step
from tagline.experts.footage import MAX_LOOKS, Changes

Small = npt.NDArray[np.int16]  # [72, 128, 3]
SMALL = (72, 128)  # height, width that every picture is squeezed into: a part is some eight pixels of 540
STILL = 8  # of 255; no part differs more: the same picture, but for what compression did to it
WIDER = 1.25  # how much further apart looks are, each time that there is no room for more
FEWEST = 8  # looks there must be room for, or they are made smaller


class Watcher:
    """The looks of one sampling, in a block of memory that it may fill."""

    def __init__(self, sampling: Changes, timeline: Timeline) -> None:
        self.sampling, self.timeline = sampling, timeline
        self.ticks = ticks_of(sampling, timeline)
        self.watched = frozenset(self.ticks)
        self.step = watch_step(sampling, timeline)  # seconds
        self.side, self.shrunk = sampling.side, False
        self.shape = (1, 1)
        self.place = self.room = 0
        self.restart()

    def restart(self) -> None:
        """Forget everything: the file is decoded once more, in another way."""
        self.interval = max(self.sampling.interval, self.step)
        self.looks: list[int] = []  # ticks
        self.stamps: list[int] = []  # of the pictures that were on the screen then
        self.until: list[int] = []  # ticks up to which each is known to have stayed
        self.seen = 0
        self._small: Small | None = None  # of the last look
        self._before: int | None = None  # the tick that came last
        self._stays = False  # whether every picture since the last look was like it

    def lay_out(self, frame: Any, place: int, most: int) -> int:
        """Take up to `most` bytes from `place` on; where what is behind them begins."""
        self.shape = upright_size(frame, self.side)
        while self.size * FEWEST > most and min(self.shape) > 1:
            self.side, self.shrunk = max(1, min(self.shape) * 3 // 4), True
            self.shape = upright_size(frame, self.side)
        self.place = place
        self.room = max(1, min(most // self.size, len(self.ticks), MAX_LOOKS))
        return place + -(-self.room * self.size // PAGE) * PAGE

    @property
    def size(self) -> int:
        """Bytes of one look."""
        return math.prod(self.shape) * 3

    @property
    def wider(self) -> bool:
        return self.interval > max(self.sampling.interval, self.step)

    def see(self, tick: int, frame: Any, stamp: int, small: Small, memory: SharedMemory) -> None:
        """One picture that is watched, later than all before; looked at if it is worth it."""
        if tick not in self.watched or (self._before is not None and tick <= self._before):
            return
        without = self._before is not None and self._seconds(tick - self._before) > 1.5 * self.step
        self._before = tick
        self.seen += 1
        if self._small is not None:
            change = np.abs(small - self._small)
            self._stays = self._stays and not without and int(change.max()) <= STILL
            if self._stays:
                self.until[-1] = tick
            same = stamp == self.stamps[-1]  # the very picture: few of them, each shown for long
            if same or not self._due(tick, change):
                return
        if len(self.looks) == self.room:
            self._thin_out(memory)
        if self.wider and self.looks and self._seconds(tick - self.looks[-1]) < self.interval:
            return
        self._small, self._stays = small, True
        picture = upright(frame, self.side)
        memory.write(self.place + len(self.looks) * self.size, picture)
        self.looks.append(tick)
        self.stamps.append(stamp)
        self.until.append(tick)

    def _due(self, tick: int, change: Small) -> bool:
        since = self._seconds(tick - self.looks[-1])
        if self._stays:
            return since >= self.sampling.longest_gap
        cut = not self.wider and float(change.mean()) >= SHOT_LEAST
        return cut or since >= self.interval - self.step / 4

    def _thin_out(self, memory: SharedMemory) -> None:
        """Leave looks out, evenly, until there is room again: those that are too near to the one before."""
        count = len(self.looks)
        stay = list(range(count))
        while len(stay) > max(1, self.room * 9 // 10):
            self.interval *= WIDER
            stay = [0]
            for i in range(1, count):
                if self._seconds(self.looks[i] - self.looks[stay[-1]]) >= self.interval - self.step / 4:
                    stay.append(i)
        for new, old in enumerate(stay):
            if new != old:
                memory.move(self.place + old * self.size, self.place + new * self.size, self.size)
        self.looks, self.stamps, self.until = (
            [values[i] for i in stay] for values in (self.looks, self.stamps, self.until)
        )

    def _seconds(self, ticks: int) -> float:
        return float(ticks * self.timeline.base)

    @property
    def wanted(self) -> int:
        """Looks, and pictures that could not be watched."""
        return min(MAX_LOOKS, len(self.looks) + len(self.ticks) - self.seen)


def small_picture(frame: Any) -> Small:
    """int16 [72, 128, 3], whatever the shape of the picture: squeezed, and not turned."""
    picture = frame.to_ndarray(format="rgb24", width=SMALL[1], height=SMALL[0], interpolation="AREA")
    return picture.astype(np.int16)
