"""A world in which tags can be learned: titles name one tag, frames show the others.

Its `main` trains on it and writes losses.json: for tests that need another process, see processes.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from processes import die_at, logged, write_losses
from shaking import install, shaken

from tagline.tagging.generator.config import TaggerConfig, TaggerRunConfig, TaggerTrainConfig
from tagline.tagging.generator.train import TaggerTrainingResult, train
from tagline.tagging.ml.data import Example, Examples, Frames

SEEN = ("beach", "red car", "dog", "snow man", "guitar")
NAMED = ("paris", "rome", "t-shirt")
WIDTH = 12


def from_lists(
    titles: Sequence[str],
    tags: Sequence[Sequence[str]],
    frames: Sequence[Frames | None] | None = None,
    names: Sequence[str] | None = None,
) -> list[Example]:
    """Examples from lists of equal length."""
    names = names or [str(i) for i in range(len(titles))]
    frames = frames if frames is not None else [None] * len(titles)
    return [
        Example(name, name, title, tuple(dict.fromkeys(own)), seen)
        for name, title, own, seen in zip(names, titles, tags, frames, strict=True)
    ]


def world(videos: int = 48, seed: int = 0) -> list[Example]:
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(len(SEEN), WIDTH))
    found = []
    for i in range(videos):
        shown = rng.choice(len(SEEN), rng.integers(1, 3), replace=False)
        named = NAMED[int(rng.integers(len(NAMED)))]
        frames = directions[shown].sum(0) + 0.1 * rng.normal(size=(3, WIDTH))
        tags = (*(SEEN[n] for n in shown), named)
        seen = shaken(frames.astype(np.float32))
        found.append(Example(f"/videos/v{i}.mp4", f"k{i}", f"a day in {named}", tags, seen))
    return found


def examples() -> Examples:
    rows = world()
    return Examples(rows[:40], rows[40:])


def config(changes: dict[str, object] | None = None, **train_changes: object) -> TaggerRunConfig:
    model = TaggerConfig(
        frame_width=WIDTH, width=32, heads=4, title_layers=1, hybrid_layers=1, prompt_layers=1,
        decoder_layers=2, dropout=0.1, prompts=5, frames=4, title_words=8, target_words=32,
    )  # fmt: skip
    settings = TaggerTrainConfig(
        language="letters", vocabulary=200, epochs=2, batch=8, lr=3e-3, evaluations=2, bf16=False
    )
    return TaggerRunConfig(replace(model, **(changes or {})), replace(settings, **train_changes))  # type: ignore[arg-type]


def run(
    folder: Path, changes: dict[str, object] | None = None, **train_changes: object
) -> TaggerTrainingResult:
    return train(
        config(changes, **train_changes), examples(), folder, report=(), device="cpu", say=lambda _: None
    )


def losses(history: list[dict[str, float]]) -> dict[int, dict[str, float]]:
    """What was logged of each step: losses and validation figures, without times."""
    return logged(history, ("loss", "contrast", "generation", "class", "eval_f1", "grad_norm"))


def main(words: list[str]) -> None:
    """words: a folder to train in, and die=STEP or "still"."""
    install()
    folder, *more = words
    changes: dict[str, object] = {}
    if more and more[0].startswith("die="):
        from tagline.tagging.generator.train import TaggerTrainer

        die_at(int(more[0].partition("=")[2]), TaggerTrainer)
    elif more:  # chance differs between processes: dropout must be off to compare them
        changes = {"dropout": 0.0}
    write_losses(Path(folder), losses(run(Path(folder), changes).history))
