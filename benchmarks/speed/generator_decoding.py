"""`generator-decoding`: speculative decoding against greedy with a cache, and both against a classifier.

The tagger is trained here on the titles of msrvtt-words: the paper's 30 prompts and 12 decoder layers, but
narrower, so that minutes of a CPU train it far enough for its prompts to mean something. It is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagline.tagging.generator.data import TaggerCollator
    from tagline.tagging.generator.decoding import DecodedTags, Decoding
    from tagline.tagging.generator.encoder import EncodedBatch
    from tagline.tagging.generator.model import TaggingModel
    from tagline.tagging.generator.saving import SavedTagger
    from tagline.tagging.ml.data import Example

PAPER_TIMES_CLASSIFIER = 13.6  # 450 s against 33 s, supplement of OP-TSG
# Of the preset `paper`: its width of 768 is a matter of hours on a CPU, its depth and prompts are kept.
NARROW = {
    "width": 128,
    "heads": 4,
    "title_layers": 2,
    "hybrid_layers": 2,
    "prompt_layers": 2,
    "vocabulary": 2500,
    "batch": 32,
    "lr": 1e-3,
    "epochs": 3,
}
TOGETHER = 64  # videos that are also decoded `batch` at a time
GROUPS = 8  # batches are encoded at once


def measure(options: dict[str, str]) -> dict[str, Any]:
    """model=FOLDER, or trained here first: epochs=3 train=N videos=N batch=8 runs=2 seed=0 set.KEY=VALUE.

    preset=paper is the paper in full, width included. One video is decoded at a time, as by the expert;
    wall_ratio_batch is of `batch` videos at a time.
    """
    import torch

    from tagline.benchmarks.baselines.classifier import TagClassifier
    from tagline.benchmarks.baselines.config import as_baseline
    from tagline.benchmarks.quality.msrvtt_words import read_annotations, split_rows
    from tagline.tagging.generator.decoding import Greedy, Speculative
    from tagline.tagging.generator.model import Tagger

    rows = split_rows(read_annotations(options))
    cached = rows["validate"][: int(options.get("videos", "497"))]
    seed, batch, runs = (int(options.get(k, d)) for k, d in (("seed", "0"), ("batch", "8"), ("runs", "2")))
    trained = _trained(options, seed, rows["train"][: int(options.get("train", "7000"))], cached)
    model, make = trained.model.eval(), trained.collator()
    assert isinstance(model, Tagger)
    classifier = TagClassifier(as_baseline(model.settings, method="asl"), model.tokenizer, model.tags).eval()
    classifier.to(next(model.parameters()).device)

    greedy, greedy_seconds = _decode(model, make, cached, Greedy(1), 1, runs)
    speculative, speculative_seconds = _decode(model, make, cached, Speculative(at_once=1), 1, runs)
    class_seconds = _classify(classifier, classifier.collator(), cached, 1, runs)
    some = cached[:TOGETHER]
    _, greedy_batch = _decode(model, make, some, Greedy(batch), batch, runs)
    _, speculative_batch = _decode(model, make, some, Speculative(at_once=batch), batch, runs)
    same, ties = _compare(greedy, speculative)
    values = {
        "videos": len(cached),
        "equal": same,
        "ties": ties,
        "different": len(cached) - same - ties,
        "passes_ratio": round(sum(w.passes for w in speculative) / sum(w.passes for w in greedy), 4),
        "wall_ratio": round(speculative_seconds / greedy_seconds, 4),
        "wall_ratio_batch": round(speculative_batch / greedy_batch, 4),
        "times_classifier": round(speculative_seconds / class_seconds, 2),
        "greedy_times_classifier": round(greedy_seconds / class_seconds, 2),
        "paper_times_classifier": PAPER_TIMES_CLASSIFIER,
        "words_a_video": round(sum(len(ids) for w in greedy for ids in w.words) / len(cached), 2),
        "passes_a_video": round(sum(w.work for w in speculative) / len(cached), 2),
        "validation_f1": round(float(trained.results.get("validation_example_f1", 0.0)), 4),
    }
    c = model.settings
    sizes = {"prompts": c.prompts, "decoder_layers": c.decoder_layers, "width": c.width, "batch": batch}
    threads = {"threads": torch.get_num_threads(), "device": str(next(model.parameters()).device)}
    return {"values": values, "configuration": {**sizes, **threads, "runs": runs}, "seeds": [seed]}


def _trained(
    options: dict[str, str], seed: int, train_rows: Sequence[Example], held_out: Sequence[Example]
) -> SavedTagger:
    """The tagger: out of a folder, as it was kept, or trained now; an interrupted training goes on."""
    from tagline.benchmarks.quality.taggers import TaggerData, base, varied
    from tagline.benchmarks.registry import cache
    from tagline.tagging.generator.saving import CONFIG, from_pretrained
    from tagline.tagging.generator.train import train
    from tagline.tagging.ml.config import as_dict, digest
    from tagline.tagging.ml.data import Examples
    from tagline.tagging.ml.trainer import MODEL, to_stderr

    if "model" in options:
        return from_pretrained(Path(options["model"]))
    config = varied(base(options, "paper", NARROW), {"use_frames": False}, seed)
    code = cache.code_fingerprint("tagline.tagging.generator", "tagline.tagging.ml")
    key = digest(as_dict(config), TaggerData(train_rows, held_out, ()).digest(), code)
    folder = cache.folder("generator-decoding") / key[:32]
    if not (folder / MODEL / CONFIG).is_file():
        return train(
            config, Examples(list(train_rows), list(held_out)), folder, report=(), say=to_stderr
        ).trained
    return from_pretrained(folder / MODEL)


def _decode(
    model: Any, make: TaggerCollator, examples: Sequence[Example], decoding: Decoding, batch: int, runs: int
) -> tuple[list[DecodedTags], float]:
    """What was written, group by group, and the median seconds for encoding and decoding all."""
    import torch

    found: list[DecodedTags] = []

    def once() -> None:
        with torch.no_grad():
            found[:] = [decoding(model, seen) for seen in _seen(model, make, examples, batch)]

    return found, _median(once, runs, next(model.parameters()).device)


def _classify(model: Any, make: TaggerCollator, examples: Sequence[Example], batch: int, runs: int) -> float:
    import torch

    def once() -> None:
        with torch.no_grad():
            for seen in _seen(model, make, examples, batch):
                model.predict(seen)

    return _median(once, runs, next(model.parameters()).device)


def _seen(
    model: TaggingModel, make: TaggerCollator, examples: Sequence[Example], batch: int
) -> list[EncodedBatch]:
    """Encoded alike for all: in groups, from which a decoding takes `batch` at a time."""
    device = next(model.parameters()).device
    size = batch * GROUPS
    groups = [examples[start : start + size] for start in range(0, len(examples), size)]
    return [model.encode(make.batch(list(group)).to(device)) for group in groups]


def _median(once: Callable[[], object], runs: int, device: Any) -> float:
    import torch

    seconds = []
    for _ in range(runs):
        begun = time.perf_counter()
        once()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return median(seconds)


def _compare(
    greedy: Sequence[DecodedTags], speculative: Sequence[DecodedTags], tolerance: float = 1e-4
) -> tuple[int, int]:
    """Videos written alike, and those that differ where two words were equally likely but for rounding."""
    same = ties = 0
    for plain, fast in zip(greedy, speculative, strict=True):
        for ids, other, margin in zip(plain.words, fast.words, plain.smallest_margins, strict=True):
            same += ids == other
            ties += ids != other and margin < tolerance
    return same, ties
