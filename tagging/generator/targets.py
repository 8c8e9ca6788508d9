"""Training targets: which words the decoder is given and which it should write, under an order of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tagging.generator.config import TaggerConfig
from tagging.generator.matching import NO_TAG
from tagging.generator.objective import IGNORE
from tagging.generator.words import Words


@dataclass(slots=True)
class Targets:
    """given: int [B, S], words that the decoder sees; wanted: int [B, S], the next word at each place."""

    given: Tensor
    wanted: Tensor
    order: Tensor  # int [B, N], which prompt stands at each place


class TargetWriter:
    """Turns sets of tags into sequences of words."""

    def __init__(
        self, config: TaggerConfig, words: Words, tags: Sequence[str], frequency: Sequence[int]
    ) -> None:
        self.config, self.words, self.tags, self.frequency = config, words, tags, frequency
        self.tag_words = [words.encode(tag) for tag in tags]

    def prompted(
        self, tags: list[Tensor], aligned: Tensor, *, shuffle: bool, generator: torch.Generator | None = None
    ) -> Targets:
        """Targets in the order of the prompts. Shuffled prompts take their tags with them (equation 6).

        tags: the numbers of each video's tags; aligned: int [B, N], for each prompt a place in that list.
        """
        rows, count = aligned.shape
        order = torch.arange(count, device=aligned.device).expand(rows, -1)
        if shuffle:
            order = torch.rand(rows, count, generator=generator).to(aligned.device).argsort(dim=1)
        sequences = []
        for row, own in enumerate(tags):
            numbers = aligned[row, order[row]].tolist()
            said = [None if n == NO_TAG else self.tag_words[int(own[n])] for n in numbers]
            if self.config.prompt_labels:
                said = [words for words in said if words is not None]
            sequences.append(self.words.sequence(said, self.config.target_words))
        return self._targets(sequences, order)

    def ranked(self, tags: list[Tensor], generator: torch.Generator | None = None) -> Targets:
        """Targets without prompts: frequent first, rare first, or in any order, drawn anew each time."""
        sequences = []
        for own in tags:
            numbers = own.tolist()
            if self.config.order == "random":
                numbers = [numbers[i] for i in torch.randperm(len(numbers), generator=generator).tolist()]
            else:
                sign = -1 if self.config.order == "frequent first" else 1
                numbers.sort(key=lambda n: (sign * self.frequency[n], self.tags[n]))
            sequences.append(
                self.words.sequence([self.tag_words[n] for n in numbers], self.config.target_words)
            )
        return self._targets(sequences, tags[0].new_empty(len(tags), 0))

    def _targets(self, sequences: Sequence[Sequence[int]], order: Tensor) -> Targets:
        longest = max(map(len, sequences))
        given = torch.full((len(sequences), longest), self.words.start)
        wanted = torch.full((len(sequences), longest), IGNORE)
        for row, words in enumerate(sequences):
            wanted[row, : len(words)] = torch.tensor(words)
            given[row, 1 : len(words)] = torch.tensor(words[:-1])
        return Targets(given.to(order.device), wanted.to(order.device), order)
