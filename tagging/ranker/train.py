"""Training of the ranker and of the classifier: the same towers, one of two objectives."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from tagline.experts.devices import choose_device
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.ml.calibration import Calibration, best_threshold, fit_calibration
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.ml.data import Example, tag_table
from tagline.tagging.ml.result import TrainResult, own_folder
from tagline.tagging.ml.text_embedding import embed_tags
from tagline.tagging.ml.tokenizer import TagTokenizer
from tagline.tagging.neighbours.snapshot import read_snapshot, training_and_validation
from tagline.tagging.neighbours.views import video_text
from tagline.tagging.ranker.config import RankerConfig
from tagline.tagging.ranker.data import TwoHopGraph, draw_negatives, width_of
from tagline.tagging.ranker.expert import install_ranker
from tagline.tagging.ranker.model import Ranker, classification_loss, contrastive_loss
from tagline.tagging.ranker.ranking import ScoredTags, TrainedRanker

EVALUATION_TAGS = (
    50  # tags of a validation video among which its own are looked for, to choose the checkpoint
)
CALIBRATION_TAGS = 20  # tags of a validation video on which calibration and threshold are fitted


def train(
    config: RankerConfig,
    learn: Sequence[Example],
    validation: Sequence[Example],
    *,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> TrainedRanker:
    """The best epoch on the validation videos, calibrated on them. The same seed gives the same ranker."""
    if len(learn) < 2 or not validation:
        raise BadConfig(
            f"{len(learn)} videos to learn from and {len(validation)} to validate with are too few"
        )
    torch.manual_seed(config.seed)
    made = _untrained(config, learn)
    model = made.model.to(device)
    number = {tag: i for i, tag in enumerate(made.tags)}
    tags = [[number[tag] for tag in one.tags if tag in number] for one in learn]
    graph = TwoHopGraph(tags, len(made.tags))
    vectors = torch.from_numpy(made.tag_vectors).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    steps = max(1, len(learn) // config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, _warmup_then_linear(steps * config.epochs, config.warmup)
    )
    rng = np.random.default_rng([config.seed, 7])
    best, reached = deepcopy(model.state_dict()), -1.0
    for epoch in range(1, config.epochs + 1):
        model.train()
        order = rng.permutation(len(learn))
        total = 0.0
        for step in range(steps):
            rows = order[step * config.batch : (step + 1) * config.batch].tolist()
            clips = made.collator([learn[i] for i in rows]).to(device)
            if config.objective == "classify":
                loss = classification_loss(model.logits(clips, vectors), *_positive_pairs(tags, rows, device))
            else:
                against = _negatives(graph, rows, config, rng).to(device)
                right = _positive_pairs(tags, rows, device)
                loss = contrastive_loss(
                    model.videos(clips), model.tags(vectors), model.scale, *right, against
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        made.index = None
        found = r_precision(best_tags(made, validation, EVALUATION_TAGS), validation)
        say(f"epoch {epoch}/{config.epochs}  loss {total / steps:.3f}  validation {found:.3f}")
        if found > reached:
            best, reached = deepcopy(model.state_dict()), found
    model.load_state_dict(best)
    model.eval()
    made.index = None
    made.results["validation_r_precision"] = reached
    set_calibration(made, best_tags(made, validation, CALIBRATION_TAGS), validation)
    return made


def best_tags(made: TrainedRanker, examples: Sequence[Example], most: int) -> list[ScoredTags]:
    """The best tags among all, by whichever objective the model was trained for."""
    if made.config.objective == "classify":
        return made.classify(examples, most=most)
    return made.rank(examples, most=most)


def r_precision(ranked: Sequence[ScoredTags], examples: Sequence[Example]) -> float:
    """R-precision: of as many of the best tags as a video has, the share that are its own; over videos."""
    shares = [
        len({tag for tag, _ in own[: len(one.tags)]}.intersection(one.tags)) / len(one.tags)
        for own, one in zip(ranked, examples, strict=True)
        if one.tags
    ]
    return float(np.mean(shares)) if shares else 0.0


def set_calibration(made: TrainedRanker, ranked: Sequence[ScoredTags], examples: Sequence[Example]) -> None:
    """Set the ranker's calibration and the score from which on a tag is said."""
    made.calibration, made.threshold = fit_calibration_and_threshold(ranked, examples)


def fit_calibration_and_threshold(
    ranked: Sequence[ScoredTags], examples: Sequence[Example]
) -> tuple[Calibration, float]:
    """The calibration of ranked tags, and the calibrated score of the best F1 over videos."""
    pairs = [(s, t in one.tags) for own, one in zip(ranked, examples, strict=True) for t, s in own]
    calibration = fit_calibration([score for score, _ in pairs], [right for _, right in pairs])
    videos = [
        ({tag: calibration(score) for tag, score in own}, one.tags)
        for own, one in zip(ranked, examples, strict=True)
    ]
    return calibration, best_threshold(videos)


def train_library(
    catalog: Catalog,
    config: RankerConfig,
    out: str | os.PathLike[str] | None = None,
    *,
    device: str | None = None,
    say: Callable[[str], None] = print,
) -> TrainResult:
    """Train on the tags that people gave a library's videos; `tagline tag` uses the ranker from then on.

    The model goes into `out`, by default beside the catalog. Raises BadConfig.
    """
    folder = own_folder(catalog, "ranker", out)
    learn, validation = training_and_validation(read_snapshot(catalog))
    made = train(config, learn, validation, device=choose_device(device or "auto"), say=say)
    made.model.cpu()
    made.save(folder)
    install_ranker(folder)
    return TrainResult(folder, {**made.results, "validation_videos": len(validation)}, (), made)


def _untrained(config: RankerConfig, learn: Sequence[Example]) -> TrainedRanker:
    """An untrained model for these examples."""
    tags, frequency = tag_table(learn)
    if not tags:
        raise BadConfig("none of the videos to learn from has a tag")
    words = TagTokenizer.train([video_text(one) for one in learn] + tags, config.vocabulary)
    embedded = embed_tags(tags, config.language, collection=config.collection)
    vectors = embedded.values[:-1]  # without [PAD]
    widths = width_of([one.frames for one in learn]), width_of([one.sound for one in learn])
    model = Ranker(config, *widths, len(words), vectors.shape[1], len(tags))
    return TrainedRanker(model, words, tags, vectors, frequency, widths, embedded.identity)


def _positive_pairs(tags: Sequence[Sequence[int]], rows: Sequence[int], device: str) -> tuple[Tensor, Tensor]:
    """The videos of a batch and their tags as pairs of numbers."""
    pairs = [(row, tag) for row, video in enumerate(rows) for tag in tags[video]]
    owners, right = zip(*pairs, strict=True) if pairs else ((), ())
    return torch.tensor(owners, dtype=torch.long, device=device), torch.tensor(
        right, dtype=torch.long, device=device
    )


def _negatives(
    graph: TwoHopGraph, rows: Sequence[int], config: RankerConfig, rng: np.random.Generator
) -> Tensor:
    """int [B, negatives], -1 where there are fewer."""
    found = torch.full((len(rows), config.negatives), -1)
    for row, video in enumerate(rows):
        drawn = draw_negatives(graph, video, config.negatives, rng, hard=config.hard)
        found[row, : len(drawn)] = torch.from_numpy(drawn)
    return found


def _warmup_then_linear(steps: int, warmup: float) -> Callable[[int], float]:
    """The learning rate over the steps: up, then down in a straight line."""
    rise = max(1, round(warmup * steps))
    return lambda step: min((step + 1) / rise, max(0.0, (steps - step) / max(steps - rise, 1)))
