"""Heads: face, hair, hat."""

from __future__ import annotations

from functools import lru_cache

from tagline.benchmarks.playhouse.draw.appearance import CLOTHES, HAIR, Appearance
from tagline.benchmarks.playhouse.draw.drawing import INK, Colour, Sketch, mix, shade


@lru_cache(maxsize=256)
def back_of_head(appearance: Appearance) -> Sketch:
    """Hair that hangs behind the body; the head has radius 1 around (0, 0)."""
    colour = HAIR[appearance.hair]
    back = Sketch()
    if appearance.style == "long":
        back.polygon(
            [(-1.05, -0.2), (1.05, -0.2), (1.12, 1.5), (0.7, 1.85), (-0.7, 1.85), (-1.12, 1.5)],
            shade(colour, 0.85),
        )
    elif appearance.style == "ponytail":
        back.limb((0.7, -0.7), (1.5, 1.1), 0.7, 0.25, shade(colour, 0.9))
    elif appearance.style == "pigtails":
        for side in (-1, 1):
            back.limb((side * 0.9, -0.1), (side * 1.55, 0.95), 0.62, 0.3, colour)
            back.disc(side * 0.98, 0.0, 0.2, CLOTHES["red"])
    elif appearance.style == "bob":
        back.box(-1.16, -0.6, 2.32, 1.6, shade(colour, 0.88), 0.5)
    elif appearance.style == "bun":
        back.disc(0, -1.2, 0.48, shade(colour, 0.9))
    return back


@lru_cache(maxsize=256)
def head_of(appearance: Appearance, back: bool, mouth: int) -> Sketch:
    """The head, radius 1 around (0, 0), seen from the front or the back; mouth from 0 shut to 3 open."""
    head, colour = Sketch(), HAIR[appearance.hair]
    for side in (-1, 1):
        head.disc(side * 0.98, 0.12, 0.2, shade(appearance.skin, 0.9))
    if back:
        head.disc(0, 0, 1.02, colour if appearance.style != "bald" else appearance.skin)
        if appearance.style != "bald":
            head.ellipse(0, 0.55, 0.6, 0.5, shade(colour, 0.85))
    else:
        head.ellipse(0, 0.04, 0.98, 1.0, appearance.skin)
        _face(head, appearance, mouth)
        _fringe(head, appearance, colour)
    _hat(head, appearance)
    return head


def _face(head: Sketch, appearance: Appearance, mouth: int) -> None:
    for side in (-1, 1):
        head.ellipse(side * 0.58, 0.38, 0.2, 0.13, mix(appearance.skin, (236, 110, 110), 0.4))
        head.ellipse(side * 0.36, 0.06, 0.115, 0.15, INK)
    if appearance.beard:
        head.ellipse(0, 0.32, 0.9, 0.76, HAIR[appearance.hair], part=(0.0, 0.5))
    lips = (168, 54, 62) if appearance.kind in ("woman", "girl") else (132, 56, 52)
    if mouth:
        head.ellipse(0, 0.56, 0.2, 0.07 + 0.08 * mouth, (112, 34, 40))
    else:
        head.ellipse(0, 0.48, 0.28, 0.17, lips, part=(0.0, 0.5))
    if appearance.glasses:
        for side in (-1, 1):
            head.disc(side * 0.38, 0.06, 0.34, INK)
            head.disc(side * 0.38, 0.06, 0.25, (222, 240, 248))
            head.ellipse(side * 0.36, 0.06, 0.1, 0.13, INK)
        head.limb((-0.1, 0.04), (0.1, 0.04), 0.1, 0.1, INK)


def _fringe(head: Sketch, appearance: Appearance, colour: Colour) -> None:
    if appearance.style == "bald":
        return
    head.ellipse(0, -0.12, 1.06, 0.98, colour, part=(0.5, 1.0))
    if appearance.style == "short":
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
    elif appearance.style == "curly":
        for i in range(7):
            head.disc(-0.96 + i * 0.32, -0.52 - 0.34 * (1 - ((i - 3) / 3) ** 2), 0.34, colour)
    elif appearance.style == "spiky":
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


def _hat(head: Sketch, appearance: Appearance) -> None:
    if appearance.hat == "cap":
        colour = CLOTHES["blue"] if appearance.colour != "blue" else CLOTHES["red"]
        head.ellipse(0, -0.3, 1.08, 0.9, colour, part=(0.5, 1.0))
        head.ellipse(0.35, -0.3, 1.1, 0.18, shade(colour, 0.8))
    elif appearance.hat == "beanie":
        colour = CLOTHES["green"] if appearance.colour != "green" else CLOTHES["orange"]
        head.ellipse(0, -0.28, 1.1, 1.0, colour, part=(0.5, 1.0))
        head.box(-1.12, -0.48, 2.24, 0.34, shade(colour, 0.8), 0.15)
        head.disc(0, -1.3, 0.24, shade(colour, 1.5))
    elif appearance.hat == "straw hat":
        head.ellipse(0, -0.44, 1.75, 0.3, (226, 188, 110))
        head.ellipse(0, -0.5, 0.95, 0.85, (236, 204, 130), part=(0.5, 1.0))
        head.box(-0.95, -0.72, 1.9, 0.22, (178, 62, 58))
    elif appearance.hat == "bow":
        colour = CLOTHES["pink"] if appearance.colour != "pink" else CLOTHES["yellow"]
        for side in (-1, 1):
            head.polygon([(0, -0.98), (side * 0.62, -1.32), (side * 0.62, -0.68)], colour)
        head.disc(0, -0.98, 0.17, shade(colour, 0.8))
