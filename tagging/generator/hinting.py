"""Batches that tell the decoder tags of similar videos: as a prompt (Open-Tag), or to point at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.data import TaggerCollator, Example
from tagline.tagging.generator.encoder import TaggerBatch
from tagline.tagging.generator.words import TagTokenizer


class Retriever(Protocol):
    """Whoever knows tagged videos. What it says of a video never comes from that video itself."""

    def retrieve(self, examples: Sequence[Example]) -> list[list[tuple[str, float]]]:
        """Tags of videos like each of these, the best first, with how much speaks for each: 0..1."""


class RetrievalCollator(TaggerCollator):
    """Batches with the words of the tags that an advisor gives. It is asked once for each video."""

    def __init__(
        self, config: TaggerConfig, words: TagTokenizer, tags: Sequence[str], retriever: Retriever
    ) -> None:
        super().__init__(config, words, tags)
        self.retriever = retriever
        self._retrieved: dict[str, list[tuple[int, float]]] = {}

    def batch(self, examples: Sequence[Example]) -> TaggerBatch:
        batch = super().batch(examples)
        self._retrieve(examples)
        rows = [self._retrieved[one.key] for one in examples]
        longest = max(1, *map(len, rows))
        batch.retrieved = torch.zeros(len(rows), longest, dtype=torch.long)
        batch.retrieved_mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        batch.retrieved_scores = torch.zeros(len(rows), longest)
        for row, words in enumerate(rows):
            batch.retrieved[row, : len(words)] = torch.tensor([word for word, _ in words], dtype=torch.long)
            batch.retrieved_scores[row, : len(words)] = torch.tensor([score for _, score in words])
            batch.retrieved_mask[row, : len(words)] = True
        return batch

    def _retrieve(self, examples: Sequence[Example]) -> None:
        new = list({one.key: one for one in examples if one.key not in self._retrieved}.values())
        if not new:
            return
        for one, tags in zip(new, self.retriever.retrieve(new), strict=True):
            told = [(word, score) for tag, score in tags for word in self.words.encode(tag)]
            self._retrieved[one.key] = told[: self.config.retrieved_words]
