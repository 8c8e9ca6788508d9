"""The forty-one things of the playhouse by name: how they look, where they belong, which have a colour."""

from __future__ import annotations

from functools import lru_cache

from tagline.benchmarks.playhouse import things_inside, things_outside
from tagline.benchmarks.playhouse.drawing import Sketch
from tagline.benchmarks.playhouse.looks import CLOTHES

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
