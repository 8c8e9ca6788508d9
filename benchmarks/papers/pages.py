"""A study's results as one page of Markdown: the papers' tables, our figures below theirs, and the doubts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tagline.benchmarks.papers.published import PaperTable, TableRow, heading, paper_table
from tagline.benchmarks.papers.studies import STUDIES

Record = Mapping[str, Any]
TITLES = {
    "msrvtt": "MSR-VTT",
    "msvd": "MSVD",
    "lsmdc": "LSMDC",
    "didemo": "DiDeMo",
    "create": "CREATE",
    "pexel": "Pexel",
    "playhouse": "The playhouse",
}


def page(record: Record) -> str:
    """The whole page."""
    details = record["details"]
    parts = [f"# {TITLES[record['name']]}", "", *facts(record), ""]
    if details["notes"]:
        parts += ["**Read these figures with care:**", "", *(f"- {note}" for note in details["notes"]), ""]
    for table in tables_of(record):
        parts += [f"## {table.title}: {table.caption}", "", *table_markdown(table, details["summary"]), ""]
    parts += differences(record)
    if record.get("plots"):
        parts += ["## Plots", "", *(f"![{name}]({file})" for name, file in record["plots"].items()), ""]
    parts += data(record)
    return "\n".join(parts).rstrip() + "\n"


def facts(record: Record) -> list[str]:
    """When, where, and with how many seeds."""
    machine = record["hardware"]
    gpu = f", {machine['gpu']}" if machine.get("gpu") else ", no GPU"
    return [
        f"Measured on {record['date'][:10]} at commit `{record['commit']}`: {machine['cpu']}, "
        f"{machine['cores']} cores{gpu}. Seeds {', '.join(map(str, record['seeds']))}; a figure of ours is "
        "the mean over the seeds ± their standard deviation."
    ]


def tables_of(record: Record) -> list[PaperTable]:
    """The tables of the run, as its study shows them."""
    keys = {table.key: table for table in STUDIES[record["name"]].tables}
    return [keys.get(key) or paper_table(key) for key in record["configuration"]["tables"]]


def table_markdown(table: PaperTable, summary: Mapping[str, Any]) -> list[str]:
    """One table: each line as the paper prints it, ours below where it was trained."""
    found = []
    if not table.same_data:
        found += [
            f"The paper's lines are of {table.data}, another data set: only their order can be compared.",
            "",
        ]
    heads = [heading(column) for column in table.columns]
    found += [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for row in table.rows:
        found.append(_row(f"{row.label}, paper", [_printed(value) for value in row.figures]))
        ours = row.variant and summary.get(row.variant)
        if ours:
            found.append(_row(f"**{row.label}, here**", [f"**{cell}**" for cell in _ours(table, row, ours)]))
    return found + _intervals(table, summary)


def _row(label: str, cells: Sequence[str]) -> str:
    return f"| {label.replace('|', '/')} | {' | '.join(cells)} |"


def _printed(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"


def _ours(table: PaperTable, row: TableRow, summary_of: Mapping[str, Any]) -> list[str]:
    cells = []
    for column in table.columns:
        key = f"dual_{column}" if row.dual else column
        value, spread = summary_of["mean"].get(key), summary_of["spread"].get(key)
        if value is None:
            cells.append("-")
        else:
            cells.append(f"{value:.1f}" if spread is None else f"{value:.1f} ± {spread:.1f}")
    return cells


def _intervals(table: PaperTable, summary: Mapping[str, Any]) -> list[str]:
    """How far our first column could be from luck of the test videos alone, and what guessing would find."""
    found = []
    for variant in table.variants():
        summary_of = summary.get(variant)
        key = "t2v_r1" if table.model == "table" else "example_f1"
        limits = summary_of["intervals"].get(key) if summary_of else None
        if summary_of and limits:
            name = heading(key)
            found.append(
                f"{variant}: {name} {summary_of['mean'][key]:.1f}, 95 % interval {limits[0]:.1f} to "
                f"{limits[1]:.1f} over {summary_of['videos']['test']} test videos; learnt from "
                f"{summary_of['videos']['train']}, chosen on {summary_of['videos']['val']}."
                f"{_guessing(table, summary_of)}"
            )
    return ["", *(f"- {row}" for row in found)] if found else []


def _guessing(table: PaperTable, summary_of: Mapping[str, Any]) -> str:
    """A small test set flatters: among ten videos, a tenth is found by guessing."""
    if table.model != "table":
        return ""
    first, tenth = (min(100.0, 100 * k / summary_of["videos"]["test"]) for k in (1, 10))
    return f" Guessing finds {first:.1f} at 1 and {tenth:.1f} at 10."


def differences(record: Record) -> list[str]:
    """Whether our line differs from the others that were trained, or only by luck."""
    rows = [row for row in record["details"]["comparisons"] if "value" in row]
    if not rows:
        return []
    found = [
        "## Is the difference luck?",
        "",
        "Paired bootstrap over the test videos; p is the chance of so large a difference if both were alike.",
        "",
        "| ours against | figure | difference | 95 % interval | p |",
        "|---|---|---:|---:|---:|",
    ]
    for row in rows:
        found.append(
            f"| {row['variant']} | {heading(row['figure'])} | {row['value']:+.1f} | "
            f"{row['low']:+.1f} to {row['high']:+.1f} | {row['p']:.3f} |"
        )
    return [*found, ""]


def data(record: Record) -> list[str]:
    """What was learnt from and tested on, who tagged it, and how long the training took."""
    details = record["details"]
    found = ["## Data", "", "| | published | found |", "|---|---:|---:|"]
    for count in details["prepared"].get("counts", []):
        expected = "" if count["expected"] is None else f"{count['expected']:,}"
        tag_counts = "-" if count["found"] is None else f"{count['found']:,}"
        found.append(f"| {count['what']} | {expected} | {tag_counts} |")
    tagged = ", ".join(f"{name} {count}" for name, count in details["tagged_by"].items())
    found += ["", f"Videos looked at by: {tagged or 'nobody'}.", ""]
    found += ["| trained | seconds, by seed | our calibration error |", "|---|---:|---:|"]
    for variant, prepared in details["summary"].items():
        seconds = ", ".join(f"{value:.0f}" for value in prepared["seconds"])
        ece = prepared["mean"].get("ece") if prepared["mean"].get("tags_said") else None
        found.append(f"| {variant} | {seconds} | {'' if ece is None else f'{ece:.3f}'} |")
    for path, why in details["left_out"][:20]:
        found.append(f"\nLeft out: {path}: {why}")
    return [*found, ""]
