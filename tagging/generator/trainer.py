"""The training loop of a tagger: Hugging Face's, with our batches, losses, and F1 on held-out videos."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainingArguments

from tagging.gathering import world
from tagging.generator.config import Config
from tagging.generator.data import Batches, Collator, Example, Examples, Lessons
from tagging.generator.encoder import Batch
from tagging.generator.fitting import fit_threshold
from tagging.generator.methods import Model, Said, predict_all
from tagging.rivals.classifier import Classifier
from tagging.scoring import Score, example_based, label_based, tag_sets
from tagging.training import EpochLoader, HouseTrainer, NonFinite

PARTS = ("contrast", "label", "generation", "class")


class TaggerTrainer(HouseTrainer):
    """Trainer whose batches, losses, validation and checkpoints are those of taggers."""

    lower = "lr"

    def __init__(
        self,
        model: Model,
        arguments: TrainingArguments,
        config: Config,
        examples: Examples,
        make: Collator,
        say: Callable[[str], None],
    ) -> None:
        self.settings, self.examples, self.make, self.say = config, examples, make, say
        self.tagger = self.network = model
        rank, ranks = world()
        train = config.train
        self.batches = Batches(len(examples.train), train.batch, train.seed, rank, ranks)
        # A GPU more in the machine does not mean another process: torchrun starts those.
        arguments._n_gpu = min(arguments.n_gpu, 1)
        arguments.per_device_train_batch_size = self.batches.each
        steps = max(1, len(self.batches) // train.accumulate)  # in an epoch
        arguments.eval_steps = arguments.save_steps = max(1, steps // train.evaluations)
        arguments.logging_steps = max(1, min(50, arguments.eval_steps // 5))
        self.lessons = Lessons(examples.train)
        some: Any = self.lessons
        super().__init__(
            model=model, args=arguments, train_dataset=some, eval_dataset=some, data_collator=make
        )
        self.remove_callback(PrinterCallback)  # `log` below says it in words
        self.names = []
        self._parts: dict[str, Tensor] = {}
        self._counted, self._videos, self._since = 0, 0, time.perf_counter()

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Our batches. They are cut for this rank already, so accelerate has nothing to prepare."""
        workers = self.args.dataloader_num_workers
        return EpochLoader(
            self.lessons,
            batch_sampler=self.batches,
            collate_fn=self.make,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
        )

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
        batch: Batch = inputs["batch"].to(self.args.device)
        self.names = batch.names
        found = model(batch)
        if not self.check_finite(found["loss"]):
            self._stop(batch)
        for part, value in found.items():
            if part != "loss":
                before = self._parts.get(part)
                self._parts[part] = value.detach() if before is None else before + value.detach()
        self._counted += 1
        self._videos += len(batch) * world()[1]
        return (found["loss"], found) if return_outputs else found["loss"]

    @torch.no_grad()
    def _stop(self, batch: Batch) -> None:
        """Say which video made the loss no number: what it gives the encoder, or what that makes of it."""
        self.tagger.eval()
        odd = ~torch.isfinite(batch.frames).flatten(1).all(1)
        odd = odd | ~torch.isfinite(self.tagger.see(batch).features).flatten(1).all(1)
        guilty = self.everyone([batch.names[row] for row in odd.nonzero()[:, 0].tolist()])
        who = ", ".join(guilty) or f"one of {', '.join(self.everyone(batch.names))}"
        step = self.state.global_step + 1
        raise NonFinite(f"the loss of step {step} is no number because of {who}; look, or remove it")

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """Example-based F1 on the validation videos is `choice`, by which the best checkpoint is chosen."""
        held = self.examples.validation
        if isinstance(self.tagger, Classifier):
            fit_threshold(self.tagger, self.make, held)
        rank, ranks = world()
        said = predict_all(self.tagger, self.make, held[rank::ranks], batch=self.settings.train.batch)
        scores = score(self.examples.train, held, _together(said, len(held)))
        figures = {"f1": scores["example"].f1, "label_f1": scores["full"].f1, "rare_f1": scores["rare"].f1}
        figures["choice"] = figures["f1"]
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._since, self._videos = time.perf_counter(), 0
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the losses by name and the speed to what is logged, and say it."""
        if "loss" in logs and self._counted:
            for part, total in self._parts.items():
                mean = total / self._counted
                if world()[1] > 1:
                    dist.all_reduce(mean)
                logs[part] = float(mean) / world()[1]
            logs["videos_per_second"] = self._videos / max(time.perf_counter() - self._since, 1e-9)
            self._parts, self._counted, self._videos = {}, 0, 0
            self._since = time.perf_counter()
        super().log(logs, start_time)
        if self.is_world_process_zero():
            line = _line(self.state.global_step, self.state.max_steps, logs)
            if line:
                self.say(line)


def score(train: Sequence[Example], held: Sequence[Example], said: Sequence[Said]) -> dict[str, Score]:
    """Label-based on full, rare and common, and example-based, over the tags that both sides have."""
    sets = tag_sets([one.tags for one in train], [one.tags for one in held])
    truth, predicted = [one.tags for one in held], [[tag for tag, _ in tags] for tags in said]
    return {
        "full": label_based(truth, predicted, sets.full),
        "rare": label_based(truth, predicted, sets.rare),
        "common": label_based(truth, predicted, sets.common),
        "example": example_based(truth, predicted, sets.full),
    }


def _together(own: list[Said], count: int) -> list[Said]:
    """The predictions of all ranks, of which rank r has every ranks-th from r on, in order."""
    ranks = world()[1]
    if ranks == 1:
        return own
    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, own)
    return [parts[number % ranks][number // ranks] for number in range(count)]


def _line(step: int, steps: int, logs: dict[str, float]) -> str:
    """Progress for people: losses while it learns, F1 when it was tested."""
    if "loss" in logs:
        parts = "  ".join(
            f"{k} {logs[k]:.3f}" for k in ("contrast", "label", "generation", "class") if k in logs
        )
        speed = logs.get("videos_per_second", 0.0)
        return f"step {step}/{steps}  loss {logs['loss']:.3f}  {parts}  {speed:.0f} videos/s"
    if "eval_f1" in logs:
        f1, label, rare = (100 * logs[f"eval_{name}"] for name in ("f1", "label_f1", "rare_f1"))
        return f"step {step}/{steps}  validation: F1 {f1:.1f}  over tags {label:.1f}  rare {rare:.1f}"
    return ""
