"""OP-TSG: hybrid encoder, order prompts, and a decoder that writes tags in the order of the prompts.

frames [B, T, frame_width] ─┐
                            ├─▶ hybrid features [B, L, width] ─▶ prompts [B, N, tag_width]
title words [B, L] ─────────┘              │                          │ (matched with tags)
                                           └──────────┬───────────────┘
                                                      ▼
                                         words of all tags [B, S]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagging.generator.config import TaggerConfig
from tagging.generator.layers import CrossEncoder, WordDecoder
from tagging.generator.matching import NO_TAG, match
from tagging.generator.objective import generation, prompt_tag_contrast
from tagging.generator.targets import Targets, TargetWriter
from tagging.generator.words import Words


@dataclass(slots=True)
class Batch:
    """Videos as tensors. Tags are numbers into the tagger's tag table; they are absent at inference."""

    frames: Tensor  # float [B, T, frame_width]
    frame_mask: Tensor  # bool [B, T], True where there is a frame
    title: Tensor  # int [B, L]
    title_mask: Tensor  # bool [B, L]
    tags: list[Tensor] | None = None  # B tensors of int [number of tags]

    def to(self, device: str | torch.device) -> Batch:
        tags = None if self.tags is None else [t.to(device) for t in self.tags]
        frames, frame_mask = self.frames.to(device), self.frame_mask.to(device)
        return Batch(frames, frame_mask, self.title.to(device), self.title_mask.to(device), tags)

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(slots=True)
class Seen:
    """What the encoders made of a batch."""

    features: Tensor  # [B, L, width]
    mask: Tensor  # bool [B, L]
    prompts: Tensor  # [B, N, tag_width]; N = 0 without order prompts


class Tagger(nn.Module):
    """The whole model. The tag table holds a frozen embedding for every training tag and for [PAD]."""

    draft_threshold: Tensor

    def __init__(
        self,
        config: TaggerConfig,
        words: Words,
        tags: list[str],
        tag_vectors: Tensor,
        frequency: list[int] | None = None,
        title_encoder: nn.Module | None = None,
    ) -> None:
        """tag_vectors: [len(tags) + 1, tag_width], the last row that of [PAD]; `frequency` in training."""
        super().__init__()
        self.config, self.words, self.tags = config, words, tags
        self.targets = TargetWriter(config, words, tags, frequency or [1] * len(tags))
        width, heads, dropout = config.width, config.heads, config.dropout

        self.tag_vectors = nn.Parameter(tag_vectors.clone(), requires_grad=config.learnable_tags)
        self.title_encoder = title_encoder or bert(config, len(words))
        self.frame_in = nn.Linear(config.frame_width, width)
        self.frame_places = nn.Embedding(config.frames, width)
        # Always there to look at, so that a video without frames is no division by zero.
        self.nothing = nn.Parameter(torch.zeros(1, 1, width))
        self.hybrid = CrossEncoder(width, heads, config.hybrid_layers, dropout)

        count = config.prompts if config.prompted else 0
        self.queries = nn.Parameter(torch.randn(1, count, width) * 0.02)
        self.prompt_encoder = CrossEncoder(width, heads, config.prompt_layers if count else 0, dropout)
        self.to_prompt = nn.Linear(width, config.tag_width)
        self.from_prompt = nn.Linear(config.tag_width, width)
        self.prompt_places = nn.Embedding(max(count, 1), width)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.07)))
        self.is_tag = nn.Linear(config.tag_width, 1) if config.prompt_labels else None
        self.which_tag = nn.Linear(config.tag_width, len(tags) + 1) if config.classify_prompts else None
        self.decoder = WordDecoder(
            len(words), width, heads, config.decoder_layers, dropout, config.target_words + 1
        )
        # How near a tag must lie to a prompt for a draft to name it; fitted after training, on validation.
        self.register_buffer("draft_threshold", torch.tensor(0.5))
        self.apply(_start_small)

    def see(self, batch: Batch) -> Seen:
        """Encode frames and titles, and turn the learnable queries into this batch's order prompts."""
        config = self.config
        title, title_mask = batch.title, batch.title_mask
        if not config.use_title:
            # [CLS] [SEP] alone: the hybrid encoder still needs queries.
            title, title_mask = title[:, :2].clone(), title_mask[:, :2] | True
            title[:, 0], title[:, 1] = self.words.start, self.words.end
        text = self.title_encoder(input_ids=title, attention_mask=title_mask.long()).last_hidden_state

        rows = len(batch)
        memory = self.nothing.expand(rows, -1, -1)
        memory_mask = torch.ones(rows, 1, dtype=torch.bool, device=memory.device)
        if config.use_frames:
            places = torch.arange(batch.frames.shape[1], device=memory.device)
            frames = self.frame_in(batch.frames) + self.frame_places(places)
            memory = torch.cat([memory, frames], dim=1)
            memory_mask = torch.cat([memory_mask, batch.frame_mask], dim=1)
        features = self.hybrid(text, memory, title_mask, memory_mask)

        queries = self.queries.expand(rows, -1, -1)
        prompts = self.to_prompt(self.prompt_encoder(queries, features, None, title_mask))
        return Seen(features, title_mask, prompts)

    def memory(
        self, seen: Seen, order: Tensor | None = None, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the decoder looks at: the prompts in `order` [B, N] with their place, then the features.

        `kept` [B, N], True for prompts that the decoder may see (prompt labels). Returns [B, N + L, width]
        and its mask.
        """
        rows, count = seen.prompts.shape[:2]
        prompts = seen.prompts
        if order is not None:
            prompts = prompts.gather(1, order[..., None].expand_as(prompts))
        places = torch.arange(count, device=prompts.device)
        there = torch.ones(rows, count, dtype=torch.bool, device=prompts.device) if kept is None else kept
        inner = self.from_prompt(prompts) + self.prompt_places(places)
        return torch.cat([inner, seen.features], dim=1), torch.cat([there, seen.mask], dim=1)

    def meant(self, prompts: Tensor) -> Tensor | None:
        """Which prompts stand for a tag, by the prompt labels: bool [B, N]; None without such labels."""
        return None if self.is_tag is None else self.is_tag(prompts).squeeze(-1) > 0

    def losses(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Every loss by its name; the training loss is their sum (equation 10)."""
        assert batch.tags is not None, "training needs tags"
        seen = self.see(batch)
        if not self.config.prompted:
            targets = self.targets.ranked(batch.tags, generator)
            return {"generation": self.word_loss(seen, targets, None)}

        aligned = self.align(seen.prompts, batch.tags)
        losses = {}
        if self.config.contrastive:
            losses["contrast"] = self.contrast(seen.prompts, batch.tags, aligned)
        if self.which_tag is not None:
            losses["class"] = self._class_loss(seen.prompts, batch.tags, aligned)
            return losses
        shuffle = self.config.shuffle and self.training
        targets = self.targets.prompted(batch.tags, aligned, shuffle=shuffle, generator=generator)
        kept = None
        if self.is_tag is not None:
            meant = aligned != NO_TAG
            said = self.is_tag(seen.prompts).squeeze(-1)
            losses["label"] = F.binary_cross_entropy_with_logits(said, meant.to(said))
            kept = meant.gather(1, targets.order)
        losses["generation"] = self.word_loss(seen, targets, kept)
        return losses

    def align(self, prompts: Tensor, tags: list[Tensor]) -> Tensor:
        """For each prompt of each video the place of its tag among the video's tags, or NO_TAG: [B, N]."""
        table, pad = self.tag_vectors.detach()[:-1], self.tag_vectors.detach()[-1]
        rows = [
            torch.from_numpy(match(p, table[t], pad)) for p, t in zip(prompts.detach(), tags, strict=True)
        ]
        return torch.stack(rows).to(prompts.device)

    def contrast(self, prompts: Tensor, tags: list[Tensor], aligned: Tensor) -> Tensor:
        row, place = (aligned != NO_TAG).nonzero(as_tuple=True)
        tag_of = (
            torch.stack([tags[r][aligned[r, n]] for r, n in zip(row, place, strict=True)])
            if len(row)
            else row
        )
        prompt_of = row * aligned.shape[1] + place
        temperature = self.log_temperature.exp().clamp(min=0.01)
        return prompt_tag_contrast(
            prompts.flatten(0, 1), self.tag_vectors[tag_of], tag_of, prompt_of, temperature
        )

    def _class_loss(self, prompts: Tensor, tags: list[Tensor], aligned: Tensor) -> Tensor:
        assert self.which_tag is not None
        target = torch.full_like(aligned, len(self.tags))
        for row, own in enumerate(tags):
            meant = aligned[row] != NO_TAG
            target[row, meant] = own[aligned[row, meant]]
        weight = prompts.new_ones(len(self.tags) + 1)
        weight[-1] = self.config.pad_weight
        return F.cross_entropy(self.which_tag(prompts).flatten(0, 1), target.flatten(), weight=weight)

    def word_loss(self, seen: Seen, targets: Targets, kept: Tensor | None) -> Tensor:
        memory, mask = self.memory(seen, targets.order, kept)
        places = torch.arange(targets.given.shape[1], device=memory.device).expand_as(targets.given)
        logits = self.decoder(targets.given, places, self.decoder.memory(memory), mask)
        return generation(logits, targets.wanted, self.words.pad, self.config.pad_weight)


def bert(config: TaggerConfig, words: int) -> nn.Module:
    """The first layers of BERT, at random; `transformers` loads trained ones into the same class."""
    from transformers import BertConfig, BertModel

    shape = BertConfig(
        vocab_size=words,
        hidden_size=config.width,
        num_hidden_layers=config.title_layers,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.width,
        max_position_embeddings=max(config.title_words, 2),
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
    )
    encoder: nn.Module = BertModel(shape, add_pooling_layer=False)
    return encoder


def _start_small(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
