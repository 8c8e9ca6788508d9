"""A tagger's architecture and training as data; the paper's ablations are values of these fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from tagline.tagging.ml import config
from tagline.tagging.ml.config import (
    BadConfig,
    Schedule,
    at_least,
    one_of,
)

INSTALLED = "tagger"  # the folder of weights_home() that holds the tagger in use

# How the tags of a training target are ordered. "prompts": by the order prompts (the method itself).
ORDERS = ("prompts", "frequent first", "rare first", "random", "learned")


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
    order: str = "prompts"  # Table 7 B and the order-based baselines: any other value does without prompts
    shuffle: bool = True  # Table 7 C
    learnable_tags: bool = False  # Table 7 D
    contrastive: bool = True  # Table 7 E
    prompt_labels: bool = False  # Table 7 F
    classify_prompts: bool = False  # Table 7 G
    use_frames: bool = True  # Table 8
    use_title: bool = True  # Table 8
    copy_title: bool = False  # words may be copied from the title: for taggers that start without a BERT

    retrieved: int = 0  # Open-Tag: tags of similar videos that the decoder is told beside its prompts
    neighbours: int = 5  # of each source: videos whose tags are told
    retrieved_words: int = 60  # words of those tags

    def __post_init__(self) -> None:
        one_of("order", self.order, ORDERS)
        if not (self.use_frames or self.use_title):
            raise BadConfig("a tagger needs frames, titles or both")
        if not 0.0 <= self.pad_weight <= 1.0:
            raise BadConfig(f"pad_weight must lie in 0..1, not {self.pad_weight}")
        if self.heads < 1 or self.width % self.heads:
            raise BadConfig(f"width {self.width} cannot be shared among {self.heads} heads")
        if not self.prompted and (self.prompt_labels or self.classify_prompts):
            raise BadConfig("prompt labels and prompt classification need order='prompts'")
        if self.copy_title and (not self.use_title or self.classify_prompts):
            raise BadConfig("copy_title needs titles and a tagger that writes words; set copy_title=false")
        at_least(self, prompts=1, frames=1, title_words=2, target_words=2)
        at_least(self, retrieved=0, neighbours=1, retrieved_words=1)

    @property
    def prompted(self) -> bool:
        return self.order == "prompts"


@dataclass(frozen=True, slots=True)
class TaggerTrainConfig(Schedule):
    """How a tagger is trained, and what it is given to learn from. The paper's batch: 512 videos."""

    # The frozen model that embeds tags: "auto", "minilm", "clip", "letters", or a folder of BERT.
    language: str = "auto"
    vocabulary: int = 8000  # words learned from the library's own tags and titles
    title_weights: str | None = None  # a folder of BERT: its tokenizer, and its first layers for titles
    vectors: str = "appearance"  # source of the frame vectors in the catalog; made where they are missing
    towers: str | None = None  # weights of the CLIP towers; None: the collection's default
    collection: str = "public"
    modalities: tuple[str, ...] = ("human",)  # whose tags are learned: what uploaders and people said
    least: int = 1  # videos that a tag must have to be learned

    lr: float = 2e-4
    weight_decay: float = 0.002

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        at_least(self, least=1, vocabulary=1)


@dataclass(frozen=True, slots=True)
class TaggerRunConfig:
    model: TaggerConfig = field(default_factory=TaggerConfig)
    train: TaggerTrainConfig = field(default_factory=TaggerTrainConfig)


def preset_names() -> list[str]:
    """The names of the presets that come with tagline."""
    return config.preset_names("tagline.tagging.generator")


def load_preset(name: str) -> TaggerRunConfig:
    """A preset by its name."""
    found: TaggerRunConfig = config.load_preset("tagline.tagging.generator", TaggerRunConfig, name)
    return found
