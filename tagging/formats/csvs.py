"""CSV: one row a tag. Cells that a spreadsheet would run are quoted, and read back as they were."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from tagline.tagging.formats import merging
from tagline.tagging.formats.sheet import BadFile, ImportedVideo, VideoExport

MOST_BYTES = merging.MOST_BYTES

# What makes spreadsheets take a cell for a formula, the full-width signs of East Asian keyboards included.
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
QUOTED = re.compile(r"'+[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def guard(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run."""
    return f"'{text}" if FORMULA.match(text) else text


def unguard(text: str) -> str:
    """The text before `guard`."""
    return text[1:] if QUOTED.match(text) else text


def write(out: BinaryIO, sheets: Iterable[VideoExport], videos: frozenset[str], old: BinaryIO | None) -> None:
    """All tags of `sheets`, merged into what is there."""
    columns, before = _table(old) if old is not None else (list(merging.FIELDS), iter(()))
    columns += [name for name in merging.FIELDS if name not in columns]
    text = io.TextIOWrapper(out, "utf-8", newline="", errors="replace")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([guard(name) for name in columns])
    for row in merging.merge_rows(before, sheets, videos):
        writer.writerow([cell(row.get(name)) for name in columns])
    text.flush()
    text.detach()


def read(source: BinaryIO) -> list[ImportedVideo]:
    _, found = _table(source)
    return merging.videos_in_rows(found)


def cell(value: Any) -> str:
    """A value as it stands in a file."""
    if value is None:
        return ""
    return guard(value) if isinstance(value, str) else repr(value)


def _table(source: BinaryIO) -> tuple[list[str], Iterator[merging.Row]]:
    """The names of the columns, and the rows."""
    text = io.TextIOWrapper(source, "utf-8-sig", newline="")
    try:
        first = text.readline(100_000)
        text.seek(0)
        # Spreadsheets of many countries separate by semicolons, and write 0,5.
        separator = max(",;\t", key=first.count)
        table = csv.reader(text, delimiter=separator, strict=True)
        columns = [unguard(name).strip() for name in next(table, [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"is not CSV in UTF-8 ({error})") from None
    if "text" not in columns:
        raise BadFile("has no column called text")
    return columns, _rows(table, columns, comma=separator == ";")


def _rows(table: Any, columns: list[str], *, comma: bool) -> Iterator[merging.Row]:
    try:
        for cells in table:
            row: merging.Row = {name: unguard(value) for name, value in zip(columns, cells, strict=False)}
            for name in ("score", "start", "end", "best") if comma else ():
                if name in row:
                    row[name] = row[name].replace(",", ".")
            if cells:
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"is not CSV in UTF-8 ({error}, line {table.line_num})") from None
