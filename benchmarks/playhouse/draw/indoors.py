"""Scenes under a roof."""

from __future__ import annotations

from tagline.benchmarks.playhouse.draw.backdrop import Backdrop
from tagline.benchmarks.playhouse.draw.drawing import WHITE, Colour, mix, shade


def _room(b: Backdrop, wall: Colour, floor: Colour, edge: float = 0.68) -> None:
    b.strip(-0.1, edge + 0.1, wall)
    b.ground(edge, floor, 2, 0.95)
    b.strip(edge - 0.025, 0.03, shade(wall, 1.35))


def _window(b: Backdrop, x: float, y: float, width: float, height: float) -> None:
    b.sketch.box(x - 0.015, y - 0.015, width + 0.03, height + 0.03, WHITE)
    b.sketch.box(x, y, width, height, mix(b.lighting.sky[0], b.lighting.sky[1], 0.5))
    b.sketch.ellipse(
        x + width * 0.6, y + height, width * 0.4, height * 0.35, (130, 180, 120), part=(0.5, 1.0)
    )
    b.sketch.box(x + width / 2 - 0.007, y, 0.014, height, WHITE)
    b.sketch.box(x, y + height / 2 - 0.007, width, 0.014, WHITE)


def kitchen(b: Backdrop) -> None:
    wall, door = b.own((214, 232, 226), (246, 226, 190)), b.own((92, 150, 160), (206, 120, 90), 0.9)
    _room(b, wall, (226, 214, 196))
    for i in range(int(b.wide / 0.09) + 1):
        b.sketch.box(i * 0.09, 0.28, 0.004, 0.2, shade(wall, 0.88))
    for y in (0.28, 0.345, 0.41):
        b.strip(y, 0.004, shade(wall, 0.88))
    for i in range(-8, 18):
        b.sketch.limb((i * 0.15, 0.685), (i * 0.2 - 0.25, 1.0), 0.004, 0.006, (196, 182, 162))
    for y in (0.74, 0.83, 0.94):
        b.strip(y, 0.005, (196, 182, 162))
    b.strip(0.47, 0.03, (246, 240, 230))
    b.strip(0.5, 0.17, door)
    count = max(round(b.wide / 0.22), 2)
    for i in range(count):
        x = i * b.wide / count
        b.sketch.box(x + 0.012, 0.515, b.wide / count - 0.024, 0.14, shade(door, 1.18), 0.01)
        b.sketch.disc(x + b.wide / count - 0.035, 0.55, 0.009, (250, 230, 150))
    stove = b.rng.uniform(0.3, 0.65) * b.wide
    b.sketch.box(stove, 0.46, 0.26, 0.21, (226, 228, 232))
    b.sketch.box(stove + 0.03, 0.54, 0.2, 0.1, (60, 64, 74), 0.015)
    for i in range(4):
        b.sketch.disc(stove + 0.05 + i * 0.053, 0.505, 0.012, (70, 74, 84))
    b.sketch.box(stove + 0.04, 0.4, 0.12, 0.065, b.own((206, 70, 60), (70, 110, 180), 1.0), 0.01)
    b.sketch.limb((stove + 0.16, 0.42), (stove + 0.22, 0.42), 0.012, 0.012, (60, 60, 66))
    b.sketch.polygon(
        [(stove, 0.2), (stove + 0.26, 0.2), (stove + 0.2, 0.1), (stove + 0.06, 0.1)], (190, 196, 202)
    )
    b.sketch.box(stove + 0.07, -0.05, 0.12, 0.16, (176, 182, 190))
    fridge = 0.02 if stove > b.wide / 2 else b.wide - 0.24
    b.sketch.box(fridge, 0.16, 0.22, 0.53, (236, 240, 244), 0.025)
    b.sketch.box(fridge, 0.35, 0.22, 0.008, (190, 198, 206))
    for y in (0.27, 0.4):
        b.sketch.limb((fridge + 0.19, y), (fridge + 0.19, y + 0.06), 0.012, 0.012, (150, 158, 168))
    for i in range(count):
        x = i * b.wide / count
        if stove - 0.2 < x < stove + 0.26 or fridge - 0.2 < x < fridge + 0.22:
            continue
        b.sketch.box(x, 0.04, b.wide / count - 0.01, 0.19, door, 0.01)
        b.sketch.box(x + 0.015, 0.055, b.wide / count - 0.04, 0.16, shade(door, 1.18), 0.01)


def living_room(b: Backdrop) -> None:
    wall = b.own((236, 218, 196), (190, 206, 214), 1.0)
    _room(b, wall, b.own((190, 144, 104), (150, 120, 100)))
    for i in range(int(b.wide / 0.14) + 1):
        b.sketch.box(i * 0.14, -0.1, 0.06, 0.755, shade(wall, 0.965))
    for i in range(-8, 18):
        b.sketch.limb((i * 0.15, 0.69), (i * 0.2 - 0.25, 1.0), 0.004, 0.006, (160, 120, 90))
    _window(b, b.rng.uniform(0.06, 0.2) * b.wide, 0.12, 0.28, 0.3)
    cloth = b.own((70, 120, 130), (190, 90, 80), 1.0)
    x = b.rng.uniform(0.38, 0.55) * b.wide
    b.sketch.box(x, 0.42, 0.6, 0.2, cloth, 0.05)
    b.sketch.box(x - 0.04, 0.5, 0.11, 0.19, shade(cloth, 0.88), 0.04)
    b.sketch.box(x + 0.53, 0.5, 0.11, 0.19, shade(cloth, 0.88), 0.04)
    b.sketch.box(x + 0.06, 0.56, 0.48, 0.11, shade(cloth, 1.15), 0.03)
    for dx in (0.1, 0.4):
        b.sketch.box(
            x + dx, 0.47, 0.11, 0.1, b.rng.choice([(246, 206, 90), (240, 240, 232), (226, 120, 90)]), 0.025
        )
    for i in range(2):
        left = x + 0.08 + i * 0.26
        b.sketch.box(left, 0.12, 0.18, 0.16, (120, 86, 60))
        b.sketch.box(
            left + 0.015, 0.135, 0.15, 0.13, b.rng.choice([(206, 226, 214), (246, 214, 190), (190, 206, 236)])
        )
        b.sketch.disc(
            left + 0.08, 0.21, 0.035, b.rng.choice([(226, 110, 80), (80, 150, 130), (250, 200, 90)])
        )
    b.sketch.ellipse(0.5 * b.wide, 0.86, 0.42, 0.075, b.own((206, 110, 96), (90, 120, 170), 1.0))
    b.sketch.ellipse(0.5 * b.wide, 0.86, 0.34, 0.055, (240, 226, 200))
    plant = 0.93 * b.wide
    for turn in (-60, -30, 0, 30, 60):
        leaf = b.sketch.__class__().ellipse(0, -0.12, 0.03, 0.12, (86, 146, 90))
        b.sketch.add(leaf, plant, 0.6, 1.0, turn)
    b.sketch.polygon(
        [(plant - 0.06, 0.58), (plant + 0.06, 0.58), (plant + 0.045, 0.72), (plant - 0.045, 0.72)],
        (226, 222, 214),
    )


def classroom(b: Backdrop) -> None:
    wall = b.own((244, 230, 184), (206, 226, 214), 1.0)
    _room(b, wall, b.own((206, 160, 110), (180, 170, 150)))
    left, width = 0.2 * b.wide, 0.6 * b.wide
    b.sketch.box(left - 0.02, 0.1, width + 0.04, 0.4, (150, 106, 68))
    board = b.own((44, 92, 76), (50, 60, 70), 1.0)
    b.sketch.box(left, 0.12, width, 0.36, board)
    for i in range(5):
        y = 0.18 + i * 0.055
        reach = b.rng.uniform(0.3, 0.8) * width
        b.sketch.limb((left + 0.05, y), (left + reach, y), 0.007, 0.007, shade(board, 1.45))
    b.sketch.disc(left + width * 0.86, 0.36, 0.05, shade(board, 1.4))
    b.sketch.disc(left + width * 0.86, 0.36, 0.042, board)
    b.sketch.box(left, 0.48, width, 0.022, (190, 140, 96))
    for i in range(8):
        colour = ((220, 80, 70), (240, 180, 60), (80, 160, 100), (70, 120, 200))[i % 4]
        b.sketch.box((i + 0.2) * b.wide / 8, 0.02, b.wide / 8 * 0.6, 0.055, colour)
    for x in (0.03, 0.86):
        b.sketch.box(x * b.wide, 0.2, 0.11 * b.wide, 0.18, WHITE)
        b.sketch.disc(
            (x + 0.055) * b.wide, 0.28, 0.04, b.rng.choice([(90, 160, 210), (230, 140, 80), (120, 180, 110)])
        )
    count = max(round(b.wide / 0.45), 2)
    for i in range(count):
        x = (i + 0.5) * b.wide / count
        for dx in (-0.11, 0.11):
            b.sketch.limb((x + dx, 0.62), (x + dx, 0.76), 0.014, 0.014, (130, 134, 142))
        b.sketch.box(x - 0.14, 0.59, 0.28, 0.035, (226, 180, 120), 0.008)
        b.sketch.box(x - 0.04, 0.575, 0.07, 0.015, WHITE)


def stage(b: Backdrop) -> None:
    curtain = b.own((176, 36, 50), (106, 44, 120), 1.0)
    b.sky = ((30, 22, 40), (60, 40, 70))
    for share in (0.25, 0.5, 0.75):
        x = share * b.wide
        tip = x + b.rng.uniform(-0.15, 0.15)
        b.sketch.polygon(
            [(x - 0.02, 0), (x + 0.02, 0), (tip + 0.17, 0.78), (tip - 0.17, 0.78)],
            b.own((92, 70, 96), (70, 76, 120), 1.0),
        )
    b.ground(0.7, (166, 116, 74), 2, 0.9)
    for i in range(-8, 18):
        b.sketch.limb(
            (b.wide / 2 + (i - 5) * 0.1, 0.705),
            (b.wide / 2 + (i - 5) * 0.2, 1.0),
            0.003,
            0.006,
            (136, 92, 58),
        )
    for share in (0.25, 0.5, 0.75):
        b.sketch.ellipse(share * b.wide, 0.84, 0.19, 0.05, (206, 164, 112))
    for side in (0, 1):
        for i in range(5):
            width = 0.055
            x = i * width * 0.8 if side == 0 else b.wide - (i + 1) * width * 0.8
            b.sketch.box(x, -0.1, width, 0.86 - i * 0.012, shade(curtain, 0.72 + 0.3 * (i % 2)), 0.01)
    count = max(round(b.wide / 0.2), 3)
    for i in range(count):
        b.sketch.ellipse(
            (i + 0.5) * b.wide / count,
            0.02,
            b.wide / count * 0.56,
            0.13,
            shade(curtain, 0.92 if i % 2 else 1.0),
        )
    b.strip(-0.1, 0.14, shade(curtain, 0.8))
    b.strip(0.035, 0.012, (236, 196, 90))
    for share in (0.25, 0.5, 0.75):
        b.sketch.box(share * b.wide - 0.025, 0.15, 0.05, 0.035, (40, 36, 46), 0.01)
        b.sketch.ellipse(share * b.wide, 0.19, 0.026, 0.012, (255, 246, 190))


def library(b: Backdrop) -> None:
    wood = b.own((126, 84, 56), (96, 66, 60), 1.0)
    _room(b, shade(wood, 0.72), b.own((120, 50, 54), (50, 84, 76), 1.0), 0.7)
    columns = max(round(b.wide / 0.4), 2)
    gap = b.rng.randrange(columns) if columns > 2 and b.rng.random() < 0.6 else -1
    for column in range(columns):
        left, width = column * b.wide / columns, b.wide / columns
        if column == gap:
            b.sketch.box(left, -0.1, width, 0.78, b.own((226, 206, 170), (190, 200, 190)))
            _window(b, left + width * 0.2, 0.1, width * 0.6, 0.42)
            continue
        b.sketch.box(left + 0.01, 0.0, width - 0.02, 0.69, wood)
        for row in range(5):
            top = 0.02 + row * 0.132
            b.sketch.box(left + 0.025, top, width - 0.05, 0.115, shade(wood, 0.55))
            x = left + 0.03
            while x < left + width - 0.05:
                thick, tall = b.rng.uniform(0.016, 0.032), b.rng.uniform(0.075, 0.105)
                colour = b.rng.choice(
                    [
                        (166, 62, 54),
                        (60, 98, 130),
                        (206, 160, 80),
                        (88, 118, 84),
                        (206, 196, 176),
                        (110, 74, 110),
                    ]
                )
                b.sketch.box(x, top + 0.115 - tall, thick * 0.9, tall, colour)
                x += thick
    for i in range(7):
        b.sketch.ellipse(
            (i + 0.5) * b.wide / 7, 0.95, 0.06, 0.018, shade(b.own((120, 50, 54), (50, 84, 76), 1.0), 1.2)
        )


def gym(b: Backdrop) -> None:
    wall = b.own((206, 216, 226), (236, 220, 190), 1.0)
    _room(b, wall, b.own((222, 168, 104), (206, 150, 96)), 0.66)
    stripe = b.own((60, 110, 180), (196, 70, 60), 1.0)
    b.strip(0.4, 0.06, stripe)
    for i in range(max(round(b.wide / 0.4), 2)):
        x = 0.06 + i * 0.42
        b.sketch.box(x, 0.05, 0.26, 0.12, mix(b.lighting.sky[1], WHITE, 0.5))
        b.sketch.box(x + 0.125, 0.05, 0.01, 0.12, wall)
    x = b.rng.uniform(0.15, 0.75) * b.wide
    b.sketch.box(x, 0.18, 0.2, 0.15, WHITE)
    b.sketch.box(x + 0.065, 0.25, 0.07, 0.05, wall)
    b.sketch.box(x + 0.07, 0.33, 0.06, 0.014, (226, 96, 50))
    for i in range(4):
        b.sketch.limb((x + 0.072 + i * 0.018, 0.345), (x + 0.082 + i * 0.012, 0.41), 0.004, 0.004, WHITE)
    bars = 0.03 if x > b.wide / 2 else b.wide - 0.25
    for i in range(9):
        b.sketch.box(bars, 0.16 + i * 0.055, 0.22, 0.014, (176, 128, 84))
    for dx in (0.0, 0.21):
        b.sketch.box(bars + dx, 0.12, 0.016, 0.55, (150, 106, 70))
    b.sketch.ellipse(b.wide / 2, 0.9, 0.5, 0.12, WHITE)
    b.sketch.ellipse(b.wide / 2, 0.9, 0.488, 0.112, b.own((222, 168, 104), (206, 150, 96)))
    b.strip(0.76, 0.007, WHITE)
    b.sketch.limb((b.wide / 2, 0.67), (b.wide / 2, 1.0), 0.008, 0.012, stripe)
