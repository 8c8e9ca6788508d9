"""The ranker's sizes and training as data."""

from __future__ import annotations

from dataclasses import dataclass

from tagline.tagging.ml.config import BadConfig, at_least, one_of

OBJECTIVES = ("contrast", "classify")
WEIGHTS, CONFIG, WORDS = "model.safetensors", "config.json", "words.json"
FILES = (WEIGHTS, WORDS, CONFIG)  # the configuration last: a folder with one is whole


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """Small enough to train in minutes on two CPU cores; the text tower is of the size of a TinyBERT."""

    objective: str = "contrast"  # the ranker; "classify": the multi-label classifier with the same towers
    width: int = 256  # of the space of videos and tags
    clusters: int = 16  # of NextVLAD
    groups: int = 4
    text_width: int = 128
    text_layers: int = 2
    heads: int = 4
    text_words: int = 64  # of title, speech and texts on the screen
    frames: int = 30
    sounds: int = 30  # seconds of sound
    dropout: float = 0.1
    negatives: int = 400  # tags that a video is compared with (the paper: 10, then 400)
    hard: float = 0.25  # share of them two hops away
    language: str = "auto"  # of the frozen tag embeddings, see ml.text_embedding
    collection: str = "public"
    vocabulary: int = 4000

    epochs: int = 15
    batch: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("objective", self.objective, OBJECTIVES)
        if not 0.0 <= self.hard <= 1.0:
            raise BadConfig(f"hard must lie in 0..1, not {self.hard}")
        at_least(self, width=1, negatives=1, epochs=1, batch=1, text_words=1, frames=1, sounds=1)
