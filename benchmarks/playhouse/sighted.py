"""What a viewer of a video cannot miss, and what nobody may be blamed for: the measure of detectors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from tagline.benchmarks.playhouse import stage
from tagline.benchmarks.playhouse.scenario import scenario

MOMENTS_PER_SECOND = 2  # moments a second
PLAINLY_VISIBLE = 0.5  # share of a thing that shows at a moment when it is plainly visible
MIN_AREA = 0.004  # share of the picture; what covers less is a few pixels
MIN_MOMENTS = 4  # plainly visible at so many moments: two seconds
HARDLY_VISIBLE = 0.1  # less of a thing than this is not there


@dataclass(frozen=True, slots=True)
class VisibleThings:
    """must: plainly visible for two seconds. may: also what shows more briefly, hidden in part, at the
    edge or small: to name it is no mistake, to miss it neither."""

    must: frozenset[str]
    may: frozenset[str]


@lru_cache(maxsize=1024)
def visible_things(seed: int, persons: bool) -> VisibleThings:
    """The kinds of persons, or the objects, in the video of a seed."""
    world = scenario(seed)
    plainly: Counter[str] = Counter()
    hinted: set[str] = set()
    for number in range(int(world.duration * MOMENTS_PER_SECOND)):
        now: set[str] = set()
        for box in stage.boxes(world, number / MOMENTS_PER_SECOND):
            if box.person != persons or box.visible < HARDLY_VISIBLE:
                continue
            hinted.add(box.name)
            if box.visible >= PLAINLY_VISIBLE and box.width * box.height * box.visible >= MIN_AREA:
                now.add(box.name)
        plainly.update(now)
    must = frozenset(name for name, moments in plainly.items() if moments >= MIN_MOMENTS)
    return VisibleThings(must, frozenset(hinted) | must)
