"""The truth about one video, ready to be written beside it; it reaches models only as training labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tagline.benchmarks.playhouse import folksonomy, language, stage
from tagline.benchmarks.playhouse.events import Event, events
from tagline.benchmarks.playhouse.language import WrittenCaption
from tagline.benchmarks.playhouse.scenario import Scenario, scenario
from tagline.benchmarks.playhouse.stage import Box


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
        return stage.boxes(scenario(self.seed), time)


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


def frame_labels(seed: int, times: Iterable[float], visible: float = 0.3) -> list[list[Box]]:
    """For each time the boxes of what is visible enough to be asked for."""
    world: Scenario = scenario(seed)
    return [[box for box in stage.boxes(world, time) if box.visible >= visible] for time in times]
