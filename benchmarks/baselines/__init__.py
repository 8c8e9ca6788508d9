"""What OP-TSG is measured against, with the same encoders: classifiers, and words copied from similar videos.

Order-based generation needs no file: it is `order` of the tagger's configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tagline.benchmarks.baselines.classifier import TagClassifier
from tagline.benchmarks.baselines.config import BaselineConfig
from tagline.benchmarks.baselines.openbook import NearestVideos, OpenBook
from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.model import Tagger, TaggingModel
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.tokenizer import TagTokenizer


def make_model(
    config: TaggerConfig,
    words: TagTokenizer,
    tags: Sequence[str],
    tag_vectors: Tensor,
    frequency: Sequence[int] | None = None,
) -> TaggingModel:
    """The baseline that the configuration names, or the tagger itself, with first weights."""
    if not isinstance(config, BaselineConfig):
        return Tagger(config, words, tags, tag_vectors, frequency)
    if config.method == "open-book":
        return OpenBook(config, words, tags, tag_vectors, frequency)
    return TagClassifier(config, words, tags)


def retriever_of(config: TaggerConfig, train: Sequence[Example]) -> NearestVideos | None:
    """Who finds similar videos among those of training, for the baseline that is told of them."""
    if isinstance(config, BaselineConfig) and config.method == "open-book":
        return NearestVideos(train, config.neighbours)
    return None
