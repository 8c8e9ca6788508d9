"""Motions: the pose of a body at each moment. One frame of any of them could belong to several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tagline.benchmarks.playhouse.draw.drawing import Point, wave
from tagline.benchmarks.playhouse.draw.figures import Limb, Pose


@dataclass(frozen=True, slots=True)
class BodyState:
    """A pose, and what goes with it. `ball` is relative to the feet, in shares of a man's height."""

    pose: Pose
    ball: Point | None = None
    hold: int | None = None  # the hand that holds the ball: 0 left, 1 right
    travel: float = 0.0  # metres on the spot: to the right, in shares of a man's height
    climbed: float = 0.0  # above the ground, in shares of a man's height


def ease(share: float) -> float:
    """0 to 1 with a soft start and a soft end."""
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def between(a: float, b: float, share: float) -> float:
    return a + (b - a) * share


def blend(a: Pose, b: Pose, share: float) -> Pose:
    """The pose between two poses."""

    def limbs(one: tuple[Limb, Limb], two: tuple[Limb, Limb]) -> tuple[Limb, Limb]:
        left, right = (
            (between(p[0], q[0], share), between(p[1], q[1], share)) for p, q in zip(one, two, strict=True)
        )
        return left, right

    rest = {
        name: between(getattr(a, name), getattr(b, name), share)
        for name in ("lean", "turn", "facing", "lift", "x", "tilt", "mouth")
    }
    return Pose(limbs(a.arms, b.arms), limbs(a.legs, b.legs), **rest)


STAND = Pose()


def _stand(t: float) -> BodyState:
    breath = wave(t * 0.35)
    return BodyState(
        replace(STAND, arms=((-14 - 2 * breath, -7), (14 + 2 * breath, 7)), tilt=3 * wave(t * 0.13))
    )


def _gait(
    t: float, way: int, rate: float, stride: float, swing: float, lean: float, bend: float
) -> BodyState:
    """Legs like scissors, arms against them; which way it goes shows only in the travel."""
    beat = wave(t * rate)
    lag = wave(t * rate - 0.2)
    front, back = stride * beat, -stride * beat
    legs: tuple[Limb, Limb] = (
        (front, front - way * bend * max(lag, 0.0)),
        (back, back - way * bend * max(-lag, 0.0)),
    )
    elbow = 55.0 if rate > 1.3 else 12.0
    arms: tuple[Limb, Limb] = (
        (-swing * beat - 4, -swing * beat + way * elbow),
        (swing * beat + 4, swing * beat + way * elbow),
    )
    lift = 0.02 * abs(beat) if rate < 1.3 else 0.05 * abs(wave(t * rate + 0.25))
    return BodyState(Pose(arms=arms, legs=legs, lean=way * lean, lift=lift), travel=0.0)


def _walk(way: int) -> Callable[[float], BodyState]:
    def moment(t: float) -> BodyState:
        return replace(_gait(t, way, 0.95, 27, 24, 2, 32), travel=way * 0.62 * t)

    return moment


def _run(way: int) -> Callable[[float], BodyState]:
    def moment(t: float) -> BodyState:
        return replace(_gait(t, way, 1.7, 44, 46, 9, 80), travel=way * 1.55 * t)

    return moment


def _jump(t: float) -> BodyState:
    share = (t * 0.9) % 1.0
    if share < 0.35:  # crouching and pushing off
        down = ease(share / 0.22) * (1 - ease((share - 0.22) / 0.13))
        return BodyState(
            Pose(
                arms=((-30 - 20 * down, 10), (30 + 20 * down, -10)),
                legs=((-42 * down - 4, 34 * down), (42 * down + 4, -34 * down)),
            )
        )
    flight = (share - 0.35) / 0.65
    height = 4 * flight * (1 - flight)
    return BodyState(
        Pose(
            arms=((-30 - 120 * height, -20 - 140 * height), (30 + 120 * height, 20 + 140 * height)),
            legs=((-8 - 16 * height, -4 + 10 * height), (8 + 16 * height, 4 - 10 * height)),
            lift=0.30 * height,
        )
    )


def _spin(t: float) -> BodyState:
    angle = t * 0.75
    out = 62 + 6 * wave(t * 0.4)
    return BodyState(
        Pose(arms=((-out, -out - 12), (out, out + 12)), legs=((-6, -3), (6, 3)), facing=wave(angle + 0.25))
    )


def _kick(t: float) -> BodyState:
    share = (t * 0.42) % 1.0
    rest = Pose(arms=((-22, -10), (22, 10)))
    back = Pose(arms=((30, 50), (48, 70)), legs=((4, 0), (-38, -80)), lean=6)
    through = Pose(arms=((-70, -50), (-30, -50)), legs=((-2, -6), (72, 66)), lean=-12)
    if share < 0.22:
        pose = blend(rest, back, ease(share / 0.22))
    elif share < 0.30:
        pose = blend(back, through, (share - 0.22) / 0.08)
    else:
        pose = blend(through, rest, ease((share - 0.36) / 0.2))
    if share < 0.28:
        ball = (0.22, 0.0)
    elif share < 0.62:  # away in an arc
        flight = (share - 0.28) / 0.34
        ball = (0.22 + 1.35 * flight, 4 * 0.42 * flight * (1 - flight))
    else:  # and rolling back
        ball = (0.22 + 1.35 * (1 - ease((share - 0.62) / 0.36)), 0.0)
    return BodyState(pose, ball=ball)


def _wave_hand(t: float) -> BodyState:
    beat = wave(t * 1.5)
    return BodyState(Pose(arms=((-14, -8), (142, 172 + 30 * beat)), tilt=3 * wave(t * 0.5)))


def _crawl(t: float) -> BodyState:
    beat = wave(t * 0.8)
    legs: tuple[Limb, Limb] = ((24 * beat, -88 + 8 * beat), (-24 * beat, -88 - 8 * beat))
    arms: tuple[Limb, Limb] = ((-22 * beat, -20 * beat), (22 * beat, 20 * beat))
    return BodyState(Pose(arms=arms, legs=legs, lean=78, tilt=-70), travel=0.3 * t)


def _clap(t: float) -> BodyState:
    shut = ease(0.5 + 0.62 * wave(t * 1.6))
    return BodyState(
        Pose(
            arms=(
                (between(-52, -8, shut), between(70, 128, shut)),
                (between(52, 8, shut), between(-70, -128, shut)),
            ),
            tilt=2 * wave(t * 0.4),
        )
    )


def _dance(t: float) -> BodyState:
    beat, half = wave(t * 1.1), wave(t * 0.55)
    return BodyState(
        Pose(
            arms=((-70 - 55 * half, -130 - 40 * beat), (70 - 55 * half, 130 - 40 * beat)),
            legs=((-14 + 12 * beat, -4 - 16 * max(beat, 0)), (14 + 12 * beat, 4 + 16 * max(-beat, 0))),
            lean=13 * beat,
            x=0.07 * beat,
            lift=0.025 * abs(half),
            tilt=-10 * beat,
        )
    )


def _throw(t: float) -> BodyState:
    share = (t * 0.45) % 1.0
    rest = Pose(arms=((-20, -10), (16, 60)))
    wound = Pose(arms=((40, 70), (-120, -170)), legs=((-10, -6), (12, 4)), lean=-12)
    thrown = Pose(arms=((-40, -30), (76, 70)), legs=((-18, -12), (16, -4)), lean=14)
    if share < 0.3:
        pose = blend(rest, wound, ease(share / 0.3))
    elif share < 0.38:
        pose = blend(wound, thrown, (share - 0.3) / 0.08)
    else:
        pose = blend(thrown, rest, ease((share - 0.48) / 0.25))
    if share < 0.37 or share > 0.82:
        return BodyState(pose, hold=1)
    flight = (share - 0.37) / 0.45
    return BodyState(
        pose, ball=(0.35 + 2.2 * flight, 0.78 + 1.5 * flight * (1 - flight) * 0.9 - 0.75 * flight)
    )


def _climb(t: float) -> BodyState:
    share = (t * 0.22) % 1.0
    up = share / 0.78 if share < 0.78 else 1 - ease((share - 0.78) / 0.22)
    beat = wave(share * 5) if share < 0.78 else 0.0
    return BodyState(
        Pose(
            arms=((-150 + 26 * beat, 158 + 10 * beat), (150 + 26 * beat, -158 + 10 * beat)),
            legs=((-34 - 18 * beat, 16 + 12 * beat), (34 - 18 * beat, -16 + 12 * beat)),
            facing=-1.0,
        ),
        climbed=0.62 * up,
    )


def _fall(t: float) -> BodyState:
    share = (t * 0.3) % 1.0
    sway = Pose(arms=((-40, -60), (40, 60)), lean=4)
    lying = Pose(arms=((-60, -80), (50, 70)), legs=((-10, -8), (12, 20)), turn=86, x=0.0)
    if share < 0.18:
        pose = blend(STAND, sway, ease(share / 0.18))
    elif share < 0.36:  # faster and faster
        down = (share - 0.18) / 0.18
        pose = blend(sway, lying, down * down)
    elif share < 0.66:
        pose = lying
    else:
        pose = blend(lying, STAND, ease((share - 0.66) / 0.3))
    return BodyState(pose)


def _sit(t: float) -> BodyState:
    share = (t * 0.28) % 1.0
    sitting = Pose(arms=((-10, 34), (10, -34)), legs=((-58, 4), (58, -4)), lean=0)
    ready = Pose(arms=((-30, 0), (30, 0)), legs=((-14, 8), (14, -8)), lean=7)
    if share < 0.14:
        pose = blend(STAND, ready, ease(share / 0.14))
    elif share < 0.34:
        pose = blend(ready, sitting, ease((share - 0.14) / 0.2))
    elif share < 0.68:
        pose = sitting
    else:
        pose = blend(sitting, STAND, ease((share - 0.68) / 0.2))
    return BodyState(pose)


def _push_ups(t: float) -> BodyState:
    down = 0.5 - 0.5 * wave(t * 0.7 + 0.25)
    arms: tuple[Limb, Limb] = ((-8 - 52 * down, 8 + 46 * down), (-4 - 52 * down, 10 + 46 * down))
    return BodyState(Pose(arms=arms, legs=((-72, -74), (-70, -72)), lean=70 + 16 * down, tilt=-60 + 8 * down))


def _bow(t: float) -> BodyState:
    share = (t * 0.4) % 1.0
    down = ease(share / 0.3) * (1 - ease((share - 0.55) / 0.3))
    pose = Pose(
        arms=((-14 + 30 * down, -7 + 60 * down), (14 + 20 * down, 7 + 30 * down)),
        lean=74 * down,
        tilt=14 * down,
    )
    return BodyState(pose)


MOTIONS: dict[str, Callable[[float], BodyState]] = {
    "walking left": _walk(-1),
    "walking right": _walk(1),
    "running left": _run(-1),
    "running right": _run(1),
    "jumping": _jump,
    "spinning": _spin,
    "kicking a ball": _kick,
    "waving": _wave_hand,
    "crawling": _crawl,
    "clapping": _clap,
    "dancing": _dance,
    "throwing a ball": _throw,
    "climbing": _climb,
    "falling over": _fall,
    "sitting down": _sit,
    "doing push-ups": _push_ups,
    "bowing": _bow,
}

STILL = "standing"  # no motion worth a name


def body_state(motion: str, t: float) -> BodyState:
    """What the body does `t` seconds into the motion."""
    return MOTIONS.get(motion, _stand)(t)
