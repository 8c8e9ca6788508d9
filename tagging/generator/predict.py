"""Predictions of a tagger, and what is fitted to them on validation: draft thresholds, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tagline.tagging.generator.data import Said, TaggerCollator
from tagline.tagging.generator.decoding import Decoding
from tagline.tagging.generator.encoder import TaggerBatch
from tagline.tagging.generator.model import TaggingModel
from tagline.tagging.ml.calibration import Calibration, fit_calibration
from tagline.tagging.ml.data import Example

if TYPE_CHECKING:
    pass


@torch.no_grad()
def predict(model: TaggingModel, batch: TaggerBatch, decoding: Decoding | None = None) -> list[Said]:
    """The tags of each video of a batch with a score, as the model that is not training predicts them."""
    was = model.training
    model.eval()
    found = model.predict(model.encode(batch), decoding)
    model.train(was)
    return found


def predict_all(
    model: TaggingModel,
    make: TaggerCollator,
    examples: Sequence[Example],
    *,
    batch: int = 64,
    decoding: Decoding | None = None,
) -> list[Said]:
    """`predict` for any number of videos. Those with titles of like length go together."""
    device = next(model.parameters()).device
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].title))
    found: list[Said] = [[] for _ in examples]
    for start in range(0, len(order), batch):
        numbers = order[start : start + batch]
        predicted = predict(model, make.batch([examples[i] for i in numbers]).to(device), decoding)
        for number, tags in zip(numbers, predicted, strict=True):
            found[number] = tags
    return found


def fit_score_calibration(predicted: Sequence[Said], examples: Sequence[Example]) -> Calibration:
    """From how sure the model sounds to how often it is right, over all tags said on validation."""
    pairs = [
        (score, tag in one.tags) for tags, one in zip(predicted, examples, strict=True) for tag, score in tags
    ]
    return fit_calibration([score for score, _ in pairs], [right for _, right in pairs])
