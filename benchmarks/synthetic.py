"""Synthetic videos to measure decoding with: moving, textured, encoded as videos usually are."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PICTURES_VERSION = 1  # goes up whenever the pictures of a recipe become others


@dataclass(frozen=True)
class VideoRecipe:
    """One video. Equal recipes give the same pictures."""

    width: int
    height: int
    seconds: float
    fps: int = 25
    codec: str = "libx264"
    suffix: str = ".mp4"
    options: dict[str, str] = field(default_factory=dict)
    cut: float = 0.0  # a new scene about every so many seconds; 0: one scene
    sound: bool = False
    seed: int = 0

    @property
    def name(self) -> str:
        recipe = json.dumps([PICTURES_VERSION, asdict(self)], sort_keys=True)
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:10]
        return f"{self.codec}-{self.height}p-{self.seconds:g}s-{digest}{self.suffix}"


def cached(recipe: VideoRecipe) -> Path:
    """The video of a recipe, from the cache, or made now and kept there."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tagline" / "synthetic"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / recipe.name
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=folder, suffix=recipe.suffix, delete=False) as unfinished:
            pass
        make(recipe, Path(unfinished.name))
        os.replace(unfinished.name, path)  # noqa: PTH105
    return path


def make(recipe: VideoRecipe, path: Path) -> None:
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder is talkative
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(recipe.codec, rate=recipe.fps, options=dict(recipe.options))
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, "yuv420p"
        sound: Any = container.add_stream("aac", rate=48_000) if recipe.sound else None
        for number, planes in enumerate(pictures(recipe)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, recipe.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for frame in tone(recipe.seconds):
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))


def pictures(recipe: VideoRecipe) -> Iterator[npt.NDArray[np.uint8]]:
    """Planes of yuv420p, uint8 [H * 3/2, W]: scene after scene."""
    rng = np.random.default_rng(recipe.seed)
    left = round(recipe.seconds * recipe.fps)
    while left > 0:
        length = round(rng.uniform(0.4, 1.6) * recipe.cut * recipe.fps) if recipe.cut else left
        yield from _scene(recipe, rng, max(1, min(length, left)))
        left -= max(1, length)


def _scene(recipe: VideoRecipe, rng: np.random.Generator, length: int) -> Iterator[npt.NDArray[np.uint8]]:
    """A soft texture that drifts, squares that move, and grain as a camera's, new in every picture."""
    width, height = recipe.width, recipe.height
    ground = _texture(rng, (height + 128) * 4, (width + 128) * 4, 96, 60)  # four times too big: soft motion
    grain = np.rint(rng.normal(0, 1, (height * 2, width * 2))).astype(np.int8)
    starts, speeds = rng.random((8, 2)), rng.normal(0, 0.1, (8, 2))
    edge = height // 8
    things = [_texture(rng, edge, edge, 6, 110) for _ in starts]
    colours = _texture(rng, height // 2 + 128, width // 2 + 128, 40, 30)
    for number in range(length):
        now = number / recipe.fps
        y, x = int(256 + 240 * np.sin(now * 0.31)), int(256 + 240 * np.sin(now * 0.17))
        luma = ground[y : y + 4 * height : 4, x : x + 4 * width : 4].astype(np.int16)
        for thing, start, speed in zip(things, starts, speeds, strict=True):
            top, left = ((start + speed * now) % 1 * (height - edge, width - edge)).astype(int)
            luma[top : top + edge, left : left + edge] = thing
        planes = np.empty((height * 3 // 2, width), np.uint8)
        down, right = rng.integers(0, (height, width))
        planes[:height] = np.clip(luma + grain[down : down + height, right : right + width], 16, 235)
        chroma = colours[y // 8 : y // 8 + height // 2, x // 8 : x // 8 + width // 2]
        planes[height:].reshape(-1)[:] = np.concatenate([chroma.ravel(), 255 - chroma.ravel()])
        yield planes


def _texture(
    rng: np.random.Generator, height: int, width: int, grain: int, depth: float
) -> npt.NDArray[np.uint8]:
    """Smooth noise: uint8 [height, width], patches of about `grain` pixels, `depth` grey levels."""
    coarse = rng.normal(0, 1, (height // grain + 2, width // grain + 2))
    patch = max(2, grain // 8)
    fine = rng.normal(0, 0.2, (height // patch + 2, width // patch + 2))
    texture = np.kron(coarse, np.ones((grain, grain)))[:height, :width]
    for axis in (0, 1):
        texture = np.mean([np.roll(texture, n * grain // 6, axis) for n in range(6)], axis=0)
    texture = texture + np.kron(fine, np.ones((patch, patch)))[:height, :width]
    return np.clip(128 + depth * texture, 0, 255).astype(np.uint8)


def tone(seconds: float, rate: int = 48_000) -> Iterator[Any]:
    """Audio frames of a wavering tone."""
    import av

    size = 1024
    for first in range(0, round(seconds * rate) - size, size):
        at = np.arange(first, first + size) / rate
        wave = 0.3 * np.sin(2 * np.pi * (440 * at + 20 * np.sin(2 * np.pi * at)))
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        yield frame
