"""Training targets: what the decoder reads and writes under an order of tags, given or learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.layers import IGNORE, CrossAttentionCache, SelfAttentionCache, WordDecoder
from tagline.tagging.generator.objective import NO_TAG
from tagline.tagging.ml.tokenizer import TagTokenizer


@dataclass(slots=True)
class Targets:
    """given: int [B, S], words that the decoder sees; wanted: int [B, S], the next word at each place."""

    decoder_input: Tensor
    labels: Tensor
    order: Tensor  # int [B, N], which prompt stands at each place


class TargetBuilder:
    """Turns sets of tags into sequences of words."""

    def __init__(
        self, config: TaggerConfig, words: TagTokenizer, tags: Sequence[str], frequency: Sequence[int]
    ) -> None:
        self.config, self.words, self.tags, self.frequency = config, words, tags, frequency
        self.tag_words = [words.encode(tag) for tag in tags]

    def prompted(
        self, tags: Sequence[Tensor], aligned: Tensor, draws: Tensor | None = None, *, shuffle: bool
    ) -> Targets:
        """Targets in the order of the prompts. Shuffled prompts take their tags with them (equation 6).

        tags: the numbers of each video's tags; aligned: int [B, N], for each prompt a place in that list;
        draws: float [B, N or more], chance numbers whose order is the order of the prompts.
        """
        rows, count = aligned.shape
        order = torch.arange(count, device=aligned.device).expand(rows, -1)
        if shuffle:
            draws = torch.rand(rows, count) if draws is None else draws
            order = draws[:, :count].argsort(dim=1).to(aligned.device)
        moved = aligned.gather(1, order).tolist()  # one wait for the device, not one a prompt
        sequences = []
        for places, own in zip(moved, _lists(tags), strict=True):
            said = [None if n == NO_TAG else self.tag_words[own[n]] for n in places]
            if self.config.prompt_labels:
                said = [words for words in said if words is not None]
            sequences.append(self.words.sequence(said, self.config.target_words))
        return self._targets(sequences, order)

    def ranked(self, tags: Sequence[Tensor], draws: Tensor | None = None) -> Targets:
        """Targets without prompts: frequent first, rare first, or in any order, drawn anew each time."""
        ordered = []
        for row, numbers in enumerate(_lists(tags)):
            if self.config.order == "random":
                chance = (torch.rand(len(numbers)) if draws is None else draws[row]).tolist()
                # More tags than chance numbers: the last ones share theirs.
                keys = [chance[min(i, len(chance) - 1)] for i in range(len(numbers))]
                numbers = [numbers[i] for i in sorted(range(len(numbers)), key=keys.__getitem__)]
            else:
                sign = -1 if self.config.order == "frequent first" else 1
                numbers.sort(key=lambda n: (sign * self.frequency[n], self.tags[n]))
            ordered.append(torch.tensor(numbers, dtype=torch.long, device=tags[row].device))
        return self.in_given_order(ordered)

    def in_given_order(self, tags: Sequence[Tensor]) -> Targets:
        """Targets without prompts, the tags in the order in which they come."""
        room = self.config.target_words
        sequences = [self.words.sequence([self.tag_words[n] for n in own], room) for own in _lists(tags)]
        return self._targets(sequences, tags[0].new_empty(len(tags), 0))

    def _targets(self, sequences: Sequence[Sequence[int]], order: Tensor) -> Targets:
        longest = max(map(len, sequences))
        given = torch.full((len(sequences), longest), self.words.start)
        wanted = torch.full((len(sequences), longest), IGNORE)
        for row, words in enumerate(sequences):
            wanted[row, : len(words)] = torch.tensor(words)
            given[row, 1 : len(words)] = torch.tensor(words[:-1])
        return Targets(given.to(order.device), wanted.to(order.device), order)


def _lists(tags: Sequence[Tensor]) -> list[list[int]]:
    return [own.tolist() for own in tags]


def learned_order(
    decoder: WordDecoder, cross_cache: CrossAttentionCache, writer: TargetBuilder, tags: Sequence[Tensor]
) -> list[Tensor]:
    """Each video's tag numbers in the order that the decoder prefers. One pass for each tag to place."""
    words = writer.words
    remaining = [list(dict.fromkeys(own.tolist())) for own in tags]
    ordered: list[list[int]] = [[] for _ in tags]
    chunks = [[words.start] for _ in tags]  # words that the decoder has not read yet
    read = [0] * len(tags)
    cache = decoder.cache()
    for _ in range(max(map(len, remaining), default=0)):
        chunks = [
            chunk if read[row] + len(chunk) <= decoder.max_words else [chunk[-1]]
            for row, chunk in enumerate(chunks)
        ]
        logits = _next_word_logits(decoder, cross_cache, cache, chunks, read)
        for row, left in enumerate(remaining):
            read[row] = min(read[row] + len(chunks[row]), decoder.max_words - 1)
            chunks[row] = chunks[row][-1:]  # a row that is done reads its last word again
            if not left:
                continue
            best = max(left, key=lambda tag: _first_word_logit(logits[row], writer.tag_words[tag]))
            left.remove(best)
            ordered[row].append(best)
            chunks[row] = [*writer.tag_words[best], words.comma]
    return [torch.tensor(own, dtype=torch.long, device=tags[0].device) for own in ordered]


def _next_word_logits(
    decoder: WordDecoder,
    cross_cache: CrossAttentionCache,
    cache: SelfAttentionCache,
    chunks: list[list[int]],
    read: list[int],
) -> list[list[float]]:
    """Logits of the word after each row's chunk: B lists of V."""
    longest = max(map(len, chunks))
    device = cross_cache.mask.device
    # Short rows say their last word again at its own place, where it changes nothing.
    given = [chunk + chunk[-1:] * (longest - len(chunk)) for chunk in chunks]
    places = [
        [start + min(i, len(chunk) - 1) for i in range(longest)]
        for start, chunk in zip(read, chunks, strict=True)
    ]
    logits = decoder(
        torch.tensor(given, device=device), torch.tensor(places, device=device), cross_cache, cache
    )
    found: list[list[float]] = logits[:, -1].float().tolist()
    return found


def _first_word_logit(logits: list[float], words: list[int]) -> float:
    return logits[words[0]] if words else float("-inf")
