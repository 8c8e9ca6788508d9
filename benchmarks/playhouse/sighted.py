"""What a viewer of a video cannot miss, and what nobody may be blamed for: the measure of detectors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from tagline.benchmarks.playhouse import stage
from tagline.benchmarks.playhouse.scenario import scenario

RATE = 2  # moments a second
PLAIN = 0.5  # share of a thing that shows at a moment when it is plainly visible
SMALL = 0.004  # share of the picture; what covers less is a few pixels
MOMENTS = 4  # plainly visible at so many moments: two seconds
HINT = 0.1  # less of a thing than this is not there


@dataclass(frozen=True, slots=True)
class Sighted:
    """must: plainly visible for two seconds. may: also what shows more briefly, hidden in part, at the
    edge or small: to name it is no mistake, to miss it neither."""

    must: frozenset[str]
    may: frozenset[str]


@lru_cache(maxsize=1024)
def sighted(seed: int, persons: bool) -> Sighted:
    """The kinds of persons, or the objects, in the video of a seed."""
    world = scenario(seed)
    plainly: Counter[str] = Counter()
    hinted: set[str] = set()
    for number in range(int(world.duration * RATE)):
        now: set[str] = set()
        for box in stage.boxes(world, number / RATE):
            if box.person != persons or box.visible < HINT:
                continue
            hinted.add(box.name)
            if box.visible >= PLAIN and box.width * box.height * box.visible >= SMALL:
                now.add(box.name)
        plainly.update(now)
    must = frozenset(name for name, moments in plainly.items() if moments >= MOMENTS)
    return Sighted(must, frozenset(hinted) | must)
