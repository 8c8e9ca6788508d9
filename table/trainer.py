"""The training loop: Hugging Face's, with our batches, three losses, ranks on held-out videos, and a stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from table.batches import Data, Lessons, Tokenizer, Units, collate
from table.config import Config
from table.evaluation import evaluate_model
from table.model import Table
from tagging.gathering import world
from tagging.training import COMPLETE, EpochLoader, HouseTrainer, NonFinite

__all__ = ["COMPLETE", "NonFinite", "TableTrainer"]

PARTS = ("contrastive", "vtm", "mlm")
LARGEST_SCALE = math.log(100)  # CLIP's bound on 1/τ


class TableTrainer(HouseTrainer):
    """Trainer whose batches, losses, validation and checkpoints are those of TABLE."""

    lower = "lr_fusion and lr_towers"

    def __init__(
        self,
        model: Table,
        arguments: TrainingArguments,
        config: Config,
        data: Data,
        tokenizer: Tokenizer,
        say: Callable[[str], None],
    ) -> None:
        self.settings, self.data, self.tokenizer, self.say = config, data, tokenizer, say
        self.table = self.network = model
        rank, ranks = world()
        train = config.train
        counts = [len(row.texts) for row in data.train]
        self.units = Units(counts, train.batch, train.share, train.seed, rank, ranks)
        # A GPU more in the machine does not mean another process: torchrun starts those.
        arguments._n_gpu = min(arguments.n_gpu, 1)
        arguments.per_device_train_batch_size = self.units.each
        steps = max(1, len(self.units) // train.accumulate)  # in an epoch
        arguments.eval_steps = arguments.save_steps = max(1, steps // train.evaluations)
        arguments.logging_steps = max(1, min(50, arguments.eval_steps // 5))
        self.lessons = Lessons(data.train, data.frames, config.model, tokenizer)
        # `evaluate` below reads the validation rows itself; the trainer only wants to see some.
        some = self.lessons
        super().__init__(
            model=model, args=arguments, train_dataset=some, eval_dataset=some, data_collator=collate
        )
        self.remove_callback(PrinterCallback)  # `log` below says it in words
        self.add_callback(_Bounds(model))
        self._parts: dict[str, Tensor] = {}
        self._counted, self._videos, self._since = 0, 0, time.perf_counter()
        self.names = []

    # -- batches and optimiser -----------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Our batches. They are cut for this rank already, so accelerate has nothing to prepare."""
        workers = self.args.dataloader_num_workers
        return EpochLoader(
            self.lessons,
            batch_sampler=self.units,
            collate_fn=collate,
            num_workers=workers,
            pin_memory=self.args.device.type == "cuda",
            prefetch_factor=2 if workers else None,
        )

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

    # -- losses --------------------------------------------------------------------------------------

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
        for part in PARTS:
            if part in found:
                value = found[part].detach()
                self._parts[part] = self._parts[part] + value if part in self._parts else value
        self._counted += 1
        self._videos += len(self.names) * world()[1]
        return (found["loss"], found) if return_outputs else found["loss"]

    def _check(self, found: dict[str, Tensor], video_of_text: Tensor) -> None:
        """Say which video made the loss no number."""
        if self.check_finite(found["loss"]):
            return
        step = self.state.global_step + 1
        names = self.everyone(self.names)
        videos = (~torch.isfinite(found["video_vectors"]).all(1)).nonzero().flatten().tolist()
        of = torch.cat([video_of_text + i * len(self.names) for i in range(world()[1])]).tolist()
        texts = (~torch.isfinite(found["text_vectors"]).all(1)).nonzero().flatten().tolist()
        guilty = dict.fromkeys([*(names[i] for i in videos), *(names[of[i]] for i in texts)])
        parts = [part for part in PARTS if part in found and not bool(torch.isfinite(found[part]))]
        who = ", ".join(guilty) or f"one of {', '.join(names)}"
        what = f" ({', '.join(parts)})" if parts else ""
        raise NonFinite(f"the loss{what} of step {step} is no number because of {who}; look, or remove it")

    # -- validation ----------------------------------------------------------------------------------

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """R@K and ranks on the validation videos; `choice` is what the best checkpoint is chosen by."""
        data = self.data
        found = evaluate_model(
            self.table, data.validation, data.frames, self.tokenizer, temperature=None, resamples=0
        )
        figures = {"r1": found.t2v.r1, "r10": found.t2v.r10, "mnr": found.t2v.mnr, "v2t_r1": found.v2t.r1}
        # R@1; among equals, the better mean rank. A mean rank is at most the number of candidates.
        figures["choice"] = found.t2v.r1 - found.t2v.mnr / (1000 * len(data.validation))
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._since, self._videos = time.perf_counter(), 0
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the three losses and the speed to what is logged, and say it."""
        if "loss" in logs and self._counted:
            for part, total in self._parts.items():
                mean = total / self._counted
                if world()[1] > 1:
                    dist.all_reduce(mean)
                logs[part] = float(mean) / world()[1]
            logs["temperature"] = 1 / math.exp(self.table.logit_scale.item())
            if self.table.residual is not None:
                logs["lambda"] = self.table.residual.item()
            logs["videos_per_second"] = self._videos / max(time.perf_counter() - self._since, 1e-9)
            self._parts, self._counted, self._videos = {}, 0, 0
            self._since = time.perf_counter()
        super().log(logs, start_time)
        if self.is_world_process_zero():
            line = _line(self.state.global_step, self.state.max_steps, logs)
            if line:
                self.say(line)


class _Bounds(TrainerCallback):
    """Keeps 1/τ at most 100, as CLIP does: beyond, cosines in half precision drown in their rounding."""

    def __init__(self, model: Table) -> None:
        self.model = model

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=LARGEST_SCALE)


def _line(step: int, steps: int, logs: dict[str, float]) -> str:
    """Progress for people: losses while it learns, ranks when it was tested."""
    if "loss" in logs:
        parts = "  ".join(f"{part} {logs[part]:.3f}" for part in PARTS if part in logs)
        return (
            f"step {step}/{steps}  loss {logs['loss']:.3f}  {parts}  {logs['videos_per_second']:.0f} videos/s"
        )
    if "eval_r1" in logs:
        ranks = f"R@1 {logs['eval_r1']:.1f}  R@10 {logs['eval_r10']:.1f}  mean rank {logs['eval_mnr']:.1f}"
        return f"step {step}/{steps}  validation: {ranks}"
    return ""
