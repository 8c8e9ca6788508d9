"""Bin and ASL: one yes or no for each tag, by binary cross-entropy or by the asymmetric loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagline.benchmarks.baselines.config import BaselineConfig
from tagline.tagging.generator.data import Said, TaggerCollator
from tagline.tagging.generator.decoding import Decoding
from tagline.tagging.generator.encoder import EncodedBatch, HybridEncoder, TaggerBatch
from tagline.tagging.generator.layers import init_weights
from tagline.tagging.generator.model import TaggingModel
from tagline.tagging.ml.calibration import best_f1_threshold
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.tokenizer import TagTokenizer
from tagline.tagging.ranker.model import binary

FITTED = 256  # validation videos at once, where the threshold is fitted


def asymmetric_loss(
    logits: Tensor, targets: Tensor, gamma_neg: float, gamma_pos: float, clip: float
) -> Tensor:
    """Asymmetric loss of Ridnik et al. (2021), summed over tags, averaged over videos.

    logits, targets: [B, K]. A positive of probability p costs (1-p)^gamma_pos · -log p. A negative is
    shifted, q = max(p - clip, 0), and costs q^gamma_neg · -log(1-q), so that easy ones cost nothing. As
    there, no gradient goes through the focusing factors.
    """
    p = logits.float().sigmoid()
    shifted = (p - clip).clamp(min=0.0)
    positive = F.logsigmoid(logits.float())
    negative = torch.log1p(-shifted.clamp(max=1 - 1e-7))
    with torch.no_grad():
        focus = torch.where(targets > 0, (1 - p) ** gamma_pos, shifted**gamma_neg)
    return -(focus * torch.where(targets > 0, positive, negative)).sum(1).mean()


class TagClassifier(TaggingModel):
    """The hybrid encoder, its feature of [CLS], and one output for each tag that was learned."""

    settings: BaselineConfig
    threshold: Tensor

    def __init__(self, config: BaselineConfig, words: TagTokenizer, tags: Sequence[str]) -> None:
        super().__init__()
        self.settings, self.tokenizer, self.tags = config, words, list(tags)
        self.head = nn.Linear(config.width, len(self.tags))
        self.head.apply(init_weights)
        self.encoder = HybridEncoder(config, words)
        # From which probability a tag is said; fitted after training, on validation.
        self.register_buffer("threshold", torch.tensor(0.5))

    def encode(self, batch: TaggerBatch) -> EncodedBatch:
        features, mask = self.encoder(batch)
        return EncodedBatch(features, mask, features.new_zeros(len(batch), 0, self.settings.tag_width))

    def probabilities(self, seen: EncodedBatch) -> Tensor:
        """float [B, K]"""
        found: Tensor = self.head(seen.features[:, 0]).float().sigmoid()
        return found

    def losses(self, batch: TaggerBatch) -> dict[str, Tensor]:
        assert batch.tags is not None, "training needs tags"
        logits = self.head(self.encode(batch).features[:, 0])
        targets = torch.zeros_like(logits)
        for row, own in enumerate(batch.tags):
            targets[row, own] = 1.0
        if self.settings.method == "bin":
            return {"class": binary(logits, targets)}
        c = self.settings
        return {"class": asymmetric_loss(logits, targets, c.gamma_neg, c.gamma_pos, c.clip)}

    @torch.no_grad()
    def predict(self, seen: EncodedBatch, decoding: Decoding | None = None) -> list[Said]:
        """The tags from the threshold on with their probability, the surest first."""
        found = []
        for row in self.probabilities(seen).cpu():
            numbers = (row >= self.threshold.cpu()).nonzero()[:, 0].tolist()
            said = [(self.tags[n], float(row[n])) for n in numbers]
            found.append(sorted(said, key=lambda item: (-item[1], item[0])))
        return found

    @torch.no_grad()
    def fit_on_validation(self, make: TaggerCollator, examples: Sequence[Example]) -> None:
        """Set the probability from which a tag is said to the one of the best example-based F1."""
        was = self.training
        self.eval()
        parts, truth = [], []
        for start in range(0, len(examples), FITTED):
            some = make.batch(examples[start : start + FITTED]).to(self.threshold.device)
            assert some.tags is not None
            parts.append(self.probabilities(self.encode(some)).cpu().numpy())
            own = np.zeros_like(parts[-1], dtype=bool)
            for row, numbers in enumerate(some.tags):
                own[row, numbers.cpu().numpy()] = True
            truth.append(own)
        scores, right = np.concatenate(parts), np.concatenate(truth)
        scores, right = scores[right.any(axis=1)], right[right.any(axis=1)]
        rows = np.repeat(np.arange(len(scores)), scores.shape[1])
        self.threshold.fill_(best_f1_threshold(rows, scores.ravel(), right.ravel(), right.sum(axis=1)))
        self.train(was)
