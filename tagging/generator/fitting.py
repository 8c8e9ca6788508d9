"""What is fitted on validation after or while a tagger learns: thresholds, drafts, scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tagging.generator.calibration import Calibration, calibrate
from tagging.generator.data import Collator, Example
from tagging.generator.decoding import Drafted
from tagging.generator.drafts import Drafter
from tagging.generator.encoder import Seen
from tagging.generator.methods import Said
from tagging.generator.model import Tagger
from tagging.rivals.classifier import Classifier

STEPS = 65  # thresholds to try
PRIOR = 8  # videos


@torch.no_grad()
def fit_drafts(tagger: Tagger, seen: Seen) -> float:
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
    written = Drafted()(tagger, seen)
    near = np.array(drafter.near)  # [B, N]
    meant = np.full(near.shape, np.nan)  # 1: the nearest tag was written, 0: [PAD]; else it does not matter
    for row, words in enumerate(written.words):
        for prompt, piece in zip(drafter.prompts[row], drafter.pieces(words), strict=False):
            if piece == [tagger.words.pad]:
                meant[row, prompt] = 0.0
            elif piece == drafter.tag_words[drafter.nearest[row][prompt][0]]:
                meant[row, prompt] = 1.0
    tried = np.unique(np.quantile(near, np.linspace(0, 1, STEPS)))
    tried = np.append(tried, near.max() + 1.0)  # never
    named = near[..., None] >= tried  # [B, N, thresholds]
    wrong = np.where(named, meant[..., None] == 0.0, meant[..., None] == 1.0).sum(0)  # [N, thresholds]
    shared = wrong.sum(0) / max(np.isfinite(meant).sum(), 1)
    best = (wrong + PRIOR * shared).argmin(1)
    tagger.draft_threshold.copy_(torch.from_numpy(tried[best]).to(tagger.draft_threshold))
    return 1.0 - float(wrong[np.arange(count), best].sum()) / max(int(np.isfinite(meant).sum()), 1)


@torch.no_grad()
def fit_threshold(model: Classifier, make: Collator, examples: Sequence[Example], batch: int = 256) -> float:
    """Set the probability from which a tag is said to the one of the best example-based F1."""
    was = model.training
    model.eval()
    device = model.threshold.device
    parts, truth = [], []
    for start in range(0, len(examples), batch):
        some = make.batch(list(examples[start : start + batch])).to(device)
        assert some.tags is not None
        parts.append(model.probabilities(model.see(some)).cpu().numpy())
        own = np.zeros_like(parts[-1], dtype=bool)
        for row, numbers in enumerate(some.tags):
            own[row, numbers.cpu().numpy()] = True
        truth.append(own)
    best = _best_threshold(np.concatenate(parts), np.concatenate(truth))
    model.threshold.fill_(best)
    model.train(was)
    return best


def _best_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of the best F1 of mean precision and mean recall over videos that have tags."""
    there = truth.any(axis=1)
    probabilities, truth = probabilities[there], truth[there]
    best, reached = 0.5, -1.0
    for threshold in np.concatenate([np.linspace(0.02, 0.98, 49)]):
        said = probabilities >= threshold
        right = (said & truth).sum(axis=1)
        precision = float(np.mean(right / np.maximum(said.sum(axis=1), 1)))
        recall = float(np.mean(right / truth.sum(axis=1))) if len(truth) else 0.0
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        if f1 > reached + 1e-12:
            best, reached = float(threshold), f1
    return best


def fit_scores(said: Sequence[Said], examples: Sequence[Example]) -> Calibration:
    """From how sure the model sounds to how often it is right, over all tags said on validation."""
    pairs = [
        (score, tag in one.tags) for tags, one in zip(said, examples, strict=True) for tag, score in tags
    ]
    return calibrate([score for score, _ in pairs], [right for _, right in pairs])
