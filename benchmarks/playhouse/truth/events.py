"""What really happens in a scenario, with spans: the ground of captions, titles, tags and labels."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from tagline.benchmarks.playhouse.draw import inventory
from tagline.benchmarks.playhouse.draw.motions import STILL
from tagline.benchmarks.playhouse.render import renderer
from tagline.benchmarks.playhouse.world import characters
from tagline.benchmarks.playhouse.world.scenario import Scenario, Shot, scenario

SEEN = 0.35  # a thing counts as seen while at least this share of it is visible


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is true from `start` to `end`, in seconds.

    kind: scene, place, light, weather, person, character, motion, object, topic, sentence, word, screen,
    music or ambience. `detail` says more: who moves, what colour, which voice, which sentence.
    """

    kind: str
    text: str
    start: float
    end: float
    detail: str = ""


@lru_cache(maxsize=2048)
def events(seed: int) -> tuple[Event, ...]:
    """Everything that can be seen, heard and read, ordered by kind and start."""
    world = scenario(seed)
    found: list[Event] = []
    for shot in world.shots:
        found += _setting(shot)
        found += _things(world, shot)
    for said in world.speech:
        line = said.recording
        found.append(Event("topic", line.topic, said.start, said.end, line.voice))
        found.append(Event("sentence", line.text, said.start, said.end, line.voice))
        for text, start, end in line.words:
            found.append(
                Event("word", text, round(said.start + start, 3), round(said.start + end, 3), line.voice)
            )
    for shown in world.screen_texts:
        found.append(Event("screen", shown.text, shown.start, shown.end, shown.style))
    if world.music:
        found.append(Event("music", world.music, 0.0, world.duration))
    return tuple(_joined(found))


def _setting(shot: Shot) -> list[Event]:
    from tagline.benchmarks.playhouse.draw.inventory import SCENES

    span = (shot.start, shot.end)
    return [
        Event("scene", shot.scene, *span),
        Event("place", characters.place_name(shot.scene, shot.place), *span, shot.scene),
        Event("light", shot.lighting, *span),
        Event("weather", shot.weather, *span),
        Event("ambience", SCENES[shot.scene].sound, *span),
    ]


def _things(world: Scenario, shot: Shot) -> list[Event]:
    """Persons and objects while they are in the picture, sampled once a second."""
    count = max(math.ceil(shot.end - shot.start), 2)
    step = (shot.end - shot.start) / count
    seen: dict[tuple[str, bool], set[int]] = defaultdict(set)
    for number in range(count):
        for box in renderer.boxes(world, shot.start + (number + 0.5) * step):
            if box.visible >= SEEN:
                seen[box.name, box.person].add(number)
    colours = {prop.name: prop.colour for prop in shot.props if prop.name in inventory.COLOURED}
    found = []
    for (name, person), numbers in seen.items():
        for first, last in _runs(numbers):
            span = (round(shot.start + first * step, 3), round(shot.start + (last + 1) * step, 3))
            found.append(Event("person" if person else "object", name, *span, colours.get(name, "")))
    for actor in shot.actors:
        numbers = seen.get((actor.kind, True), set())
        if not numbers:
            continue
        if actor.name:
            found.append(Event("character", actor.name, shot.start, shot.end, actor.kind))
        if actor.motion != STILL:
            found.append(Event("motion", actor.motion, shot.start, shot.end, actor.kind))
    return found


def _runs(numbers: set[int]) -> list[tuple[int, int]]:
    """{0, 1, 2, 5} becomes (0, 2), (5, 5)."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _joined(found: list[Event]) -> list[Event]:
    """Spans of the same thing that meet at a cut become one."""
    done: list[Event] = []
    for event in sorted(set(found), key=lambda e: (e.kind, e.text, e.detail, e.start)):
        last = done[-1] if done else None
        same = last and (last.kind, last.text, last.detail) == (event.kind, event.text, event.detail)
        if last and same and event.kind != "word" and event.start <= last.end + 1e-6:
            done[-1] = Event(last.kind, last.text, last.start, max(last.end, event.end), last.detail)
        else:
            done.append(event)
    return sorted(done, key=lambda e: (e.kind, e.start, e.text))


def texts(seed: int, kind: str) -> list[str]:
    """The different texts of a kind, in the order in which they begin."""
    ordered = sorted((event for event in events(seed) if event.kind == kind), key=lambda e: e.start)
    return list(dict.fromkeys(event.text for event in ordered))
