"""`generator-decoding`: drafted decoding against greedy with a cache, and both against a classifier."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagging.generator.data import Collator, Example
    from tagging.generator.decoding import Decoding, Written
    from tagging.generator.methods import Model

PAPER_TIMES_CLASSIFIER = 13.6  # 450 s against 33 s, supplement of OP-TSG


def measure(options: dict[str, str]) -> dict[str, Any]:
    """model=FOLDER, or trained here first: preset=paper epochs=3 train=N videos=N batch=8 runs=3 seed=0.

    The videos are those of msrvtt-words (titles alone). `set.KEY=VALUE` changes the configuration.
    """
    import torch

    from benchmarks.msrvtt_words import read_annotations, settings, split_rows
    from benchmarks.taggers import varied
    from tagging.generator.decoding import Drafted, Greedy
    from tagging.generator.methods import build, collator
    from tagging.generator.model import Tagger

    rows = split_rows(read_annotations(options))
    held = rows["validate"][: int(options.get("videos", "497"))]
    seed, batch, runs = (int(options.get(k, d)) for k, d in (("seed", "0"), ("batch", "8"), ("runs", "3")))
    config = varied(settings({"preset": "paper", **options}), {}, seed)
    model, make = _tagger(options, config, rows["train"][: int(options.get("train", "7000"))], held)
    assert isinstance(model, Tagger)
    asl = replace(model.settings, method="asl")
    classifier = build(asl, model.words, model.tags, torch.zeros(len(model.tags) + 1, asl.tag_width)).eval()
    classifier.to(next(model.parameters()).device)

    greedy, greedy_seconds = _decode(model, make, held, Greedy(), batch, runs)
    drafted, drafted_seconds = _decode(model, make, held, Drafted(), batch, runs)
    class_seconds = _classify(classifier, collator(classifier), held, batch, runs)
    same, ties = _compare(greedy, drafted)
    values = {
        "videos": len(held),
        "equal": same,
        "ties": ties,
        "different": len(held) - same - ties,
        "passes_ratio": round(sum(w.passes for w in drafted) / sum(w.passes for w in greedy), 4),
        "wall_ratio": round(drafted_seconds / greedy_seconds, 4),
        "times_classifier": round(drafted_seconds / class_seconds, 2),
        "greedy_times_classifier": round(greedy_seconds / class_seconds, 2),
        "paper_times_classifier": PAPER_TIMES_CLASSIFIER,
        "words_a_video": round(sum(len(ids) for w in greedy for ids in w.words) / len(held), 2),
    }
    c = model.settings
    sizes = {"prompts": c.prompts, "decoder_layers": c.decoder_layers, "width": c.width, "batch": batch}
    threads = {"threads": torch.get_num_threads(), "device": str(next(model.parameters()).device)}
    return {"values": values, "configuration": {**sizes, **threads, "runs": runs}, "seeds": [seed]}


def _tagger(
    options: dict[str, str], config: Any, train_rows: Sequence[Example], held: Sequence[Example]
) -> tuple[Model, Collator]:
    from tagging.generator.data import Examples
    from tagging.generator.saving import from_pretrained
    from tagging.generator.train import train
    from tagging.training import to_stderr

    if "model" in options:
        trained = from_pretrained(Path(options["model"]))
    else:
        kept = options.get("out")
        with tempfile.TemporaryDirectory() as folder:
            target = Path(kept) if kept else Path(folder) / "run"
            examples = Examples(list(train_rows), list(held))
            trained = train(config, examples, target, report=(), say=to_stderr).trained
    return trained.model.eval(), trained.collator()


def _decode(
    model: Any, make: Collator, examples: Sequence[Example], decoding: Decoding, batch: int, runs: int
) -> tuple[list[Written], float]:
    """What was written, batch by batch, and the median seconds for encoding and decoding all."""
    import torch

    device = next(model.parameters()).device

    def once() -> list[Written]:
        with torch.no_grad():
            return [decoding(model, model.see(make.batch(some).to(device))) for some in _cut(examples, batch)]

    return once(), _median(once, runs, device)


def _classify(model: Any, make: Collator, examples: Sequence[Example], batch: int, runs: int) -> float:
    import torch

    device = next(model.parameters()).device

    def once() -> None:
        with torch.no_grad():
            for some in _cut(examples, batch):
                model.classify(model.see(make.batch(some).to(device)))

    once()
    return _median(once, runs, device)


def _cut(examples: Sequence[Example], batch: int) -> list[Sequence[Example]]:
    return [examples[start : start + batch] for start in range(0, len(examples), batch)]


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
    greedy: Sequence[Written], drafted: Sequence[Written], tolerance: float = 1e-4
) -> tuple[int, int]:
    """Videos written alike, and those that differ where two words were equally likely but for rounding."""
    same = ties = 0
    for plain, fast in zip(greedy, drafted, strict=True):
        for ids, other, margin in zip(plain.words, fast.words, plain.margins, strict=True):
            same += ids == other
            ties += ids != other and margin < tolerance
    return same, ties
