"""The tag-guiding cross-modal encoder, which is also the joint encoder, and its two heads: VTM and MLM."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, TextTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tagline.table.config import ModelConfig
from tagline.tagging.ml.config import BadConfig


class TagGuidingEncoder(nn.Module):
    """A few transformer blocks over frames, tags and (as the joint encoder) a text.

    Its places are fixed: frames first, then tags, then text, so that a video with fewer frames or no
    tags puts everything else where it always is. There is no causal mask: unlike the words that these
    blocks learned from, frames may look ahead.
    """

    def __init__(self, tower: TextTransformer, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.tag_offset = config.frames
        self.text_offset = config.frames + config.tag_positions
        self.checkpointing = False
        self.position = nn.Parameter(_positions(tower, self.text_offset + config.text_positions))
        self.blocks = nn.ModuleList(_blocks(tower, config))

    def forward(self, x: Tensor, valid: Tensor, position_ids: Tensor) -> Tensor:
        """x: [B, L, W]; valid: bool [B, L], what may be looked at; position_ids: int [L].

        Returns [B, L, W].
        """
        x = x + self.position[position_ids].to(x.dtype)
        # One mask a head, as nn.MultiheadAttention wants it: -inf over keys that are not there. [B·H, L, L]
        hidden_keys = torch.zeros_like(valid, dtype=x.dtype).masked_fill(~valid, float("-inf"))
        mask = hidden_keys[:, None, None, :].expand(-1, self.heads, x.shape[1], -1).flatten(0, 1)
        for block in self.blocks:
            if self.checkpointing and self.training:
                x = checkpoint(block, x, None, None, mask, use_reentrant=False)
            else:
                x = block(x, attn_mask=mask)
        return x


def _positions(tower: TextTransformer, length: int) -> Tensor:
    """[length, W]: the first rows of CLIP's text positions; if there are too few, all of them, stretched."""
    rows = tower.positional_embedding.detach()
    if length > len(rows):
        rows = F.interpolate(rows.T[None], size=length, mode="linear", align_corners=True)[0].T
    return rows[:length].clone()


def _blocks(tower: TextTransformer, config: ModelConfig) -> list[nn.Module]:
    """Copies of the first blocks of CLIP's text transformer; a shallower tower gives what it has."""
    width, resblocks = tower.width, tower.transformer.resblocks
    if width % config.heads:
        raise BadConfig(f"width {width} cannot be shared by {config.heads} heads")
    blocks: list[nn.Module] = []
    for i in range(config.layers):
        # Beyond its depth the tower's last block is copied, so that none starts from nothing.
        block = copy.deepcopy(resblocks[min(i, len(resblocks) - 1)])
        if not isinstance(block, ResidualAttentionBlock):
            raise BadConfig("the tag-guiding encoder knows open_clip's plain text blocks only")
        block.attn.num_heads, block.attn.head_dim = config.heads, width // config.heads
        if config.init == "scaled":
            _init_small(block, width, config.layers)
        blocks.append(block)
    return blocks


def _init_small(block: ResidualAttentionBlock, width: int, layers: int) -> None:
    """First weights under which what all blocks add is small beside what comes in, which has unit length."""
    small = (2 * layers) ** -0.5 / width
    nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
    nn.init.normal_(block.attn.out_proj.weight, std=small)
    nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
    nn.init.normal_(block.mlp.c_proj.weight, std=small)
    for part in (block.ln_1, block.ln_2):
        nn.init.ones_(part.weight)
    for bias in (
        block.attn.in_proj_bias,
        block.attn.out_proj.bias,
        block.mlp.c_fc.bias,
        block.mlp.c_proj.bias,
        block.ln_1.bias,
        block.ln_2.bias,
    ):
        nn.init.zeros_(bias)


def mean_over(x: Tensor, valid: Tensor) -> Tensor:
    """ρ, average pooling over what is there. x: [B, L, W]; valid: bool [B, L]; returns [B, W]."""
    weights = valid.to(x.dtype)[..., None]
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1)


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
