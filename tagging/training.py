"""What training runs of every room share: whole checkpoints, exact resume, a stop at no numbers."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments
from transformers.utils import logging as transformers_logging

from experts.stock.digest import write_whole
from tagging.configuring import BadConfig
from tagging.gathering import world

Say = Callable[[str], None]
COMPLETE = "complete"  # a file in a checkpoint that was written to its end
RUN, CHECKPOINTS, MODEL, BOARD = "run.json", "checkpoints", "model", "board"


class NonFinite(ArithmeticError):
    """A loss or gradient that is no number. The message names the video and the step."""


class EpochLoader(DataLoader[Any]):
    """A data loader that tells its batches which epoch it is."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


class HouseTrainer(Trainer):
    """Hugging Face's trainer without pickles, with checkpoints that are whole or not there.

    `network` is the model itself: the trainer's own `model` may be wrapped for several devices. `names`
    are the videos of the batch in hand; `lower` says which setting to lower where gradients overflow.
    """

    network: nn.Module
    names: list[str]
    lower = "the learning rate"

    def report_to(self, folder: Path, where: Sequence[str]) -> None:
        """Send what is logged to TensorBoard (files in `folder`) or W&B as well."""
        if "tensorboard" in where and self.is_world_process_zero():
            from torch.utils.tensorboard import SummaryWriter
            from transformers.integrations import TensorBoardCallback

            self.add_callback(TensorBoardCallback(SummaryWriter(str(folder))))
        if "wandb" in where:
            from transformers.integrations import WandbCallback

            self.add_callback(WandbCallback())

    def everyone(self, names: list[str]) -> list[str]:
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
                    f"lower {self.lower}, or turn bf16 off"
                )
        return False

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        # One step with such gradients and every weight is lost.
        if norm is not None and not math.isfinite(float(norm)):
            names = ", ".join(self.everyone(self.names))
            raise NonFinite(
                f"the gradient of step {self.state.global_step + 1} is no number; it came from {names}; "
                f"lower {self.lower}, or turn bf16 off"
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


def arguments(folder: Path, train: Any, device: str | None) -> TrainingArguments:
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


def reports() -> list[str]:
    """TensorBoard where it is installed; W&B where it is installed and somebody is logged in."""
    from importlib.util import find_spec

    found = ["tensorboard"] if find_spec("tensorboard") else []
    return [*found, "wandb"] if find_spec("wandb") and os.environ.get("WANDB_API_KEY") else found


def claim(run: Mapping[str, Any], folder: Path, finished: str, say: Say, data: str) -> Path | None:
    """Make the folder this run's, or find the last whole checkpoint of the same run in it.

    run: {"config": ..., "data": digest}; finished: the file that a saved model has last; data: what the
    digest is of, for people.
    """
    path = folder / RUN
    if not path.exists():
        if (folder / CHECKPOINTS).exists() or (folder / MODEL).exists():
            raise BadConfig(f"{folder} holds another model; name a new folder with --out")
        write_whole(path, json.dumps(run, indent=2) + "\n")
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
