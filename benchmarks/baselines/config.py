"""The baselines' configuration: a tagger's sizes, and which baseline it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tagline.tagging.generator.config import TaggerConfig, TaggerRunConfig
from tagline.tagging.ml.config import BadConfig, as_dict, from_dict, one_of

# bin and asl: one yes or no a tag; open-book: words that may be copied from the tags of similar videos.
METHODS = ("bin", "asl", "open-book")


@dataclass(frozen=True, slots=True)
class BaselineConfig(TaggerConfig):
    """The encoders are the tagger's, and so are their sizes."""

    method: str = "asl"
    gamma_neg: float = 4.0  # asl: focus on the negatives, on the positives, and the shift of probabilities
    gamma_pos: float = 1.0
    clip: float = 0.05

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        if self.method == "open-book" and self.order == "prompts":
            raise BadConfig("open-book has no prompts; set order to 'frequent first', or another without")
        for key in ("prompt_labels", "classify_prompts", "copy_title"):
            if getattr(self, key):
                raise BadConfig(f"{key} is of op-tsg, and {self.method} has none; set {key}=false")
        if self.retrieved:
            raise BadConfig("only op-tsg is told tags that were retrieved; set retrieved=0")
        TaggerConfig.__post_init__(self)

    @property
    def prompted(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class BaselineRunConfig(TaggerRunConfig):
    """A baseline and how it is trained."""

    model: BaselineConfig = field(default_factory=BaselineConfig)


def as_baseline(config: TaggerConfig, **changes: Any) -> BaselineConfig:
    """The baseline with the sizes of a tagger, and with these changes; it copies nothing from the title."""
    found: BaselineConfig = from_dict(BaselineConfig, {**as_dict(config), "copy_title": False, **changes})
    return found


def as_baseline_run(config: TaggerRunConfig, **changes: Any) -> BaselineRunConfig:
    """The same of a whole run."""
    return BaselineRunConfig(as_baseline(config.model, **changes), config.train)
