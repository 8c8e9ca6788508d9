"""From a trained model to a folder of weights that the experts' own loaders read, with its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagline.benchmarks.registry import record
from tagline.experts import storage

APACHE = "Apache-2.0"
AGPL = "AGPL-3.0"  # as everything made with ultralytics


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """How a model came about, for its card."""

    seed: int
    data: str  # what it learned from, in words
    steps: int
    batch: int
    seconds: float  # of wall time


def export_weights(
    folder: Path,
    title: str,
    uses: Sequence[str],
    licence: str,
    course: TrainingFacts,
    figures: Mapping[str, float],
    notes: str = "",
) -> None:
    """Write entry.json, which makes the folder an entry of the weights table, and card.md."""
    names = [path.name for path in folder.iterdir() if path.suffix in (".json", ".safetensors")]
    files = {name: storage.hash_file(folder / name, fresh=True) for name in sorted(names)}
    files.pop("entry.json", None)
    for name in names:
        (folder / name).chmod(0o644)
    entry = {"uses": list(uses), "licence": licence, "sha256": files}
    (folder / "entry.json").write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    (folder / "card.md").write_text(_card(folder, title, uses, licence, course, figures, notes), "utf-8")


def _card(
    folder: Path,
    title: str,
    uses: Sequence[str],
    licence: str,
    course: TrainingFacts,
    figures: Mapping[str, float],
    notes: str,
) -> str:
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    lines = [
        f"# {title}",
        "",
        f"- serves: {', '.join(uses)}",
        f"- licence: {licence}",
        f"- made by: `tagline bench playhouse experts --only {folder.name} --seed {course.seed}`"
        f" at commit {record.commit() or 'unknown'}",
        f"- learned from: {course.data}",
        f"- course: {course.steps:,} steps of {course.batch}, {course.seconds / 60:.0f} minutes",
        f"- size: {size / 1e6:.1f} MB, half precision",
        "",
        "On validation seeds, which it did not learn from:",
        "",
        *(f"- {name}: {value}" for name, value in figures.items()),
    ]
    if notes:
        lines += ["", notes]
    return "\n".join(lines) + "\n"


def half_precision(model: Any) -> Any:
    """A copy in half precision, its whole numbers as they are."""
    import copy

    return copy.deepcopy(model).half()
