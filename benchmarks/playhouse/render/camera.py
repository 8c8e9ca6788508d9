"""The camera: which part of the world it shows when, and what lens and film do to the picture."""

from __future__ import annotations

from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from tagline.benchmarks.playhouse.draw.drawing import wave
from tagline.benchmarks.playhouse.draw.motions import between, ease
from tagline.benchmarks.playhouse.world.scenario import Camera


def window(camera: Camera, share: float, time: float, wide: float) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of what is shown, in world units, at `share` of the shot.

    The window has the shape of the world, so its width is `wide` times its height. It leans to the
    lower edge, where the feet are.
    """
    zoom = between(*camera.zoom, ease(share))
    left = (1 - zoom) * wide * between(*camera.pan, ease(share))
    top = (1 - zoom) * 0.72
    if camera.shake:
        left += camera.shake * (wave(time * 0.7) + 0.5 * wave(time * 1.9 + 0.3))
        top += camera.shake * 0.7 * (wave(time * 0.9 + 0.2) + 0.5 * wave(time * 2.3))
    left = min(max(left, 0.0), (1 - zoom) * wide)
    top = min(max(top, 0.0), 1 - zoom)
    return left, top, left + zoom * wide, top + zoom


@lru_cache(maxsize=64)
def tint_table(tint: tuple[float, float, float]) -> list[int]:
    """What `Image.point` needs to colour the light."""
    return [min(round(level * factor), 255) for factor in tint for level in range(256)]


@lru_cache(maxsize=16)
def vignette(width: int, height: int) -> Image.Image:
    """A picture to multiply with: bright in the middle, dark in the corners."""
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None, :]
    fall = np.rint(255 * np.clip(1.12 - 0.32 * (x * x + y * y), 0.35, 1.0)).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(fall)] * 3)


@lru_cache(maxsize=4)
def _film(seed: int, strength: int, width: int, height: int) -> Image.Image:
    """Grain around grey 128, larger than a frame, so that each frame can take another part."""
    rng = np.random.Generator(np.random.PCG64(seed))
    shape = (height + 64, width + 64, 3)
    # The sum of three even draws is near enough to a bell, and is whole numbers everywhere.
    sums = sum(rng.integers(-strength, strength + 1, shape, dtype=np.int16) for _ in range(3))
    return Image.fromarray((128 + np.asarray(sums) // 2).astype(np.uint8))


def grain(frame: Image.Image, seed: int, number: int, strength: int) -> Image.Image:
    film = _film(seed, strength, frame.width, frame.height)
    rng = Random(seed * 7919 + number)
    x, y = rng.randrange(64), rng.randrange(64)
    return ImageChops.add(frame, film.crop((x, y, x + frame.width, y + frame.height)), 1, -128)


def weather(kind: str, draw: ImageDraw.ImageDraw, seed: int, time: float, width: int, height: int) -> None:
    """Rain, snow, leaves or confetti over the finished frame, in its own pixels."""
    if kind == "clear":
        return
    rng = Random(seed)
    fall = {"rain": 1.9, "snow": 0.22, "leaves": 0.28, "confetti": 0.4}[kind]
    count = {"rain": 60, "snow": 70, "leaves": 16, "confetti": 50}[kind]
    for _ in range(count):
        x, y, speed, kind_of = rng.random(), rng.random(), rng.uniform(0.75, 1.25), rng.random()
        y = (y + time * fall * speed) % 1.1 - 0.05
        if kind != "rain":
            x = (x + 0.02 * wave(time * 0.5 * speed + kind_of)) % 1.0
        px, py = round(x * width), round(y * height)
        if kind == "rain":
            draw.line([px, py, px - 2, py + 9], fill=(206, 220, 236))
        elif kind == "snow":
            r = 1 + int(kind_of * 2)
            draw.ellipse([px - r, py - r, px + r, py + r], fill=(252, 253, 255))
        else:
            shades = (
                [(206, 120, 50), (186, 90, 50), (220, 170, 70)]
                if kind == "leaves"
                else [(236, 80, 90), (250, 206, 80), (90, 170, 230), (120, 200, 120)]
            )
            colour = shades[int(kind_of * len(shades))]
            flat = 1 + round(2 * abs(wave(time * speed + kind_of)))
            draw.ellipse([px - 2, py - flat, px + 2, py + flat], fill=colour)
