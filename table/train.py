"""Training: from a library or a list of rows to a folder that holds the best model on held-out videos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tagline.experts.stock.digest import write_atomic
from tagline.table import batches, saving
from tagline.table.batches import TrainingData
from tagline.table.config import BadConfig, TableConfig, as_dict, digest, from_dict
from tagline.table.encoders import architecture
from tagline.table.evaluation import evaluate_model
from tagline.table.frames import FrameCache
from tagline.table.model import Table
from tagline.table.ranking import Evaluation
from tagline.table.tokens import Tokenizer
from tagline.table.trainer import TableTrainer
from tagline.tagging import training
from tagline.tagging.curve import plot_losses
from tagline.tagging.training import TENSORBOARD, MODEL, Log, available_loggers, to_stderr

if TYPE_CHECKING:
    from tagline.tagging.catalog import Catalog

LOSS_CURVES = (("loss", "sum"), ("contrastive", "contrastive"), ("vtm", "VTM"), ("mlm", "MLM"))
RANK_CURVES = (
    ("eval_r1", "R@1 text to video"),
    ("eval_v2t_r1", "R@1 video to text"),
    ("eval_r10", "R@10 text to video"),
)
__all__ = ["FEWEST", "Data", "Outcome", "first_weights", "load", "to_stderr", "train"]
MIN_VIDEOS = (
    4  # videos: two to learn from, so that there is a wrong one, and one to validate with, and some to spare
)


@dataclass(frozen=True, slots=True)
class TrainedTable:
    """What came of a run: the best model on the validation videos, and how it got there."""

    model: Table
    tokenizer: Tokenizer
    validation: Evaluation
    history: list[dict[str, Any]]  # what was logged: losses, rates, figures, by step
    folder: Path  # the saved model
    fingerprint: str


# -- data --------------------------------------------------------------------------------------------


def load_training_data(
    catalog: Catalog,
    config: TableConfig,
    *,
    frames: FrameCache | None = None,
    most: int | None = None,
    say: Log = print,
) -> TrainingData:
    """Rows of a catalog's training videos, their frames decoded into the cache.

    A video that cannot be decoded is left out and listed; it never becomes frames of zeros. Validation
    videos are those of the split "val", or are carved from the training videos; "test" is not read.
    most: learn from so many videos at most, chosen by a hash of what they hold.
    """
    model, train = config.model, config.train
    own = batches.rows(catalog, model.tags, "val", train.protocol)
    whole = batches.subset(batches.rows(catalog, model.tags, "train", train.protocol), most)
    if not whole:
        raise BadConfig(
            f"{catalog.name} has no captions to learn from; "
            "write a captions.csv into its folder and run `tagline bench prepare plain --videos FOLDER`"
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
        whole, own = batches.split_validation(whole, train.validation, train.validation_most, train.seed)
    return TrainingData(whole, own, frames, left_out)


def initial_weights(name: str | None) -> Path | None:
    """The file of the towers' first weights. Raises WeightsMissing, which names the command to run."""
    if name is None:
        return None
    from tagline.experts.weights import find

    return find(name).model


# -- the run -----------------------------------------------------------------------------------------


def train(
    config: TableConfig | Mapping[str, Any],
    data: TrainingData,
    folder: Path,
    *,
    weights: Path | None = None,
    report: Sequence[str] | None = None,
    device: str | None = None,
    say: Log = print,
) -> TrainedTable:
    """Train a model; in a folder where the same run was interrupted, go on from its last checkpoint.

    weights: of the towers, in place of those that the configuration names. report: where figures are
    sent besides `history`: "tensorboard", "wandb"; None: what is installed. device: "cpu" keeps off GPUs.
    The result is the checkpoint with the best R@1 on `data.validation`, saved as `folder/model`.
    """
    found: TableConfig = config if isinstance(config, TableConfig) else from_dict(TableConfig, config)
    if len(data.train) + len(data.validation) < MIN_VIDEOS or len(data.train) < 2 or not data.validation:
        raise BadConfig(
            f"{len(data.train)} videos to learn from and {len(data.validation)} to validate with "
            f"are too few; caption {MIN_VIDEOS} videos or more"
        )
    arguments = training.training_arguments(folder, found.train, device)
    rows = [(row.key, row.texts, row.tags) for row in (*data.train, *data.validation)]
    about = {"config": as_dict(found), "data": digest(rows)}
    first = say if arguments.process_index == 0 else training.silent
    checkpoint = training.claim_run_folder(about, folder, saving.CONFIG, first, "videos, captions or tags")

    torch.manual_seed(found.train.seed)
    clip_weights = weights or initial_weights(found.train.weights)
    tokenizer = Tokenizer.beside(clip_weights)
    model = Table.build(found.model, clip_weights)
    if found.train.checkpointing:
        model.checkpoint()
    if found.train.compile:
        model.visual.compile()  # texts come in too many lengths to be worth it

    trainer = TableTrainer(model, arguments, found, data, tokenizer, say=say)
    trainer.report_to(folder / TENSORBOARD, available_loggers() if report is None else report)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    validation = evaluate_model(model, data.validation, data.frames, tokenizer)
    history = trainer.state.log_history
    fingerprint = ""
    if trainer.is_world_process_zero():
        results = {f"validation_{key}": value for key, value in _figures(validation).items()}
        fingerprint = saving.save_pretrained(model, folder / MODEL, tokenizer, results=results)
        write_atomic(folder / "history.json", json.dumps(history, indent=1) + "\n")
        plot_losses(history, folder / "curve.png", LOSS_CURVES, RANK_CURVES)
    trainer.accelerator.wait_for_everyone()
    return TrainedTable(model, tokenizer, validation, history, folder / MODEL, fingerprint)


def _figures(found: Evaluation) -> dict[str, float]:
    ways = (("t2v", found.t2v), ("v2t", found.v2t))
    return {
        f"{way}_{name}": getattr(m, name) for way, m in ways for name in ("r1", "r5", "r10", "mdr", "mnr")
    }
