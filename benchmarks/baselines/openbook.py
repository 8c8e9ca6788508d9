"""Open-Book: tags are written word by word, and words may be copied from the tags of similar videos.

Read from Zhang et al., Open-book video captioning (2021): retrieve, copy, generate. Retrieved are the
training videos nearest in title and frames, by frozen features, never the video itself. Their tags' words
are hints. At each word a gate decides between the vocabulary and a pointer at the hints:

    p(word) = (1 - gate) · p_vocabulary(word) + gate · sum of the pointer's weights on hints of that word
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from tagline.tagging.generator.encoder import EncodedBatch, TaggerBatch
from tagline.tagging.generator.layers import CopyingDecoder, CrossAttentionCache
from tagline.tagging.generator.model import Tagger
from tagline.tagging.ml.ann import Vectors, unit
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.text_embedding import CharacterNgrams


class OpenBook(Tagger):
    """A tagger without prompts that reads what similar videos are tagged with."""

    decoder_kind = CopyingDecoder

    @property
    def needs_retriever(self) -> bool:
        return True

    def encode(self, batch: TaggerBatch) -> EncodedBatch:
        assert batch.retrieved is not None, "open-book needs the tags of similar videos"
        return super().encode(batch)

    def cross_attention_cache(
        self, seen: EncodedBatch, order: Tensor | None = None, visible: Tensor | None = None
    ) -> CrossAttentionCache:
        return replace(
            super().cross_attention_cache(seen, order, visible),
            source_words=seen.retrieved,
            source_mask=seen.retrieved_mask,
        )


class NearestVideos:
    """The training videos, to find those that are most like another."""

    def __init__(self, examples: Sequence[Example], neighbours: int = 5) -> None:
        self.neighbours = neighbours
        self.keys = [one.key for one in examples]
        self.tags = [one.tags for one in examples]
        self.titles, self.frames = comparison_vectors(examples)

    def nearest(self, examples: Sequence[Example], count: int) -> list[list[int]]:
        """The numbers of the `count` most similar videos of each, itself (the same key) left out."""
        if not self.keys:
            return [[] for _ in examples]
        titles, frames = comparison_vectors(examples)
        similarity = titles @ self.titles.T  # [B, M]
        if frames.shape[1] and frames.shape[1] == self.frames.shape[1]:
            similarity = similarity + frames @ self.frames.T
        found = []
        for one, row in zip(examples, similarity, strict=True):
            order = np.argsort(-row, kind="stable")[: count + 1 + self.keys.count(one.key)]
            found.append([int(i) for i in order if self.keys[i] != one.key][:count])
        return found

    def retrieve(self, examples: Sequence[Example]) -> list[list[tuple[str, float]]]:
        """The tags of each one's `neighbours` nearest videos, the nearest video's first."""
        found = []
        for numbers in self.nearest(examples, self.neighbours):
            tags = dict.fromkeys(tag for number in numbers for tag in self.tags[number])
            found.append([(tag, 1.0) for tag in tags])
        return found


def comparison_vectors(examples: Sequence[Example]) -> tuple[Vectors, Vectors]:
    """What videos are compared by: letters of the titles [B, D], mean frame [B, F], each of length 1 or 0."""
    titles = CharacterNgrams().encode([one.title for one in examples])
    titles = titles * np.array([[bool(one.title)] for one in examples], np.float32)
    width = max((one.frames.shape[1] for one in examples if one.frames is not None), default=0)
    frames = np.zeros((len(examples), width), np.float32)
    for row, one in enumerate(examples):
        if one.frames is not None and len(one.frames):
            frames[row] = np.asarray(one.frames, np.float32).mean(0)
    return unit(titles), unit(frames)
