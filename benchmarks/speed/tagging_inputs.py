"""What the `tagging` measurement is played on: short talking videos, and weights of real sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tagline.benchmarks.fixtures import random_weights
from tagline.benchmarks.fixtures.synthetic_videos import VideoRecipe, pictures
from tagline.experts import storage
from tagline.experts.base import labels
from tagline.experts.storage import open_atomic
from tagline.experts.weights import registry

ENCODING = {"preset": "veryfast", "crf": "23"}
SENTENCE = " the young woman pours fresh coffee while her brother explains how solar panels work"


@dataclass(frozen=True)
class TaggingInputs:
    """Everything that both sides are given."""

    videos: list[Path]
    weights: dict[str, str]  # role: folder
    untrained: list[str]  # the roles whose weights are random


def build(count: int, seconds: float, seed: int) -> TaggingInputs:
    """Made once, then kept in the cache."""
    home = storage.cache_home() / "tagging"
    videos = [_video(home / "videos", seconds, seed + number) for number in range(count)]
    made: dict[str, str] = {}
    untrained = []
    for role, expert, part in ROLES:
        try:
            made[role] = str(registry.find(registry.for_expert(expert, role=part)).path)
        except registry.WeightsMissing:
            made[role] = str(_untrained(home / "weights", role))
            untrained.append(role)
    return TaggingInputs(videos, made, untrained)


ROLES = (
    ("object", "object", "detector"),
    ("person", "person", "detector"),
    ("classifier", "scene", "classifier"),
    ("clip", "scene", "zero-shot"),
    ("motion", "motion", "classifier"),
    ("whisper", "speech", "asr"),
)


def _untrained(home: Path, role: str) -> Path:
    folder = home / role
    if (folder / "done").is_file():
        return folder
    people = ["Man", "Woman", "Boy", "Girl", *(f"thing {number}" for number in range(597))]
    places = [line.split("\t")[1] for line in labels("places365")]
    makers: dict[str, Any] = {
        "object": lambda: random_weights.detector(folder, labels("coco80"), yaml="yolo11n.yaml"),
        "person": lambda: random_weights.detector(folder, people, yaml="yolov8n.yaml"),
        "classifier": lambda: random_weights.classifier(folder, places),
        "clip": lambda: random_weights.towers(folder, "ViT-B-32"),
        "motion": lambda: random_weights.motion(folder, "x3d_m"),
        "whisper": lambda: random_weights.whisper(folder, "tiny", SENTENCE),
    }
    makers[role]()
    (folder / "done").touch()
    return folder


def _video(home: Path, seconds: float, seed: int) -> Path:
    """640 x 360 at 25 frames a second, two or three scenes, somebody speaking, some with a caption."""
    path = home / f"{seconds:g}s-{seed}.mp4"
    if path.exists():
        return path
    recipe = VideoRecipe(640, 360, seconds, cut=4, seed=seed)
    caption = _caption(f"EPISODE {seed} OF THE SHOW") if seed % 3 == 0 else None
    with open_atomic(path, durable=False) as file:
        _write(Path(file.name), recipe, caption, _speech(seconds, seed))
    return path


def _write(path: Path, recipe: VideoRecipe, caption: Any, speech: Any) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        picture: Any = container.add_stream("libx264", rate=recipe.fps, options=dict(ENCODING))
        picture.width, picture.height, picture.pix_fmt = recipe.width, recipe.height, "yuv420p"
        sound: Any = container.add_stream("aac", rate=48_000)
        for number, planes in enumerate(pictures(recipe)):
            if caption is not None:
                planes[300:340, 40:600] = np.maximum(planes[300:340, 40:600], caption)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, recipe.fps)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        for first in range(0, len(speech) - 1024, 1024):
            heard = av.AudioFrame.from_ndarray(
                speech[None, first : first + 1024], format="fltp", layout="mono"
            )
            heard.sample_rate, heard.pts, heard.time_base = 48_000, first, Fraction(1, 48_000)
            container.mux(sound.encode(heard))
        container.mux(sound.encode(None))


def _caption(text: str) -> Any:
    """White letters: uint8 [40, 560]."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (560, 40))
    ImageDraw.Draw(image).text((4, 2), text, fill=235, font=ImageFont.load_default(30))
    return np.asarray(image)


def _speech(seconds: float, seed: int) -> Any:
    """Sentences of the playhouse's bank, one after the other: float32 [S] at 48 kHz."""
    from tagline.benchmarks.playhouse.world import voices

    random = np.random.default_rng(seed)
    recordings: Sequence[Any] = voices.recordings()
    spoken: list[Any] = []
    while sum(map(len, spoken)) < seconds * voices.RATE:
        line = recordings[int(random.integers(len(recordings)))]
        spoken += [voices.recording_sound(line), np.zeros(voices.RATE // 4, np.int16)]
    whole = np.concatenate(spoken)[: round(seconds * voices.RATE)].astype(np.float32) / 32768
    return np.repeat(whole, 48_000 // voices.RATE)
