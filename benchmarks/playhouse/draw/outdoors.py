"""Scenes under the sky."""

from __future__ import annotations

from tagline.benchmarks.playhouse.draw.backdrop import Backdrop
from tagline.benchmarks.playhouse.draw.drawing import WHITE, mix, shade


def beach(b: Backdrop) -> None:
    sea, sand = b.own((46, 150, 190), (40, 120, 180)), b.own((244, 218, 160), (236, 200, 150))
    b.sun(0.28)
    b.clouds(2)
    if b.rng.random() < 0.6:
        b.sketch.ellipse(b.rng.uniform(0.1, 0.9) * b.wide, 0.47, 0.2, 0.08, (92, 150, 120), part=(0.5, 1.0))
    b.strip(0.46, 0.3, sea)
    b.strip(0.55, 0.2, shade(sea, 1.15))
    for x, y in b.scatter(22, 0.48, 0.62):
        b.sketch.limb((x - 0.03, y), (x + 0.03, y), 0.006, 0.006, shade(sea, 1.5))
    b.ground(0.68, sand, 3, 0.94)
    for i in range(12):
        b.sketch.ellipse(i * b.wide / 11, 0.68, 0.11, 0.024, WHITE)
    for i in range(12):
        b.sketch.ellipse((i + 0.5) * b.wide / 11, 0.694, 0.11, 0.022, sand)
    side = b.rng.choice((0.06, 0.94)) * b.wide
    lean = 0.1 if side < b.wide / 2 else -0.1
    trunk = [(side, 0.86), (side + lean * 0.3, 0.6), (side + lean, 0.32)]
    b.sketch.line(trunk, 0.03, (158, 116, 76))
    for turn in (-160, -120, -60, -20, 15, 165):
        frond = b.sketch.__class__().ellipse(0.11, 0, 0.12, 0.026, b.own((66, 150, 84), (96, 160, 70)))
        b.sketch.add(frond, side + lean, 0.32, 1.0, turn)
    for x, y in b.scatter(7, 0.78):
        b.sketch.ellipse(
            x, y, 0.014, 0.009, b.rng.choice([(250, 190, 170), (255, 240, 220), (206, 170, 120)])
        )


def forest(b: Backdrop) -> None:
    leaf = b.own((70, 128, 74), (124, 140, 60))
    b.sky = (mix((150, 200, 160), b.lighting.sky[0], 0.3), mix((206, 228, 180), b.lighting.sky[1], 0.3))
    for depth, tone in ((0, 0.8), (1, 0.6), (2, 0.42)):
        count = 7 - depth * 2
        for i in range(count):
            x = (i + b.rng.uniform(0.1, 0.9)) * b.wide / count
            width = 0.022 + 0.018 * depth
            colour = mix((206, 222, 180), shade((110, 80, 60), 0.8), 0.4 + 0.3 * depth)
            b.sketch.limb((x, -0.1), (x, 0.7 + 0.04 * depth), width, width * 1.5, colour)
            for _ in range(2):
                dx, y = b.rng.uniform(-0.12, 0.12), b.rng.uniform(-0.02, 0.2 - 0.03 * depth)
                b.sketch.ellipse(x + dx, y, 0.15, 0.11, mix(leaf, (196, 222, 150), tone * 0.5))
    b.ground(0.68, shade(leaf, 0.92), 3, 0.82)
    for x, y in b.scatter(24, 0.68):
        for dx in (-0.012, 0.0, 0.012):
            b.sketch.limb((x, y), (x + dx * 1.6, y - 0.035), 0.009, 0.003, shade(leaf, 1.2))
    for x, y in b.scatter(4, 0.72):
        b.sketch.box(x - 0.006, y - 0.026, 0.012, 0.026, WHITE)
        b.sketch.ellipse(x, y - 0.026, 0.02, 0.017, (206, 66, 56), part=(0.5, 1.0))


def city_at_night(b: Backdrop) -> None:
    b.sky = ((18, 22, 52), (58, 52, 102))
    b.stars(40, 0.4)
    moon = b.rng.uniform(0.15, 0.85) * b.wide
    b.sketch.disc(moon, 0.13, 0.055, (246, 240, 206))
    b.sketch.disc(moon + 0.022, 0.12, 0.046, (26, 28, 62))
    for depth, tone in ((0, (46, 46, 92)), (1, (34, 34, 70))):
        x = -0.05
        while x < b.wide + 0.05:
            width, height = b.rng.uniform(0.12, 0.22), b.rng.uniform(0.22, 0.5) - 0.08 * depth
            b.sketch.box(x, 0.7 - height, width - 0.008, height + 0.02, tone)
            rows, columns = int(height / 0.055), int(width / 0.042)
            for r in range(rows):
                for c in range(columns):
                    if b.rng.random() < 0.42:
                        lit = b.own((255, 222, 120), (150, 220, 250), 0.8)
                        b.sketch.box(
                            x + 0.014 + c * 0.042,
                            0.72 - height + r * 0.055,
                            0.022,
                            0.03,
                            shade(lit, b.rng.uniform(0.75, 1.0)),
                        )
            x += width
    b.strip(0.69, 0.08, (84, 84, 108))
    b.ground(0.76, (48, 50, 70), 2, 0.9)
    for i in range(6):
        b.sketch.box(i * 0.36 - 0.06, 0.955, 0.18, 0.014, (226, 214, 140))
    for i in range(2):
        x = (0.2 + 0.6 * i) * b.wide
        b.sketch.line([(x, 0.76), (x, 0.4), (x + 0.06, 0.38)], 0.012, (120, 120, 140))
        b.sketch.disc(x + 0.07, 0.39, 0.028, (255, 236, 170))
        b.sketch.ellipse(x + 0.05, 0.79, 0.13, 0.018, (104, 98, 96))


def snow_field(b: Backdrop) -> None:
    b.sky = (mix(b.lighting.sky[0], (190, 214, 234), 0.5), mix(b.lighting.sky[1], (236, 242, 248), 0.5))
    b.sun(0.2)
    b.hills(0.6, 0.2, (206, 222, 236), 3)
    for _ in range(9):
        b.pine(
            b.rng.uniform(0, b.wide),
            b.rng.uniform(0.6, 0.66),
            b.rng.uniform(0.14, 0.28),
            b.own((66, 116, 104), (54, 96, 120)),
            True,
        )
    b.ground(0.64, (240, 245, 250), 3, 0.95)
    for x, y in b.scatter(9, 0.68):
        b.sketch.ellipse(x, y, b.rng.uniform(0.05, 0.12), 0.012, (222, 232, 244))
    x = b.rng.choice((0.1, 0.9)) * b.wide
    b.pine(x, 0.82, 0.5, b.own((58, 106, 94), (50, 90, 112)), True)


def desert(b: Backdrop) -> None:
    sand = b.own((238, 190, 118), (226, 160, 104))
    b.sky = (mix(b.lighting.sky[0], (250, 206, 140), 0.25), mix(b.lighting.sky[1], (255, 232, 190), 0.6))
    b.sun(0.25)
    kind = b.rng.randrange(3)
    for _ in range(2):
        x = b.rng.uniform(0.1, 0.9) * b.wide
        if kind == 0:
            b.sketch.polygon([(x - 0.24, 0.64), (x + 0.24, 0.64), (x, 0.34)], shade(sand, 0.88))
            b.sketch.polygon([(x, 0.64), (x + 0.24, 0.64), (x, 0.34)], shade(sand, 0.74))
        elif kind == 1:
            b.sketch.polygon(
                [(x - 0.2, 0.64), (x - 0.14, 0.42), (x + 0.14, 0.42), (x + 0.2, 0.64)], (198, 112, 78)
            )
            b.sketch.box(x - 0.15, 0.47, 0.3, 0.03, (176, 94, 66))
    b.hills(0.62, 0.14, shade(sand, 0.94), 3)
    b.ground(0.64, sand, 3, 0.92)
    for x, y in b.scatter(10, 0.68):
        b.sketch.limb((x - 0.08, y), (x + 0.08, y), 0.007, 0.007, shade(sand, 0.88))
    green = b.own((92, 148, 88), (116, 140, 84))
    for x in (b.rng.uniform(0.03, 0.2) * b.wide, b.rng.uniform(0.8, 0.97) * b.wide):
        tall = b.rng.uniform(0.16, 0.3)
        b.sketch.limb((x, 0.76), (x, 0.76 - tall), 0.045, 0.042, green)
        b.sketch.line(
            [(x - 0.06, 0.76 - tall * 0.75), (x - 0.06, 0.76 - tall * 0.45), (x, 0.76 - tall * 0.4)],
            0.03,
            green,
        )
        b.sketch.line(
            [(x + 0.06, 0.76 - tall * 0.9), (x + 0.06, 0.76 - tall * 0.6), (x, 0.76 - tall * 0.55)],
            0.03,
            green,
        )


def playground(b: Backdrop) -> None:
    grass = b.own((122, 192, 98), (150, 190, 90))
    b.sun()
    b.clouds(3)
    for i in range(5):
        b.tree(
            (i + b.rng.uniform(0.1, 0.9)) * b.wide / 5,
            0.62,
            b.rng.uniform(0.22, 0.34),
            b.own((88, 160, 92), (110, 170, 80)),
        )
    for i in range(int(b.wide / 0.07) + 2):
        b.sketch.box(i * 0.07, 0.55, 0.03, 0.1, (240, 236, 224))
    b.strip(0.575, 0.018, (240, 236, 224))
    b.ground(0.63, grass, 3, 0.9)
    red, blue = b.own((224, 84, 72), (236, 160, 60), 0.9), b.own((72, 130, 210), (130, 90, 190), 0.9)
    x = b.rng.uniform(0.04, 0.3) * b.wide
    for dx in (0.0, 0.12):
        b.sketch.limb((x + dx, 0.76), (x + dx, 0.36), 0.018, 0.018, blue)
    b.sketch.box(x - 0.02, 0.44, 0.16, 0.02, red)
    b.sketch.polygon([(x + 0.12, 0.44), (x + 0.16, 0.44), (x + 0.4, 0.75), (x + 0.34, 0.75)], shade(red, 1.2))
    b.sketch.polygon([(x - 0.04, 0.37), (x + 0.16, 0.37), (x + 0.06, 0.27)], red)
    x = b.rng.uniform(0.66, 0.82) * b.wide
    b.sketch.line([(x - 0.06, 0.76), (x, 0.36), (x + 0.3, 0.36), (x + 0.36, 0.76)], 0.018, red)
    for dx in (0.08, 0.2):
        for ddx in (0.0, 0.05):
            b.sketch.limb((x + dx + ddx, 0.36), (x + dx + ddx, 0.62), 0.005, 0.005, (90, 90, 96))
        b.sketch.box(x + dx - 0.01, 0.62, 0.07, 0.014, blue)
    for px, py in b.scatter(16, 0.68):
        b.sketch.limb((px, py), (px + 0.008, py - 0.02), 0.007, 0.003, shade(grass, 0.84))


def street(b: Backdrop) -> None:
    b.clouds(2, 0.15)
    x = -b.rng.uniform(0, 0.15)
    while x < b.wide:
        width = b.rng.uniform(0.28, 0.42)
        wall = b.rng.choice(
            [
                (226, 158, 124),
                (240, 214, 166),
                (166, 190, 196),
                (214, 140, 138),
                (190, 200, 160),
                (236, 230, 216),
            ]
        )
        top = b.rng.uniform(0.06, 0.2)
        b.sketch.box(x, top, width, 0.66 - top, wall)
        b.sketch.box(x - 0.006, top - 0.02, width + 0.012, 0.03, shade(wall, 0.8))
        for r in range(2):
            for c in range(3):
                b.sketch.box(
                    x + width * (0.12 + 0.29 * c), top + 0.05 + r * 0.12, width * 0.18, 0.08, (150, 190, 210)
                )
                b.sketch.box(x + width * (0.12 + 0.29 * c), top + 0.13 + r * 0.12, width * 0.18, 0.01, WHITE)
        awning = b.rng.choice([(206, 66, 60), (60, 140, 110), (66, 110, 190), (232, 150, 60)])
        b.sketch.box(x + 0.02, 0.46, width * 0.56, 0.17, (120, 160, 180))
        b.sketch.box(x + width * 0.68, 0.44, width * 0.22, 0.22, shade(wall, 0.55))
        stripes = 8
        for i in range(stripes):
            colour = awning if i % 2 == 0 else WHITE
            left = x + 0.01 + i * (width - 0.02) / stripes
            b.sketch.box(left, 0.39, (width - 0.02) / stripes, 0.06, colour)
            b.sketch.disc(left + (width - 0.02) / stripes / 2, 0.45, (width - 0.02) / stripes / 2, colour)
        x += width
    b.strip(0.65, 0.14, b.own((196, 190, 182), (206, 186, 166)))
    for i in range(9):
        b.sketch.limb((i * 0.24, 0.655), (i * 0.24 - 0.05, 0.78), 0.005, 0.005, (166, 160, 154))
    b.strip(0.78, 0.018, (150, 146, 144))
    b.ground(0.795, (108, 110, 116), 2, 0.94)
    for i in range(6):
        b.sketch.box(i * 0.36 - b.rng.uniform(0, 0.1), 0.95, 0.17, 0.014, WHITE)


def mountains(b: Backdrop) -> None:
    b.sun(0.18)
    b.clouds(3, 0.25)
    rock = b.own((120, 132, 160), (140, 124, 134))
    for depth in (0, 1):
        for i in range(3):
            x = (i + b.rng.uniform(0.1, 0.9)) * b.wide / 3
            peak, half = 0.16 + 0.12 * depth + b.rng.uniform(0, 0.1), b.rng.uniform(0.28, 0.42)
            tone = mix(rock, b.lighting.sky[1], 0.45 - 0.35 * depth)
            b.sketch.polygon([(x - half, 0.62), (x + half, 0.62), (x, peak)], tone)
            b.sketch.polygon([(x, 0.62), (x + half, 0.62), (x, peak)], shade(tone, 0.86))
            t = 0.28
            cap = [
                (x, peak),
                (x + half * t, peak + (0.62 - peak) * t),
                (x + half * 0.1, peak + (0.62 - peak) * t * 0.75),
                (x - half * 0.08, peak + (0.62 - peak) * t * 1.1),
                (x - half * t, peak + (0.62 - peak) * t),
            ]
            b.sketch.polygon(cap, WHITE)
    if b.rng.random() < 0.5:
        b.strip(0.6, 0.08, (96, 160, 190))
    else:
        for _ in range(8):
            b.pine(b.rng.uniform(0, b.wide), 0.66, b.rng.uniform(0.1, 0.18), (70, 122, 96))
    grass = b.own((138, 186, 104), (168, 186, 104))
    b.ground(0.65, grass, 3, 0.88)
    for x, y in b.scatter(26, 0.67):
        b.sketch.disc(x, y, 0.007, b.rng.choice([(250, 220, 100), WHITE, (230, 120, 150)]))
    for x, y in b.scatter(4, 0.7):
        b.sketch.ellipse(x, y, 0.035, 0.02, (160, 160, 164), part=(0.5, 1.0))


def farm(b: Backdrop) -> None:
    b.sun()
    b.clouds(2)
    b.hills(0.58, 0.12, b.own((150, 190, 100), (190, 186, 96)), 3)
    x = b.rng.uniform(0.12, 0.7) * b.wide
    red = b.own((186, 58, 52), (150, 70, 60))
    b.sketch.polygon(
        [(x - 0.02, 0.4), (x + 0.06, 0.27), (x + 0.18, 0.22), (x + 0.3, 0.27), (x + 0.38, 0.4)],
        shade(red, 0.6),
    )
    b.sketch.polygon(
        [
            (x, 0.62),
            (x, 0.4),
            (x + 0.07, 0.29),
            (x + 0.18, 0.245),
            (x + 0.29, 0.29),
            (x + 0.36, 0.4),
            (x + 0.36, 0.62),
        ],
        red,
    )
    b.sketch.box(x + 0.11, 0.45, 0.14, 0.17, WHITE)
    b.sketch.box(x + 0.12, 0.46, 0.12, 0.16, shade(red, 0.8))
    b.sketch.line([(x + 0.12, 0.46), (x + 0.24, 0.62)], 0.01, WHITE)
    b.sketch.line([(x + 0.24, 0.46), (x + 0.12, 0.62)], 0.01, WHITE)
    silo = x + (0.46 if x < b.wide / 2 else -0.12)
    b.sketch.box(silo - 0.05, 0.3, 0.1, 0.33, (190, 196, 202))
    b.sketch.ellipse(silo, 0.3, 0.05, 0.06, (140, 150, 160), part=(0.5, 1.0))
    field = b.own((206, 186, 96), (150, 190, 96))
    b.ground(0.61, field, 3, 0.88)
    for i in range(-4, 14):
        b.sketch.limb(
            (b.wide / 2 + (i - 5) * 0.11, 0.62),
            (b.wide / 2 + (i - 5) * 0.36, 1.0),
            0.004,
            0.016,
            shade(field, 0.86),
        )
    for i in range(int(b.wide / 0.2) + 2):
        b.sketch.box(i * 0.2, 0.6, 0.022, 0.13, (150, 108, 72))
    for y in (0.625, 0.675):
        b.strip(y, 0.016, (166, 122, 84))
    for _ in range(2):
        hx = b.rng.uniform(0.05, 0.95) * b.wide
        b.sketch.disc(hx, 0.7, 0.06, (226, 190, 90))
        b.sketch.disc(hx, 0.7, 0.035, (206, 166, 70))


def pool(b: Backdrop) -> None:
    water = b.own((72, 190, 214), (64, 150, 220))
    b.sun(0.2)
    b.clouds(2, 0.2)
    b.hills(0.42, 0.1, (120, 180, 120), 5)
    b.strip(0.36, 0.1, b.own((240, 236, 226), (226, 206, 190)))
    for i in range(int(b.wide / 0.12) + 1):
        b.sketch.box(i * 0.12, 0.365, 0.004, 0.09, (206, 200, 192))
    b.strip(0.45, 0.03, (226, 222, 210))
    b.strip(0.48, 0.26, water)
    for lane in range(3):
        y = 0.53 + lane * 0.075
        for i in range(int(b.wide / 0.05) + 1):
            b.sketch.disc(i * 0.05, y, 0.009, (226, 70, 64) if (i // 2) % 2 else WHITE)
    for x, y in b.scatter(26, 0.5, 0.72):
        b.sketch.limb((x - 0.025, y), (x + 0.025, y), 0.006, 0.006, shade(water, 1.4))
    b.strip(0.73, 0.02, shade(water, 0.7))
    tile = b.own((236, 226, 206), (222, 214, 220))
    b.ground(0.75, tile, 2, 0.95)
    for i in range(-6, 16):
        b.sketch.limb((i * 0.16, 0.755), (i * 0.2 - 0.2, 1.0), 0.004, 0.006, shade(tile, 0.88))
    for y in (0.8, 0.88):
        b.strip(y, 0.005, shade(tile, 0.88))
    x = b.rng.choice((0.08, 0.86)) * b.wide
    for dx in (0.0, 0.07):
        b.sketch.line([(x + dx, 0.8), (x + dx, 0.62), (x + dx + 0.02, 0.6)], 0.012, (186, 194, 204))


def moon(b: Backdrop) -> None:
    b.sky = ((8, 8, 20), (22, 22, 44))
    b.stars(110, 0.66)
    x = b.rng.uniform(0.15, 0.85) * b.wide
    b.sketch.disc(x, 0.2, 0.12, (60, 120, 200))
    for dx, dy, rx, ry in (
        (-0.03, -0.03, 0.05, 0.035),
        (0.045, 0.03, 0.04, 0.05),
        (-0.04, 0.06, 0.035, 0.02),
    ):
        b.sketch.ellipse(x + dx, 0.2 + dy, rx, ry, (96, 170, 110))
    b.sketch.ellipse(x + 0.02, 0.13, 0.05, 0.014, WHITE)
    grey = b.own((170, 170, 178), (186, 172, 160))
    b.hills(0.66, 0.1, shade(grey, 0.72), 4)
    b.ground(0.66, grey, 3, 0.86)
    for px, py in b.scatter(11, 0.7):
        r = b.rng.uniform(0.02, 0.06)
        b.sketch.ellipse(px, py, r * 1.4, r * 0.5, shade(grey, 0.7))
        b.sketch.ellipse(px + r * 0.12, py + r * 0.1, r * 1.15, r * 0.36, shade(grey, 0.84))


def harbour(b: Backdrop) -> None:
    sea = b.own((58, 116, 150), (70, 140, 150))
    b.sun(0.25)
    b.clouds(3)
    x = b.rng.uniform(0.08, 0.92) * b.wide
    b.sketch.polygon([(x - 0.05, 0.5), (x + 0.05, 0.5), (x + 0.032, 0.2), (x - 0.032, 0.2)], WHITE)
    for y in (0.26, 0.36, 0.46):
        b.sketch.box(x - 0.05 + (0.5 - y) * 0.04, y - 0.02, 0.1 - (0.5 - y) * 0.08, 0.04, (206, 60, 56))
    b.sketch.box(x - 0.026, 0.15, 0.052, 0.05, (250, 226, 130))
    b.sketch.polygon([(x - 0.04, 0.15), (x + 0.04, 0.15), (x, 0.1)], (150, 46, 46))
    b.sketch.ellipse(x, 0.51, 0.2, 0.05, (128, 122, 118), part=(0.5, 1.0))
    b.strip(0.5, 0.25, sea)
    for px, py in b.scatter(30, 0.52, 0.7):
        b.sketch.limb((px - 0.03, py), (px + 0.03, py), 0.006, 0.006, shade(sea, 1.3))
    wood = b.own((160, 122, 88), (140, 118, 100))
    b.ground(0.72, wood, 2, 0.94)
    for i in range(int(b.wide / 0.1) + 2):
        b.sketch.limb((i * 0.1, 0.72), (i * 0.13 - 0.15, 1.0), 0.005, 0.007, shade(wood, 0.76))
    b.strip(0.715, 0.02, shade(wood, 0.7))
    for i in range(int(b.wide / 0.35) + 1):
        b.sketch.limb((0.1 + i * 0.35, 0.73), (0.1 + i * 0.35, 0.62), 0.04, 0.04, shade(wood, 0.6))
        b.sketch.ellipse(0.1 + i * 0.35, 0.6, 0.022, 0.01, shade(wood, 1.2))
