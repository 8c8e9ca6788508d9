"""The drawing kit: flat coloured outlines that can be moved, turned, measured and painted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
Outline = npt.NDArray[np.float64]  # [N, 2]: x to the right, y down
Extent = tuple[float, float, float, float]  # left, top, right, bottom

INK: Colour = (52, 44, 56)
WHITE: Colour = (250, 248, 242)


def wave(turns: float) -> float:
    """Sine of whole turns, rounded so that every machine's mathematics gives the same picture."""
    return round(math.sin(2 * math.pi * turns), 6)


def swing(degrees: float) -> Point:
    """Unit vector that hangs down at 0 degrees and points right at 90."""
    turns = degrees / 360.0
    return wave(turns), wave(turns + 0.25)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of b in a."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b))  # type: ignore[return-value]


def shade(colour: Colour, light: float) -> Colour:
    """Darker below 1, lighter above."""
    if light <= 1:
        return mix((0, 0, 0), colour, light)
    return mix(colour, (255, 255, 255), min(light - 1, 1.0))


@cache
def _circle(steps: int) -> Outline:
    points = np.array([(wave(i / steps + 0.25), wave(i / steps)) for i in range(steps)])
    points.flags.writeable = False
    return points


class Sketch:
    """Outlines with colours, in the order in which they are painted."""

    __slots__ = ("colours", "outlines")

    def __init__(self) -> None:
        self.outlines: list[Outline] = []
        self.colours: list[Colour] = []

    def polygon(self, points: Sequence[Point] | Outline, colour: Colour) -> Sketch:
        self.outlines.append(np.asarray(points, np.float64))
        self.colours.append(colour)
        return self

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        turn: float = 0.0,
        part: tuple[float, float] = (0.0, 1.0),
    ) -> Sketch:
        """Around (x, y); `part` keeps the points between two shares of a turn, 0 right, 0.25 down."""
        points = _circle(20)
        if part != (0.0, 1.0):
            steps = max(round((part[1] - part[0]) * 20), 2)
            turns = [part[0] + (part[1] - part[0]) * i / steps for i in range(steps + 1)]
            points = np.array([(wave(t + 0.25), wave(t)) for t in turns])
        points = points * (rx, ry)
        if turn:
            points = _turned(points, turn)
        return self.polygon(points + np.array((x, y)), colour)

    def disc(self, x: float, y: float, r: float, colour: Colour) -> Sketch:
        return self.ellipse(x, y, r, r, colour)

    def box(
        self, x: float, y: float, width: float, height: float, colour: Colour, corner: float = 0
    ) -> Sketch:
        """From its upper left corner; `corner` is the radius of rounded corners."""
        if corner <= 0:
            return self.polygon(
                [(x, y), (x + width, y), (x + width, y + height), (x, y + height)],
                colour,
            )
        c = min(corner, width / 2, height / 2)
        centres = [
            (x + width - c, y + height - c),
            (x + c, y + height - c),
            (x + c, y + c),
            (x + width - c, y + c),
        ]
        points = [
            (cx + c * wave(q / 4 + i / 16 + 0.25), cy + c * wave(q / 4 + i / 16))
            for q, (cx, cy) in enumerate(centres)
            for i in range(5)
        ]
        return self.polygon(points, colour)

    def limb(self, a: Point, b: Point, wide_a: float, wide_b: float, colour: Colour) -> Sketch:
        """A stroke with round ends, `wide_a` across at a and `wide_b` at b."""
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = math.sqrt(dx * dx + dy * dy) or 1e-9
        ux, uy = dx / length, dy / length
        # Half a circle around b, then half a circle around a; (u, v) is the stroke's own frame.
        rim = _circle(16)
        half = np.concatenate([rim[12:], rim[:5]])  # from -90 to +90 degrees
        front = half * (wide_b / 2) + (length, 0)
        back = half * (-wide_a / 2)
        local = np.concatenate([front, back])
        return self.polygon(local @ np.array([[ux, uy], [-uy, ux]]) + a, colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> Sketch:
        for a, b in pairwise(points):
            self.limb(a, b, width, width, colour)
        return self

    def add(
        self,
        other: Sketch,
        x: float = 0.0,
        y: float = 0.0,
        scale: float | Point = 1.0,
        turn: float = 0.0,
    ) -> Sketch:
        """Put another sketch into this one: scaled, turned (degrees), then moved."""
        factor = scale if isinstance(scale, tuple) else (scale, scale)
        if other.outlines:
            joined = np.concatenate(other.outlines) * factor
            if turn:
                joined = _turned(joined, turn)
            joined += (x, y)
            start = 0
            for outline in other.outlines:
                end = start + len(outline)
                self.outlines.append(joined[start:end])
                start = end
            self.colours += other.colours
        return self

    def extent(self) -> Extent:
        joined = np.concatenate(self.outlines)
        left, top = joined.min(axis=0)
        right, bottom = joined.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def paint(self, draw: ImageDraw.ImageDraw, scale: float, x: float = 0.0, y: float = 0.0) -> None:
        """Fill every outline; `scale` is pixels for one unit. Points are rounded to whole pixels."""
        if not self.outlines:
            return
        joined = (
            np.rint((np.concatenate(self.outlines) + np.array((x, y))) * scale)
            .astype(np.int64)
            .ravel()
            .tolist()
        )
        start = 0
        for outline, colour in zip(self.outlines, self.colours):
            end = start + outline.size
            draw.polygon(joined[start:end], fill=colour)
            start = end


def _turned(points: Outline, degrees: float) -> Outline:
    """Clockwise on the screen."""
    s, c = wave(degrees / 360), wave(degrees / 360 + 0.25)
    return points @ np.array([[c, s], [-s, c]])
