"""Training a tagger: from examples to a folder that holds the best model on held-out videos."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tagline.experts import weights
from tagline.experts.stock.digest import write_atomic
from tagline.tagging import training
from tagline.tagging.configuring import BadConfig, as_dict, digest, from_dict
from tagline.tagging.curve import plot_losses
from tagline.tagging.gathering import world
from tagline.tagging.generator import language, saving
from tagline.tagging.generator.config import TaggerRunConfig
from tagline.tagging.generator.data import Examples, tag_table
from tagline.tagging.generator.fitting import fit_score_calibration
from tagline.tagging.generator.hinting import Retriever
from tagline.tagging.generator.methods import predict_all
from tagline.tagging.generator.model import Tagger, TaggingModel
from tagline.tagging.generator.saving import SavedTagger
from tagline.tagging.generator.starting import word_meanings, init_frames, init_words
from tagline.tagging.generator.titles import load_title_bert, bert_tokenizer
from tagline.tagging.generator.trainer import TaggerTrainer, score_predictions
from tagline.tagging.generator.words import TagTokenizer
from tagline.tagging.neighbours.advising import MemoryRetriever
from tagline.tagging.neighbours.views import ViewEncoder
from tagline.tagging.scoring import PrecisionRecall
from tagline.tagging.training import TENSORBOARD, MODEL, Log, available_loggers

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
    embedded = language.embed_tags(tags, settings.language, collection=settings.collection)
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
        model.fit_after_training(model.see(some))
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
        plot_losses(history, folder / "curve.png", LOSSES, FIGURES, "share")
    trainer.accelerator.wait_for_everyone()
    return TaggerTrainingResult(trained, scores, history, folder / MODEL, fingerprint)


def _memory(config: TaggerRunConfig, examples: Examples, device: str) -> MemoryRetriever:
    """Who tells the tagger of similar videos. It knows the training split alone."""
    c, t = config.model, config.train
    # Titles and frames compare only in the space of the towers that made the frames.
    named = (t.towers or weights.for_expert("appearance", t.collection)) if examples.frames_by else None
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
        beside = path.with_suffix(".part")
        words.save(beside)
        beside.replace(path)
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
