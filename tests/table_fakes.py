"""What the tests of the table share: a CLIP of a few thousand weights and batches for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from tagline.table.config import ModelConfig, TagChoice
from tagline.table.model import Table

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 16, "patch_size": 8, "head_width": 8},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 3},
}
SOS, EOS = 49406, 49407


def tiny(**changes: Any) -> ModelConfig:
    modalities = changes.pop("modalities", ("object", "speech"))
    base = ModelConfig(architecture=TINY, frames=3, text_length=8, tag_length=6, layers=2, heads=2)
    base = replace(base, residual_init=0.5, tags=TagChoice(modalities))
    return replace(base, **changes)


def model(seed: int = 0, **changes: Any) -> Table:
    """A tiny model whose every weight is random, so that nothing is hidden by an initial zero or identity."""
    torch.manual_seed(seed)
    made = Table(tiny(**changes))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def sentences(count: int, length: int, seed: int = 0) -> torch.Tensor:
    """int [count, length]: [SOS], words, [EOS], padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.zeros(count, length, dtype=torch.long)
    for row in ids:
        words = int(torch.randint(1, length - 1, (), generator=generator))
        row[0], row[words + 1] = SOS, EOS
        row[1 : words + 1] = torch.randint(1, 40000, (words,), generator=generator)
    return ids


def pictures(videos: int, frames: int = 3, seed: int = 0) -> torch.Tensor:
    """uint8 [videos, frames, 3, 16, 16]"""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (videos, frames, 3, 16, 16), generator=generator).to(torch.uint8)


def batch(videos: int = 4, share: int = 1, seed: int = 0) -> dict[str, Any]:
    """A batch as `Table.forward` takes it: two words of each text masked where there are two."""
    text = sentences(videos * share, 8, seed)
    inner = (text > 0) & (text < SOS)
    masked = inner & (torch.arange(8) % 2 == 1)
    return {
        "frames": pictures(videos, seed=seed),
        "frame_valid": torch.ones(videos, 3, dtype=torch.bool),
        "tags": sentences(videos, 6, seed + 1),
        "tagged": torch.ones(videos, dtype=torch.bool),
        "text": text,
        "video_of_text": torch.arange(videos).repeat_interleave(share),
        "shown": text.clone(),
        "masked": masked,
        "words": torch.where(masked, text, -100),
        "seed": 3,
    }
