"""Bin and ASL: one yes or no for each tag, by binary cross-entropy or by the asymmetric loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagging.generator.config import TaggerConfig
from tagging.generator.encoder import Batch, HybridEncoder, Seen
from tagging.generator.layers import start_evenly
from tagging.generator.words import Words


def asymmetric(logits: Tensor, targets: Tensor, gamma_neg: float, gamma_pos: float, clip: float) -> Tensor:
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


def binary(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy, summed over tags, averaged over videos."""
    return F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none").sum(1).mean()


class Classifier(nn.Module):
    """The hybrid encoder, its feature of [CLS], and one output for each tag that was learned."""

    threshold: Tensor

    def __init__(
        self, config: TaggerConfig, words: Words, tags: Sequence[str], tag_vectors: Tensor | None = None
    ) -> None:
        super().__init__()
        self.settings, self.words, self.tags = config, words, list(tags)
        self.head = nn.Linear(config.width, len(self.tags))
        self.head.apply(start_evenly)
        self.encoder = HybridEncoder(config, words)
        # From which probability a tag is said; fitted after training, on validation.
        self.register_buffer("threshold", torch.tensor(0.5))

    def see(self, batch: Batch) -> Seen:
        features, mask = self.encoder(batch)
        return Seen(features, mask, features.new_zeros(len(batch), 0, self.settings.tag_width))

    def probabilities(self, seen: Seen) -> Tensor:
        """float [B, K]"""
        found: Tensor = self.head(seen.features[:, 0]).float().sigmoid()
        return found

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.losses(batch)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.tags is not None, "training needs tags"
        logits = self.head(self.see(batch).features[:, 0])
        targets = torch.zeros_like(logits)
        for row, own in enumerate(batch.tags):
            targets[row, own] = 1.0
        if self.settings.method == "bin":
            return {"class": binary(logits, targets)}
        c = self.settings
        return {"class": asymmetric(logits, targets, c.gamma_neg, c.gamma_pos, c.clip)}

    @torch.no_grad()
    def classify(self, seen: Seen) -> list[list[tuple[str, float]]]:
        """The tags from the threshold on with their probability, the surest first."""
        found = []
        for row in self.probabilities(seen).cpu():
            numbers = (row >= self.threshold.cpu()).nonzero()[:, 0].tolist()
            said = [(self.tags[n], float(row[n])) for n in numbers]
            found.append(sorted(said, key=lambda item: (-item[1], item[0])))
        return found
