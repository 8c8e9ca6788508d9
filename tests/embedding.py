"""A stand-in for a model that embeds: texts and the tags of stand-in videos as bags of words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import content_of
from shaking import shaken

from tagline.experts.footage import Footage, Pictures, Uniform
from tagline.experts.tags import Embedding, Tag
from tagline.retrieval.embed.search_model import SearchModel, VideoEmbedder, VideoVectors
from tagline.retrieval.embed.text_tower import Floats, NotPortable, TextTowerWeights
from tagline.tagging.ml.config import digest

SIZE = 64


class FakeEmbedder(VideoEmbedder):
    """The vector of a video is that of its tags' words; its spans are its halves. Counts what it embeds."""

    seen: list[str] = []  # noqa: RUF012 (shared on purpose)

    def __init__(self, name: str = "playhouse-clip", version: str = "1") -> None:
        self.choice = SearchModel("appearance", name, digest("fake", name, version))
        self.samplings = (Uniform(2, side=36),)

    def tags_read(self, tags: Sequence[Tag]) -> list[Tag]:
        return [tag for tag in tags if tag.modality == "object"]

    def embed(self, footage: Footage, tags: Sequence[Tag]) -> VideoVectors:
        self.seen.append(Path(footage.path).name)
        content = content_of(footage.path)
        if content.get("salt") == "raises":
            raise ValueError("the model broke")
        end = footage.facts.duration or 0.0
        scale = np.nan if content.get("salt") == "nan" else 1.0
        whole = bag(" ".join(tag.text for tag in tags) or Path(footage.path).stem) * np.float32(scale)
        halves = [
            bag(" ".join(tag.text for tag in tags if tag.start < b and tag.end > a) or "nothing")
            for a, b in ((0.0, end / 2), (end / 2, end))
        ]
        return VideoVectors(
            Embedding(0.0, end, whole),
            [Embedding(0.0, end / 2, halves[0]), Embedding(end / 2, end, halves[1])],
        )

    def texts(self, texts: Sequence[str]) -> Floats:
        return np.array([bag(text) for text in texts], np.float32).reshape(len(texts), SIZE)

    def picture(self, pixels: Pictures) -> Floats:
        return bag("dog" if pixels.mean() > 127 else "cat")

    def text_tower(self) -> TextTowerWeights:
        raise NotPortable("it has none")


def bag(text: str) -> Floats:
    """float32 [SIZE], of length 1: each word has a direction of its own."""
    vector = np.zeros(SIZE, np.float32)
    for word in text.casefold().split() or [""]:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        vector += np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)
    return shaken(vector / np.linalg.norm(vector))


def use_fake_embedder(monkeypatch: pytest.MonkeyPatch, cache: Path) -> type[FakeEmbedder]:
    """Put it in the place of every model, for one test; with the stand-in for the decoder."""
    import fakes

    def load(kind: str, name: str, device: str = "cpu") -> Any:
        return FakeEmbedder(name)

    fakes.use_fakes(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr("tagline.retrieval.embed.embedders.load", load)
    monkeypatch.setattr("tagline.retrieval.embed.query_encoder.load", load)
    monkeypatch.setattr(FakeEmbedder, "seen", [])
    return FakeEmbedder
