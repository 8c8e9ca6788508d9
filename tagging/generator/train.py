"""Training of a tagger: from a library to a folder that holds the best model on validation videos."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import TrainingArguments

from tagline.experts.devices import choose_device
from tagline.experts.storage import open_atomic, write_atomic
from tagline.experts.weights import registry
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.generator import saving
from tagline.tagging.generator.config import TaggerRunConfig
from tagline.tagging.generator.data import Retriever, Said, TaggerCollator, from_catalog
from tagline.tagging.generator.encoder import TaggerBatch
from tagline.tagging.generator.init import (
    bert_tokenizer,
    init_frames,
    init_words,
    load_title_bert,
    word_meanings,
)
from tagline.tagging.generator.model import Tagger, TaggingModel
from tagline.tagging.generator.predict import fit_score_calibration, predict_all
from tagline.tagging.generator.saving import SavedTagger
from tagline.tagging.ml import text_embedding
from tagline.tagging.ml import trainer as training
from tagline.tagging.ml.config import BadConfig, as_dict, digest, from_dict
from tagline.tagging.ml.data import Example, ExampleDataset, Examples, tag_table
from tagline.tagging.ml.distributed import world
from tagline.tagging.ml.metrics import PrecisionRecall, example_based, label_based, tag_sets
from tagline.tagging.ml.result import TrainResult, own_folder
from tagline.tagging.ml.sampler import EpochBatchSampler
from tagline.tagging.ml.tokenizer import TagTokenizer
from tagline.tagging.ml.trainer import (
    MODEL,
    TENSORBOARD,
    BaseTrainer,
    Log,
    NonFinite,
    available_loggers,
    plot_losses,
)
from tagline.tagging.neighbours.retriever import MemoryRetriever
from tagline.tagging.neighbours.views import ViewEncoder

PARTS = ("contrast", "label", "generation", "class")


class TaggerTrainer(BaseTrainer):
    """Trainer whose batches, losses, validation and checkpoints are those of taggers."""

    setting_to_lower = "lr"

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
        each_once = [1] * len(examples.train)
        batches = EpochBatchSampler(each_once, train.batch, 1, train.seed, *world())
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
        odd = odd | ~torch.isfinite(self.tagger.encode(batch).features).flatten(1).all(1)
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

    def log_line(self, progress: str, logs: Mapping[str, float]) -> str:
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


FITTED = 64  # validation videos on which a model that has learned is fitted
FEWEST = 4  # videos: two to learn from, one to validate with, and one to spare
LOSSES = (
    ("loss", "sum"),
    ("generation", "generation"),
    ("contrast", "prompt-tag contrast"),
    ("label", "prompt labels"),
    ("class", "classes"),
)
FIGURES = (
    ("eval_f1", "F1 over videos"),
    ("eval_label_f1", "F1 over tags"),
    ("eval_rare_f1", "F1 over rare tags"),
)


@dataclass(frozen=True, slots=True)
class TaggerTrainingResult:
    """What came of a run: the best tagger on the validation videos, and how it got there."""

    trained: SavedTagger
    validation: dict[str, PrecisionRecall]  # "full", "rare", "common", "example"
    history: list[dict[str, Any]]  # what was logged: losses, rates, figures, by step
    folder: Path  # the saved tagger
    fingerprint: str


def train(
    config: TaggerRunConfig | Mapping[str, Any],
    examples: Examples,
    folder: Path,
    *,
    make_model: Callable[..., TaggingModel] = Tagger,
    retriever: Retriever | None = None,
    report: Sequence[str] | None = None,
    device: str | None = None,
    say: Log = print,
) -> TaggerTrainingResult:
    """Train a tagger; in a folder where the same run was interrupted, go on from its last checkpoint.

    make_model: from (configuration, words, tags, tag vectors, frequencies) to a model with first weights.
    retriever: who knows the training videos, for a model that is told tags of similar ones; where the
    configuration says `retrieved`, a memory of them is made and saved with the tagger.
    report: where figures are sent besides `history`: "tensorboard", "wandb"; None: what is installed.
    device: "cpu" keeps off GPUs. The result is the checkpoint with the best mean of F1 by videos
    and by tags on `examples.validation`, saved as `folder/model`.
    """
    found: TaggerRunConfig = (
        config if isinstance(config, TaggerRunConfig) else from_dict(TaggerRunConfig, config)
    )
    settings = found.train
    tags, frequency = tag_table(examples.train, settings.least)
    _check_enough(examples, tags, settings.least)
    arguments = training.training_arguments(folder, settings, device)
    first = arguments.process_index == 0
    data = [(one.key, one.title, one.tags) for one in (*examples.train, *examples.validation)]
    run = {"config": as_dict(found), "data": digest(data, examples.frames_by)}
    tell = say if first else training.silent
    checkpoint = training.claim_run_folder(run, folder, saving.CONFIG, tell, "videos, titles or tags")

    words = _words(found, examples, tags, folder, first)
    embedded = text_embedding.embed_tags(tags, settings.language, collection=settings.collection)
    vectors = torch.from_numpy(embedded.values)
    torch.manual_seed(settings.seed)
    model = make_model(
        _with_data_widths(found, examples, vectors.shape[1]).model, words, tags, vectors, frequency
    )
    meant = word_meanings(words, settings.language, settings.collection)
    init_words(model, meant, titles=settings.title_weights is None)
    init_frames(model, examples.train)
    if settings.title_weights is not None:
        load_title_bert(model.encoder.title_encoder, settings.title_weights)
    memory = None
    if found.model.retrieved and retriever is None:
        memory = _memory(found, examples, arguments.device.type)
    make = model.collator(retriever or memory)

    trainer = TaggerTrainer(model, arguments, found, examples, make, say)
    trainer.report_to(folder / TENSORBOARD, available_loggers() if report is None else report)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    said = predict_all(model, make, examples.validation, batch=settings.batch)
    model.eval()
    with torch.no_grad():
        some = make.batch(examples.validation[:FITTED]).to(arguments.device)
        model.fit_after_training(model.encode(some))
    scores = score_predictions(examples.train, examples.validation, said)
    trained = SavedTagger(
        model,
        frequency,
        fit_score_calibration(said, examples.validation),
        settings.towers,
        examples.frames_by,
        embedded.identity,
        {f"validation_{name}_f1": value.f1 for name, value in scores.items()},
        memory,
    )
    history = trainer.state.log_history
    fingerprint = ""
    if trainer.is_world_process_zero():
        fingerprint = saving.save_pretrained(trained, folder / MODEL)
        write_atomic(folder / "history.json", json.dumps(history, indent=1) + "\n")
        plot_losses(history, folder / "losses.png", LOSSES, FIGURES, "share")
    trainer.accelerator.wait_for_everyone()
    return TaggerTrainingResult(trained, scores, history, folder / MODEL, fingerprint)


def train_library(
    catalog: Catalog,
    config: TaggerRunConfig,
    preset: str = "small",
    out: str | os.PathLike[str] | None = None,
    *,
    device: str | None = None,
    say: Log = print,
) -> TrainResult:
    """Train on the tags that people gave a library's videos; `tagline tag` uses the tagger from then on.

    The model goes into `out`, by default beside the catalog, called after its preset. Raises BadConfig,
    WeightsMissing, NonFinite.
    """
    folder = own_folder(catalog, f"tagger-{preset}", out)
    examples = from_catalog(catalog, config, choose_device(device or "auto"))
    outcome = train(config, examples, folder, device=device, say=say)
    saving.install_tagger(outcome.folder)
    return TrainResult(outcome.folder, outcome.trained.results, tuple(examples.left_out), outcome)


def _memory(config: TaggerRunConfig, examples: Examples, device: str) -> MemoryRetriever:
    """Who tells the tagger of similar videos. It knows the training split alone."""
    c, t = config.model, config.train
    # Titles and frames compare only in the space of the towers that made the frames.
    named = (t.towers or registry.for_expert("appearance", t.collection)) if examples.frames_by else None
    viewer = ViewEncoder.open(t.language, named, collection=t.collection, device=device)
    return MemoryRetriever.from_examples(examples.train, viewer, neighbours=c.neighbours, most=c.retrieved)


def _check_enough(examples: Examples, tags: Sequence[str], least: int) -> None:
    own, held = len(examples.train), len(examples.validation)
    if own + held < FEWEST or own < 2 or not held:
        raise BadConfig(
            f"{own} videos to learn from and {held} to validate with are too few; tag {FEWEST} or more"
        )
    if not tags:
        raise BadConfig(f"no tag is used by {least} videos or more; lower least, or tag more videos")


def _words(
    config: TaggerRunConfig, examples: Examples, tags: Sequence[str], folder: Path, first: bool
) -> TagTokenizer:
    """The tokenizer of this run, made by the first process once and read by all, also when it goes on."""
    path = folder / saving.WORDS
    if first and not path.exists():
        if config.train.title_weights is not None:
            words = bert_tokenizer(config.train.title_weights)
        else:
            said = [tag for one in examples.train for tag in one.tags]
            words = TagTokenizer.train([one.title for one in examples.train], config.train.vocabulary, said)
        with open_atomic(path) as file:
            words.save(Path(file.name))
    if world()[1] > 1:
        dist.barrier()
    return TagTokenizer.load(path)


def _with_data_widths(config: TaggerRunConfig, examples: Examples, tag_width: int) -> TaggerRunConfig:
    """The configuration with the widths that the data has."""
    model = replace(config.model, tag_width=tag_width)
    if model.use_frames:
        widths = {one.frames.shape[1] for one in examples.train if one.frames is not None and len(one.frames)}
        if not widths:
            raise BadConfig("none of the videos has frame vectors; set use_frames=false to learn from titles")
        if len(widths) > 1:
            raise BadConfig(
                f"the videos have frame vectors of {len(widths)} different lengths; tag them again"
            )
        model = replace(model, frame_width=widths.pop())
    return replace(config, model=model)
