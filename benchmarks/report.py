"""`docs/RESULTS.md`, made of the records alone: every figure with its aim, its interval and its conditions.

The same records give the same page to the letter, so a test can tell whether it is older than they are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagline.benchmarks.papers import pages
from tagline.benchmarks.papers.studies import STUDIES
from tagline.benchmarks.registry import measurements, repository
from tagline.benchmarks.registry import record as records

GROWTH = "images/growth.png"  # beside the page
FEW = 16  # figures that stand below each other; more are laid out as a table of rows and columns
WIDE = 12  # columns of a table; more are laid out as several tables

Record = Mapping[str, Any]

HEAD = """# Results

<!-- `tagline bench report` writes this page from benchmarks/results/*.json; edits are lost. -->

Every figure is a named measurement that anybody can repeat; the record beside the code holds its
configuration, seeds, commit and machine. `tagline bench run NAME` measures it anew, `tagline bench show NAME
--json` prints the record, and `tagline bench list` names those as well that have no record yet and so are not
here. An aim that is missed says so.
"""


def page(found: Sequence[Record] | None = None) -> str:
    """The whole page."""
    records_shown = list(read_all()) if found is None else list(found)
    by_name = {record["name"]: record for record in records_shown}
    names = [name for name in records.MEASUREMENTS if name in by_name]
    others = sorted(set(by_name) - set(names) - set(STUDIES))
    parts = [HEAD, *_contents(by_name, names + others), ""]
    for name in [*names, *others]:
        parts += [*section(by_name[name]), ""]
    for name in STUDIES:
        if name in by_name:
            parts += [*_study_section(by_name[name]), ""]
    return "\n".join(parts).rstrip() + "\n"


def read_all() -> Iterator[Record]:
    """The records, in the order of their files' names."""
    for path in sorted(records.results_folder().glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def page_path() -> Path:
    """The page of the checkout. Raises RepositoryOnly in an installed package."""
    return repository.checkout("docs/RESULTS.md is") / "docs" / "RESULTS.md"


def write(path: Path | None = None) -> bool:
    """Write the page; whether it is another than before."""
    path = path or page_path()
    text = page()
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    growth = (records.read("speed") or {}).get("details", {}).get("growth")
    if growth and before != text:
        from tagline.benchmarks.speed.stages import draw

        draw(growth, path.parent / GROWTH)
    return before != text


def _description(name: str) -> str:
    return records.MEASUREMENTS[name][1] if name in records.MEASUREMENTS else "a measurement"


def _contents(by_name: Mapping[str, Record], names: Sequence[str]) -> list[str]:
    """One line each: what was measured, and how its aims stand."""
    found = ["| measurement | what | aims met | measured |", "|---|---|---|---|"]
    for name in names:
        record = by_name[name]
        set_aims = {
            key: aim for key, aim in measurements.AIMS.get(name, {}).items() if key in record["values"]
        }
        met = sum(aim.met(record["values"][key]) for key, aim in set_aims.items())
        aims_met = f"{met} of {len(set_aims)}" if set_aims else ""
        found.append(f"| [{name}](#{name}) | {_description(name)} | {aims_met} | {record['date'][:10]} |")
    return found


# -- one measurement -----------------------------------------------------------------------------------


def section(record: Record) -> list[str]:
    """A measurement with its figures."""
    name, values = record["name"], record["values"]
    found = [f"## {name}", "", f"{_description(name)[:1].upper()}{_description(name)[1:]}.", ""]
    if name in measurements.NOTES:
        found += [measurements.NOTES[name], ""]
    shown = {key: value for key, value in values.items() if not _is_edge(key, values)}
    grid = _grid(shown) if len(shown) > FEW else None
    found += _figure_list(record, shown) if grid is None else _figure_grid(record, *grid)
    found += _stages(record.get("details", {}))
    missed = [
        f"`{key}` {_figure(values[key])}, aim {aim}"
        for key, aim in measurements.AIMS.get(name, {}).items()
        if key in values and not aim.met(values[key])
    ]
    if missed:
        found += ["", f"**Missed:** {'; '.join(missed)}."]
    return [*found, "", _conditions(record)]


def _figure_list(record: Record, shown: Mapping[str, Any]) -> list[str]:
    own = measurements.AIMS.get(record["name"], {})
    has_aims = any(key in own for key in shown)
    has_limits = any(interval(record, key) for key in shown)
    head = ["figure", "value", *["95 % interval"] * has_limits, *["aim"] * has_aims]
    found = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for key, value in shown.items():
        cells = [f"`{key}`", _figure(value)]
        if has_limits:
            cells.append(_limits(interval(record, key)))
        if has_aims:
            cells.append(
                "" if key not in own else f"{own[key]}, {'met' if own[key].met(value) else 'missed'}"
            )
        found.append(f"| {' | '.join(cells)} |")
    return found


def _figure_grid(
    record: Record, rows: Mapping[str, Mapping[str, str]], columns: Sequence[str], rest: Mapping[str, Any]
) -> list[str]:
    found: list[str] = []
    values = record["values"]
    for some in _split_columns(columns):
        found += [""] * bool(found) + [f"| | {' | '.join(some)} |", f"|---|{'---:|' * len(some)}"]
        for row, keys in rows.items():
            cells = []
            for column in some:
                key = keys.get(column)
                limits = interval(record, key) if key else None
                text = "" if key is None else _figure(values[key])
                cells.append(f"{text} ({_limits(limits)})" if limits else text)
            found.append(f"| {row} | {' | '.join(cells)} |")
    return [*found, "", *_figure_list(record, rest)] if rest else found


def _split_columns(columns: Sequence[str]) -> list[list[str]]:
    """The columns of one table, or of several: those together that begin alike, and the rest."""
    if len(columns) <= WIDE:
        return [list(columns)]
    parts: dict[str, list[str]] = {}
    for column in columns:
        parts.setdefault(column.rpartition("_")[0], []).append(column)
    whole = [part for part in parts.values() if len(part) >= 3]
    rest = [column for part in parts.values() if len(part) < 3 for column in part]
    return [*whole, *([rest] if rest else [])]


def _grid(
    shown: Mapping[str, Any],
) -> tuple[dict[str, dict[str, str]], list[str], dict[str, Any]] | None:
    """Rows and columns, where keys are made of a row's name and a column's; what fits none stays apart.

    A row is the beginning of a key, up to an underscore, that has the same endings as other rows.
    """
    ends: dict[str, set[str]] = {}
    for key in shown:
        for place, letter in enumerate(key):
            if letter == "_":
                ends.setdefault(key[:place], set()).add(key[place + 1 :])
    often = Counter(end for own in ends.values() for end in own)
    full = max(ends.values(), key=lambda own: (sum(often[end] for end in own), len(own)), default=set())
    # The shortest beginnings that share most of their endings with the row whose endings are most common.
    rows = [row for row, own in ends.items() if len(own) >= 3 and len(own & full) >= 0.6 * len(own)]
    rows = [row for row in rows if not any(row.startswith(f"{other}_") for other in rows)]
    if len(rows) < 2:
        return None
    columns = list(dict.fromkeys(end for row in rows for end in _ends_of(row, shown)))
    laid: dict[str, dict[str, str]] = {row: {} for row in rows}
    rest = dict(shown)
    for row in rows:
        for column in columns:
            if f"{row}_{column}" in rest:
                laid[row][column] = f"{row}_{column}"
                del rest[f"{row}_{column}"]
    return laid, columns, rest


def _ends_of(row: str, shown: Mapping[str, Any]) -> list[str]:
    """What follows a row's name, in the order of the record."""
    return [key[len(row) + 1 :] for key in shown if key.startswith(f"{row}_")]


def _stages(details: Any) -> list[str]:
    """Stages against the plain way and the floor, and the plot of their growth."""
    if not isinstance(details, dict) or not details.get("parts"):
        return []
    found = ["", "| stage | ours | plain way | | floor | |", "|---|---:|---:|---|---:|---|"]
    for part in details["parts"]:
        plain, floor = (
            "" if not part[key] else f"{_figure(float(part[key]))} s" for key in ("plain", "floor")
        )
        found.append(
            f"| {part['name']}: {part['unit']} | {_figure(float(part['ours']))} s | {plain} | "
            f"{part['plain_way']} | {floor} | {part['floor_is']} |"
        )
    if details.get("growth"):
        found += ["", f"![Seconds by number of vectors, both axes logarithmic]({GROWTH})"]
    return found


# -- figures -------------------------------------------------------------------------------------------


def _is_edge(key: str, values: Mapping[str, Any]) -> bool:
    """Whether a key only says how sure another one is; it is shown in that one's row."""
    return any(key.endswith(end) and key.removesuffix(end) in values for end in ("_interval", "_sd"))


def interval(record: Record, key: str) -> tuple[float, float] | None:
    """The 95 % interval of a figure, where the record holds one: beside the value, or in the details."""
    beside = record["values"].get(f"{key}_interval")
    if isinstance(beside, list) and len(beside) == 2:
        return float(beside[0]), float(beside[1])
    way, _, name = key.partition("_")
    place: Any = record.get("details", {})
    if name.endswith("_dual"):
        place, name = place.get("dual", {}) if isinstance(place, dict) else {}, name.removesuffix("_dual")
    own = place.get(way) if isinstance(place, dict) else None
    limits = own.get("intervals", {}).get(name) if isinstance(own, dict) else None
    return (float(limits["low"]), float(limits["high"])) if isinstance(limits, dict) else None


def _limits(limits: tuple[float, float] | None) -> str:
    return "" if limits is None else f"{_figure(limits[0])} to {_figure(limits[1])}"


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return (
            f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
        )
    if isinstance(value, list):
        return ", ".join(map(_figure, value))
    return "not measured" if value is None else str(value).replace("|", "/")


def _conditions(record: Record) -> str:
    """On which machine, at which commit, with which options."""
    machine = record["hardware"]
    gpu = machine.get("gpu") or "no GPU"
    seeds = f"; seeds {', '.join(map(str, record['seeds']))}" if record["seeds"] else ""
    options = record["configuration"].get("options") or {}
    options_shown = " ".join(f"--set {key}={value}" for key, value in options.items())
    changed = " (with changes)" if str(record["commit"]).endswith("+") else ""
    return (
        f"`tagline bench run {record['name']}{' ' + options_shown if options_shown else ''}` on "
        f"{record['date'][:10]}, commit `{str(record['commit']).rstrip('+')}`{changed}; "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {gpu}{seeds}."
    )


# -- the papers' tables --------------------------------------------------------------------------------


def _study_section(record: Record) -> list[str]:
    """A data set's tables, as on the page of its run, one level deeper."""
    text = pages.page({**record, "plots": {}})
    return [f"#{line}" if line.startswith("#") else line for line in text.splitlines()]
