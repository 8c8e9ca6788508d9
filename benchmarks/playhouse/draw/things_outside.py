"""Drawn animals, vehicles and toys. Bottom middle at (0, 0); a man is 1 high."""

from __future__ import annotations

from collections.abc import Callable

from tagline.benchmarks.playhouse.draw.appearance import CLOTHES
from tagline.benchmarks.playhouse.draw.drawing import INK, WHITE, Colour, Sketch, shade

WOOD: Colour = (176, 122, 74)
STEEL: Colour = (168, 176, 186)
LEAF: Colour = (86, 160, 84)


def _eye(s: Sketch, x: float, y: float, r: float = 0.016) -> None:
    s.disc(x, y, r, INK)


def _ball(s: Sketch, c: Colour) -> None:
    s.disc(0, -0.13, 0.13, c)
    s.ellipse(0, -0.13, 0.05, 0.128, WHITE)
    s.ellipse(0, -0.13, 0.018, 0.128, shade(c, 0.75))
    s.disc(-0.05, -0.18, 0.026, shade(c, 1.6))


def _dog(s: Sketch, c: Colour) -> None:
    fur: Colour = (196, 138, 84)
    s.limb((-0.2, -0.26), (-0.33, -0.42), 0.05, 0.035, fur)
    for x in (-0.17, -0.1, 0.1, 0.17):
        s.limb((x, -0.2), (x, -0.025), 0.06, 0.055, shade(fur, 0.88))
    s.box(-0.24, -0.34, 0.46, 0.19, fur, 0.09)
    s.limb((0.16, -0.28), (0.25, -0.44), 0.13, 0.12, fur)
    s.ellipse(0.28, -0.46, 0.12, 0.1, fur)
    s.box(0.3, -0.47, 0.17, 0.095, shade(fur, 1.2), 0.045)
    s.disc(0.455, -0.45, 0.03, INK)
    s.ellipse(0.2, -0.46, 0.045, 0.1, shade(fur, 0.6), 15)
    _eye(s, 0.31, -0.49)
    s.limb((0.17, -0.34), (0.26, -0.36), 0.035, 0.035, c)


def _cat(s: Sketch, c: Colour) -> None:
    fur: Colour = (120, 118, 128)
    s.line([(-0.14, -0.06), (-0.3, -0.08), (-0.34, -0.24), (-0.28, -0.34)], 0.05, fur)
    s.ellipse(-0.02, -0.16, 0.16, 0.17, fur)
    for x in (-0.04, 0.09):
        s.limb((x, -0.14), (x, -0.02), 0.065, 0.06, shade(fur, 0.88))
    for side in (-1, 1):
        x = 0.06 + side * 0.085
        s.polygon([(x - 0.06, -0.38), (x + side * 0.035, -0.53), (x + 0.06, -0.38)], fur)
    s.ellipse(0.06, -0.35, 0.15, 0.125, fur)
    s.ellipse(0.06, -0.31, 0.07, 0.05, shade(fur, 1.5))
    for x in (0.0, 0.12):
        s.ellipse(x, -0.37, 0.024, 0.032, (236, 214, 90))
        s.ellipse(x, -0.37, 0.01, 0.028, INK)
    s.disc(0.06, -0.33, 0.017, (226, 130, 140))


def _car(s: Sketch, c: Colour) -> None:
    s.polygon([(-0.36, -0.34), (-0.22, -0.56), (0.2, -0.56), (0.38, -0.34)], shade(c, 0.9))
    s.polygon([(-0.29, -0.35), (-0.19, -0.51), (-0.02, -0.51), (-0.02, -0.35)], (196, 226, 240))
    s.polygon([(0.02, -0.35), (0.02, -0.51), (0.17, -0.51), (0.3, -0.35)], (196, 226, 240))
    s.box(-0.6, -0.36, 1.2, 0.25, c, 0.09)
    s.box(-0.6, -0.18, 1.2, 0.07, shade(c, 0.7), 0.03)
    for x in (-0.34, 0.34):
        s.disc(x, -0.11, 0.115, INK)
        s.disc(x, -0.11, 0.055, STEEL)
    s.ellipse(0.57, -0.26, 0.035, 0.045, (255, 236, 150))
    s.ellipse(-0.58, -0.26, 0.025, 0.045, (232, 70, 60))


def _bicycle(s: Sketch, c: Colour) -> None:
    for x in (-0.3, 0.3):
        s.disc(x, -0.2, 0.2, INK)
        s.disc(x, -0.2, 0.165, (214, 222, 226))
        s.limb((x - 0.15, -0.2), (x + 0.15, -0.2), 0.012, 0.012, STEEL)
        s.limb((x, -0.35), (x, -0.05), 0.012, 0.012, STEEL)
    s.line([(-0.3, -0.2), (-0.14, -0.44), (0.22, -0.44), (0.02, -0.2), (-0.3, -0.2)], 0.04, c)
    s.line([(-0.14, -0.44), (0.02, -0.2)], 0.04, c)
    s.line([(0.3, -0.2), (0.2, -0.54), (0.3, -0.58)], 0.04, shade(c, 0.8))
    s.limb((-0.22, -0.5), (-0.06, -0.5), 0.05, 0.05, INK)


def _umbrella(s: Sketch, c: Colour) -> None:
    s.line([(0, -0.7), (0, -0.05), (0.05, 0.0), (0.1, -0.05)], 0.028, WOOD)
    s.ellipse(0, -0.52, 0.44, 0.38, c, part=(0.5, 1.0))
    s.ellipse(0, -0.52, 0.2, 0.38, shade(c, 1.35), part=(0.5, 1.0))
    for x in (-0.32, 0.0, 0.32):
        s.ellipse(x, -0.515, 0.12, 0.05, shade(c, 0.7), part=(0.5, 1.0))
    s.disc(0, -0.91, 0.022, INK)


def _balloon(s: Sketch, c: Colour) -> None:
    s.line([(0, -0.3), (0.03, -0.2), (-0.02, -0.1), (0.01, 0.0)], 0.012, INK)
    s.polygon([(-0.03, -0.26), (0.03, -0.26), (0, -0.31)], shade(c, 0.8))
    s.ellipse(0, -0.48, 0.16, 0.19, c)
    s.ellipse(-0.06, -0.55, 0.03, 0.05, shade(c, 1.6), 20)


def _kite(s: Sketch, c: Colour) -> None:
    s.line([(0, -0.28), (0.06, -0.2), (-0.02, -0.12), (0.05, -0.02)], 0.014, INK)
    for x, y in ((0.05, -0.2), (0.0, -0.12), (0.04, -0.04)):
        s.polygon(
            [(x - 0.05, y - 0.03), (x + 0.05, y + 0.03), (x + 0.05, y - 0.03), (x - 0.05, y + 0.03)],
            CLOTHES["yellow"],
        )
    s.polygon([(0, -0.8), (0.2, -0.54), (0, -0.26), (-0.2, -0.54)], c)
    s.polygon([(0, -0.8), (0.2, -0.54), (0, -0.54)], shade(c, 1.4))
    s.polygon([(0, -0.26), (-0.2, -0.54), (0, -0.54)], shade(c, 0.75))


def _bird(s: Sketch, c: Colour) -> None:
    blue: Colour = (72, 132, 190)
    s.polygon([(-0.14, -0.14), (-0.36, -0.2), (-0.34, -0.1)], shade(blue, 0.7))
    s.ellipse(0, -0.14, 0.18, 0.12, blue)
    s.ellipse(0.03, -0.1, 0.11, 0.07, WHITE)
    s.disc(0.16, -0.23, 0.09, blue)
    s.polygon([(0.23, -0.26), (0.34, -0.22), (0.23, -0.19)], CLOTHES["orange"])
    s.ellipse(-0.06, -0.22, 0.1, 0.16, shade(blue, 0.8), -35)
    _eye(s, 0.18, -0.25, 0.018)


def _horse(s: Sketch, c: Colour) -> None:
    coat: Colour = (138, 84, 54)
    s.line([(-0.34, -0.5), (-0.46, -0.4), (-0.48, -0.2)], 0.06, (58, 40, 36))
    for x in (-0.28, -0.18, 0.16, 0.26):
        s.limb((x, -0.36), (x, -0.05), 0.085, 0.06, shade(coat, 0.85))
        s.box(x - 0.04, -0.06, 0.08, 0.06, INK)
    s.box(-0.38, -0.58, 0.74, 0.27, coat, 0.13)
    s.limb((0.26, -0.48), (0.44, -0.82), 0.2, 0.13, coat)
    s.limb((0.44, -0.84), (0.62, -0.74), 0.14, 0.1, coat)
    s.line([(0.2, -0.6), (0.3, -0.78), (0.38, -0.92)], 0.075, (58, 40, 36))
    s.polygon([(0.39, -0.88), (0.42, -1.0), (0.47, -0.88)], coat)
    _eye(s, 0.48, -0.84, 0.02)


def _boat(s: Sketch, c: Colour) -> None:
    s.limb((0, -0.2), (0, -0.94), 0.035, 0.03, WOOD)
    s.polygon([(0.03, -0.92), (0.42, -0.32), (0.03, -0.32)], WHITE)
    s.polygon([(-0.03, -0.82), (-0.3, -0.32), (-0.03, -0.32)], shade(WHITE, 0.88))
    s.polygon([(-0.5, -0.24), (0.52, -0.24), (0.36, 0), (-0.36, 0)], c)
    s.polygon([(-0.5, -0.24), (0.52, -0.24), (0.47, -0.17), (-0.455, -0.17)], shade(c, 1.4))


def _skateboard(s: Sketch, c: Colour) -> None:
    s.line([(-0.34, -0.17), (-0.26, -0.11), (0.26, -0.11), (0.34, -0.17)], 0.05, c)
    for x in (-0.2, 0.2):
        s.disc(x, -0.045, 0.048, INK)
        s.disc(x, -0.045, 0.02, WHITE)


def _bench(s: Sketch, c: Colour) -> None:
    for x in (-0.38, 0.38):
        s.limb((x, -0.5), (x, -0.02), 0.04, 0.045, INK)
    for y in (-0.52, -0.42):
        s.box(-0.46, y, 0.92, 0.065, c, 0.02)
    s.box(-0.48, -0.28, 0.96, 0.075, shade(c, 0.85), 0.02)


def _rocket(s: Sketch, c: Colour) -> None:
    s.polygon([(-0.07, -0.14), (0.07, -0.14), (0, 0.0)], (250, 180, 60))
    for side in (-1, 1):
        s.polygon([(side * 0.12, -0.42), (side * 0.3, -0.1), (side * 0.1, -0.16)], c)
    s.ellipse(0, -0.5, 0.16, 0.4, (238, 240, 244))
    s.ellipse(0, -0.5, 0.16, 0.4, c, part=(0.62, 0.88))
    s.polygon([(-0.1, -0.18), (0.1, -0.18), (0.07, -0.12), (-0.07, -0.12)], INK)
    s.disc(0, -0.56, 0.075, INK)
    s.disc(0, -0.56, 0.055, (140, 204, 236))


def _bus(s: Sketch, c: Colour) -> None:
    s.box(-0.74, -0.7, 1.48, 0.6, c, 0.07)
    s.box(-0.74, -0.26, 1.48, 0.07, WHITE)
    for i in range(4):
        s.box(-0.67 + i * 0.29, -0.6, 0.24, 0.24, (196, 226, 240), 0.03)
    s.box(0.5, -0.6, 0.18, 0.46, (176, 210, 226), 0.03)
    for x in (-0.44, 0.36):
        s.disc(x, -0.1, 0.115, INK)
        s.disc(x, -0.1, 0.05, STEEL)
    s.ellipse(0.71, -0.2, 0.03, 0.04, (255, 236, 150))


def _pumpkin(s: Sketch, c: Colour) -> None:
    s.limb((0, -0.26), (0.04, -0.36), 0.05, 0.04, LEAF)
    for x, tone in ((-0.14, 0.85), (0.14, 0.85), (-0.07, 0.95), (0.07, 0.95), (0.0, 1.08)):
        s.ellipse(x, -0.145, 0.11, 0.145, shade((236, 126, 40), tone))
    for x in (-0.08, 0.08):
        s.polygon([(x - 0.045, -0.15), (x + 0.045, -0.15), (x, -0.22)], (70, 40, 30))
    s.polygon([(-0.12, -0.11), (0.12, -0.11), (0.05, -0.05), (-0.05, -0.05)], (70, 40, 30))


def _sheep(s: Sketch, c: Colour) -> None:
    wool: Colour = (246, 242, 232)
    for x in (-0.16, -0.08, 0.1, 0.18):
        s.limb((x, -0.18), (x, -0.02), 0.045, 0.045, (70, 62, 66))
    for x, y in (
        (-0.18, -0.26),
        (-0.06, -0.34),
        (0.08, -0.34),
        (0.18, -0.26),
        (0.0, -0.2),
        (-0.12, -0.18),
        (0.12, -0.18),
    ):
        s.disc(x, y, 0.125, wool)
    s.ellipse(0.3, -0.36, 0.085, 0.11, (70, 62, 66), 12)
    s.disc(0.26, -0.46, 0.075, wool)
    s.ellipse(0.2, -0.4, 0.06, 0.026, (70, 62, 66), 20)
    s.disc(0.32, -0.38, 0.018, WHITE)


def _duck(s: Sketch, c: Colour) -> None:
    yellow: Colour = (250, 210, 74)
    s.polygon([(-0.2, -0.14), (-0.34, -0.26), (-0.14, -0.22)], yellow)
    s.ellipse(-0.02, -0.12, 0.22, 0.12, yellow)
    s.disc(0.15, -0.29, 0.11, yellow)
    s.polygon([(0.23, -0.32), (0.37, -0.28), (0.23, -0.24)], CLOTHES["orange"])
    s.ellipse(-0.05, -0.15, 0.12, 0.065, shade(yellow, 0.86), -8)
    _eye(s, 0.18, -0.32, 0.02)


def _ladder(s: Sketch, c: Colour) -> None:
    for x in (-0.13, 0.13):
        s.limb((x, 0.0), (x, -1.62), 0.045, 0.045, WOOD)
    for i in range(9):
        y = -0.12 - i * 0.18
        s.limb((-0.13, y), (0.13, y), 0.035, 0.035, shade(WOOD, 0.8))


def _cone(s: Sketch, c: Colour) -> None:
    s.box(-0.19, -0.06, 0.38, 0.06, (220, 96, 40), 0.015)
    s.polygon([(-0.035, -0.46), (0.035, -0.46), (0.14, -0.05), (-0.14, -0.05)], (240, 112, 46))
    s.polygon([(-0.06, -0.34), (0.06, -0.34), (0.088, -0.24), (-0.088, -0.24)], WHITE)
    s.polygon([(-0.108, -0.17), (0.108, -0.17), (0.125, -0.11), (-0.125, -0.11)], WHITE)


def _airplane(s: Sketch, c: Colour) -> None:
    s.polygon([(-0.44, -0.22), (-0.54, -0.44), (-0.4, -0.44), (-0.28, -0.24)], c)
    s.ellipse(0, -0.2, 0.5, 0.1, WHITE)
    s.ellipse(0, -0.2, 0.5, 0.1, c, part=(0.02, 0.48))
    s.polygon([(-0.06, -0.2), (0.12, -0.2), (-0.1, 0.02), (-0.2, 0.02)], shade(c, 0.75))
    for i in range(5):
        s.disc(-0.2 + i * 0.11, -0.235, 0.024, (110, 150, 186))
    s.ellipse(0.4, -0.23, 0.05, 0.03, (110, 150, 186))


DRAW: dict[str, Callable[[Sketch, Colour], None]] = {
    "ball": _ball,
    "dog": _dog,
    "cat": _cat,
    "car": _car,
    "bicycle": _bicycle,
    "umbrella": _umbrella,
    "balloon": _balloon,
    "kite": _kite,
    "bird": _bird,
    "horse": _horse,
    "boat": _boat,
    "skateboard": _skateboard,
    "bench": _bench,
    "rocket": _rocket,
    "bus": _bus,
    "pumpkin": _pumpkin,
    "sheep": _sheep,
    "duck": _duck,
    "ladder": _ladder,
    "traffic cone": _cone,
    "airplane": _airplane,
}
