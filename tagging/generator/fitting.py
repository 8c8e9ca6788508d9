"""What is fitted on validation after or while a tagger learns: thresholds, drafts, scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tagging.generator.calibration import Calibration, calibrate
from tagging.generator.data import Collator, Example
from tagging.generator.decoding import Drafted
from tagging.generator.encoder import Seen
from tagging.generator.methods import Said
from tagging.generator.model import Tagger
from tagging.rivals.classifier import Classifier

STEPS = 9  # thresholds to try


@torch.no_grad()
def fit_drafts(tagger: Tagger, seen: Seen) -> dict[float, int]:
    """Set the threshold from which a draft names a tag to the one that needs the least work.

    Returns the work by threshold: rows in decoder passes, all passes together. What is written does not
    depend on it.
    """
    if tagger.settings.classify_prompts or not tagger.settings.prompted or not len(seen.prompts):
        return {}
    unit = torch.nn.functional.normalize
    near = unit(seen.prompts.float(), dim=-1) @ unit(tagger.tag_vectors[:-1].float(), dim=-1).T
    nearest = near.amax(-1).flatten().cpu().numpy()
    work: dict[float, int] = {}
    for threshold in sorted({float(x) for x in np.quantile(nearest, np.linspace(0.02, 0.98, STEPS))}):
        tagger.draft_threshold.fill_(threshold)
        work[threshold] = Drafted()(tagger, seen).work
    tagger.draft_threshold.fill_(min(work, key=lambda x: (work[x], x)))
    return work


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
