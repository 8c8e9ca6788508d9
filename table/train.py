"""Training of TABLE: from a library to a folder that holds the best model on validation videos."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainingArguments

from tagline.experts.storage import write_atomic
from tagline.table import rows as catalog_rows
from tagline.table import saving
from tagline.table.config import TableConfig
from tagline.table.data import TableDataset, TrainingData, collate
from tagline.table.encoders import architecture
from tagline.table.evaluate import evaluate_model
from tagline.table.frame_cache import FrameCache
from tagline.table.model import Table
from tagline.table.ranking import Evaluation
from tagline.table.tokenizer import Tokenizer
from tagline.tagging.ml import trainer as training
from tagline.tagging.ml.config import BadConfig, as_dict, digest, from_dict
from tagline.tagging.ml.distributed import world
from tagline.tagging.ml.result import TrainResult, own_folder
from tagline.tagging.ml.sampler import EpochBatchSampler
from tagline.tagging.ml.splits import subset
from tagline.tagging.ml.trainer import (
    MODEL,
    TENSORBOARD,
    BaseTrainer,
    Log,
    NonFinite,
    available_loggers,
    plot_losses,
)

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog


LOSS_PARTS = ("contrastive", "vtm", "mlm")
LARGEST_SCALE = math.log(100)  # CLIP's bound on 1/τ


class TableTrainer(BaseTrainer):
    """Trainer whose batches, losses, validation and checkpoints are those of TABLE."""

    setting_to_lower = "lr_fusion and lr_towers"

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
        sampler = EpochBatchSampler(counts, train.batch, train.share, train.seed, *world())
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

    def extra_logs(self) -> dict[str, float]:
        found = {"temperature": 1 / math.exp(self.table.logit_scale.item())}
        if self.table.residual is not None:
            found["lambda"] = self.table.residual.item()
        return found

    def log_line(self, progress: str, logs: Mapping[str, float]) -> str:
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
    """Clamps 1/τ to at most 100, as CLIP does: beyond, cosines in half precision drown in their rounding."""

    def __init__(self, model: Table) -> None:
        self.model = model

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=LARGEST_SCALE)


LOSS_CURVES = (("loss", "sum"), ("contrastive", "contrastive"), ("vtm", "VTM"), ("mlm", "MLM"))
RANK_CURVES = (
    ("eval_r1", "R@1 text to video"),
    ("eval_v2t_r1", "R@1 video to text"),
    ("eval_r10", "R@10 text to video"),
)

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
    own = catalog_rows.rows(catalog, model.tags, "val", train.protocol)
    whole = subset(catalog_rows.rows(catalog, model.tags, "train", train.protocol), most)
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
        whole, own = catalog_rows.split_validation(whole, train.validation, train.validation_most, train.seed)
    return TrainingData(whole, own, frames, left_out)


def initial_weights(name: str | None) -> Path | None:
    """The file of the towers' first weights. Raises WeightsMissing, which names the command to run."""
    if name is None:
        return None
    from tagline.experts.weights.registry import find

    return find(name).model


def train_library(
    catalog: Catalog,
    config: TableConfig,
    preset: str = "msrvtt",
    out: str | os.PathLike[str] | None = None,
    *,
    device: str | None = None,
    say: Log = print,
) -> TrainResult:
    """Train on a library's captions; the model goes into `out`, by default beside the catalog.

    preset: what the default folder is called after. Raises BadConfig, WeightsMissing, NonFinite.
    """
    weights = initial_weights(config.train.weights)  # before hours of decoding
    folder = own_folder(catalog, f"table-{preset}", out)
    data = load_training_data(catalog, config, say=say)
    outcome = train(config, data, folder, weights=weights, device=device, say=say)
    return TrainResult(outcome.folder, _figures(outcome.validation), tuple(data.left_out), outcome)


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
        plot_losses(history, folder / "losses.png", LOSS_CURVES, RANK_CURVES)
    trainer.accelerator.wait_for_everyone()
    return TrainedTable(model, tokenizer, validation, history, folder / MODEL, fingerprint)


def _figures(found: Evaluation) -> dict[str, float]:
    ways = (("t2v", found.t2v), ("v2t", found.v2t))
    return {
        f"{way}_{name}": getattr(m, name) for way, m in ways for name in ("r1", "r5", "r10", "mdr", "mnr")
    }
