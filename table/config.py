"""What a model is and how it is trained, as data: frozen dataclasses and their presets."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from tagline.experts.tags import Modality
from tagline.tagging.ml import config as configuring
from tagline.tagging.ml.config import (
    BadConfig,
    Schedule,
    at_least,
    one_of,
)

PAPER_MODALITIES = ("object", "person", "scene", "motion", "speech")  # the paper's order of concatenation
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class TagChoice:
    """Which tags of a video the model reads. The same at training, indexing and search."""

    modalities: tuple[str, ...] = PAPER_MODALITIES  # () : a model that reads no tags
    most: int = 8  # of each modality, the surest first
    min_score: float = 0.0

    def __post_init__(self) -> None:
        for modality in self.modalities:
            if modality not in set(Modality):
                raise BadConfig(f"there is no modality {modality!r}; there are {', '.join(Modality)}")
        # TABLE reads them in one order, whichever way they were named.
        ordered = tuple(str(m) for m in Modality if m in self.modalities)
        object.__setattr__(self, "modalities", ordered)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The network and what it reads. Saved beside the weights and part of their fingerprint."""

    # An open_clip architecture: its name, or the dictionary that stands in its JSON.
    architecture: str | dict[str, Any] = "ViT-B-32-quickgelu"
    frames: int = 12
    text_length: int = 32  # tokens, [SOS] and [EOS] counted
    tag_length: int = 32
    tags: TagChoice = field(default_factory=TagChoice)
    tag_tokens: str = "eos"  # "eos": one token says all tags; "all": every token of them (DiDeMo)

    layers: int = 4  # of the tag-guiding encoder; 0: none, frames are averaged (CLIP4Clip mean-pool)
    heads: int = 8
    # Its first weights. "clip": the first blocks of CLIP's text tower, TABLE; "scaled": new blocks that add
    # little at first, for small towers whose blocks drown frames and tags in what is the same for all.
    init: str = "clip"
    residual: str = "mean"  # "mean": λ·g + mean(v), TABLE; "frame": mean(norm(v + g)), CLIP4Clip seqTransf
    residual_init: float = 0.1  # λ before training
    video_projection: bool = True  # φ, a linear map that starts as the identity

    vtm: bool = True
    mlm: bool = True
    vtm_text: str = "eos"  # what the joint encoder reads of the text for VTM: "eos" or "tokens"

    mean: tuple[float, ...] = OPENAI_MEAN
    std: tuple[float, ...] = OPENAI_STD

    def __post_init__(self) -> None:
        one_of("tag_tokens", self.tag_tokens, ("eos", "all"))
        one_of("init", self.init, ("clip", "scaled"))
        one_of("residual", self.residual, ("mean", "frame"))
        one_of("vtm_text", self.vtm_text, ("eos", "tokens"))
        at_least(self, frames=1, text_length=3, tag_length=3, layers=0, heads=1)
        if self.layers == 0 and (self.tags.modalities or self.vtm or self.mlm):
            raise BadConfig("layers = 0 leaves nothing to read tags or learn VTM and MLM; turn those off")

    @property
    def tag_positions(self) -> int:
        """How many places of the tag-guiding encoder belong to tags."""
        if not self.tags.modalities:
            return 0
        return 1 if self.tag_tokens == "eos" else self.tag_length

    @property
    def text_positions(self) -> int:
        """How many places of the joint encoder belong to the text."""
        if self.mlm or (self.vtm and self.vtm_text == "tokens"):
            return self.text_length
        return 1 if self.vtm else 0


@dataclass(frozen=True, slots=True)
class TableTrainConfig(Schedule):
    """How the network is trained. The batch counts texts."""

    # The start of the towers: a name of `tagline models list` or a file of safetensors; None: random.
    weights: str | None = "clip-vit-b-32-openai"
    epochs: int = 5
    batch: int = 128
    share: int = 1  # texts that share one pass of their video through the visual encoder
    lr_towers: float = 1e-7  # visual and text encoder
    lr_fusion: float = 1e-4  # everything that CLIP does not have
    vtm_weight: float = 1.0
    mlm_weight: float = 1.0
    protocol: str = "single"  # "single": each caption is a text; "paragraph": all of a video are one (DiDeMo)
    checkpointing: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        one_of("protocol", self.protocol, ("single", "paragraph"))
        at_least(self, share=1)
        if self.batch % self.share:
            raise BadConfig(f"batch {self.batch} is no multiple of share {self.share}")


@dataclass(frozen=True, slots=True)
class TableConfig:
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TableTrainConfig = field(default_factory=TableTrainConfig)


# -- presets -----------------------------------------------------------------------------------------


def preset_names() -> list[str]:
    """The names of the presets that come with tagline."""
    return configuring.preset_names("tagline.table")


def load_preset(name: str) -> TableConfig:
    """A preset by its name."""
    found: TableConfig = configuring.load_preset("tagline.table", TableConfig, name)
    return found


assert all(f.default is not MISSING or f.default_factory is not MISSING for f in fields(ModelConfig))
