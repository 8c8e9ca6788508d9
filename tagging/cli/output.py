"""The one place that writes results: a table for people; JSON, lines of JSON, CSV or Parquet for programs."""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tagline.experts.printable import JOINERS, UNSHOWABLE, console, safe

Row = Mapping[str, Any]
Command = TypeVar("Command", bound=Callable[..., Any])
MOST_STYLED = 500  # rows of a table for which rich is quick enough
FLAGS = {"json": "as_json", "nl": "as_lines", "csv": "as_csv", "parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class Output:
    """How a command was asked to answer."""

    kind: str = "table"  # "table", "json", "nl", "csv" or "parquet"
    file: Path | None = None  # of Parquet

    @property
    def for_programs(self) -> bool:
        return self.kind != "table"


def output_options(command: Command) -> Command:
    """Give a command --json, --nl, --csv and --parquet; it is called with one `output`."""

    def chosen(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        if not value:
            return None
        before = ctx.meta.get("tagline.output")
        if before is not None:
            raise click.UsageError("give only one of --json, --nl, --csv and --parquet")
        kind = next(kind for kind, name in FLAGS.items() if name == param.name)
        ctx.meta["tagline.output"] = Output(kind, Path(value) if kind == "parquet" else None)
        return None

    more: dict[str, Any] = {"callback": chosen, "expose_value": False}
    options: tuple[Callable[[Command], Command], ...] = (
        click.option("--parquet", "parquet", metavar="FILE", help="Write Parquet to a file.", **more),
        click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV.", **more),
        click.option("--nl", "as_lines", is_flag=True, help="Answer in JSON, one line a row.", **more),
        click.option("--json", "as_json", is_flag=True, help="Answer in JSON.", **more),
    )
    for option in options:
        command = option(command)
    return command


def requested_output() -> Output:
    """What the options of the running command say."""
    return click.get_current_context().meta.get("tagline.output", Output())


def emit(rows: Iterable[Row], columns: Sequence[str], output: Output | None = None) -> None:
    """Write rows. A table shows `columns`, and so does CSV; JSON holds everything that a row has."""
    output = output or requested_output()
    if output.kind == "json":
        _json_list(rows)
    elif output.kind == "nl":
        for row in rows:
            click.echo(to_json(row))
    elif output.kind == "csv":
        _csv(rows, columns)
    elif output.kind == "parquet" and output.file is not None:
        _parquet(rows, columns, output.file)
    else:
        _table(rows, columns)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON in which nothing can drive a terminal: controls, escapes and overrides are written as \\u...."""
    from tagline.tagging.formats.sheet import unicode_escape

    text = json.dumps(_readable(value), ensure_ascii=False, allow_nan=False, indent=indent, default=str)
    if text.isascii() and "\x7f" not in text:  # JSON itself escapes the other controls
        return text
    return "".join(unicode_escape(c) if _unsafe(c) else c for c in text)


def _json_list(rows: Iterable[Row]) -> None:
    first = True
    for row in rows:
        click.echo(("[\n" if first else ",\n") + to_json(row), nl=False)
        first = False
    click.echo("[]" if first else "\n]")


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> None:
    import csv

    from tagline.tagging.formats.csvs import cell

    def line(cells: Iterable[str]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        click.echo(text.getvalue(), nl=False)

    line(columns)
    for row in rows:
        values = (row.get(name) for name in columns)
        line(cell(safe(value) if isinstance(value, str) else value) for value in values)


def _parquet(rows: Iterable[Row], columns: Sequence[str], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tagline.tagging.formats.files import FileRefused, open_old, replace_file

    listed = [{name: _readable(row.get(name)) for name in columns} for row in rows]
    table = (
        pa.Table.from_pylist(listed)
        if listed
        else pa.table({name: pa.array([], pa.null()) for name in columns})
    )
    try:
        old = open_old(path, sys.maxsize)
        if old is not None:
            old.handle.close()
        replace_file(path, lambda handle: pq.write_table(table, handle), old.state if old else None)
    except FileRefused as refused:
        raise click.ClickException(str(refused)) from refused


def _table(rows: Iterable[Row], columns: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    listed = list(rows)
    if len(listed) > MOST_STYLED:
        _plain_table(listed, columns)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        number = any(isinstance(row.get(name), int | float) for row in listed)
        table.add_column(Text(name), justify="right" if number else "left", overflow="fold", no_wrap=number)
    for row in listed:
        table.add_row(*(Text(_shown(row.get(name))) for name in columns))
    if listed:
        console().print(table)


def _plain_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """The same columns without styles and folding: rich takes a millisecond for each row."""
    from rich.cells import cell_len

    cells = [list(columns), *([_shown(row.get(name)) for name in columns] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    right = [any(isinstance(row.get(name), int | float) for row in rows) for name in columns]
    lines = []
    for row in cells:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        parts = [b + c if number else c + b for c, b, number in zip(row, blanks, right, strict=True)]
        lines.append("  ".join(parts).rstrip())
    click.echo("\n".join(lines))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    return safe(str(value))


def _readable(value: Any) -> Any:
    """The value with names that are not UTF-8 made readable: half a surrogate pair is no JSON for many."""
    if isinstance(value, str):
        return safe(value) if any(0xD800 <= ord(c) <= 0xDFFF for c in value) else value
    if isinstance(value, Mapping):
        return {_readable(str(key)): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return value


def _unsafe(c: str) -> bool:
    return c not in "\n" and c not in JOINERS and unicodedata.category(c) in UNSHOWABLE
