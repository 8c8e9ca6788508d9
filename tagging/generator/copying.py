"""A decoder that may copy: a gate decides between the vocabulary and a pointer at words that it was given.

    p(word) = (1 - gate) · p_vocabulary(word) + gate · sum of the pointer's weights on given words

Open-Book points at the tags of similar videos. OP-TSG may point at the words of the title: a published one
copies by what its BERT knows, a small one that learns from nothing never gets that far.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagline.tagging.generator.layers import IGNORE, SelfAttentionCache, CrossAttentionCache, WordDecoder


class CopyingDecoder(WordDecoder):
    """A decoder that may point at hints."""

    def __init__(self, words: int, width: int, **sizes: Any) -> None:
        super().__init__(words, width, **sizes)
        self.pointer_query = nn.Linear(width, width)
        self.pointer_key = nn.Linear(width, width)
        self.gate = nn.Linear(2 * width, 1)

    @torch.no_grad()
    def init_pointer(self) -> None:
        """First weights under which the pointer finds what is like the word that is wanted."""
        self.pointer_key.weight.copy_(self.pointer_query.weight)

    def forward(
        self,
        words: Tensor,
        places: Tensor,
        cross_cache: CrossAttentionCache,
        cache: SelfAttentionCache | None = None,
    ) -> Tensor:
        """Logarithms of the mixed probabilities: [B, S, V]."""
        hidden = self.hidden(words, places, cross_cache, cache)
        own = F.linear(hidden, self.word_embeddings.weight).float().log_softmax(-1)
        weights, gate = self.pointer(hidden, cross_cache)
        assert cross_cache.source_words is not None
        where = cross_cache.source_words[:, None].expand(-1, hidden.shape[1], -1)
        copied = torch.zeros_like(own).scatter_add(-1, where, weights)  # [B, S, V]
        return _mixed(own, copied, gate)

    def likelihood(
        self, words: Tensor, places: Tensor, cross_cache: CrossAttentionCache, wanted: Tensor
    ) -> Tensor:
        hidden = self.hidden(words, places, cross_cache)
        there = wanted != IGNORE
        logits = F.linear(hidden[there], self.word_embeddings.weight)
        own = -F.cross_entropy(logits.float(), wanted[there], reduction="none")
        weights, gate = self.pointer(hidden, cross_cache)
        assert cross_cache.source_words is not None
        copied = (weights * (cross_cache.source_words[:, None] == wanted[..., None])).sum(-1)
        return _mixed(own, copied[there], gate[there][:, 0])

    def pointer(self, hidden: Tensor, cross_cache: CrossAttentionCache) -> tuple[Tensor, Tensor]:
        """Weights on the hints, [B, S, H], and the gate, [B, S, 1]."""
        assert cross_cache.source_words is not None
        assert cross_cache.source_mask is not None
        hints = self.embed(cross_cache.source_words)  # [B, H, width]
        if cross_cache.source_features is not None:
            hints = hints + cross_cache.source_features
        scores = (
            self.pointer_query(hidden) @ self.pointer_key(hints).transpose(1, 2) / hidden.shape[-1] ** 0.5
        )  # [B, S, H]
        # A row without hints must not divide by zero; its gate is shut below.
        scores = scores.float().masked_fill(~cross_cache.source_mask[:, None], -1e4)
        weights = scores.softmax(-1)
        context = weights.to(hints) @ hints  # [B, S, width]
        gate = self.gate(torch.cat([hidden, context], dim=-1)).float().sigmoid()  # [B, S, 1]
        return weights, gate * cross_cache.source_mask.any(1).float()[:, None, None] * 0.999


def _mixed(own: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    """own: log-probabilities of the vocabulary; copied: probabilities of the pointer."""
    return ((1 - gate) * own.exp() + gate * copied).clamp(min=1e-12).log()
