"""The ranker's network: NextVLAD and two towers, videos and tags in one space; its two losses."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.encoder import title_bert
from tagline.tagging.ranker.config import RankerConfig


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


@dataclass(slots=True)
class RankerBatch:
    """Videos as tensors; the masks are True where there is something."""

    frames: Tensor  # float [B, T, F]
    frame_mask: Tensor  # bool [B, T]
    sound: Tensor  # float [B, S, A]
    sound_mask: Tensor  # bool [B, S]
    text: Tensor  # int [B, L]
    text_mask: Tensor  # bool [B, L]

    def to(self, device: str | torch.device) -> RankerBatch:
        moved: dict[str, Any] = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return replace(self, **moved)


class Ranker(nn.Module):
    """How well tags fit videos. `frame_width` or `sound_width` 0: there is no such tower."""

    def __init__(
        self,
        config: RankerConfig,
        frame_width: int,
        sound_width: int,
        words: int,
        tag_width: int,
        tags: int = 0,
    ) -> None:
        """words: of the tokenizer; tags: how many outputs the classifier has."""
        super().__init__()
        self.config, width = config, config.width
        vlad = {"clusters": config.clusters, "groups": config.groups, "dropout": config.dropout}
        self.frame_tower = NextVLAD(frame_width, width, **vlad) if frame_width else None  # type: ignore[arg-type]
        self.sound_tower = NextVLAD(sound_width, width, **vlad) if sound_width else None  # type: ignore[arg-type]
        small = TaggerConfig(
            width=config.text_width,
            heads=config.heads,
            title_layers=config.text_layers,
            title_words=config.text_words,
            dropout=config.dropout,
        )
        self.text_tower = title_bert(small, words)
        self.from_text = nn.Linear(config.text_width, width)
        self.fuse = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(config.dropout)
        )
        self.to_space = nn.Linear(width, width)
        self.tag_in = nn.Linear(tag_width, width)
        self.tag_out = nn.Sequential(nn.GELU(), nn.Linear(width, width))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.outputs = nn.Linear(width, tags) if config.objective == "classify" else None
        if self.outputs is not None:
            nn.init.constant_(self.outputs.bias, -4.0)  # few of many tags are right

    def fused(self, clips: RankerBatch) -> Tensor:
        """What is known of each video: [B, width]."""
        states = self.text_tower(
            input_ids=clips.text, attention_mask=clips.text_mask.long()
        ).last_hidden_state
        there = clips.text_mask[..., None].to(states)
        x = self.from_text((states * there).sum(1) / there.sum(1))  # [CLS] is always there
        if self.frame_tower is not None and clips.frames.shape[1]:
            x = x + self.frame_tower(clips.frames, clips.frame_mask)
        if self.sound_tower is not None and clips.sound.shape[1]:
            x = x + self.sound_tower(clips.sound, clips.sound_mask)
        found: Tensor = self.fuse(x)
        return found

    def videos(self, clips: RankerBatch) -> Tensor:
        """Videos in the common space: [B, width], each of length 1."""
        return F.normalize(self.to_space(self.fused(clips)).float(), dim=-1)

    def tags(self, vectors: Tensor) -> Tensor:
        """Frozen tag embeddings [K, tag_width] to the common space [K, width], each of length 1.

        Nothing here is a tag's own, so a tag that was never seen has its place as well.
        """
        x = self.tag_in(vectors)
        return F.normalize((x + self.tag_out(x)).float(), dim=-1)

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp().clamp(max=100.0)

    def logits(self, clips: RankerBatch, vectors: Tensor) -> Tensor:
        """The classifier's: one output a tag plus the video-tag similarity, [B, K]."""
        assert self.outputs is not None
        fused = self.fused(clips)
        video = F.normalize(self.to_space(fused).float(), dim=-1)
        found: Tensor = self.outputs(fused).float() + self.scale * (video @ self.tags(vectors).T)
        return found


def contrastive_loss(
    video: Tensor, tags: Tensor, scale: Tensor, owners: Tensor, right: Tensor, negatives: Tensor
) -> Tensor:
    """Each tag of a video against the negatives of that video, by cross-entropy; the mean over all tags.

    video: [B, D] and tags: [K, D], each row of length 1; owners: int [P], the video of each right tag;
    right: int [P], its number; negatives: int [B, N], numbers, -1 where there are fewer. Another right tag
    of the same video is never a negative.
    """
    if not len(owners):
        return video.sum() * 0.0
    scores = scale * (video @ tags.T)  # [B, K]
    against = scores.gather(1, negatives.clamp(min=0)).masked_fill(negatives < 0, float("-inf"))
    own = scores[owners, right]  # [P]
    both = torch.cat([own[:, None], against[owners]], dim=1)
    return (both.logsumexp(1) - own).mean()


def binary(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy, summed over tags, averaged over videos."""
    return F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none").sum(1).mean()


def classification_loss(logits: Tensor, owners: Tensor, right: Tensor) -> Tensor:
    """Binary cross-entropy over all tags."""
    targets = torch.zeros_like(logits)
    targets[owners, right] = 1.0
    return binary(logits, targets)
