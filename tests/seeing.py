"""For the tests of the experts that see: footage made of clouds, and small untrained weights."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tagline.benchmarks.fixtures import random_weights
from tagline.experts.footage import Facts, Footage, Pictures, View, Windows
from tagline.experts.vision.frames import Preparation

SMALL_CLIP: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SMALL_VIT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
}
SMALL_X3D: dict[str, Any] = {
    "model_num_class": 7,
    "width_factor": 1.0,
    "depth_factor": 1.0,
    "input_clip_length": 4,
    "input_crop_size": 64,
}
KINDS = ["Man", "Woman", "Boy", "Girl", "Dog", "Kite"]
PLACES = ["/b/beach", "church/indoor", "kitchen", "alley"]
MOTIONS = ["jumping", "spinning", "waving", "kicking ball", "walking", "crawling", "falling"]
SHAPES = [(90, 160), (160, 90), (90, 160), (75, 75), (90, 160)]


def footage(
    experts: Sequence[Any], *, shape: tuple[int, int] = (90, 160), count: int = 5, seed: int = 0
) -> Footage:
    """A video of `count` frames, one a second, with what these experts need of it."""
    views: dict[Any, View] = {}
    for need in (need for expert in experts for need in expert.needs):
        number = need.count * need.length if isinstance(need, Windows) and count else count
        views[need] = View(frames(number, shape, seed), np.arange(number) * (max(count, 1) / max(number, 1)))
    facts = Facts(float(count), shape[1], shape[0], Fraction(25), "h264", 0, "", has_sound=False)
    return Footage("made up", facts, views, None)


def frames(count: int, shape: tuple[int, int], seed: int = 0) -> Pictures:
    pictures = random_weights.noise_pictures(max(count, 1), *shape, seed)[:count]
    pictures.setflags(write=False)  # as a decoder hands them over
    return pictures


def videos(experts: Sequence[Any]) -> list[Footage]:
    """Several shapes and lengths, one of them without any frame."""
    made = [footage(experts, shape=shape, count=3 + n % 3, seed=n) for n, shape in enumerate(SHAPES)]
    return [*made, footage(experts, count=0)]


def same(one: Any, other: Any, tolerance: float = 1e-4) -> None:
    """Two reports say the same."""
    for ours, theirs in ((one.tags, other.tags), (one.sightings, other.sightings)):
        assert [found.text for found in ours] == [found.text for found in theirs]
        np.testing.assert_allclose(
            [found.score for found in ours], [found.score for found in theirs], atol=tolerance
        )
    assert [(tag.start, tag.end) for tag in one.tags] == [(tag.start, tag.end) for tag in other.tags]


def detector(folder: Path, names: Sequence[str] = KINDS) -> Path:
    return random_weights.detector(folder, names, imgsz=160)


def motion(folder: Path) -> Path:
    from tagline.experts.motion import Window

    return random_weights.motion(
        folder,
        "x3d_xs",
        arguments=SMALL_X3D,
        labels=MOTIONS,
        preparation=Preparation((64, 64), 64, antialias=False),
        window=Window(4, 0.2),
    )
