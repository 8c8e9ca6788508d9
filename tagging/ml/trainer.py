"""The base of all trainers: Hugging Face's, with whole checkpoints, exact resume, no NaN, and a loss plot."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.utils import logging as transformers_logging

from tagline.experts.storage import write_atomic
from tagline.tagging.ml.config import BadConfig, Schedule
from tagline.tagging.ml.distributed import world

Log = Callable[[str], None]
COMPLETE = "complete"  # a file in a checkpoint that was written to its end
RUN, CHECKPOINTS, MODEL, TENSORBOARD = "run.json", "checkpoints", "model", "board"


class NonFinite(ArithmeticError):
    """A loss or gradient that is no number. The message names the video and the step."""


class EpochDataLoader(DataLoader[Any]):
    """A data loader that tells its batches which epoch it is."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


class BaseTrainer(Trainer, ABC):
    """Hugging Face's trainer without pickles, with checkpoints that are whole or not there.

    `network` is the model itself: the trainer's own `model` may be wrapped for several devices. `names`
    are the videos of the batch in hand; `lower` says which setting to lower where gradients overflow.
    """

    setting_to_lower = "the learning rate"

    def __init__(
        self,
        model: nn.Module,
        arguments: TrainingArguments,
        train: Schedule,
        lessons: Any,
        batches: Any,
        collate: Callable[[Any], Any],
        say: Log,
    ) -> None:
        """train: a room's TrainConfig; batches: its sampler, cut for this rank already."""
        self.network, self.dataset, self.batch_sampler, self.say = model, lessons, batches, say
        # A GPU more in the machine does not mean another process: torchrun starts those.
        arguments._n_gpu = min(arguments.n_gpu, 1)
        arguments.per_device_train_batch_size = batches.each
        steps = max(1, len(batches) // train.accumulate)  # in an epoch
        arguments.eval_steps = arguments.save_steps = max(1, steps // train.evaluations)
        arguments.logging_steps = max(1, min(50, arguments.eval_steps // 5))
        # `validation` reads what it tests on itself; the trainer only wants to see some.
        super().__init__(
            model=model, args=arguments, train_dataset=lessons, eval_dataset=lessons, data_collator=collate
        )
        self.remove_callback(PrinterCallback)  # `log` below says it in words
        self.names: list[str] = []
        self._parts: dict[str, Tensor] = {}
        self._counted, self._videos, self._since = 0, 0, time.perf_counter()
        self._begun, self._tested = self._since, 0.0

    @abstractmethod
    def validation(self) -> dict[str, float]:
        """The figures on held-out videos; the best checkpoint is chosen by `choice`."""

    def extra_logs(self) -> dict[str, float]:
        """What else is logged beside the losses."""
        return {}

    @abstractmethod
    def log_line(self, progress: str, logs: Mapping[str, float]) -> str:
        """What is logged, for people; nothing if they need not see it."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Our batches. They are cut for this rank already, so accelerate has nothing to prepare."""
        workers = self.args.dataloader_num_workers
        return EpochDataLoader(
            self.dataset,
            batch_sampler=self.batch_sampler,
            collate_fn=self.data_collator,
            num_workers=workers,
            pin_memory=self.args.device.type == "cuda",
            prefetch_factor=2 if workers else None,
        )

    def accumulate_losses(self, parts: Mapping[str, Tensor], videos: int) -> None:
        """Keep a batch's losses by name, and how many videos it had, until they are logged."""
        for part, value in parts.items():
            before = self._parts.get(part)
            self._parts[part] = value.detach() if before is None else before + value.detach()
        self._counted += 1
        self._videos += videos * world()[1]

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """Test on held-out videos, log it, and tell whoever chooses checkpoints.

        "trained" among the figures: seconds of training in this process so far, testing not counted.
        """
        begun = time.perf_counter()
        figures = {**self.validation(), "trained": begun - self._begun - self._tested}
        self._tested += time.perf_counter() - begun
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
            logs |= self.extra_logs()
            logs["videos_per_second"] = self._videos / max(time.perf_counter() - self._since, 1e-9)
            self._parts, self._counted, self._videos = {}, 0, 0
            self._since = time.perf_counter()
        super().log(logs, start_time)
        if self.is_world_process_zero():
            line = self.log_line(f"step {self.state.global_step}/{self.state.max_steps}", logs)
            if line:
                self.say(line)

    def report_to(self, folder: Path, where: Sequence[str]) -> None:
        """Send what is logged to TensorBoard (files in `folder`) or W&B as well."""
        if "tensorboard" in where and self.is_world_process_zero():
            from torch.utils.tensorboard import SummaryWriter
            from transformers.integrations import TensorBoardCallback

            self.add_callback(TensorBoardCallback(SummaryWriter(str(folder))))
        if "wandb" in where:
            from transformers.integrations import WandbCallback

            self.add_callback(WandbCallback())

    def gather_names(self, names: list[str]) -> list[str]:
        """The names of all ranks, in their order."""
        ranks = world()[1]
        if ranks == 1:
            return names
        parts: list[Any] = [None] * ranks
        dist.all_gather_object(parts, names)
        return [name for part in parts for name in part]

    def check_finite(self, loss: Tensor) -> bool:
        """Whether the loss is a number on every rank: all stop together, or the others would wait.

        Raises NonFinite if the weights themselves are none any more.
        """
        bad = (~torch.isfinite(loss.detach())).float()
        if world()[1] > 1:
            dist.all_reduce(bad)
        if not bad.item():
            return True
        step = self.state.global_step + 1
        for name, parameter in self.network.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise NonFinite(
                    f"the weights ({name}) were no numbers any more before step {step}; "
                    f"lower {self.setting_to_lower}, or turn bf16 off"
                )
        return False

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        # One step with such gradients and every weight is lost.
        if norm is not None and not math.isfinite(float(norm)):
            names = ", ".join(self.gather_names(self.names))
            raise NonFinite(
                f"the gradient of step {self.state.global_step + 1} is no number; it came from {names}; "
                f"lower {self.setting_to_lower}, or turn bf16 off"
            )
        return norm

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Tensors only: the arguments that the trainer would pickle beside them are in `run.json`."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save and folder.is_dir():
            # A kill while a checkpoint is written leaves it without this; resuming takes the one before.
            (folder / COMPLETE).touch()


def training_arguments(folder: Path, train: Schedule, device: str | None) -> TrainingArguments:
    """What Hugging Face's trainer is told, from a room's TrainConfig. Steps and batches are the room's."""
    transformers_logging.set_verbosity_error()
    cpu = device == "cpu" or not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
        num_train_epochs=train.epochs,
        gradient_accumulation_steps=train.accumulate,
        warmup_steps=train.warmup,
        lr_scheduler_type="cosine",
        max_grad_norm=train.clip_norm,
        bf16=train.bf16 and not cpu and torch.cuda.is_bf16_supported(),
        use_cpu=cpu,
        seed=train.seed,
        save_strategy="steps",
        eval_strategy="steps",
        save_total_limit=2,  # the best and the last
        load_best_model_at_end=True,
        metric_for_best_model="choice",
        greater_is_better=True,
        logging_nan_inf_filter=False,  # a loss that is no number stops the run
        remove_unused_columns=False,
        dataloader_num_workers=0 if cpu else min(8, (os.cpu_count() or 2) - 1),
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to=[],
    )


def available_loggers() -> list[str]:
    """TensorBoard where it is installed; W&B where it is installed and somebody is logged in."""
    from importlib.util import find_spec

    found = ["tensorboard"] if find_spec("tensorboard") else []
    return [*found, "wandb"] if find_spec("wandb") and os.environ.get("WANDB_API_KEY") else found


def claim_run_folder(run: Mapping[str, Any], folder: Path, finished: str, say: Log, data: str) -> Path | None:
    """Make the folder this run's, or find the last whole checkpoint of the same run in it.

    run: {"config": ..., "data": digest}; finished: the file that a saved model has last; data: what the
    digest is of, for people.
    """
    path = folder / RUN
    if not path.exists():
        if (folder / CHECKPOINTS).exists() or (folder / MODEL).exists():
            raise BadConfig(f"{folder} holds another model; name a new folder with --out")
        write_atomic(path, json.dumps(run, indent=2) + "\n")
        return None
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != run:
        what = "configuration" if before.get("config") != run["config"] else data
        raise BadConfig(f"{folder} holds a run with other {what}; name a new folder with --out")
    if (folder / MODEL / finished).exists():
        raise BadConfig(f"{folder} holds this run, finished; name a new folder with --out to train again")
    whole = [c for c in (folder / CHECKPOINTS).glob("checkpoint-*") if (c / COMPLETE).exists()]
    last = max(whole, key=lambda c: int(c.name.rpartition("-")[2]), default=None)
    say(f"going on from step {last.name.rpartition('-')[2]}" if last else "starting again: no checkpoint yet")
    return last


def silent(_: str) -> None:
    """What other processes than the first say."""


def to_stderr(line: str) -> None:
    """Progress goes to standard error, so that results can be piped."""
    print(line, file=sys.stderr, flush=True)


Series = Sequence[tuple[str, str]]  # (key of the history, what people call it)


def plot_losses(
    history: Sequence[Mapping[str, Any]], path: Path, losses: Series, figures: Series, unit: str = "%"
) -> None:
    """Write a PNG of what a trainer logged; `unit` is that of the figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (lines, title, label) in enumerate(
        ((losses, "Losses", "nats"), (figures, "Validation", unit)), start=1
    ):
        axes = figure.add_subplot(1, 2, place)
        for key, name in lines:
            points = [(entry["step"], entry[key]) for entry in history if key in entry]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, marker="." if place == 2 else None)
        axes.set(title=title, xlabel="step", ylabel=label)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=120)
