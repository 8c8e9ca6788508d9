"""What persons look like: build, hair, clothes; drawn from a seed, or those of a known character."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tagline.benchmarks.playhouse.draw.drawing import Colour

PERSONS = ("man", "woman", "boy", "girl")

SKINS: tuple[Colour, ...] = ((250, 214, 186), (238, 188, 150), (206, 148, 106), (160, 106, 72), (112, 74, 52))
HAIR: dict[str, Colour] = {
    "black": (44, 36, 40),
    "brown": (104, 66, 42),
    "blond": (232, 192, 98),
    "red": (190, 82, 40),
    "grey": (186, 186, 190),
}
CLOTHES: dict[str, Colour] = {
    "red": (216, 62, 58),
    "orange": (240, 142, 52),
    "yellow": (246, 206, 74),
    "green": (82, 168, 92),
    "blue": (62, 116, 206),
    "purple": (138, 88, 180),
    "pink": (240, 138, 172),
    "white": (246, 244, 238),
    "black": (54, 52, 62),
}
DARK: tuple[Colour, ...] = ((58, 70, 104), (92, 78, 66), (64, 66, 72), (120, 96, 70), (44, 84, 98))


@dataclass(frozen=True, slots=True)
class Build:
    """Proportions in shares of the person's own height; `height` is the share of a man's."""

    height: float
    head: float
    leg: float
    torso: float
    shoulders: float
    hips: float
    arm: float
    thick: float


BUILDS = {
    "man": Build(1.0, 0.098, 0.45, 0.33, 0.25, 0.165, 0.36, 0.072),
    "woman": Build(0.94, 0.102, 0.455, 0.315, 0.185, 0.175, 0.34, 0.056),
    "boy": Build(0.70, 0.145, 0.375, 0.315, 0.21, 0.175, 0.32, 0.078),
    "girl": Build(0.67, 0.148, 0.38, 0.305, 0.175, 0.18, 0.31, 0.066),
}


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a person wears and is; drawn from a seed, or a known character's own."""

    kind: str
    skin: Colour
    hair: str  # colour, by name
    style: str
    top: str  # tee, stripes, hoodie, jacket, dress, overalls
    colour: str  # of the top, by name
    bottom: Colour
    legs: str  # trousers, shorts, skirt; a dress needs none
    shoes: Colour
    hat: str | None
    glasses: bool
    beard: bool
    size: float  # 1 is usual for the kind


STYLES = {
    "man": ("short", "short", "bald", "curly", "spiky"),
    "woman": ("long", "long", "bun", "bob", "ponytail"),
    "boy": ("short", "spiky", "curly"),
    "girl": ("pigtails", "pigtails", "ponytail", "bob"),
}
TOPS = {
    "man": ("tee", "stripes", "jacket", "hoodie"),
    "woman": ("dress", "dress", "tee", "stripes", "jacket"),
    "boy": ("tee", "stripes", "overalls", "hoodie"),
    "girl": ("dress", "dress", "overalls", "stripes"),
}
LEGS = {
    "man": ("trousers", "trousers", "trousers", "shorts"),
    "woman": ("trousers", "skirt"),
    "boy": ("shorts", "shorts", "trousers"),
    "girl": ("skirt", "trousers"),
}
HATS = {
    "man": ("cap", "straw hat", "beanie"),
    "woman": ("straw hat", "beanie"),
    "boy": ("cap", "beanie"),
    "girl": ("bow",),
}


def random_appearance(kind: str, rng: Random) -> Appearance:
    return Appearance(
        kind=kind,
        skin=rng.choice(SKINS),
        hair=rng.choice(("black", "brown", "blond", "red", "grey")[: 5 if kind in ("man", "woman") else 4]),
        style=rng.choice(STYLES[kind]),
        top=rng.choice(TOPS[kind]),
        colour=rng.choice(tuple(CLOTHES)),
        bottom=rng.choice(DARK),
        legs=rng.choice(LEGS[kind]),
        shoes=rng.choice(((70, 56, 52), (240, 240, 236), (200, 70, 62), (52, 58, 80))),
        hat=rng.choice(HATS[kind]) if rng.random() < 0.25 else None,
        glasses=rng.random() < (0.25 if kind in ("man", "woman") else 0.12),
        beard=kind == "man" and rng.random() < 0.45,
        size=round(rng.uniform(0.92, 1.08), 3),
    )
