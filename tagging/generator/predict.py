"""Tags out of a model: for a batch, or for any number of videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from tagline.tagging.generator.data import Said, TaggerCollator
from tagline.tagging.generator.decoding import Decoding, Drafter, Speculative
from tagline.tagging.generator.encoder import EncodedBatch, TaggerBatch
from tagline.tagging.generator.model import TaggingModel
from tagline.tagging.ml.calibration import Calibration, fit_calibration
from tagline.tagging.ml.data import Example

if TYPE_CHECKING:
    from tagline.tagging.generator.model import Tagger


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


THRESHOLDS_TRIED = 65  # thresholds to try
PRIOR_VIDEOS = 8  # videos


@torch.no_grad()
def fit_draft_thresholds(tagger: Tagger, seen: EncodedBatch) -> float:
    """Set for each prompt how near a tag must lie for a draft to name it, from what the tagger writes.

    Prompts differ: some nearly always stand for [PAD], however near a tag lies. Each threshold is the one
    that would have drafted most of its own prompt's tags and [PAD]s right; what is right for all prompts
    counts as much as PRIOR videos, so that a prompt that was seldom seen follows them. Returns the share of
    prompts that are drafted right. What is written does not depend on it.
    """
    count = seen.prompts.shape[1]
    if tagger.settings.classify_prompts or not tagger.settings.prompted or not len(seen.prompts):
        return 1.0
    drafter = Drafter(tagger, seen.prompts)
    if not drafter.near:  # there are no tags
        return 1.0
    written = Speculative()(tagger, seen)
    near = np.array(drafter.near)  # [B, N]
    meant = np.full(near.shape, np.nan)  # 1: the nearest tag was written, 0: [PAD]; else it does not matter
    for row, words in enumerate(written.words):
        for prompt, piece in zip(drafter.prompts[row], drafter.split_tags(words), strict=False):
            if piece == [tagger.tokenizer.pad]:
                meant[row, prompt] = 0.0
            elif piece == drafter.tag_words[drafter.nearest[row][prompt][0]]:
                meant[row, prompt] = 1.0
    tried = np.unique(np.quantile(near, np.linspace(0, 1, THRESHOLDS_TRIED)))
    tried = np.append(tried, near.max() + 1.0)  # never
    named = near[..., None] >= tried  # [B, N, thresholds]
    wrong = np.where(named, meant[..., None] == 0.0, meant[..., None] == 1.0).sum(0)  # [N, thresholds]
    shared = wrong.sum(0) / max(np.isfinite(meant).sum(), 1)
    best = (wrong + PRIOR_VIDEOS * shared).argmin(1)
    tagger.draft_threshold.copy_(torch.from_numpy(tried[best]).to(tagger.draft_threshold))
    return 1.0 - float(wrong[np.arange(count), best].sum()) / max(int(np.isfinite(meant).sum()), 1)


def fit_score_calibration(predicted: Sequence[Said], examples: Sequence[Example]) -> Calibration:
    """From how sure the model sounds to how often it is right, over all tags said on validation."""
    pairs = [
        (score, tag in one.tags) for tags, one in zip(predicted, examples, strict=True) for tag, score in tags
    ]
    return fit_calibration([score for score, _ in pairs], [right for _, right in pairs])
