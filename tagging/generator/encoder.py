"""The hybrid encoder of titles and frames that all taggers share (section 3.1), and their batches."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.layers import CrossEncoder, init_weights
from tagline.tagging.ml.tokenizer import TagTokenizer


@dataclass(slots=True)
class TaggerBatch:
    """Videos as tensors. Tags are numbers into the tagger's tag table; they are absent at inference."""

    frames: Tensor  # float [B, T, frame_width]
    frame_mask: Tensor  # bool [B, T], True where there is a frame
    title: Tensor  # int [B, L]
    title_mask: Tensor  # bool [B, L]
    tags: list[Tensor] | None = None  # B tensors of int [number of tags]
    shuffle_keys: Tensor | None = (
        None  # float [B, R], chance numbers of these videos in this step, for shuffling
    )
    retrieved: Tensor | None = None  # int [B, H], words of similar videos' tags
    retrieved_mask: Tensor | None = None  # bool [B, H]
    retrieved_scores: Tensor | None = None  # float [B, H], how much speaks for the tag of each word
    names: list[str] = field(default_factory=list)

    def to(self, device: str | torch.device) -> TaggerBatch:
        moved: dict[str, Any] = {
            f.name: value.to(device)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        tags = None if self.tags is None else [t.to(device) for t in self.tags]
        return replace(self, tags=tags, **moved)

    def __len__(self) -> int:
        return len(self.title)


@dataclass(slots=True)
class EncodedBatch:
    """What the encoders made of a batch."""

    features: Tensor  # [B, L, width]
    mask: Tensor  # bool [B, L]
    prompts: Tensor  # [B, N, tag_width]; N = 0 without order prompts
    retrieved: Tensor | None = None
    retrieved_mask: Tensor | None = None
    retrieved_scores: Tensor | None = None
    title: Tensor | None = None  # int [B, L], the words that the features stand for

    def row(self, number: int) -> EncodedBatch:
        """One video alone, as a batch."""
        part = slice(number, number + 1)
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        cut: dict[str, Any] = {key: value if value is None else value[part] for key, value in values.items()}
        return EncodedBatch(**cut)


class HybridEncoder(nn.Module):
    """Titles ask, frames answer: hybrid features, one for each word of the title."""

    def __init__(self, config: TaggerConfig, words: TagTokenizer) -> None:
        super().__init__()
        self.config, self.start, self.end = config, words.start, words.end
        width = config.width
        if config.use_frames:
            self.frame_projection = nn.Linear(config.frame_width, width)
            self.frame_positions = nn.Embedding(config.frames, width)
        # Always there to look at, so that a video without frames is no division by zero.
        self.empty_slot = nn.Parameter(torch.zeros(1, 1, width))
        self.hybrid = CrossEncoder(width, config.heads, config.hybrid_layers, config.dropout)
        self.apply(init_weights)
        self.title_encoder = title_bert(config, len(words))  # which starts in its own way

    def forward(self, batch: TaggerBatch) -> tuple[Tensor, Tensor]:
        """Hybrid features [B, L, width] and their mask, bool [B, L]."""
        title, mask = batch.title, batch.title_mask
        rows = len(batch)
        if not self.config.use_title:
            # [CLS] [SEP] alone: the hybrid encoder still needs queries.
            title = title.new_tensor([[self.start, self.end]]).expand(rows, -1)
            mask = torch.ones_like(title, dtype=torch.bool)
        text = self.title_encoder(input_ids=title, attention_mask=mask.long()).last_hidden_state

        memory = self.empty_slot.expand(rows, -1, -1)
        memory_mask = torch.ones(rows, 1, dtype=torch.bool, device=memory.device)
        if self.config.use_frames:
            places = torch.arange(batch.frames.shape[1], device=memory.device)
            # What stands where there is no frame must not spread, not even if it is no number.
            frames = batch.frames.masked_fill(~batch.frame_mask[..., None], 0.0)
            memory = torch.cat([memory, self.frame_projection(frames) + self.frame_positions(places)], dim=1)
            memory_mask = torch.cat([memory_mask, batch.frame_mask], dim=1)
        return self.hybrid(text, memory, mask, memory_mask), mask


def title_bert(config: TaggerConfig, words: int) -> nn.Module:
    """The first layers of BERT, at random; `load_bert` puts trained ones in."""
    from transformers import BertConfig, BertModel

    shape = BertConfig(
        vocab_size=words,
        hidden_size=config.width,
        num_hidden_layers=config.title_layers,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.width,
        max_position_embeddings=config.title_words,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
    )
    encoder: nn.Module = BertModel(shape, add_pooling_layer=False)
    return encoder
