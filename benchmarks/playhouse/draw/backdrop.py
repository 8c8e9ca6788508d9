"""What all scenes share: a canvas 1 high and `wide` wide, skies, clouds, trees, hills, tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from tagline.benchmarks.playhouse.draw.drawing import WHITE, Colour, Point, Sketch, mix, shade


@dataclass(frozen=True, slots=True)
class Lighting:
    """The time and weather of a shot: the sky, and the factors for red, green and blue of the picture."""

    sky: tuple[Colour, Colour]  # above, at the horizon
    tint: tuple[float, float, float]
    sun: Colour | None


LIGHTINGS = {
    "day": Lighting(((98, 182, 232), (206, 236, 246)), (1.0, 1.0, 1.0), (255, 240, 170)),
    "sunset": Lighting(((112, 92, 160), (252, 172, 104)), (1.06, 0.88, 0.80), (255, 206, 110)),
    "overcast": Lighting(((150, 164, 176), (206, 214, 218)), (0.86, 0.89, 0.93), None),
    "dusk": Lighting(((44, 58, 112), (150, 132, 172)), (0.66, 0.68, 0.88), None),
    "bright": Lighting(((120, 200, 240), (232, 246, 240)), (1.10, 1.08, 1.02), (255, 246, 200)),
    "dim": Lighting(((96, 110, 132), (150, 156, 160)), (0.64, 0.62, 0.60), None),
    "warm": Lighting(((150, 190, 214), (246, 226, 190)), (1.07, 0.97, 0.82), (255, 226, 150)),
}


@dataclass(slots=True)
class Backdrop:
    """The still part of a shot while it is being drawn. `rng` is the place's own: same place, same layout."""

    wide: float
    rng: Random
    lighting: Lighting
    hue: float  # -1 to 1, a place's own taste in colours
    sketch: Sketch = field(default_factory=Sketch)
    sky: tuple[Colour, Colour] = ((0, 0, 0), (0, 0, 0))

    def __post_init__(self) -> None:
        self.sky = self.lighting.sky

    def own(self, colour: Colour, other: Colour, reach: float = 0.55) -> Colour:
        """The colour, leaning towards `other` as much as this place likes it."""
        return mix(colour, other, (self.hue + 1) / 2 * reach)

    def ground(self, top: float, colour: Colour, tones: int = 3, darker: float = 0.9) -> None:
        """From `top` down to the lower edge, in a few bands that get darker or lighter."""
        for i in range(tones):
            y = top + (1 - top) * (i / tones) ** 1.4
            self.sketch.box(
                -0.1, y, self.wide + 0.2, 1.1 - y, shade(colour, 1 + (darker - 1) * i / max(tones - 1, 1))
            )

    def hills(self, base: float, height: float, colour: Colour, count: int = 4) -> None:
        step = self.wide / count
        for i in range(count + 1):
            x = i * step + self.rng.uniform(-0.3, 0.3) * step
            tall = height * self.rng.uniform(0.6, 1.1)
            self.sketch.ellipse(
                x, base + 0.02, step * self.rng.uniform(0.75, 1.1), tall, colour, part=(0.5, 1.0)
            )
        self.sketch.box(-0.1, base, self.wide + 0.2, 0.06, colour)

    def sun(self, low: float = 0.3) -> None:
        x, y = self.rng.uniform(0.15, 0.85) * self.wide, self.rng.uniform(0.1, low)
        if self.lighting.sun:
            self.sketch.disc(x, y, 0.085, mix(self.lighting.sun, self.lighting.sky[0], 0.6))
            self.sketch.disc(x, y, 0.06, self.lighting.sun)

    def clouds(self, count: int, low: float = 0.3) -> None:
        tone = mix(WHITE, self.lighting.sky[1], 0.25)
        for _ in range(count):
            x, y = self.rng.uniform(0, self.wide), self.rng.uniform(0.06, low)
            size = self.rng.uniform(0.03, 0.055)
            for dx, r in ((-1.3, 0.75), (0.0, 1.1), (1.2, 0.8), (2.1, 0.5)):
                self.sketch.ellipse(x + dx * size, y, r * size * 1.1, r * size * 0.8, tone)

    def stars(self, count: int, low: float) -> None:
        for _ in range(count):
            bright = self.rng.randint(150, 255)
            self.sketch.disc(
                self.rng.uniform(0, self.wide),
                self.rng.uniform(0, low),
                self.rng.uniform(0.002, 0.005),
                (bright, bright, 235),
            )

    def tree(self, x: float, base: float, height: float, leaf: Colour, trunk: Colour = (120, 84, 58)) -> None:
        s = self.sketch
        s.limb((x, base), (x, base - height * 0.5), height * 0.11, height * 0.08, trunk)
        for dx, dy, r in ((-0.2, -0.55, 0.22), (0.2, -0.57, 0.22), (0.0, -0.74, 0.26)):
            s.disc(x + dx * height, base + dy * height, r * height, leaf)
        s.disc(x - 0.07 * height, base - 0.8 * height, 0.1 * height, shade(leaf, 1.18))

    def pine(self, x: float, base: float, height: float, leaf: Colour, snow: bool = False) -> None:
        s = self.sketch
        s.box(x - height * 0.04, base - height * 0.15, height * 0.08, height * 0.15, (104, 74, 54))
        for i, half in enumerate((0.26, 0.21, 0.15)):
            y = base - height * (0.12 + 0.27 * i)
            s.polygon(
                [(x - half * height, y), (x + half * height, y), (x, y - height * 0.38)],
                shade(leaf, 1 + 0.08 * i),
            )
            if snow:
                h = height * 0.38
                s.polygon(
                    [
                        (x - half * height * 0.45, y - h * 0.55),
                        (x + half * height * 0.45, y - h * 0.55),
                        (x, y - h),
                    ],
                    WHITE,
                )

    def strip(self, y: float, height: float, colour: Colour) -> None:
        self.sketch.box(-0.1, y, self.wide + 0.2, height, colour)

    def scatter(self, count: int, top: float, bottom: float = 0.99) -> list[Point]:
        """Points on the ground, far ones first."""
        points = [(self.rng.uniform(0, self.wide), self.rng.uniform(top, bottom)) for _ in range(count)]
        return sorted(points, key=lambda point: point[1])

    def picture(self, height: int) -> Image.Image:
        """The backdrop as an image `height` pixels high."""
        width = round(self.wide * height)
        ramp = np.linspace(0, 1, height)[:, None]
        sky = np.clip(ramp * 1.6, 0, 1)
        above, below = np.array(self.sky[0], float), np.array(self.sky[1], float)
        column = np.rint(above + (below - above) * sky).astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(column[:, None, :], (height, width, 3))))
        self.sketch.paint(ImageDraw.Draw(image), height)
        return image
