"""A world of coloured squares: what a video shows, says and is tagged with is known.

Its `main` trains on it and writes losses.json: for tests that need another process, see processes.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from processes import die_at, logged, write_losses
from shaking import install

from tagline.table.config import TableConfig, TableTrainConfig
from tagline.table.data import TrainingData
from tagline.table.frame_cache import FramesInMemory
from tagline.table.rows import Row
from tagline.table.train import TrainedTable, train

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (230, 230, 230)}
TOPICS = ("cooking", "music", "sports", "news", "travel", "science")  # heard, never seen


def world(videos: int = 24, texts: int = 4, seed: int = 0) -> tuple[list[Row], FramesInMemory]:
    """Videos of three frames: a colour can be seen, a topic is only in the tags."""
    rng = np.random.default_rng(seed)
    rows, frames = [], {}
    names = list(COLOURS)
    for i in range(videos):
        colour, topic = names[i % len(names)], TOPICS[(i // len(names)) % len(TOPICS)]
        noise = rng.integers(0, 20, (3, 3, 16, 16))
        frames[f"k{i}"] = (np.array(COLOURS[colour])[None, :, None, None] + noise).astype(np.uint8)
        forms = (
            f"a {colour} square about {topic}",
            f"{topic} in {colour}",
            f"{colour} {topic}",
            f"see {topic}, {colour}",
        )
        said = tuple(form.format(colour, topic) for form in forms[:texts])
        rows.append(Row(f"/videos/v{i}.mp4", f"k{i}", said, f"square, {topic}"))
    return rows, FramesInMemory(frames)


def data(seed: int = 0) -> TrainingData:
    rows, frames = world(seed=seed)
    return TrainingData(rows[:18], [replace(row, texts=row.texts[:1]) for row in rows[18:]], frames)


def config(**changes: object) -> TableConfig:
    from table_fakes import tiny

    settings = TableTrainConfig(
        weights=None, epochs=2, batch=8, share=2, lr_towers=2e-3, lr_fusion=2e-3, evaluations=2, bf16=False
    )
    return TableConfig(tiny(text_length=10, tag_length=8), replace(settings, **changes))  # type: ignore[arg-type]


def run(folder: Path, changes: dict[str, object] | None = None) -> TrainedTable:
    return train(config(**(changes or {})), data(), folder, report=(), device="cpu", say=lambda _: None)


def losses(history: list[dict[str, float]]) -> dict[int, dict[str, float]]:
    """What was logged of each step: losses and validation figures, without times."""
    return logged(history, ("loss", "contrastive", "vtm", "mlm", "eval_r1", "eval_mnr", "grad_norm"))


class Work:
    """What a worker of a cluster does: one epoch with the others, the losses as the result."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self) -> dict[str, object]:
        outcome = run(Path(self.folder), {"epochs": 1})
        return {"losses": {str(step): kept for step, kept in losses(outcome.history).items()}}


def main(words: list[str]) -> None:
    """words: a folder to train in, and die=STEP."""
    install()
    folder = Path(words[0])
    if len(words) > 1:
        from tagline.table.train import TableTrainer

        die_at(int(words[1].partition("=")[2]), TableTrainer)
    write_losses(folder, losses(run(folder).history))
