"""Training: from a library or a list of rows to a folder that holds the best model on held-out videos."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainingArguments
from transformers.utils import logging as transformers_logging

from experts.digest import write_whole
from table import batches, saving
from table.batches import Data, Tokenizer
from table.config import BadConfig, Config, as_dict, digest, from_dict
from table.encoders import architecture
from table.evaluation import evaluate_model
from table.frames import FrameCache
from table.model import Table
from table.ranking import Evaluation
from table.trainer import COMPLETE, TableTrainer

if TYPE_CHECKING:
    from tagging.catalog import Catalog

Say = Callable[[str], None]
RUN, CHECKPOINTS, MODEL, BOARD = "run.json", "checkpoints", "model", "board"
FEWEST = (
    4  # videos: two to learn from, so that there is a wrong one, and one to validate with, and some to spare
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: the best model on the validation videos, and how it got there."""

    model: Table
    tokenizer: Tokenizer
    validation: Evaluation
    history: list[dict[str, Any]]  # what was logged: losses, rates, figures, by step
    folder: Path  # the saved model
    fingerprint: str


# -- data --------------------------------------------------------------------------------------------


def load(catalog: Catalog, config: Config, *, frames: FrameCache | None = None, say: Say = print) -> Data:
    """Rows of a catalog's training videos, their frames decoded into the cache.

    A video that cannot be decoded is left out and listed; it never becomes frames of zeros. Validation
    videos are those of the split "val", or are carved from the training videos; "test" is not read.
    """
    model, train = config.model, config.train
    own = batches.rows(catalog, model.tags, "val", train.protocol)
    whole = batches.rows(catalog, model.tags, "train", train.protocol)
    if not whole:
        raise BadConfig(
            f"{catalog.name} has no captions to learn from; bring some in with `tagline import captions.csv`"
        )
    if frames is None:
        frames = FrameCache(model.frames, int(architecture(model.architecture)["vision_cfg"]["image_size"]))
    left_out: list[tuple[str, str]] = []
    good: set[str] = set()
    work = [(row.key, row.path) for row in [*whole, *own] if row.path is not None]
    for done, (key, path, why) in enumerate(frames.fill(work), start=1):
        if why is None:
            good.add(key)
        else:
            left_out.append((str(path), why))
        if done % 500 == 0:
            say(f"frames of {done} of {len(work)} videos are ready")
    whole, own = ([row for row in part if row.key in good] for part in (whole, own))
    if not own:
        whole, own = batches.carve(whole, train.validation, train.validation_most, train.seed)
    return Data(whole, own, frames, left_out)


def first_weights(name: str | None) -> Path | None:
    """The file of the towers' first weights. Raises WeightsMissing, which names the command to run."""
    if name is None:
        return None
    from experts.weights import find

    return find(name).model


# -- the run -----------------------------------------------------------------------------------------


def train(
    config: Config | Mapping[str, Any],
    data: Data,
    folder: Path,
    *,
    weights: Path | None = None,
    report: Sequence[str] | None = None,
    device: str | None = None,
    say: Say = print,
) -> Outcome:
    """Train a model; in a folder where the same run was interrupted, go on from its last checkpoint.

    weights: of the towers, in place of those that the configuration names. report: where figures are
    sent besides `history`: "tensorboard", "wandb"; None: what is installed. device: "cpu" keeps off GPUs.
    The result is the checkpoint with the best R@1 on `data.validation`, saved as `folder/model`.
    """
    found: Config = config if isinstance(config, Config) else from_dict(Config, config)
    if len(data.train) + len(data.validation) < FEWEST or len(data.train) < 2 or not data.validation:
        raise BadConfig(
            f"{len(data.train)} videos to learn from and {len(data.validation)} to validate with "
            f"are too few; caption {FEWEST} videos or more"
        )
    arguments = _arguments(found, folder, device)
    tokenizer = Tokenizer()
    checkpoint = _claim(found, data, folder, say if arguments.process_index == 0 else _silent)

    torch.manual_seed(found.train.seed)
    model = Table.build(found.model, weights or first_weights(found.train.weights))
    if found.train.checkpointing:
        model.checkpoint()
    if found.train.compile:
        model.visual.compile()  # texts come in too many lengths to be worth it

    trainer = TableTrainer(model, arguments, found, data, tokenizer, say=say)
    trainer.report_to(folder / BOARD, _reports() if report is None else report)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    validation = evaluate_model(model, data.validation, data.frames, tokenizer)
    history = trainer.state.log_history
    mark = ""
    if trainer.is_world_process_zero():
        results = {f"validation_{key}": value for key, value in _figures(validation).items()}
        mark = saving.save_pretrained(model, folder / MODEL, tokenizer, results=results)
        write_whole(folder / "history.json", json.dumps(history, indent=1) + "\n")
        from table.curve import draw_curve

        draw_curve(history, folder / "curve.png")
    trainer.accelerator.wait_for_everyone()
    return Outcome(model, tokenizer, validation, history, folder / MODEL, mark)


def _figures(found: Evaluation) -> dict[str, float]:
    ways = (("t2v", found.t2v), ("v2t", found.v2t))
    return {
        f"{way}_{name}": getattr(m, name) for way, m in ways for name in ("r1", "r5", "r10", "mdr", "mnr")
    }


def _arguments(config: Config, folder: Path, device: str | None) -> TrainingArguments:
    """What Hugging Face's trainer is told. Steps and batches are ours, see `TableTrainer`."""
    transformers_logging.set_verbosity_error()
    train = config.train
    cpu = device == "cpu" or not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
        num_train_epochs=train.epochs,
        gradient_accumulation_steps=train.accumulate,
        warmup_steps=train.warmup,
        # CLIP4Clip's schedule; the paper says "warmup scheduler" and no more.
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


def _reports() -> list[str]:
    """TensorBoard where it is installed; W&B where it is installed and somebody is logged in."""
    from importlib.util import find_spec

    found = ["tensorboard"] if find_spec("tensorboard") else []
    return [*found, "wandb"] if find_spec("wandb") and os.environ.get("WANDB_API_KEY") else found


def _claim(config: Config, data: Data, folder: Path, say: Say) -> Path | None:
    """Make the folder this run's, or find the last whole checkpoint of the same run in it."""
    rows = [(row.key, row.texts, row.tags) for row in (*data.train, *data.validation)]
    run = {"config": as_dict(config), "data": digest(rows)}
    path = folder / RUN
    if not path.exists():
        if (folder / CHECKPOINTS).exists() or (folder / MODEL).exists():
            raise BadConfig(f"{folder} holds another model; name a new folder with --out")
        write_whole(path, json.dumps(run, indent=2) + "\n")
        return None
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != run:
        what = "configuration" if before.get("config") != run["config"] else "videos, captions or tags"
        raise BadConfig(f"{folder} holds a run with other {what}; name a new folder with --out")
    if (folder / MODEL / saving.CONFIG).exists():
        raise BadConfig(f"{folder} holds this run, finished; name a new folder with --out to train again")
    whole = [c for c in (folder / CHECKPOINTS).glob("checkpoint-*") if (c / COMPLETE).exists()]
    last = max(whole, key=lambda c: int(c.name.rpartition("-")[2]), default=None)
    say(f"going on from step {last.name.rpartition('-')[2]}" if last else "starting again: no checkpoint yet")
    return last


def _silent(_: str) -> None:
    """What other processes than the first say."""


def to_stderr(line: str) -> None:
    """Progress goes to standard error, so that results can be piped."""
    print(line, file=sys.stderr, flush=True)
