"""What the playhouse has: its things and its scenes by name, with light, weather, sound and ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from tagline.benchmarks.playhouse.draw import indoors, outdoors, things_inside, things_outside
from tagline.benchmarks.playhouse.draw.appearance import CLOTHES
from tagline.benchmarks.playhouse.draw.backdrop import LIGHTINGS, Backdrop
from tagline.benchmarks.playhouse.draw.drawing import Colour, Sketch

_DRAW = {**things_outside.DRAW, **things_inside.DRAW}
OBJECTS = tuple(_DRAW)

# Where a thing belongs, if not on the ground.
AIR = ("balloon", "kite", "bird", "airplane")
WATER = ("boat", "duck")
OUTDOOR_ONLY = ("car", "bus", "horse", "boat", "airplane", "sheep")
# Drawn larger than life, or nobody would see them.
SMALL = (
    *("ball", "cup", "bottle", "apple", "banana", "pizza", "book", "clock"),
    *("bird", "duck", "skateboard", "laptop", "cake", "pumpkin"),
)
# Things whose colour people mention; the others have the colour they always have.
COLOURED = (
    *("ball", "car", "bicycle", "umbrella", "chair", "lamp", "book", "cup", "bottle", "balloon", "kite"),
    *("flower", "boat", "skateboard", "drum", "box", "suitcase", "bus", "robot", "airplane", "bench"),
    *("rocket", "guitar", "clock"),
)


@lru_cache(maxsize=2048)
def sketch(name: str, colour: str, mirrored: bool = False) -> Sketch:
    """The thing in one of the colours of clothes; bottom middle at (0, 0), a man would be 1 high."""
    drawn = Sketch()
    _DRAW[name](drawn, CLOTHES[colour])
    return Sketch().add(drawn, scale=(-1.0, 1.0)) if mirrored else drawn


PLACES_PER_SCENE = 20

_SKY = ("day", "day", "sunset", "overcast", "dusk", "bright")
_ROOM = ("day", "warm", "dim", "bright")


@dataclass(frozen=True, slots=True)
class Scene:
    draw: Callable[[Backdrop], None]
    ground: Colour  # what shadows darken
    lightings: tuple[str, ...]
    sound: str  # ambience
    weather: tuple[str, ...] = ("clear",)
    indoors: bool = False


SCENES: dict[str, Scene] = {
    "beach": Scene(outdoors.beach, (236, 208, 152), _SKY, "waves", ("clear", "clear", "rain")),
    "forest": Scene(outdoors.forest, (70, 116, 70), _SKY, "birds", ("clear", "clear", "rain", "leaves")),
    "city at night": Scene(
        outdoors.city_at_night, (46, 48, 66), ("day",), "traffic", ("clear", "clear", "rain")
    ),
    "kitchen": Scene(indoors.kitchen, (214, 202, 184), _ROOM, "hum", indoors=True),
    "stage": Scene(
        indoors.stage, (160, 112, 70), ("day", "warm", "dim"), "crowd", ("clear", "confetti"), True
    ),
    "snow field": Scene(outdoors.snow_field, (226, 232, 240), _SKY, "wind", ("clear", "snow", "snow")),
    "desert": Scene(outdoors.desert, (226, 180, 112), ("day", "sunset", "bright", "dusk", "warm"), "wind"),
    "playground": Scene(outdoors.playground, (116, 182, 92), _SKY, "birds", ("clear", "clear", "rain")),
    "classroom": Scene(indoors.classroom, (198, 156, 108), _ROOM, "crowd", indoors=True),
    "living room": Scene(indoors.living_room, (176, 134, 98), _ROOM, "hum", indoors=True),
    "street": Scene(outdoors.street, (112, 112, 116), _SKY, "traffic", ("clear", "clear", "rain", "leaves")),
    "mountains": Scene(outdoors.mountains, (130, 176, 98), _SKY, "wind", ("clear", "clear", "snow", "rain")),
    "farm": Scene(outdoors.farm, (190, 172, 88), _SKY, "birds", ("clear", "clear", "rain")),
    "swimming pool": Scene(outdoors.pool, (226, 216, 198), ("day", "bright", "sunset", "warm"), "waves"),
    "library": Scene(indoors.library, (112, 52, 54), _ROOM, "hum", indoors=True),
    "gym": Scene(indoors.gym, (210, 158, 98), _ROOM, "crowd", indoors=True),
    "harbour": Scene(outdoors.harbour, (150, 116, 84), _SKY, "waves", ("clear", "clear", "rain")),
    "moon": Scene(outdoors.moon, (160, 160, 168), ("day", "dim", "bright"), "hum"),
}


def backdrop(scene: str, place: int, lighting: str, wide: float) -> Backdrop:
    """Draw a place of a scene: the same place always has the same layout and taste in colours."""
    rng = Random(f"{scene} {place}")
    drawn = Backdrop(wide, rng, LIGHTINGS[lighting], hue=rng.uniform(-1, 1))
    SCENES[scene].draw(drawn)
    return drawn
