"""The truth about one video, as it is written beside it; and what no viewer of it can miss."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from tagline.benchmarks.playhouse.render import renderer
from tagline.benchmarks.playhouse.render.renderer import Box
from tagline.benchmarks.playhouse.truth import captions as language
from tagline.benchmarks.playhouse.truth import user_tags as folksonomy
from tagline.benchmarks.playhouse.truth.captions import WrittenCaption
from tagline.benchmarks.playhouse.truth.events import Event, events
from tagline.benchmarks.playhouse.world.scenario import scenario


@dataclass(frozen=True, slots=True)
class Truth:
    """What is in the video of a seed, when, and what people wrote about it."""

    seed: int
    split: str
    duration: float  # seconds
    width: int
    height: int
    fps: int
    cuts: tuple[float, ...]  # seconds at which a new shot begins, without 0
    events: tuple[Event, ...]
    captions: tuple[WrittenCaption, ...]
    title: str
    user_tags: tuple[str, ...]

    def spans(self, kind: str) -> list[Event]:
        """Everything of a kind: scene, person, object, motion, topic, word, screen, character, place ..."""
        return [event for event in self.events if event.kind == kind]

    def texts(self, kind: str) -> list[str]:
        """The different texts of a kind."""
        return list(dict.fromkeys(event.text for event in self.spans(kind)))

    def boxes(self, time: float) -> list[Box]:
        """Persons and objects in the picture at `time`, from the drawing itself."""
        return renderer.boxes(scenario(self.seed), time)


def truth(seed: int) -> Truth:
    world = scenario(seed)
    return Truth(
        seed=seed,
        split=world.split,
        duration=world.duration,
        width=world.width,
        height=world.height,
        fps=world.fps,
        cuts=tuple(shot.start for shot in world.shots[1:]),
        events=events(seed),
        captions=tuple(language.captions(seed)),
        title=language.title(seed),
        user_tags=tuple(folksonomy.user_tags(seed)),
    )


def to_json(known: Truth) -> dict[str, Any]:
    return asdict(known)


def from_json(row: dict[str, Any]) -> Truth:
    return Truth(
        **{
            **row,
            "cuts": tuple(row["cuts"]),
            "events": tuple(Event(**event) for event in row["events"]),
            "captions": tuple(WrittenCaption(**caption) for caption in row["captions"]),
            "user_tags": tuple(row["user_tags"]),
        }
    )


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
        for box in renderer.boxes(world, number / MOMENTS_PER_SECOND):
            if box.person != persons or box.visible < HARDLY_VISIBLE:
                continue
            hinted.add(box.name)
            if box.visible >= PLAINLY_VISIBLE and box.width * box.height * box.visible >= MIN_AREA:
                now.add(box.name)
        plainly.update(now)
    must = frozenset(name for name, moments in plainly.items() if moments >= MIN_MOMENTS)
    return VisibleThings(must, frozenset(hinted) | must)
