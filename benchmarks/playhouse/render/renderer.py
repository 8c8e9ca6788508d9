"""What a scenario looks like at a moment: where everything is, the picture, the boxes of what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFont

from tagline.benchmarks.playhouse.draw import inventory
from tagline.benchmarks.playhouse.draw.appearance import CLOTHES
from tagline.benchmarks.playhouse.draw.backdrop import LIGHTINGS
from tagline.benchmarks.playhouse.draw.drawing import WHITE, Colour, Extent, Sketch, shade, wave
from tagline.benchmarks.playhouse.draw.figures import figure
from tagline.benchmarks.playhouse.draw.inventory import SCENES, backdrop
from tagline.benchmarks.playhouse.draw.motions import body_state
from tagline.benchmarks.playhouse.render import camera
from tagline.benchmarks.playhouse.world.scenario import Actor, Prop, Scenario, ScreenText, Shot

FINE = 2  # the world is drawn this many times as fine as the frames, then made smaller

Rows = npt.NDArray[np.float64]  # [N, 4]: left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Placed:
    """One thing at one moment, in world units, as it is drawn. Nearer things come later."""

    name: str  # an object, a kind of person, or "" for what nobody names
    person: bool
    sketch: Sketch
    x: float
    y: float

    def extent(self) -> Extent:
        left, top, right, bottom = self.sketch.extent()
        return left + self.x, top + self.y, right + self.x, bottom + self.y


@dataclass(frozen=True, slots=True)
class Box:
    """What is in a frame and where: shares of the picture, cut at its edges."""

    name: str
    person: bool
    x: float  # left
    y: float  # top
    width: float
    height: float
    visible: float  # share of the thing that is in the picture and not behind something else


def placed(scenario: Scenario, shot: Shot, time: float) -> list[Placed]:
    """Everything that stands or moves before the backdrop, far things first."""
    wide = scenario.width / scenario.height
    inside = time - shot.start
    things: list[tuple[float, Placed]] = []
    for prop in shot.props:
        things.append((prop.y, _prop(prop, inside, wide)))
    talking = any(speaking.start <= time < speaking.end for speaking in scenario.speech)
    for number, actor in enumerate(shot.actors):
        mouth = max(wave(time * 3.1), 0.0) if talking and number == 0 else 0.0
        things += [(actor.y + 0.0005 * order, thing) for order, thing in _actor(actor, inside, wide, mouth)]
    things.sort(key=lambda pair: pair[0])
    return [thing for _, thing in things]


def _prop(prop: Prop, time: float, wide: float) -> Placed:
    x, y = prop.x * wide, prop.y
    if prop.moves in ("drives", "flies"):
        x = (x + prop.speed * wide * time + 0.3) % (wide + 0.6) - 0.3
    if prop.moves in ("bobs", "flies"):
        y += 0.014 * wave(time * 0.5 + prop.x)
    elif prop.moves == "hops":
        y -= 0.04 * max(wave(time * 0.9 + prop.x), 0.0)
    drawn = Sketch().add(inventory.sketch(prop.name, prop.colour, prop.mirrored), scale=prop.size)
    return Placed(prop.name, False, drawn, x, y)


def _actor(actor: Actor, time: float, wide: float, mouth: float) -> Iterator[tuple[int, Placed]]:
    now = body_state(actor.motion, time + actor.phase)
    x = actor.x * wide
    if now.travel:  # whoever leaves on one side comes in again on the other
        room = wide + 0.5
        x = (
            x + 0.25 + (body_state(actor.motion, time).travel) * _direction(actor) * actor.size
        ) % room - 0.25
    drawn, hands = figure(actor.appearance, replace(now.pose, mouth=mouth))
    side = -1.0 if actor.mirrored and not _facing(actor) else 1.0
    scale = (actor.size * side, actor.size)
    y = actor.y - now.climbed * actor.size
    if actor.motion == "sitting down":
        yield -1, Placed("", False, _stool(actor), x, actor.y)
    yield 0, Placed(actor.kind, True, Sketch().add(drawn, scale=scale), x, y)
    ball = now.ball
    if now.hold is not None:
        ball = (hands[now.hold][0], -hands[now.hold][1] - 0.13)
    if ball is not None:
        colour = tuple(CLOTHES)[int(actor.phase * 10) % len(CLOTHES)]
        sketch = Sketch().add(inventory.sketch("ball", colour), scale=actor.size)
        yield 1, Placed("ball", False, sketch, x + ball[0] * scale[0], actor.y - ball[1] * actor.size)


def _facing(actor: Actor) -> bool:
    return actor.motion.endswith((" left", " right"))


def _direction(actor: Actor) -> float:
    return -1.0 if actor.mirrored and actor.motion == "crawling" else 1.0


def _stool(actor: Actor) -> Sketch:
    tall = 0.2 * actor.size * (1.0 if actor.kind in ("man", "woman") else 0.75)
    stool = Sketch()
    for x in (-0.06, 0.06):
        stool.limb((x, -tall), (x * 1.2, 0), 0.018, 0.016, (104, 76, 56))
    return stool.box(-0.085, -tall - 0.02, 0.17, 0.03, (142, 104, 74), 0.01)


@lru_cache(maxsize=256)
def _occluder(kind: str, wide: float, seed: int, indoors: bool) -> Sketch:
    """Something near the camera that stands in the way."""
    rng, drawn = Random(seed), Sketch()
    side = rng.choice((0, 1))
    if kind == "pole":
        x = rng.uniform(0.2, 0.8) * wide
        colour: Colour = (150, 120, 96) if indoors else (92, 96, 108)
        drawn.box(x - 0.025, -0.1, 0.05, 1.2, colour)
        drawn.box(x - 0.025, -0.1, 0.014, 1.2, shade(colour, 1.3))
    elif kind == "heads":
        for _ in range(rng.randint(2, 4)):
            x = rng.uniform(0.1, 0.9) * wide
            tone = shade((58, 50, 66), rng.uniform(0.7, 1.2))
            drawn.ellipse(x, 1.02, 0.11, 0.09, tone)
            drawn.disc(x, 0.91, 0.055, tone)
    elif kind == "leaf":
        for _ in range(5):
            blade = Sketch().ellipse(0.13, 0, 0.15, 0.03, shade((64, 128, 84), rng.uniform(0.7, 1.1)))
            turn = rng.uniform(20, 80) if side == 0 else rng.uniform(100, 160)
            drawn.add(blade, side * wide, rng.uniform(0.0, 0.1), 1.0, turn)
    else:
        for _ in range(7):
            x = (rng.uniform(-0.05, 0.3) if side == 0 else wide - rng.uniform(-0.05, 0.3)) * 1.0
            drawn.ellipse(x, 1.0, 0.1, rng.uniform(0.08, 0.2), shade((70, 130, 76), rng.uniform(0.75, 1.1)))
    return drawn


def _clutter(drawn: Sketch, shot: Shot, wide: float) -> None:
    """Small things without a name: stones, scraps, puddles; each shot has its own."""
    rng = Random(shot.seed)
    ground = SCENES[shot.scene].ground
    for _ in range(shot.clutter):
        x, y = rng.uniform(0, wide), rng.uniform(0.74, 0.98)
        kind, size = rng.randrange(4), rng.uniform(0.008, 0.02)
        if kind == 0:
            drawn.ellipse(x, y, size * 1.6, size, shade(ground, rng.uniform(0.7, 0.85)))
        elif kind == 1:
            scrap = Sketch().box(
                -size, -size * 0.6, size * 2, size * 1.2, rng.choice(tuple(CLOTHES.values()))
            )
            drawn.add(scrap, x, y, 1.0, rng.uniform(0, 180))
        elif kind == 2:
            drawn.ellipse(x, y, size * 3.4, size * 0.7, shade(ground, 1.12))
        else:
            drawn.polygon(
                [(x - size, y), (x + size, y), (x + size * 0.3, y - size * 1.4)], shade(ground, 0.66)
            )


@lru_cache(maxsize=8)
def _still(scenario: Scenario, shot: Shot) -> Image.Image:
    """The backdrop of a shot with its clutter, at the fine size."""
    wide = scenario.width / scenario.height
    drawn = backdrop(shot.scene, shot.place, shot.lighting, wide)
    _clutter(drawn.sketch, shot, wide)
    return drawn.picture(scenario.height * FINE)


def picture(scenario: Scenario, time: float, number: int) -> Image.Image:
    """The frame at `time` seconds, before it is compressed."""
    shot = scenario.shot_at(time)
    wide = scenario.width / scenario.height
    fine = scenario.height * FINE
    world = _still(scenario, shot).copy()
    draw = ImageDraw.Draw(world)
    scene = SCENES[shot.scene]
    things = placed(scenario, shot, time)
    for thing in things:
        _shadow(draw, thing, scene.ground, fine)
    for thing in things:
        thing.sketch.paint(draw, fine, thing.x, thing.y)
    if shot.occluder:
        _occluder(shot.occluder, wide, shot.seed, scene.indoors).paint(draw, fine)
    share = (time - shot.start) / (shot.end - shot.start)
    shown = camera.window(shot.camera, share, time, wide)
    left, top, right, bottom = (round(edge * fine, 3) for edge in shown)
    frame = world.resize(
        (scenario.width, scenario.height), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
    weather = ImageDraw.Draw(frame)
    camera.weather(shot.weather, weather, shot.seed, time, scenario.width, scenario.height)
    if shot.lighting != "day":
        frame = frame.point(camera.tint_table(LIGHTINGS[shot.lighting].tint))
    if scenario.vignette:
        frame = ImageChops.multiply(frame, camera.vignette(scenario.width, scenario.height))
    for text in scenario.screen_texts:
        if text.start <= time < text.end:
            overlay, mask = _overlay(text, scenario.width, scenario.height)
            frame.paste(overlay, (0, 0), mask)
    if scenario.grain:
        frame = camera.grain(frame, scenario.seed, number, scenario.grain)
    return frame


def _shadow(draw: ImageDraw.ImageDraw, thing: Placed, ground: Colour, fine: int) -> None:
    left, _, right, bottom = thing.extent()
    if thing.y < 0.74 or thing.name == "":
        return
    lift = max(thing.y - bottom, 0.0) if not thing.person else 0.0
    half = (right - left) * 0.42 * max(1 - 2 * lift, 0.4)
    x = (left + right) / 2
    box = [round(edge * fine) for edge in (x - half, thing.y - 0.012, x + half, thing.y + 0.014)]
    draw.ellipse(box, fill=shade(ground, 0.78))


@lru_cache(maxsize=16)
def _overlay(text: ScreenText, width: int, height: int) -> tuple[Image.Image, Image.Image]:
    """The text as it lies over the frame: colours and mask."""
    size = {"banner": 0.085, "corner": 0.075, "title": 0.12}[text.style] * min(height, width * 0.75)
    words = text.text
    font = ImageFont.load_default(size=max(round(size), 17))
    probe = ImageDraw.Draw(Image.new("L", (4, 4)))
    left, top, right, bottom = probe.textbbox((0, 0), words, font=font)
    if right - left > width * 0.92:  # two lines, or as small as it takes
        words = words.replace(" ", "\n", 1) if words.count(" ") == 1 else "\n".join(words.rsplit(" ", 1))
        left, top, right, bottom = probe.multiline_textbbox((0, 0), words, font=font)
    wide, tall = right - left, bottom - top
    colour, mask = Image.new("RGB", (width, height)), Image.new("L", (width, height))
    paint, cut = ImageDraw.Draw(colour), ImageDraw.Draw(mask)
    x: float = (width - wide) / 2
    if text.style == "banner":
        y = height * 0.97 - tall - 10
        paint.rectangle([0, y - 6, width, y + tall + 6], fill=(196, 36, 48))
        cut.rectangle([0, y - 6, width, y + tall + 6], fill=235)
        ink = WHITE
    elif text.style == "corner":
        x, y, ink = 9.0, 9.0, (30, 28, 36)
        paint.rounded_rectangle([4, 3, x + wide + 6, y + tall + 7], 4, fill=(252, 226, 110))
        cut.rounded_rectangle([4, 3, x + wide + 6, y + tall + 7], 4, fill=255)
    else:
        y, ink = height * 0.16, WHITE
        # A dark rim keeps the letters readable on any sky.
        for drawer, fill in ((paint, (24, 22, 32)), (cut, 255)):
            drawer.multiline_text(
                (x - left, y - top), words, font=font, fill=fill, stroke_width=3, align="center"
            )
    paint.multiline_text((x - left, y - top), words, font=font, fill=ink, align="center")
    cut.multiline_text((x - left, y - top), words, font=font, fill=255, align="center")
    return colour, mask


def boxes(scenario: Scenario, time: float) -> list[Box]:
    """Persons and objects in the frame at `time`, from the same outlines that are painted."""
    shot = scenario.shot_at(time)
    wide = scenario.width / scenario.height
    share = (time - shot.start) / (shot.end - shot.start)
    window = camera.window(shot.camera, share, time, wide)
    things = placed(scenario, shot, time)
    covers = [_parts(thing.sketch, thing.x, thing.y) for thing in things]
    if shot.occluder:
        covers.append(_parts(_occluder(shot.occluder, wide, shot.seed, SCENES[shot.scene].indoors), 0.0, 0.0))
    boxes_found = []
    for number, thing in enumerate(things):
        if not thing.name:
            continue
        left, top, right, bottom = thing.extent()
        cut = max(left, window[0]), max(top, window[1]), min(right, window[2]), min(bottom, window[3])
        if cut[0] >= cut[2] or cut[1] >= cut[3]:
            continue
        boxes_found.append(
            Box(
                name=thing.name,
                person=thing.person,
                x=(cut[0] - window[0]) / (window[2] - window[0]),
                y=(cut[1] - window[1]) / (window[3] - window[1]),
                width=(cut[2] - cut[0]) / (window[2] - window[0]),
                height=(cut[3] - cut[1]) / (window[3] - window[1]),
                visible=_visible(covers[number], covers[number + 1 :], window),
            )
        )
    return boxes_found


def _parts(sketch: Sketch, x: float, y: float) -> Rows:
    """The extent of every outline: what the thing covers, a little generously."""
    joined = np.concatenate(sketch.outlines) + np.array((x, y))
    starts = np.cumsum([0] + [len(outline) for outline in sketch.outlines[:-1]])
    return np.concatenate([np.minimum.reduceat(joined, starts), np.maximum.reduceat(joined, starts)], axis=1)


def _visible(own: Rows, nearer: list[Rows], window: Extent) -> float:
    """Share of a grid of points on the thing's outlines that is inside the window and not covered."""
    steps = np.linspace(0.1, 0.9, 4)
    px = (
        (own[:, 0, None, None] + (own[:, 2] - own[:, 0])[:, None, None] * steps[None, :, None])
        .repeat(4, 2)
        .ravel()
    )
    py = (
        (own[:, 1, None, None] + (own[:, 3] - own[:, 1])[:, None, None] * steps[None, None, :])
        .repeat(4, 1)
        .ravel()
    )
    weight = np.repeat((own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1]), 16)
    seen = (px >= window[0]) & (px <= window[2]) & (py >= window[1]) & (py <= window[3])
    if nearer:
        cover = np.concatenate(nearer)
        hidden = (
            (px[:, None] > cover[:, 0])
            & (px[:, None] < cover[:, 2])
            & (py[:, None] > cover[:, 1])
            & (py[:, None] < cover[:, 3])
        ).any(1)
        seen &= ~hidden
    return float((seen * weight).sum() / max(weight.sum(), 1e-12))


def times(scenario: Scenario) -> list[float]:
    """When each frame is shown, in seconds."""
    return [number / scenario.fps for number in range(round(scenario.duration * scenario.fps))]
