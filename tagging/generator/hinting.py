"""Batches that tell the decoder tags of similar videos: as a prompt (Open-Tag), or to point at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.data import Collator, Example
from tagline.tagging.generator.encoder import Batch
from tagline.tagging.generator.words import Words


class Advisor(Protocol):
    """Whoever knows tagged videos. What it says of a video never comes from that video itself."""

    def advise(self, examples: Sequence[Example]) -> list[list[tuple[str, float]]]:
        """Tags of videos like each of these, the best first, with how much speaks for each: 0..1."""


class HintingCollator(Collator):
    """Batches with the words of the tags that an advisor gives. It is asked once for each video."""

    def __init__(self, config: TaggerConfig, words: Words, tags: Sequence[str], advisor: Advisor) -> None:
        super().__init__(config, words, tags)
        self.advisor = advisor
        self._of: dict[str, list[tuple[int, float]]] = {}

    def batch(self, examples: Sequence[Example]) -> Batch:
        batch = super().batch(examples)
        self._ask(examples)
        rows = [self._of[one.key] for one in examples]
        longest = max(1, *map(len, rows))
        batch.hints = torch.zeros(len(rows), longest, dtype=torch.long)
        batch.hint_mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        batch.hint_scores = torch.zeros(len(rows), longest)
        for row, told in enumerate(rows):
            batch.hints[row, : len(told)] = torch.tensor([word for word, _ in told], dtype=torch.long)
            batch.hint_scores[row, : len(told)] = torch.tensor([score for _, score in told])
            batch.hint_mask[row, : len(told)] = True
        return batch

    def _ask(self, examples: Sequence[Example]) -> None:
        new = list({one.key: one for one in examples if one.key not in self._of}.values())
        if not new:
            return
        for one, tags in zip(new, self.advisor.advise(new), strict=True):
            told = [(word, score) for tag, score in tags for word in self.words.encode(tag)]
            self._of[one.key] = told[: self.config.hint_words]
