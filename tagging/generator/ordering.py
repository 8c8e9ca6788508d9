"""A learned order of tags: at each step the tag that the decoder itself would rather say next.

Read from Chen et al., Order-Free RNN (2018): there, at each step, the target is the label of the highest
predicted probability among those of the picture that were not yet said. Tags here are words, so a tag is as
likely as its first word at that place; tags that begin alike are told apart by chance of their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tagline.tagging.generator.layers import SelfAttentionCache, CrossAttentionCache, WordDecoder

if TYPE_CHECKING:
    from tagline.tagging.generator.targets import TargetBuilder


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
