"""The learning curve of a run as a picture: losses on the left, ranks on held-out videos on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOSSES = (("loss", "sum"), ("contrastive", "contrastive"), ("vtm", "VTM"), ("mlm", "MLM"))
RANKS = (
    ("eval_r1", "R@1 text to video"),
    ("eval_v2t_r1", "R@1 video to text"),
    ("eval_r10", "R@10 text to video"),
)


def draw_curve(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG of what a trainer logged."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (lines, title, unit) in enumerate(
        ((LOSSES, "Losses", "nats"), (RANKS, "Validation", "%")), start=1
    ):
        axes = figure.add_subplot(1, 2, place)
        for key, label in lines:
            points = [(entry["step"], entry[key]) for entry in history if key in entry]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, marker="." if place == 2 else None)
        axes.set(title=title, xlabel="step", ylabel=unit)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=120)
