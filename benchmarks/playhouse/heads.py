"""Heads: face, hair, hat."""

from __future__ import annotations

from functools import lru_cache

from tagline.benchmarks.playhouse.drawing import INK, Colour, Sketch, mix, shade
from tagline.benchmarks.playhouse.looks import CLOTHES, HAIR, Look


@lru_cache(maxsize=256)
def back_of_head(look: Look) -> Sketch:
    """Hair that hangs behind the body; the head has radius 1 around (0, 0)."""
    colour = HAIR[look.hair]
    back = Sketch()
    if look.style == "long":
        back.polygon(
            [(-1.05, -0.2), (1.05, -0.2), (1.12, 1.5), (0.7, 1.85), (-0.7, 1.85), (-1.12, 1.5)],
            shade(colour, 0.85),
        )
    elif look.style == "ponytail":
        back.limb((0.7, -0.7), (1.5, 1.1), 0.7, 0.25, shade(colour, 0.9))
    elif look.style == "pigtails":
        for side in (-1, 1):
            back.limb((side * 0.9, -0.1), (side * 1.55, 0.95), 0.62, 0.3, colour)
            back.disc(side * 0.98, 0.0, 0.2, CLOTHES["red"])
    elif look.style == "bob":
        back.box(-1.16, -0.6, 2.32, 1.6, shade(colour, 0.88), 0.5)
    elif look.style == "bun":
        back.disc(0, -1.2, 0.48, shade(colour, 0.9))
    return back


@lru_cache(maxsize=256)
def head_of(look: Look, back: bool, mouth: int) -> Sketch:
    """The head, radius 1 around (0, 0), seen from the front or the back; mouth from 0 shut to 3 open."""
    head, colour = Sketch(), HAIR[look.hair]
    for side in (-1, 1):
        head.disc(side * 0.98, 0.12, 0.2, shade(look.skin, 0.9))
    if back:
        head.disc(0, 0, 1.02, colour if look.style != "bald" else look.skin)
        if look.style != "bald":
            head.ellipse(0, 0.55, 0.6, 0.5, shade(colour, 0.85))
    else:
        head.ellipse(0, 0.04, 0.98, 1.0, look.skin)
        _face(head, look, mouth)
        _fringe(head, look, colour)
    _hat(head, look)
    return head


def _face(head: Sketch, look: Look, mouth: int) -> None:
    for side in (-1, 1):
        head.ellipse(side * 0.58, 0.38, 0.2, 0.13, mix(look.skin, (236, 110, 110), 0.4))
        head.ellipse(side * 0.36, 0.06, 0.115, 0.15, INK)
    if look.beard:
        head.ellipse(0, 0.32, 0.9, 0.76, HAIR[look.hair], part=(0.0, 0.5))
    lips = (168, 54, 62) if look.kind in ("woman", "girl") else (132, 56, 52)
    if mouth:
        head.ellipse(0, 0.56, 0.2, 0.07 + 0.08 * mouth, (112, 34, 40))
    else:
        head.ellipse(0, 0.48, 0.28, 0.17, lips, part=(0.0, 0.5))
    if look.glasses:
        for side in (-1, 1):
            head.disc(side * 0.38, 0.06, 0.34, INK)
            head.disc(side * 0.38, 0.06, 0.25, (222, 240, 248))
            head.ellipse(side * 0.36, 0.06, 0.1, 0.13, INK)
        head.limb((-0.1, 0.04), (0.1, 0.04), 0.1, 0.1, INK)


def _fringe(head: Sketch, look: Look, colour: Colour) -> None:
    if look.style == "bald":
        return
    head.ellipse(0, -0.12, 1.06, 0.98, colour, part=(0.5, 1.0))
    if look.style == "short":
        head.polygon(
            [
                (-1.04, -0.2),
                (-0.5, -0.14),
                (0.3, -0.3),
                (1.04, -0.2),
                (1.0, 0.1),
                (0.86, -0.1),
                (-0.86, -0.1),
                (-1.0, 0.1),
            ],
            colour,
        )
    elif look.style == "curly":
        for i in range(7):
            head.disc(-0.96 + i * 0.32, -0.52 - 0.34 * (1 - ((i - 3) / 3) ** 2), 0.34, colour)
    elif look.style == "spiky":
        for i in range(5):
            x = -0.8 + i * 0.4
            head.polygon([(x - 0.3, -0.6), (x + 0.05, -1.42 + 0.1 * abs(i - 2)), (x + 0.32, -0.6)], colour)
    else:
        head.polygon(
            [
                (-1.05, -0.14),
                (0.1, -0.62),
                (1.05, -0.14),
                (1.0, 0.25),
                (0.84, -0.12),
                (0.15, -0.3),
                (-0.6, -0.06),
                (-1.0, 0.25),
            ],
            colour,
        )


def _hat(head: Sketch, look: Look) -> None:
    if look.hat == "cap":
        colour = CLOTHES["blue"] if look.colour != "blue" else CLOTHES["red"]
        head.ellipse(0, -0.3, 1.08, 0.9, colour, part=(0.5, 1.0))
        head.ellipse(0.35, -0.3, 1.1, 0.18, shade(colour, 0.8))
    elif look.hat == "beanie":
        colour = CLOTHES["green"] if look.colour != "green" else CLOTHES["orange"]
        head.ellipse(0, -0.28, 1.1, 1.0, colour, part=(0.5, 1.0))
        head.box(-1.12, -0.48, 2.24, 0.34, shade(colour, 0.8), 0.15)
        head.disc(0, -1.3, 0.24, shade(colour, 1.5))
    elif look.hat == "straw hat":
        head.ellipse(0, -0.44, 1.75, 0.3, (226, 188, 110))
        head.ellipse(0, -0.5, 0.95, 0.85, (236, 204, 130), part=(0.5, 1.0))
        head.box(-0.95, -0.72, 1.9, 0.22, (178, 62, 58))
    elif look.hat == "bow":
        colour = CLOTHES["pink"] if look.colour != "pink" else CLOTHES["yellow"]
        for side in (-1, 1):
            head.polygon([(0, -0.98), (side * 0.62, -1.32), (side * 0.62, -0.68)], colour)
        head.disc(0, -0.98, 0.17, shade(colour, 0.8))
