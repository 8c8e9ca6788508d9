"""Drawn persons: how a pose and a look become outlines."""

from __future__ import annotations

from dataclasses import dataclass

from tagline.benchmarks.playhouse.draw.appearance import BUILDS, CLOTHES, Appearance, Build
from tagline.benchmarks.playhouse.draw.drawing import INK, Point, Sketch, shade, swing
from tagline.benchmarks.playhouse.draw.heads import back_of_head, head_of

Limb = tuple[float, float]  # angles of the upper and the lower part: 0 hangs down, 90 points right


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


def figure(appearance: Appearance, pose: Pose) -> tuple[Sketch, tuple[Point, Point]]:
    """The person in the pose: height 1 for a man, feet at (0, 0). Also where the two hands are."""
    build = BUILDS[appearance.kind]
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
    hips = [beside(hip, -0.5 * build.hips * 0.55), beside(hip, 0.5 * build.hips * 0.55)]
    shoulders = [beside(chest, -0.5 * build.shoulders * 0.86), beside(chest, 0.5 * build.shoulders * 0.86)]
    legs = [chain(hips[i], pose.legs[i], build.leg) for i in (0, 1)]
    arms = [chain(shoulders[i], pose.arms[i], build.arm) for i in (0, 1)]
    head = (chest[0] + up[0] * (build.head + 0.012), chest[1] + up[1] * (build.head + 0.012))

    nod = pose.tilt + 0.6 * pose.lean
    body.add(back_of_head(appearance), *head, (build.head * spread, build.head), nod)
    for start, (knee, foot) in zip(hips, legs):
        _leg(body, appearance, build, start, knee, foot)
    _torso(body, appearance, build, hip, chest, across, up, legs, hips)
    body.limb(chest, head, build.head * 0.7 * spread, build.head * 0.7 * spread, shade(appearance.skin, 0.93))
    for start, (elbow, hand) in zip(shoulders, arms):
        _arm(body, appearance, build, start, elbow, hand)
    body.add(
        head_of(appearance, width < 0, round(pose.mouth * 3)), *head, (build.head * spread, build.head), nod
    )

    scale = build.height * appearance.size
    standing = Sketch().add(body, scale=scale, turn=pose.turn)
    bottom = standing.extent()[3]
    moved = (pose.x * scale, -bottom - pose.lift * scale)
    done = Sketch().add(standing, *moved)
    tips = (
        Sketch().add(Sketch().polygon([hand for _, hand in arms], INK), *moved, scale, pose.turn).outlines[0]
    )
    return done, ((float(tips[0][0]), float(tips[0][1])), (float(tips[1][0]), float(tips[1][1])))


def _leg(body: Sketch, appearance: Appearance, build: Build, hip: Point, knee: Point, foot: Point) -> None:
    thick = build.thick * 1.12
    bare = appearance.top == "dress" or appearance.legs in ("shorts", "skirt")
    cloth = (
        CLOTHES[appearance.colour]
        if appearance.top == "overalls" and appearance.legs == "trousers"
        else appearance.bottom
    )
    body.limb(knee, foot, thick * (0.8 if bare else 0.92), thick * 0.7, appearance.skin if bare else cloth)
    body.limb(hip, knee, thick * 1.15, thick * 0.95, appearance.skin if appearance.top == "dress" else cloth)
    dx, dy = foot[0] - knee[0], foot[1] - knee[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    toe = (foot[0] + dx / length * 0.012, foot[1] + dy / length * 0.012)
    body.ellipse(toe[0], toe[1], thick * 0.72, thick * 0.46, appearance.shoes)


def _torso(
    body: Sketch,
    appearance: Appearance,
    build: Build,
    hip: Point,
    chest: Point,
    across: Point,
    up: Point,
    legs: list[tuple[Point, Point]],
    hips: list[Point],
) -> None:
    colour = CLOTHES[appearance.colour]

    def at(height: float, share: float) -> Point:
        return (
            hip[0] + (chest[0] - hip[0]) * height + across[0] * share,
            hip[1] + (chest[1] - hip[1]) * height + across[1] * share,
        )

    waist = 0.42 if appearance.kind in ("woman", "girl") else 0.46
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
    if appearance.legs == "skirt" and appearance.top != "dress":
        body.polygon(
            [at(0.12, hips_wide), at(0.12, -hips_wide), *_hem(legs, hips, 0.62, hips_wide * 0.5)],
            appearance.bottom,
        )
    body.polygon(outline, colour)
    if appearance.top == "stripes":
        pale = (248, 246, 240) if appearance.colour != "white" else (96, 130, 180)
        for height in (0.2, 0.45, 0.7):
            wide = build.hips * waist + (half - build.hips * waist) * max(height - 0.35, 0) / 0.4
            wide = min(wide, half)
            body.polygon(
                [at(height, -wide), at(height, wide), at(height + 0.12, wide), at(height + 0.12, -wide)], pale
            )
    elif appearance.top == "jacket":
        body.polygon(
            [at(1.02, -half * 0.28), at(1.02, half * 0.28), at(-0.06, half * 0.16), at(-0.06, -half * 0.16)],
            (248, 246, 240),
        )
        body.limb(at(1.0, 0), at(0.35, 0), 0.016, 0.026, (178, 52, 60))
    elif appearance.top == "hoodie":
        body.polygon(
            [at(0.32, -half * 0.5), at(0.32, half * 0.5), at(0.06, half * 0.62), at(0.06, -half * 0.62)],
            shade(colour, 0.82),
        )
        body.limb(at(1.0, -half * 0.45), at(1.0, half * 0.45), 0.05, 0.05, shade(colour, 0.82))
    elif appearance.top == "overalls":
        body.polygon([*outline[:4], at(0.6, half), at(0.6, -half), *outline[8:]], (250, 246, 236))
        for edge in (-0.5, 0.5):
            body.limb(at(0.62, edge * half), at(1.0, edge * half), 0.026, 0.026, shade(colour, 0.85))
        body.polygon(
            [at(0.62, -half * 0.62), at(0.62, half * 0.62), at(0.3, half * 0.62), at(0.3, -half * 0.62)],
            shade(colour, 0.9),
        )
    elif appearance.top == "dress":
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
    elif appearance.legs != "skirt":
        body.polygon(
            [
                at(0.02, -hips_wide),
                at(0.02, hips_wide),
                at(-0.12, hips_wide * 0.9),
                at(-0.12, -hips_wide * 0.9),
            ],
            appearance.bottom,
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


def _arm(
    body: Sketch, appearance: Appearance, build: Build, shoulder: Point, elbow: Point, hand: Point
) -> None:
    colour = CLOTHES[appearance.colour] if appearance.top != "overalls" else (250, 246, 236)
    long = appearance.top in ("hoodie", "jacket", "stripes")
    sleeve = shade(colour, 0.9)
    thick = build.thick * 0.92
    body.limb(elbow, hand, thick * 0.82, thick * 0.62, sleeve if long else appearance.skin)
    body.limb(shoulder, elbow, thick, thick * 0.86, sleeve if long else appearance.skin)
    if not long:
        middle = ((shoulder[0] * 0.45 + elbow[0] * 0.55), (shoulder[1] * 0.45 + elbow[1] * 0.55))
        body.limb(shoulder, middle, thick * 1.08, thick * 1.12, sleeve)
    body.disc(hand[0], hand[1], thick * 0.55, appearance.skin)
