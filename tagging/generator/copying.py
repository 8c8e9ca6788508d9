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

from tagline.tagging.generator.layers import IGNORE, Cache, Held, WordDecoder


class CopyingDecoder(WordDecoder):
    """A decoder that may point at hints."""

    def __init__(self, words: int, width: int, **sizes: Any) -> None:
        super().__init__(words, width, **sizes)
        self.point = nn.Linear(width, width)
        self.hint = nn.Linear(width, width)
        self.gate = nn.Linear(2 * width, 1)

    @torch.no_grad()
    def start(self) -> None:
        """First weights under which the pointer finds what is like the word that is wanted."""
        self.hint.weight.copy_(self.point.weight)

    def forward(self, words: Tensor, places: Tensor, held: Held, cache: Cache | None = None) -> Tensor:
        """Logarithms of the mixed probabilities: [B, S, V]."""
        hidden = self.hidden(words, places, held, cache)
        own = F.linear(hidden, self.words.weight).float().log_softmax(-1)
        weights, gate = self.pointer(hidden, held)
        assert held.hints is not None
        where = held.hints[:, None].expand(-1, hidden.shape[1], -1)
        copied = torch.zeros_like(own).scatter_add(-1, where, weights)  # [B, S, V]
        return _mixed(own, copied, gate)

    def likelihood(self, words: Tensor, places: Tensor, held: Held, wanted: Tensor) -> Tensor:
        hidden = self.hidden(words, places, held)
        there = wanted != IGNORE
        logits = F.linear(hidden[there], self.words.weight)
        own = -F.cross_entropy(logits.float(), wanted[there], reduction="none")
        weights, gate = self.pointer(hidden, held)
        assert held.hints is not None
        copied = (weights * (held.hints[:, None] == wanted[..., None])).sum(-1)
        return _mixed(own, copied[there], gate[there][:, 0])

    def pointer(self, hidden: Tensor, held: Held) -> tuple[Tensor, Tensor]:
        """Weights on the hints, [B, S, H], and the gate, [B, S, 1]."""
        assert held.hints is not None
        assert held.hint_mask is not None
        hints = self.embed(held.hints)  # [B, H, width]
        if held.hint_features is not None:
            hints = hints + held.hint_features
        scores = self.point(hidden) @ self.hint(hints).transpose(1, 2) / hidden.shape[-1] ** 0.5  # [B, S, H]
        # A row without hints must not divide by zero; its gate is shut below.
        scores = scores.float().masked_fill(~held.hint_mask[:, None], -1e4)
        weights = scores.softmax(-1)
        context = weights.to(hints) @ hints  # [B, S, width]
        gate = self.gate(torch.cat([hidden, context], dim=-1)).float().sigmoid()  # [B, S, 1]
        return weights, gate * held.hint_mask.any(1).float()[:, None, None] * 0.999


def _mixed(own: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    """own: log-probabilities of the vocabulary; copied: probabilities of the pointer."""
    return ((1 - gate) * own.exp() + gate * copied).clamp(min=1e-12).log()
