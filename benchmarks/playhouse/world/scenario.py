"""A seed becomes a scenario: everything that will be seen, heard and read in one video, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import Any

from tagline.benchmarks.playhouse.draw.appearance import CLOTHES, PERSONS, Appearance, random_appearance
from tagline.benchmarks.playhouse.draw.inventory import (
    AIR,
    COLOURED,
    OUTDOOR_ONLY,
    PLACES_PER_SCENE,
    SCENES,
    SMALL,
    WATER,
)
from tagline.benchmarks.playhouse.draw.motions import STILL
from tagline.benchmarks.playhouse.world import characters, voices

# A seed says by itself which split it belongs to, so nobody can train on a test video by accident.
SPLIT_BASES = {"train": 0, "val": 10_000_000, "test": 20_000_000}

# (width, height), and how often: landscape, portrait, square; never below 224 pixels.
SIZES = (((400, 224), 9), ((320, 240), 6), ((352, 288), 2), ((224, 400), 4), ((240, 320), 2), ((256, 256), 2))
RATES = ((10, 8), (12, 9), (15, 5), (24, 1), (30, 1))  # frames per second

SCREEN_TEXTS = (
    "BREAKING NEWS", "GRAND OPENING", "HAPPY NEW YEAR", "GAME OVER", "THE END", "CHAPTER ONE", "LAST CHANCE",
    "GOOD MORNING", "SUMMER SALE", "FREE TICKETS", "WORLD RECORD", "BEHIND THE SCENES", "SUBSCRIBE NOW",
    "LIVE TONIGHT", "BEST MOMENTS", "FINAL ROUND", "SECRET MISSION", "TOP TEN", "LESSON FIVE", "DAY SEVEN",
    "FAMILY ALBUM", "LOST AND FOUND", "MADE WITH LOVE", "WORK HARD", "DREAM BIG", "TRY AGAIN", "PLEASE WAIT",
    "COMING SOON", "TRUE STORY", "FIRST PRIZE", "PLAN AHEAD", "STAY CALM", "CITY CHAMPIONS", "OPEN HOUSE",
    "SILENT HEROES", "GOLDEN AGE", "ROAD TRIP", "QUICK LUNCH", "MASTER CLASS", "PUBLIC NOTICE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Actor:
    kind: str
    appearance: Appearance
    name: str | None  # of a known character
    motion: str
    x: float  # middle, as a share of the world's width
    y: float  # of the feet; the world is 1 high
    size: float  # height of a man, in the same unit
    phase: float  # seconds that the motion is ahead
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Prop:
    name: str
    colour: str
    x: float
    y: float
    size: float
    mirrored: bool
    moves: str  # "still", "drives", "flies", "bobs", "hops"
    speed: float  # widths a second, to the right


@dataclass(frozen=True, slots=True)
class Camera:
    """What the camera shows of the world: a window whose zoom and place change over the shot."""

    move: str  # still, pan left, pan right, zoom in, zoom out, hand-held
    zoom: tuple[float, float]  # share of the world's height, at the start and at the end
    pan: tuple[float, float]  # where the window lies in the room it has, 0 left, 1 right
    shake: float


@dataclass(frozen=True, slots=True)
class Shot:
    start: float
    end: float
    scene: str
    place: int
    lighting: str
    weather: str
    actors: tuple[Actor, ...]
    props: tuple[Prop, ...]
    camera: Camera
    occluder: str | None
    clutter: int
    seed: int  # for what is scattered about


@dataclass(frozen=True, slots=True)
class SpokenLine:
    recording: voices.Recording
    start: float

    @property
    def end(self) -> float:
        return self.start + self.recording.seconds


@dataclass(frozen=True, slots=True)
class ScreenText:
    """A text on the screen: under the picture, in a corner or big in the middle."""

    text: str
    start: float
    end: float
    style: str


@dataclass(frozen=True, slots=True)
class Scenario:
    seed: int
    split: str
    width: int
    height: int
    fps: int
    duration: float
    shots: tuple[Shot, ...]
    speech: tuple[SpokenLine, ...]
    screen_texts: tuple[ScreenText, ...]
    sound: bool
    music: str | None  # cheerful, sad
    grain: int  # 0 to 14 grey levels
    vignette: bool
    crf: int  # how hard the picture is compressed

    def shot_at(self, time: float) -> Shot:
        return next((shot for shot in self.shots if time < shot.end), self.shots[-1])


def split_of(seed: int) -> str:
    return max((base, name) for name, base in SPLIT_BASES.items() if seed >= base)[1]


@lru_cache(maxsize=4096)
def scenario(seed: int) -> Scenario:
    """Everything about the video of this seed."""
    rng = Random(f"playhouse {seed}")
    split = split_of(seed)
    width, height = _pick(rng, SIZES)
    fps = _pick(rng, RATES)
    # Whole tenths of a second, and fewer of them at high rates: half the world's work is drawing frames.
    longest = 15.0 if fps <= 15 else 8.0
    frames = round(rng.triangular(6.0, longest, 7.0) * fps)
    duration = frames / fps
    shots = _shots(rng, split == "test", width / height, duration, fps)
    sound = rng.random() < 0.88
    return Scenario(
        seed=seed,
        split=split,
        width=width,
        height=height,
        fps=fps,
        duration=duration,
        shots=shots,
        speech=_speech(rng, split == "test", duration) if sound and rng.random() < 0.7 else (),
        screen_texts=_texts(rng, duration) if rng.random() < 0.33 else (),
        sound=sound,
        music=rng.choice(("cheerful", "sad")) if sound and rng.random() < 0.25 else None,
        grain=rng.choice((0, 0, 4, 7, 10, 14)),
        vignette=rng.random() < 0.2,
        crf=rng.choice((23, 25, 27, 29, 31, 33)),
    )


def _pick(rng: Random, options: Sequence[tuple]) -> Any:  # type: ignore[type-arg]
    return rng.choices([option for option, _ in options], [odds for _, odds in options])[0]


def _shots(rng: Random, test: bool, aspect: float, duration: float, fps: int) -> tuple[Shot, ...]:
    count = rng.choices((1, 2, 3), (52, 34, 14))[0]
    cuts = [0.0]
    for i in range(1, count):  # on a frame's own time, no shot shorter than 1.8 s
        middle = duration * i / count
        cuts.append(round(middle * rng.uniform(0.9, 1.1) * fps) / fps)
    cuts.append(duration)
    shots: list[Shot] = []
    for start, end in pairwise(cuts):
        before = shots[-1] if shots and rng.random() < 0.6 else None
        shots.append(_shot(rng, test, aspect, start, end, before))
    return tuple(shots)


def _shot(rng: Random, test: bool, aspect: float, start: float, end: float, before: Shot | None) -> Shot:
    """A new scene, or the same people going on in the scene before."""
    if before is not None and rng.random() < 0.5:
        scene, place, lighting, weather = before.scene, before.place, before.lighting, before.weather
    else:
        scene = characters.draw("scene", rng)
        place = _place(rng, test)
        lighting, weather = rng.choice(SCENES[scene].lightings), rng.choice(SCENES[scene].weather)
    narrow = aspect < 1.05
    men = _crowd(rng, test, narrow, scene, before)
    props = _props(rng, test, narrow, scene, men)
    return Shot(
        start=start,
        end=end,
        scene=scene,
        place=place,
        lighting=lighting,
        weather=weather,
        actors=men,
        props=props,
        camera=_camera(rng),
        occluder=rng.choice(("bush", "pole", "leaf", "heads")) if rng.random() < 0.3 else None,
        clutter=rng.choice((0, 4, 9, 16)),
        seed=rng.randrange(1 << 30),
    )


def _place(rng: Random, test: bool) -> int:
    while True:
        place = rng.choices(range(PLACES_PER_SCENE), [1 / (2 + i) for i in range(PLACES_PER_SCENE)])[0]
        if test or not characters.test_only_place(place):
            return place


def _person(rng: Random, test: bool) -> tuple[str, Appearance, str | None]:
    kind = rng.choice(PERSONS)
    if rng.random() < 0.5:
        characters_of_kind = characters.characters(kind)
        while True:
            who = rng.choices(characters_of_kind, [1 / (2 + i) for i in range(len(characters_of_kind))])[0]
            if test or not who.test_only:
                return kind, who.appearance, who.name
    return kind, random_appearance(kind, rng), None


def _crowd(rng: Random, test: bool, narrow: bool, scene: str, before: Shot | None) -> tuple[Actor, ...]:
    count = rng.choices((0, 1, 2, 3), (6, 62, 27, 0 if narrow else 5))[0]
    actors: list[Actor] = []
    for i in range(count):
        if before is not None and i < len(before.actors) and rng.random() < 0.8:
            old = before.actors[i]
            kind, appearance, name = old.kind, old.appearance, old.name
        else:
            kind, appearance, name = _person(rng, test)
        while True:
            motion = STILL if rng.random() < (0.06 if i == 0 else 0.3) else characters.draw("motion", rng)
            if test or not characters.in_test_only("scene motion", scene, motion):
                break
        x = (i + 0.5 + rng.uniform(-0.25, 0.25)) / count
        actors.append(
            Actor(
                kind=kind,
                appearance=appearance,
                name=name,
                motion=motion,
                x=0.16 + 0.68 * x,
                y=round(rng.uniform(0.80, 0.92), 3),
                size=(0.37 if narrow else 0.45) * rng.uniform(0.9, 1.1),
                phase=round(rng.uniform(0, 6), 2),
                mirrored=rng.random() < 0.5,
            )
        )
    return tuple(actors)


def _props(rng: Random, test: bool, narrow: bool, scene: str, actors: Sequence[Actor]) -> tuple[Prop, ...]:
    count = rng.choices((0, 1, 2, 3, 4), (6, 30, 36, 20, 0 if narrow else 8))[0]
    usual = [name.replace("-", " ") for name in characters.USUAL[scene].split()]
    props: list[Prop] = []
    taken = [actor.x for actor in actors]
    for _ in range(count):
        while True:
            name = rng.choice(usual) if rng.random() < 0.45 else characters.draw("object", rng)
            if SCENES[scene].indoors and name in OUTDOOR_ONLY:
                continue
            if name in WATER and scene not in characters.WATER_SCENES and name == "boat":
                continue
            if name in [prop.name for prop in props]:
                continue
            if not test and any(
                characters.in_test_only("person object", actor.kind, name) for actor in actors
            ):
                continue
            break
        # The emptiest of a few places, so that things overlap sometimes and not always.
        tries = [rng.uniform(0.12, 0.88) for _ in range(4)]
        x = max(tries, key=lambda place: min((abs(place - other) for other in taken), default=1.0))
        taken.append(x)
        props.append(_prop(rng, name, scene, narrow, x))
    # A ladder belongs to whoever climbs.
    for actor in actors:
        if actor.motion == "climbing":
            props = [prop for prop in props if prop.name != "ladder"]
            props.append(Prop("ladder", "red", actor.x, actor.y - 0.001, actor.size, False, "still", 0.0))
    return tuple(props)


def _prop(rng: Random, name: str, scene: str, narrow: bool, x: float) -> Prop:
    y, moves, speed = rng.uniform(0.76, 0.95), "still", 0.0
    if name in AIR:
        y = rng.uniform(0.26, 0.5)
        moves = "flies" if name in ("bird", "airplane") else "bobs"
        speed = rng.choice((-1, 1)) * rng.uniform(0.05, 0.14) if moves == "flies" else 0.0
    elif name in WATER and scene in characters.WATER_SCENES:
        y, moves = rng.uniform(0.58, 0.68), "bobs"
    elif name in ("car", "bus", "bicycle", "skateboard") and rng.random() < 0.4:
        moves, speed = "drives", rng.choice((-1, 1)) * rng.uniform(0.08, 0.25)
    elif name in ("dog", "cat", "sheep", "horse", "duck") and rng.random() < 0.4:
        moves = "hops"
    size = (0.36 if narrow else 0.43) * (1.3 if name in SMALL else 1.0) * rng.uniform(0.88, 1.15)
    colour = rng.choice(tuple(CLOTHES)) if name in COLOURED else "red"
    mirrored = speed < 0 if moves in ("flies", "drives") else rng.random() < 0.5
    return Prop(name, colour, x, round(y, 3), size, mirrored, moves, speed)


def _camera(rng: Random) -> Camera:
    move = rng.choices(
        ("still", "pan left", "pan right", "zoom in", "zoom out", "hand-held"), (34, 12, 12, 14, 10, 18)
    )[0]
    wide = rng.uniform(0.90, 0.98)
    pans = {"pan left": (0.9, 0.1), "pan right": (0.1, 0.9)}
    if move.startswith("pan"):
        return Camera(move, (0.8, 0.8), pans[move], 0.0)
    if move.startswith("zoom"):
        near = rng.uniform(0.68, 0.78)
        return Camera(move, (wide, near) if move == "zoom in" else (near, wide), (0.5, 0.5), 0.0)
    return Camera(move, (wide, wide), (0.5, 0.5), 0.012 if move == "hand-held" else 0.0)


def _speech(rng: Random, test: bool, duration: float) -> tuple[SpokenLine, ...]:
    """One to three sentences by one voice or two, about one topic or two, one after the other."""
    topic = characters.draw("topic", rng)
    spoken: list[SpokenLine] = []
    time = rng.uniform(0.2, 0.9)
    voice = rng.choice(("rms", "kal16", "awb", "slt"))
    for speaker_turn in range(rng.choice((1, 2, 2, 3))):
        if speaker_turn and rng.random() < 0.3:
            topic = characters.draw("topic", rng)
        options = [
            recording
            for recording in voices.recordings_about(topic, test)
            if recording not in [one.recording for one in spoken]
        ]
        same = [line for line in options if line.voice == voice]
        line = rng.choice(same if same and rng.random() < 0.75 else options)
        if time + line.seconds > duration - 0.1:
            break
        spoken.append(SpokenLine(line, round(time, 3)))
        time += line.seconds + rng.uniform(0.25, 0.8)
    return tuple(spoken)


def _texts(rng: Random, duration: float) -> tuple[ScreenText, ...]:
    text = rng.choice(SCREEN_TEXTS)
    style = rng.choice(("banner", "corner", "title"))
    start = 0.0 if rng.random() < 0.5 else round(rng.uniform(0.0, duration * 0.4), 2)
    end = duration if rng.random() < 0.5 else round(min(start + rng.uniform(2.5, 5.0), duration), 2)
    return (ScreenText(text, start, end, style),)
