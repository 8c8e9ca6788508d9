"""The two heads of training: does this text belong to this video (VTM), and which word is masked (MLM)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class MatchHead(nn.Module):
    """A fully connected layer on the first output token: no match (0) or match (1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.decide = nn.Linear(width, 2)

    def forward(self, first: Tensor) -> Tensor:
        """[B, W] to logits [B, 2]."""
        logits: Tensor = self.decide(first)
        return logits


class WordHead(nn.Module):
    """BERT's head: one layer, then the token table itself decides which word it is.

    The paper leaves this open. Using CLIP's token table costs 49,408 biases where a layer of its own would
    cost 25 million weights that learn from 15 % of the words.
    """

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(words))

    def forward(self, masked: Tensor, table: Tensor) -> Tensor:
        """masked: [M, W], the outputs at masked places; table: [words, W]. Returns logits [M, words]."""
        return F.linear(self.norm(F.gelu(self.dense(masked))), table, self.bias)
