"""Light experts: real ones, without weights, for measuring everything around experts in seconds.

They come in through the entry point group `tagline.experts`, as any other package's would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from tagline.experts.footage import Footage, PerSecond, Sampling, Sound, Uniform
from tagline.experts.tags import Embedding, Modality, Report, Sighting, Tag, Word, to_spans

COLOURS = {
    "black": (0, 0, 0),
    "blue": (30, 60, 200),
    "green": (40, 160, 60),
    "grey": (128, 128, 128),
    "red": (200, 40, 40),
    "white": (255, 255, 255),
    "yellow": (230, 210, 50),
}


class _StubExpert:
    name: ClassVar[str]
    modality: ClassVar[Modality]
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[Sampling, ...]]

    def missing(self) -> str | None:
        return None

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.name} {self.version}".encode()).hexdigest()

    def load(self, device: str) -> None:
        pass

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [self.tag_one(footage) for footage in batch]

    def tag_one(self, footage: Footage) -> Report:
        raise AssertionError("each of them looks in its own way")


class ColourExpert(_StubExpert):
    """Which colour fills the picture, second by second; a histogram as its vector."""

    name = "light-colour"
    modality = Modality.OBJECT
    needs = (PerSecond(4.0, 60, 32),)

    def tag_one(self, footage: Footage) -> Report:
        view = footage.view(self.needs[0])
        means = view.frames.reshape(len(view.times), -1, 3).mean(axis=1)  # [T, 3]
        distance = np.linalg.norm(means[:, None] - np.array(list(COLOURS.values()))[None], axis=2)
        names = [list(COLOURS)[i] for i in distance.argmin(axis=1)]
        seen = [
            Sighting(name, round(1 / (1 + float(far) / 255), 6), float(time), (0.0, 0.0, 1.0, 1.0))
            for name, far, time in zip(names, distance.min(axis=1), view.times, strict=True)
        ]
        histogram = np.histogram(view.frames, 16, (0, 256))[0].astype(np.float32)
        vector = Embedding(0.0, footage.facts.duration or 0.0, histogram / max(float(histogram.sum()), 1.0))
        tags = to_spans(seen, self.modality, self.name, gap=0.3, tail=0.25)
        return Report(tags=tags, sightings=seen, vectors=[vector])


class ChangeExpert(_StubExpert):
    """Whether the picture moves."""

    name = "light-change"
    modality = Modality.MOTION
    needs = (Uniform(6, 32),)

    def tag_one(self, footage: Footage) -> Report:
        view = footage.view(self.needs[0])
        change = np.abs(np.diff(view.frames.astype(np.int16), axis=0)).mean()
        text = "moving" if change > 1 else "still"
        end = footage.facts.duration or 0.0
        return Report(
            tags=[Tag(text, self.modality, min(float(change) / 64 + 0.5, 1.0), 0.0, end, self.name)]
        )


class LoudnessExpert(_StubExpert):
    """How loud it is, in words with times."""

    name = "light-loudness"
    modality = Modality.SPEECH
    needs = (Sound(),)

    def tag_one(self, footage: Footage) -> Report:
        if footage.sound is None or not len(footage.sound):
            return Report(notes=["there is no sound"])
        steps = np.array_split(footage.sound, 4)
        length = len(footage.sound) / 16_000 / 4
        words = [
            Word("loud" if float(np.abs(step).mean()) > 0.05 else "quiet", i * length, (i + 1) * length, 1.0)
            for i, step in enumerate(steps)
        ]
        first = words[0]
        return Report(tags=[Tag(first.text, self.modality, 1.0, 0.0, 4 * length, self.name)], words=words)


EXPERTS = (ColourExpert, ChangeExpert, LoudnessExpert)


def install(folder: Path) -> Path:
    """Make an installed package of them below `folder`, so that whoever has it on its path knows them."""
    metadata = folder / "tagline_light-1.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tagline-light\nVersion: 1\n", encoding="utf-8"
    )
    lines = [f"{expert.name} = {expert.__module__}:{expert.__name__}" for expert in EXPERTS]
    (metadata / "entry_points.txt").write_text("\n".join(["[tagline.experts]", *lines, ""]), encoding="utf-8")
    return folder
