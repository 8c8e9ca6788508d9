"""The learning curve of a run as a picture: losses on the left, validation on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Series = Sequence[tuple[str, str]]  # (key of the history, what people call it)


def plot_losses(
    history: Sequence[Mapping[str, Any]], path: Path, losses: Series, figures: Series, unit: str = "%"
) -> None:
    """Write a PNG of what a trainer logged; `unit` is that of the figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (lines, title, label) in enumerate(
        ((losses, "Losses", "nats"), (figures, "Validation", unit)), start=1
    ):
        axes = figure.add_subplot(1, 2, place)
        for key, name in lines:
            points = [(entry["step"], entry[key]) for entry in history if key in entry]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, marker="." if place == 2 else None)
        axes.set(title=title, xlabel="step", ylabel=label)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=120)
