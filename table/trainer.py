"""The training loop: Hugging Face's, with our batches, three losses, ranks on held-out videos, and a stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainingArguments

from tagline.table.batches import TrainingData, TableDataset, Tokenizer, VideoBatchSampler, collate
from tagline.table.config import TableConfig
from tagline.table.evaluation import evaluate_model
from tagline.table.model import Table
from tagline.tagging.gathering import world
from tagline.tagging.training import COMPLETE, BaseTrainer, NonFinite, Log

__all__ = ["COMPLETE", "NonFinite", "TableTrainer"]

LOSS_PARTS = ("contrastive", "vtm", "mlm")
LARGEST_SCALE = math.log(100)  # CLIP's bound on 1/τ


class TableTrainer(BaseTrainer):
    """Trainer whose batches, losses, validation and checkpoints are those of TABLE."""

    lower = "lr_fusion and lr_towers"

    def __init__(
        self,
        model: Table,
        arguments: TrainingArguments,
        config: TableConfig,
        data: TrainingData,
        tokenizer: Tokenizer,
        say: Log,
    ) -> None:
        self.settings, self.data, self.tokenizer, self.table = config, data, tokenizer, model
        train = config.train
        counts = [len(row.texts) for row in data.train]
        sampler = VideoBatchSampler(counts, train.batch, train.share, train.seed, *world())
        dataset = TableDataset(data.train, data.frames, config.model, tokenizer)
        super().__init__(model, arguments, train, dataset, sampler, collate, say)
        self.add_callback(_ClampTemperature(model))

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Adam with two learning rates: CLIP's own parameters move far more slowly than new ones.

        Decay, where the configuration has any, spares what is no matrix: norms, biases, λ, τ.
        """
        if self.optimizer is None:
            train = self.settings.train
            rates = {"towers": train.lr_towers, "fusion": train.lr_fusion}
            groups = []
            for name, parameters in self.table.parameter_groups().items():
                for decay, members in (
                    (train.weight_decay, [p for p in parameters if p.ndim > 1]),
                    (0.0, [p for p in parameters if p.ndim <= 1]),
                ):
                    if members:
                        groups.append({"params": members, "lr": rates[name], "weight_decay": decay})
            # CLIP's β₂ and ε.
            self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The sum of the losses of a batch. Stops if it is no number."""
        train = self.settings.train
        self.names = inputs.pop("names")
        found = model(**inputs, vtm_weight=train.vtm_weight, mlm_weight=train.mlm_weight)
        self._check(found, inputs["video_of_text"])
        self.accumulate_losses({part: found[part] for part in LOSS_PARTS if part in found}, len(self.names))
        return (found["loss"], found) if return_outputs else found["loss"]

    def _check(self, found: dict[str, Tensor], video_of_text: Tensor) -> None:
        """Say which video made the loss no number."""
        if self.check_finite(found["loss"]):
            return
        step = self.state.global_step + 1
        names = self.gather_names(self.names)
        videos = (~torch.isfinite(found["video_vectors"]).all(1)).nonzero().flatten().tolist()
        of = torch.cat([video_of_text + i * len(self.names) for i in range(world()[1])]).tolist()
        texts = (~torch.isfinite(found["text_vectors"]).all(1)).nonzero().flatten().tolist()
        guilty = dict.fromkeys([*(names[i] for i in videos), *(names[of[i]] for i in texts)])
        parts = [part for part in LOSS_PARTS if part in found and not bool(torch.isfinite(found[part]))]
        who = ", ".join(guilty) or f"one of {', '.join(names)}"
        what = f" ({', '.join(parts)})" if parts else ""
        raise NonFinite(f"the loss{what} of step {step} is no number because of {who}; look, or remove it")

    def validation(self) -> dict[str, float]:
        """R@K and ranks; `choice` is R@1, and among equals the better mean rank."""
        data = self.data
        found = evaluate_model(
            self.table, data.validation, data.frames, self.tokenizer, temperature=None, resamples=0
        )
        figures = {"r1": found.t2v.r1, "r10": found.t2v.r10, "mnr": found.t2v.mnr, "v2t_r1": found.v2t.r1}
        # A mean rank is at most the number of candidates.
        return {**figures, "choice": found.t2v.r1 - found.t2v.mnr / (1000 * len(data.validation))}

    def more(self) -> dict[str, float]:
        found = {"temperature": 1 / math.exp(self.table.logit_scale.item())}
        if self.table.residual is not None:
            found["lambda"] = self.table.residual.item()
        return found

    def line(self, progress: str, logs: Mapping[str, float]) -> str:
        """Losses while it learns, ranks when it was tested."""
        if "loss" in logs:
            parts = "  ".join(f"{part} {logs[part]:.3f}" for part in LOSS_PARTS if part in logs)
            return f"{progress}  loss {logs['loss']:.3f}  {parts}  {logs['videos_per_second']:.0f} videos/s"
        if "eval_r1" in logs:
            ranks = (
                f"R@1 {logs['eval_r1']:.1f}  R@10 {logs['eval_r10']:.1f}  mean rank {logs['eval_mnr']:.1f}"
            )
            return f"{progress}  validation: {ranks}"
        return ""


class _ClampTemperature(TrainerCallback):
    """Keeps 1/τ at most 100, as CLIP does: beyond, cosines in half precision drown in their rounding."""

    def __init__(self, model: Table) -> None:
        self.model = model

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=LARGEST_SCALE)
