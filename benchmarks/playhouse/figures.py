"""Drawn persons: what they look like, and how a pose becomes outlines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from benchmarks.playhouse.drawing import INK, Colour, Point, Sketch, mix, shade, swing

Limb = tuple[float, float]  # angles of the upper and the lower part: 0 hangs down, 90 points right

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
class Look:
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


def random_look(kind: str, rng: Random) -> Look:
    return Look(
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


@dataclass(frozen=True, slots=True)
class Pose:
    """One moment of a body, seen from the front. Lengths in shares of the person's height."""

    arms: tuple[Limb, Limb] = ((-14.0, -7.0), (14.0, 7.0))
    legs: tuple[Limb, Limb] = ((-5.0, -2.0), (5.0, 2.0))
    lean: float = 0.0  # of the torso, degrees clockwise
    turn: float = 0.0  # of the whole body, degrees clockwise
    facing: float = 1.0  # 1 front, 0 edge on, -1 back
    lift: float = 0.0  # lowest point above the ground
    x: float = 0.0  # to the right of where the person belongs
    tilt: float = 0.0  # of the head, degrees clockwise
    mouth: float = 0.0  # 0 closed, 1 open


def figure(look: Look, pose: Pose) -> tuple[Sketch, tuple[Point, Point]]:
    """The person in the pose: height 1 for a man, feet at (0, 0). Also where the two hands are."""
    build = BUILDS[look.kind]
    width = pose.facing if abs(pose.facing) > 0.3 else (0.3 if pose.facing >= 0 else -0.3)
    spread = abs(width)
    up = swing(180.0 - pose.lean)
    across = (-up[1] * spread, up[0] * spread)
    hip = (0.0, 0.0)
    chest = (up[0] * build.torso, up[1] * build.torso)

    def beside(centre: Point, share: float) -> Point:
        return centre[0] + across[0] * share, centre[1] + across[1] * share

    def chain(start: Point, limb: Limb, length: float) -> tuple[Point, Point]:
        a, b = swing(limb[0]), swing(limb[1])
        joint = (start[0] + a[0] * length * 0.5 * spread, start[1] + a[1] * length * 0.5)
        return joint, (joint[0] + b[0] * length * 0.5 * spread, joint[1] + b[1] * length * 0.5)

    body = Sketch()
    side = 1 if width >= 0 else -1
    hips = [beside(hip, -0.5 * build.hips * 0.55), beside(hip, 0.5 * build.hips * 0.55)]
    shoulders = [beside(chest, -0.5 * build.shoulders * 0.86), beside(chest, 0.5 * build.shoulders * 0.86)]
    legs = [chain(hips[i], pose.legs[i], build.leg) for i in (0, 1)]
    arms = [chain(shoulders[i], pose.arms[i], build.arm) for i in (0, 1)]
    head = (chest[0] + up[0] * (build.head + 0.012), chest[1] + up[1] * (build.head + 0.012))

    _back_of_head(body, look, head, build, pose, spread)
    for start, (knee, foot) in zip(hips, legs):
        _leg(body, look, build, start, knee, foot)
    _torso(body, look, build, hip, chest, across, up, legs, hips)
    body.limb(chest, head, build.head * 0.7 * spread, build.head * 0.7 * spread, shade(look.skin, 0.93))
    for start, (elbow, hand) in zip(shoulders, arms):
        _arm(body, look, build, start, elbow, hand)
    body.add(
        _head(look, side < 0, round(pose.mouth * 3)),
        *head,
        (build.head * spread, build.head),
        pose.tilt + 0.6 * pose.lean,
    )

    scale = build.height * look.size
    standing = Sketch().add(body, scale=scale, turn=pose.turn)
    bottom = standing.extent()[3]
    moved = (pose.x * scale, -bottom - pose.lift * scale)
    done = Sketch().add(standing, *moved)
    tips = (
        Sketch().add(Sketch().polygon([hand for _, hand in arms], INK), *moved, scale, pose.turn).outlines[0]
    )
    return done, ((float(tips[0][0]), float(tips[0][1])), (float(tips[1][0]), float(tips[1][1])))


def _leg(body: Sketch, look: Look, build: Build, hip: Point, knee: Point, foot: Point) -> None:
    thick = build.thick * 1.12
    bare = look.top == "dress" or look.legs in ("shorts", "skirt")
    cloth = CLOTHES[look.colour] if look.top == "overalls" and look.legs == "trousers" else look.bottom
    body.limb(knee, foot, thick * (0.8 if bare else 0.92), thick * 0.7, look.skin if bare else cloth)
    body.limb(hip, knee, thick * 1.15, thick * 0.95, look.skin if look.top == "dress" else cloth)
    dx, dy = foot[0] - knee[0], foot[1] - knee[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    toe = (foot[0] + dx / length * 0.012, foot[1] + dy / length * 0.012)
    body.ellipse(toe[0], toe[1], thick * 0.72, thick * 0.46, look.shoes)


def _torso(
    body: Sketch,
    look: Look,
    build: Build,
    hip: Point,
    chest: Point,
    across: Point,
    up: Point,
    legs: list[tuple[Point, Point]],
    hips: list[Point],
) -> None:
    colour = CLOTHES[look.colour]

    def at(height: float, share: float) -> Point:
        return (
            hip[0] + (chest[0] - hip[0]) * height + across[0] * share,
            hip[1] + (chest[1] - hip[1]) * height + across[1] * share,
        )

    waist = 0.42 if look.kind in ("woman", "girl") else 0.46
    half, hips_wide = build.shoulders / 2, build.hips / 2
    outline = [
        at(1.02, -half * 0.55),
        at(1.02, half * 0.55),
        at(0.93, half * 0.98),
        at(0.75, half * 1.0),
        at(0.35, build.hips * waist + 0.006),
        at(-0.06, hips_wide),
        at(-0.06, -hips_wide),
        at(0.35, -build.hips * waist - 0.006),
        at(0.75, -half * 1.0),
        at(0.93, -half * 0.98),
    ]
    if look.legs == "skirt" and look.top != "dress":
        body.polygon(
            [at(0.12, hips_wide), at(0.12, -hips_wide), *_hem(legs, hips, 0.62, hips_wide * 0.5)], look.bottom
        )
    body.polygon(outline, colour)
    if look.top == "stripes":
        pale = (248, 246, 240) if look.colour != "white" else (96, 130, 180)
        for height in (0.2, 0.45, 0.7):
            wide = build.hips * waist + (half - build.hips * waist) * max(height - 0.35, 0) / 0.4
            wide = min(wide, half)
            body.polygon(
                [at(height, -wide), at(height, wide), at(height + 0.12, wide), at(height + 0.12, -wide)], pale
            )
    elif look.top == "jacket":
        body.polygon(
            [at(1.02, -half * 0.28), at(1.02, half * 0.28), at(-0.06, half * 0.16), at(-0.06, -half * 0.16)],
            (248, 246, 240),
        )
        body.limb(at(1.0, 0), at(0.35, 0), 0.016, 0.026, (178, 52, 60))
    elif look.top == "hoodie":
        body.polygon(
            [at(0.32, -half * 0.5), at(0.32, half * 0.5), at(0.06, half * 0.62), at(0.06, -half * 0.62)],
            shade(colour, 0.82),
        )
        body.limb(at(1.0, -half * 0.45), at(1.0, half * 0.45), 0.05, 0.05, shade(colour, 0.82))
    elif look.top == "overalls":
        body.polygon(outline[:4] + [at(0.6, half), at(0.6, -half)] + outline[8:], (250, 246, 236))
        for edge in (-0.5, 0.5):
            body.limb(at(0.62, edge * half), at(1.0, edge * half), 0.026, 0.026, shade(colour, 0.85))
        body.polygon(
            [at(0.62, -half * 0.62), at(0.62, half * 0.62), at(0.3, half * 0.62), at(0.3, -half * 0.62)],
            shade(colour, 0.9),
        )
    elif look.top == "dress":
        hem = _hem(legs, hips, 1.0, hips_wide * 0.62)
        body.polygon(
            [
                at(0.34, build.hips * waist),
                at(0.34, -build.hips * waist),
                at(-0.02, -hips_wide * 1.15),
                hem[0],
                hem[1],
                at(-0.02, hips_wide * 1.15),
            ],
            colour,
        )
        belt = [
            at(0.30, -build.hips * waist),
            at(0.30, build.hips * waist),
            at(0.38, build.hips * waist),
            at(0.38, -build.hips * waist),
        ]
        body.polygon(belt, shade(colour, 0.75))
    elif look.legs != "skirt":
        body.polygon(
            [
                at(0.02, -hips_wide),
                at(0.02, hips_wide),
                at(-0.12, hips_wide * 0.9),
                at(-0.12, -hips_wide * 0.9),
            ],
            look.bottom,
        )


def _hem(legs: list[tuple[Point, Point]], hips: list[Point], share: float, spread: float) -> list[Point]:
    """The two lower corners of a skirt, left then right, hanging on the thighs."""
    corners = [
        (hips[i][0] + (legs[i][0][0] - hips[i][0]) * share, hips[i][1] + (legs[i][0][1] - hips[i][1]) * share)
        for i in (0, 1)
    ]
    corners.sort()
    (ax, ay), (bx, by) = corners
    return [(ax - spread, ay), (bx + spread, by)]


def _arm(body: Sketch, look: Look, build: Build, shoulder: Point, elbow: Point, hand: Point) -> None:
    colour = CLOTHES[look.colour] if look.top != "overalls" else (250, 246, 236)
    long = look.top in ("hoodie", "jacket", "stripes")
    sleeve = shade(colour, 0.9)
    thick = build.thick * 0.92
    body.limb(elbow, hand, thick * 0.82, thick * 0.62, sleeve if long else look.skin)
    body.limb(shoulder, elbow, thick, thick * 0.86, sleeve if long else look.skin)
    if not long:
        middle = ((shoulder[0] * 0.45 + elbow[0] * 0.55), (shoulder[1] * 0.45 + elbow[1] * 0.55))
        body.limb(shoulder, middle, thick * 1.08, thick * 1.12, sleeve)
    body.disc(hand[0], hand[1], thick * 0.55, look.skin)


def _back_of_head(body: Sketch, look: Look, head: Point, build: Build, pose: Pose, spread: float) -> None:
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
    if back.outlines:
        body.add(back, *head, (build.head * spread, build.head), pose.tilt + 0.6 * pose.lean)


@lru_cache(maxsize=256)
def _head(look: Look, back: bool, mouth: int) -> Sketch:
    """The head, radius 1 around (0, 0)."""
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
