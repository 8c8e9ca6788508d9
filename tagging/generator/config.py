"""A tagger's architecture and training as data; ablations and rivals are values of these fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from tagging import configuring
from tagging.configuring import BadConfig, as_dict, changed, digest, from_dict, one_of

__all__ = [
    "INSTALLED",
    "BadConfig",
    "Config",
    "TaggerConfig",
    "TrainConfig",
    "as_dict",
    "changed",
    "digest",
    "from_dict",
    "preset",
    "presets",
]

INSTALLED = "tagger"  # the folder of weights_home() that holds the tagger in use

# op-tsg: words under order prompts, or without them in another order; bin and asl: one yes or no a tag;
# open-book: words that may be copied from the tags of similar videos.
METHODS = ("op-tsg", "open-book", "bin", "asl")
# How the tags of a training target are ordered. "prompts": by the order prompts (the method itself).
ORDERS = ("prompts", "frequent first", "rare first", "random", "learned")


LEAST = {
    "retrieved": 0,
    "neighbours": 1,
    "hint_words": 1,
    "prompts": 1,
    "frames": 1,
    "title_words": 2,
    "target_words": 2,
}


@dataclass(frozen=True, slots=True)
class TaggerConfig:
    """Sizes are the paper's; smaller ones train in minutes on two CPU cores."""

    method: str = "op-tsg"
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
    order: str = "prompts"  # Table 7 B and the order-based rivals: any other value does without prompts
    shuffle: bool = True  # Table 7 C
    learnable_tags: bool = False  # Table 7 D
    contrastive: bool = True  # Table 7 E
    prompt_labels: bool = False  # Table 7 F
    classify_prompts: bool = False  # Table 7 G
    use_frames: bool = True  # Table 8
    use_title: bool = True  # Table 8

    retrieved: int = 0  # Open-Tag: tags of similar videos that the decoder is told beside its prompts
    neighbours: int = 5  # open-book, and each source of Open-Tag: videos whose tags are told
    hint_words: int = 60  # words of those tags
    gamma_neg: float = 4.0  # asl: focus on the negatives, on the positives, and the shift of probabilities
    gamma_pos: float = 1.0
    clip: float = 0.05

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        one_of("order", self.order, ORDERS)
        if not (self.use_frames or self.use_title):
            raise BadConfig("a tagger needs frames, titles or both")
        if not 0.0 <= self.pad_weight <= 1.0:
            raise BadConfig(f"pad_weight must lie in 0..1, not {self.pad_weight}")
        if self.heads < 1 or self.width % self.heads:
            raise BadConfig(f"width {self.width} cannot be shared among {self.heads} heads")
        if not self.prompted and (self.prompt_labels or self.classify_prompts):
            raise BadConfig("prompt labels and prompt classification need method='op-tsg', order='prompts'")
        if self.method == "open-book" and self.order == "prompts":
            raise BadConfig("open-book has no prompts; set order to 'frequent first', or another without")
        if self.retrieved and self.method != "op-tsg":
            raise BadConfig("only op-tsg is told tags that were retrieved; set retrieved=0")
        for key, least in LEAST.items():
            if getattr(self, key) < least:
                raise BadConfig(f"{key} must be at least {least}, not {getattr(self, key)}")

    @property
    def prompted(self) -> bool:
        return self.method == "op-tsg" and self.order == "prompts"


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How a tagger is trained, and what it is given to learn from."""

    # The frozen model that embeds tags: "auto", "minilm", "clip", "letters", or a folder of BERT.
    language: str = "auto"
    vocabulary: int = 8000  # words learned from the library's own tags and titles
    title_weights: str | None = None  # a folder of BERT: its tokenizer, and its first layers for titles
    vectors: str = "appearance"  # source of the frame vectors in the catalog; made where they are missing
    towers: str | None = None  # weights of the CLIP towers; None: the collection's default
    collection: str = "public"
    modalities: tuple[str, ...] = ("human",)  # whose tags are learned: what uploaders and people said
    least: int = 1  # videos that a tag must have to be learned

    epochs: int = 20
    batch: int = 64  # videos in a step, over all devices; the paper: 512
    lr: float = 2e-4
    weight_decay: float = 0.002
    warmup: float = 0.1  # share of all steps
    clip_norm: float = 1.0
    accumulate: int = 1
    validation: float = 0.1  # share of the training videos that chooses the checkpoint
    validation_most: int = 1000
    evaluations: int = 1  # in an epoch
    seed: int = 0
    bf16: bool = True  # where the device can

    def __post_init__(self) -> None:
        for key in ("epochs", "batch", "accumulate", "evaluations", "least", "vocabulary"):
            if getattr(self, key) < 1:
                raise BadConfig(f"{key} must be at least 1, not {getattr(self, key)}")
        if not 0 < self.validation < 1:
            raise BadConfig(f"validation must lie between 0 and 1, not {self.validation}")


@dataclass(frozen=True, slots=True)
class Config:
    model: TaggerConfig = field(default_factory=TaggerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def presets() -> list[str]:
    """The names of the presets that come with tagline."""
    return configuring.presets("tagging.generator")


def preset(name: str) -> Config:
    """A preset by its name."""
    found: Config = configuring.preset("tagging.generator", Config, name)
    return found
