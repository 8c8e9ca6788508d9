"""A study's plots: recall by rank, paper against here, precision by score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tagline.benchmarks.papers.pages import tables_of
from tagline.benchmarks.papers.published import PaperTable, heading
from tagline.benchmarks.papers.summary import by_variant
from tagline.tagging.ml.calibration import reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_RANK = 100
PAPER, HERE = "#9aa5b1", "#1f6feb"


def draw(record: Mapping[str, Any], experiments: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Write the PNGs; returns their names with their files, in the order of the page."""
    files: dict[str, str] = {}
    variants = by_variant(experiments)
    if any(model == "table" for model, _ in variants):
        files["Recall by rank, text to video"] = _save(_recall(variants), folder / "recall.png")
    for table in tables_of(record):
        if any(variant in record["details"]["summary"] for variant in table.variants()):
            files[f"{table.title}: paper and here"] = _save(_bars(table, record), folder / f"{table.key}.png")
    if any(model == "tagger" for model, _ in variants):
        files["Precision by score"] = _save(_precision(variants), folder / "calibration.png")
    return files


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> str:
    figure.savefig(path, dpi=120)
    return path.name


def _recall(variants: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> Figure:
    """The share of texts whose video is among the first K, each seed thin, their mean thick; and luck."""
    figure = _figure(7, 4.2)
    axes = figure.add_subplot()
    candidates = 1
    for number, ((model, variant), own) in enumerate(variants.items()):
        if model != "table":
            continue
        candidates = max(candidates, own[0]["videos"]["test"])
        k = np.arange(1, min(MOST_RANK, candidates) + 1)
        curves = [
            [100 * np.mean(np.asarray(experiment["ranks"]["t2v"]) < each + 1) for each in k]
            for experiment in own
        ]
        for recall_by_rank in curves:
            axes.plot(k, recall_by_rank, color=f"C{number}", alpha=0.3, linewidth=1)
        axes.plot(k, np.mean(curves, axis=0), color=f"C{number}", linewidth=2, label=variant)
    k = np.arange(1, min(MOST_RANK, candidates) + 1)
    axes.plot(k, 100 * k / candidates, color="black", linestyle=":", label="luck", zorder=5)
    axes.set(xlabel="K", ylabel="R@K, %", ylim=(0, 102), title="Recall by rank, text to video")
    if candidates > 20:
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _bars(table: PaperTable, record: Mapping[str, Any]) -> Figure:
    """Every trained line of a table: the paper's figure and ours, with the spread over seeds."""
    summary = record["details"]["summary"]
    columns = ("t2v_r1", "t2v_r10") if table.model == "table" else _tag_columns(table)
    rows = [table_row for table_row in table.rows if table_row.variant in summary]
    figure = _figure(1.5 + 4.0 * len(columns), 1.4 + 0.55 * len(rows))
    for place, column in enumerate(columns, start=1):
        axes = figure.add_subplot(1, len(columns), place)
        at = table.columns.index(column)
        for row, line in enumerate(rows):
            summary_of = summary[line.variant]
            key = f"dual_{column}" if line.dual else column
            printed = line.figures[at]
            if printed is not None:
                axes.barh(row - 0.2, printed, 0.36, color=PAPER, label="paper" if row == 0 else None)
            spread = summary_of["spread"][key]
            label = "here" if row == 0 else None
            axes.barh(
                row + 0.2, summary_of["mean"][key], 0.36, xerr=spread, color=HERE, capsize=3, label=label
            )
        axes.set_yticks(range(len(rows)), [line.label for line in rows] if place == 1 else [""] * len(rows))
        axes.invert_yaxis()
        axes.set(xlabel=f"{heading(column)}, %", xlim=(0, None))
        axes.grid(axis="x", alpha=0.3)
        if place == 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(f"{table.title}: {table.caption}" + ("" if table.same_data else " (paper: other data)"))
    return figure


def _tag_columns(table: PaperTable) -> tuple[str, ...]:
    return tuple(c for c in ("full_f1", "rare_f1", "common_f1", "example_f1") if c in table.columns)[:3]


def _precision(variants: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> Figure:
    """Of the tags that were said with a score, how many were right; the closer to the diagonal the better."""
    figure = _figure(5, 4.2)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as it should be")
    for (model, variant), own in variants.items():
        if model != "tagger":
            continue
        pairs = [
            (score, tag in truth)
            for experiment in own
            for truth, scored in zip(experiment["truth"], experiment["said"], strict=True)
            for tag, score in scored
        ]
        found = reliability([score for score, _ in pairs], [right for _, right in pairs])
        points = [(one.mean_score, one.precision) for one in found.bins]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=f"{variant}, error {found.ece:.2f}")
    axes.set(xlabel="score of a tag", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
