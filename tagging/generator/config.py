"""The tagger's architecture and training as data; the paper's ablations are values of these fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# How the tags of a training target are ordered. "prompts": by the order prompts (the method itself).
Order = Literal["prompts", "frequent first", "rare first", "random"]


@dataclass(frozen=True, slots=True)
class TaggerConfig:
    """Sizes are the paper's; smaller ones train in minutes on two CPU cores."""

    frame_width: int = 512  # of the frozen CLIP frame features
    tag_width: int = 768  # of the frozen tag embeddings
    width: int = 768
    heads: int = 12
    title_layers: int = 6
    hybrid_layers: int = 6
    prompt_layers: int = 6  # Table 6
    decoder_layers: int = 12
    dropout: float = 0.1
    prompts: int = 30  # Table 4
    frames: int = 60
    title_words: int = 32
    target_words: int = 128

    pad_weight: float = 0.3  # Table 5: lambda of equation 8
    order: Order = "prompts"  # Table 7 B and the order-based rivals: any other value does without prompts
    shuffle: bool = True  # Table 7 C
    learnable_tags: bool = False  # Table 7 D
    contrastive: bool = True  # Table 7 E
    prompt_labels: bool = False  # Table 7 F
    classify_prompts: bool = False  # Table 7 G
    use_frames: bool = True  # Table 8
    use_title: bool = True  # Table 8

    def __post_init__(self) -> None:
        if not (self.use_frames or self.use_title):
            raise ValueError("a tagger needs frames, titles or both")
        if not 0.0 <= self.pad_weight <= 1.0:
            raise ValueError(f"pad_weight must lie in 0..1, not {self.pad_weight}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be shared among {self.heads} heads")
        if self.order != "prompts" and (self.prompt_labels or self.classify_prompts):
            raise ValueError("prompt labels and prompt classification need order='prompts'")

    @property
    def prompted(self) -> bool:
        return self.order == "prompts"
