"""NextVLAD: many vectors of one video to one, by soft assignment to clusters (Lin, Xiao and Fan, 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NextVLAD(nn.Module):
    """[B, T, width] and a mask [B, T] to [B, out].

    A vector is widened and cut into groups. Each group is assigned softly to clusters, with a gate that says
    how much the group counts; what a cluster keeps is the sum of the differences to its centre. Compared
    with NetVLAD the groups make the descriptor `groups` times smaller.
    """

    def __init__(
        self,
        width: int,
        out: int,
        *,
        clusters: int = 16,
        groups: int = 4,
        widen: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if (widen * width) % groups:
            raise ValueError(f"{widen} x {width} numbers cannot be cut into {groups} groups")
        self.groups, self.clusters = groups, clusters
        each = widen * width // groups
        self.widen = nn.Linear(width, widen * width)
        self.gate = nn.Linear(widen * width, groups)
        self.assign = nn.Linear(widen * width, groups * clusters)
        self.centres = nn.Parameter(torch.randn(clusters, each) * each**-0.5)
        self.norm = nn.LayerNorm(clusters * each)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(clusters * each, out))

    def describe(self, x: Tensor, mask: Tensor) -> Tensor:
        """The descriptor before it is made smaller: [B, clusters, each], rows of length 1.

        Zeros for a video without any vector.
        """
        rows, steps = mask.shape
        x = self.widen(x.masked_fill(~mask[..., None], 0.0))  # [B, T, widen * width]
        there = mask[..., None].to(x)
        gate = self.gate(x).sigmoid() * there  # [B, T, G]
        share = self.assign(x).view(rows, steps, self.groups, self.clusters).softmax(-1)
        share = share * gate[..., None]  # [B, T, G, K]
        parts = x.view(rows, steps, self.groups, self.centres.shape[1])  # [B, T, G, each]
        total = torch.einsum("btgk,btgd->bkd", share, parts)
        total = total - share.sum((1, 2))[..., None] * self.centres  # differences to the centres
        return F.normalize(total, dim=-1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.out(self.norm(self.describe(x, mask).flatten(1)))
        # A video without any vector says nothing, whatever the last layer's bias.
        return found * mask.any(1, keepdim=True).to(found)
