"""The training loop of a tagger: Hugging Face's, with our batches, losses, and F1 on held-out videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import TrainingArguments

from tagline.tagging.gathering import world
from tagline.tagging.generator.config import TaggerRunConfig
from tagline.tagging.generator.data import (
    ExampleBatchSampler,
    TaggerCollator,
    Example,
    Examples,
    ExampleDataset,
    Said,
)
from tagline.tagging.generator.encoder import TaggerBatch
from tagline.tagging.generator.methods import predict_all
from tagline.tagging.generator.model import TaggingModel
from tagline.tagging.scoring import PrecisionRecall, example_based, label_based, tag_sets
from tagline.tagging.training import BaseTrainer, NonFinite, Log

PARTS = ("contrast", "label", "generation", "class")


class TaggerTrainer(BaseTrainer):
    """Trainer whose batches, losses, validation and checkpoints are those of taggers."""

    lower = "lr"

    def __init__(
        self,
        model: TaggingModel,
        arguments: TrainingArguments,
        config: TaggerRunConfig,
        examples: Examples,
        make: TaggerCollator,
        say: Log,
    ) -> None:
        self.settings, self.examples, self.make, self.tagger = config, examples, make, model
        train = config.train
        batches = ExampleBatchSampler(len(examples.train), train.batch, train.seed, *world())
        super().__init__(model, arguments, train, ExampleDataset(examples.train), batches, make, say)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW; the decay spares what is no matrix: norms, biases, the temperature."""
        if self.optimizer is None:
            train = self.settings.train
            learned = [p for p in self.tagger.parameters() if p.requires_grad]
            groups = [
                {"params": [p for p in learned if p.ndim > 1], "weight_decay": train.weight_decay},
                {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
            ]
            self.optimizer = torch.optim.AdamW(groups, lr=train.lr)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The sum of the losses of a batch. Stops if it is no number."""
        batch: TaggerBatch = inputs["batch"].to(self.args.device)
        self.names = batch.names
        found = model(batch)
        if not self.check_finite(found["loss"]):
            self._raise_non_finite(batch)
        self.accumulate_losses({part: value for part, value in found.items() if part != "loss"}, len(batch))
        return (found["loss"], found) if return_outputs else found["loss"]

    @torch.no_grad()
    def _raise_non_finite(self, batch: TaggerBatch) -> None:
        """Say which video made the loss no number: what it gives the encoder, or what that makes of it."""
        self.tagger.eval()
        odd = ~torch.isfinite(batch.frames).flatten(1).all(1)
        odd = odd | ~torch.isfinite(self.tagger.see(batch).features).flatten(1).all(1)
        guilty = self.gather_names([batch.names[row] for row in odd.nonzero()[:, 0].tolist()])
        who = ", ".join(guilty) or f"one of {', '.join(self.gather_names(batch.names))}"
        step = self.state.global_step + 1
        raise NonFinite(f"the loss of step {step} is no number because of {who}; look, or remove it")

    def validation(self) -> dict[str, float]:
        """F1 by videos and by tags; `choice` is their mean.

        By videos alone the common tags decide, and a tagger is taken before it has learned the rare ones.
        """
        held = self.examples.validation
        self.tagger.fit_on_validation(self.make, held)
        rank, ranks = world()
        said = predict_all(self.tagger, self.make, held[rank::ranks], batch=self.settings.train.batch)
        scores = score_predictions(self.examples.train, held, _interleave_ranks(said, len(held)))
        figures = {"f1": scores["example"].f1, "label_f1": scores["full"].f1, "rare_f1": scores["rare"].f1}
        return {**figures, "choice": (figures["f1"] + figures["label_f1"]) / 2}

    def line(self, progress: str, logs: Mapping[str, float]) -> str:
        """Losses while it learns, F1 when it was tested."""
        if "loss" in logs:
            parts = "  ".join(f"{part} {logs[part]:.3f}" for part in PARTS if part in logs)
            speed = logs.get("videos_per_second", 0.0)
            return f"{progress}  loss {logs['loss']:.3f}  {parts}  {speed:.0f} videos/s"
        if "eval_f1" in logs:
            f1, label, rare = (100 * logs[f"eval_{name}"] for name in ("f1", "label_f1", "rare_f1"))
            return f"{progress}  validation: F1 {f1:.1f}  over tags {label:.1f}  rare {rare:.1f}"
        return ""


def score_predictions(
    train: Sequence[Example], validation: Sequence[Example], predictions: Sequence[Said]
) -> dict[str, PrecisionRecall]:
    """Label-based on full, rare and common, and example-based, over the tags that both sides have."""
    sets = tag_sets([one.tags for one in train], [one.tags for one in validation])
    truth, predicted = [one.tags for one in validation], [[tag for tag, _ in tags] for tags in predictions]
    return {
        "full": label_based(truth, predicted, sets.full),
        "rare": label_based(truth, predicted, sets.rare),
        "common": label_based(truth, predicted, sets.common),
        "example": example_based(truth, predicted, sets.full),
    }


def _interleave_ranks(own: list[Said], count: int) -> list[Said]:
    """The predictions of all ranks, of which rank r has every ranks-th from r on, in order."""
    ranks = world()[1]
    if ranks == 1:
        return own
    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, own)
    return [parts[number % ranks][number // ranks] for number in range(count)]
