"""Drawn things that belong in rooms. Bottom middle at (0, 0); a man is 1 high."""

from __future__ import annotations

from collections.abc import Callable

from tagline.benchmarks.playhouse.draw.drawing import INK, WHITE, Colour, Sketch, shade

WOOD: Colour = (176, 122, 74)
STEEL: Colour = (168, 176, 186)
LEAF: Colour = (86, 160, 84)


def _eye(s: Sketch, x: float, y: float, r: float = 0.016) -> None:
    s.disc(x, y, r, INK)


def _guitar(s: Sketch, c: Colour) -> None:
    s.limb((0, -0.4), (0, -0.86), 0.055, 0.05, (92, 62, 44))
    s.box(-0.05, -0.98, 0.1, 0.14, (70, 46, 34), 0.02)
    s.ellipse(0, -0.16, 0.2, 0.165, c)
    s.ellipse(0, -0.36, 0.15, 0.13, c)
    s.disc(0, -0.28, 0.06, (60, 42, 36))
    s.box(-0.07, -0.13, 0.14, 0.03, (60, 42, 36))
    s.limb((0, -0.12), (0, -0.86), 0.016, 0.016, (240, 226, 190))


def _chair(s: Sketch, c: Colour) -> None:
    for x in (-0.15, 0.15):
        s.limb((x, -0.26), (x * 1.1, -0.02), 0.04, 0.035, WOOD)
    s.box(-0.19, -0.62, 0.05, 0.4, WOOD, 0.02)
    s.box(0.14, -0.62, 0.05, 0.4, WOOD, 0.02)
    s.box(-0.17, -0.62, 0.34, 0.2, c, 0.05)
    s.box(-0.21, -0.3, 0.42, 0.08, shade(c, 0.8), 0.03)


def _table(s: Sketch, c: Colour) -> None:
    for x in (-0.36, 0.36):
        s.limb((x, -0.36), (x, -0.02), 0.05, 0.045, shade(WOOD, 0.8))
    s.box(-0.46, -0.42, 0.92, 0.08, WOOD, 0.02)
    s.box(-0.46, -0.36, 0.92, 0.03, shade(WOOD, 0.75))


def _lamp(s: Sketch, c: Colour) -> None:
    s.ellipse(0, -0.025, 0.14, 0.03, INK)
    s.limb((0, -0.03), (0, -0.6), 0.03, 0.03, STEEL)
    s.polygon([(-0.1, -0.84), (0.1, -0.84), (0.2, -0.54), (-0.2, -0.54)], c)
    s.ellipse(0, -0.54, 0.2, 0.03, (255, 244, 190))


def _book(s: Sketch, c: Colour) -> None:
    s.polygon([(0, -0.03), (-0.24, -0.07), (-0.24, -0.3), (0, -0.25)], c)
    s.polygon([(0, -0.03), (0.24, -0.07), (0.24, -0.3), (0, -0.25)], shade(c, 0.85))
    s.polygon([(0, -0.05), (-0.21, -0.095), (-0.21, -0.315), (0, -0.27)], WHITE)
    s.polygon([(0, -0.05), (0.21, -0.095), (0.21, -0.315), (0, -0.27)], shade(WHITE, 0.93))
    for y in (0.0, 0.05, 0.1):
        s.limb((-0.17, -0.26 + y), (-0.04, -0.235 + y), 0.012, 0.012, STEEL)
        s.limb((0.04, -0.235 + y), (0.17, -0.26 + y), 0.012, 0.012, STEEL)


def _cup(s: Sketch, c: Colour) -> None:
    s.ellipse(0.14, -0.14, 0.085, 0.085, c)
    s.ellipse(0.14, -0.14, 0.045, 0.045, (226, 222, 216))
    s.polygon([(-0.14, -0.26), (0.14, -0.26), (0.1, 0.0), (-0.1, 0.0)], c)
    s.ellipse(0, -0.26, 0.14, 0.035, shade(c, 1.45))
    s.ellipse(0, -0.255, 0.11, 0.024, (94, 58, 40))


def _bottle(s: Sketch, c: Colour) -> None:
    s.box(-0.085, -0.3, 0.17, 0.3, c, 0.04)
    s.polygon([(-0.085, -0.27), (-0.034, -0.38), (0.034, -0.38), (0.085, -0.27)], c)
    s.box(-0.034, -0.46, 0.068, 0.1, shade(c, 0.85))
    s.box(-0.04, -0.48, 0.08, 0.045, INK, 0.01)
    s.box(-0.085, -0.22, 0.17, 0.12, WHITE)
    s.limb((-0.055, -0.27), (-0.055, -0.25), 0.02, 0.02, shade(c, 1.5))


def _television(s: Sketch, c: Colour) -> None:
    s.limb((-0.06, -0.56), (-0.2, -0.74), 0.016, 0.016, STEEL)
    s.limb((0.06, -0.56), (0.2, -0.74), 0.016, 0.016, STEEL)
    for x in (-0.22, 0.22):
        s.limb((x, -0.1), (x * 1.2, -0.01), 0.04, 0.03, (92, 62, 44))
    s.box(-0.36, -0.56, 0.72, 0.48, (118, 82, 58), 0.06)
    s.box(-0.31, -0.51, 0.48, 0.38, (60, 74, 92), 0.06)
    s.polygon([(-0.26, -0.2), (-0.1, -0.46), (0.0, -0.46), (-0.16, -0.2)], (118, 146, 170))
    for y in (-0.43, -0.32):
        s.disc(0.26, y, 0.035, (236, 214, 160))


def _clock(s: Sketch, c: Colour) -> None:
    s.limb((-0.12, -0.1), (-0.17, -0.01), 0.04, 0.04, INK)
    s.limb((0.12, -0.1), (0.17, -0.01), 0.04, 0.04, INK)
    for x in (-0.13, 0.13):
        s.disc(x, -0.4, 0.065, shade(c, 0.75))
    s.disc(0, -0.22, 0.21, c)
    s.disc(0, -0.22, 0.16, WHITE)
    s.limb((0, -0.22), (0, -0.33), 0.025, 0.02, INK)
    s.limb((0, -0.22), (0.08, -0.18), 0.025, 0.02, INK)


def _drum(s: Sketch, c: Colour) -> None:
    s.box(-0.24, -0.36, 0.48, 0.32, c, 0.03)
    for i in range(4):
        x = -0.21 + i * 0.12
        s.line([(x, -0.33), (x + 0.06, -0.06), (x + 0.12, -0.33)], 0.018, (244, 214, 110))
    s.box(-0.26, -0.08, 0.52, 0.07, (232, 226, 214), 0.03)
    s.ellipse(0, -0.36, 0.26, 0.07, (250, 246, 236))
    s.limb((-0.2, -0.56), (0.04, -0.37), 0.022, 0.022, WOOD)
    s.limb((0.24, -0.54), (0.1, -0.38), 0.022, 0.022, WOOD)


def _box(s: Sketch, c: Colour) -> None:
    s.box(-0.22, -0.34, 0.44, 0.34, c, 0.015)
    s.box(-0.25, -0.4, 0.5, 0.1, shade(c, 0.82), 0.015)
    s.box(-0.045, -0.4, 0.09, 0.4, (250, 226, 130))
    for side in (-1, 1):
        s.polygon([(0, -0.4), (side * 0.15, -0.52), (side * 0.17, -0.41)], (250, 226, 130))


def _pizza(s: Sketch, c: Colour) -> None:
    s.polygon([(-0.24, -0.32), (0.24, -0.32), (0.0, 0.04)], (250, 204, 90))
    s.limb((-0.24, -0.33), (0.24, -0.33), 0.085, 0.085, (206, 136, 70))
    for x, y in ((-0.1, -0.24), (0.09, -0.23), (0.0, -0.12)):
        s.disc(x, y, 0.045, (204, 62, 48))
    s.ellipse(0.0, -0.25, 0.03, 0.014, LEAF, 30)


def _cake(s: Sketch, c: Colour) -> None:
    s.ellipse(0, -0.03, 0.32, 0.035, (206, 214, 222))
    s.box(-0.25, -0.26, 0.5, 0.24, (250, 222, 190), 0.03)
    s.box(-0.25, -0.17, 0.5, 0.05, (206, 112, 92))
    s.box(-0.26, -0.31, 0.52, 0.1, (244, 150, 178), 0.04)
    for x in (-0.16, 0.0, 0.16):
        s.disc(x, -0.22, 0.035, (244, 150, 178))
        s.limb((x, -0.31), (x, -0.41), 0.026, 0.026, (110, 170, 220))
        s.ellipse(x, -0.45, 0.018, 0.032, (250, 190, 60))


def _apple(s: Sketch, c: Colour) -> None:
    s.limb((0, -0.24), (0.03, -0.33), 0.022, 0.022, (96, 66, 44))
    s.ellipse(0.09, -0.3, 0.065, 0.03, LEAF, -20)
    for x in (-0.055, 0.055):
        s.ellipse(x, -0.13, 0.105, 0.13, (204, 44, 50))
    s.ellipse(-0.08, -0.18, 0.026, 0.04, (244, 140, 130), 15)


def _banana(s: Sketch, c: Colour) -> None:
    s.line([(-0.22, -0.3), (-0.17, -0.16), (-0.04, -0.07), (0.12, -0.07), (0.22, -0.12)], 0.1, (246, 212, 70))
    s.line([(-0.17, -0.17), (-0.04, -0.075), (0.12, -0.075)], 0.03, (220, 176, 46))
    s.limb((-0.22, -0.31), (-0.23, -0.37), 0.04, 0.035, (110, 84, 50))
    s.disc(0.24, -0.13, 0.026, (110, 84, 50))


def _laptop(s: Sketch, c: Colour) -> None:
    s.polygon([(-0.22, -0.08), (0.22, -0.08), (0.24, -0.36), (-0.24, -0.36)], (70, 74, 84))
    s.polygon([(-0.195, -0.1), (0.195, -0.1), (0.212, -0.335), (-0.212, -0.335)], (134, 196, 226))
    s.polygon([(-0.22, -0.08), (0.22, -0.08), (0.3, 0.0), (-0.3, 0.0)], STEEL)
    s.polygon([(-0.19, -0.065), (0.19, -0.065), (0.21, -0.035), (-0.21, -0.035)], (92, 98, 108))


def _teddy(s: Sketch, c: Colour) -> None:
    fur: Colour = (188, 128, 76)
    for side in (-1, 1):
        s.disc(side * 0.11, -0.47, 0.055, fur)
        s.disc(side * 0.11, -0.47, 0.03, shade(fur, 1.4))
        s.limb((side * 0.12, -0.24), (side * 0.22, -0.14), 0.1, 0.09, fur)
        s.ellipse(side * 0.13, -0.055, 0.09, 0.06, fur)
    s.ellipse(0, -0.16, 0.15, 0.15, fur)
    s.ellipse(0, -0.15, 0.09, 0.1, shade(fur, 1.4))
    s.ellipse(0, -0.38, 0.15, 0.125, fur)
    s.ellipse(0, -0.34, 0.07, 0.05, shade(fur, 1.5))
    s.disc(0, -0.36, 0.022, INK)
    for x in (-0.06, 0.06):
        _eye(s, x, -0.41)
    s.polygon([(0, -0.27), (-0.08, -0.31), (-0.08, -0.23)], c)
    s.polygon([(0, -0.27), (0.08, -0.31), (0.08, -0.23)], c)


def _suitcase(s: Sketch, c: Colour) -> None:
    s.line([(-0.08, -0.4), (-0.08, -0.56), (0.08, -0.56), (0.08, -0.4)], 0.026, INK)
    s.box(-0.2, -0.42, 0.4, 0.38, c, 0.05)
    for x in (-0.1, 0.0, 0.1):
        s.box(x - 0.012, -0.4, 0.024, 0.34, shade(c, 0.78))
    for x in (-0.14, 0.14):
        s.disc(x, -0.025, 0.028, INK)


def _flower(s: Sketch, c: Colour) -> None:
    s.limb((0, -0.14), (0, -0.42), 0.026, 0.022, LEAF)
    s.ellipse(0.07, -0.27, 0.07, 0.03, LEAF, -30)
    s.ellipse(-0.07, -0.23, 0.07, 0.03, LEAF, 30)
    for i in range(6):
        turn = i * 60.0
        petal = Sketch().ellipse(0, -0.085, 0.05, 0.08, c)
        s.add(petal, 0, -0.46, 1.0, turn)
    s.disc(0, -0.46, 0.05, (250, 210, 80))
    s.polygon([(-0.12, -0.17), (0.12, -0.17), (0.085, 0), (-0.085, 0)], (196, 104, 68))
    s.box(-0.135, -0.19, 0.27, 0.05, (176, 90, 60))


def _robot(s: Sketch, c: Colour) -> None:
    s.limb((0, -0.66), (0, -0.76), 0.02, 0.02, STEEL)
    s.disc(0, -0.78, 0.035, (236, 80, 70))
    for side in (-1, 1):
        s.line([(side * 0.19, -0.38), (side * 0.29, -0.3), (side * 0.29, -0.16)], 0.055, STEEL)
        s.box(side * 0.09 - 0.045, -0.16, 0.09, 0.14, STEEL)
        s.box(side * 0.1 - 0.07, -0.05, 0.14, 0.05, INK, 0.02)
    s.box(-0.19, -0.42, 0.38, 0.28, c, 0.03)
    s.box(-0.1, -0.36, 0.2, 0.13, WHITE, 0.02)
    s.limb((-0.06, -0.27), (0.06, -0.33), 0.02, 0.02, (236, 80, 70))
    s.box(-0.17, -0.67, 0.34, 0.23, shade(c, 1.3), 0.04)
    for x in (-0.075, 0.075):
        s.disc(x, -0.57, 0.045, WHITE)
        s.disc(x, -0.57, 0.02, INK)
    s.box(-0.08, -0.5, 0.16, 0.022, INK)


DRAW: dict[str, Callable[[Sketch, Colour], None]] = {
    "guitar": _guitar,
    "chair": _chair,
    "table": _table,
    "lamp": _lamp,
    "book": _book,
    "cup": _cup,
    "bottle": _bottle,
    "television": _television,
    "clock": _clock,
    "drum": _drum,
    "box": _box,
    "pizza": _pizza,
    "cake": _cake,
    "apple": _apple,
    "banana": _banana,
    "laptop": _laptop,
    "teddy bear": _teddy,
    "suitcase": _suitcase,
    "flower": _flower,
    "robot": _robot,
}
