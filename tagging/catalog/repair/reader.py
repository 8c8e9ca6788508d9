"""Reading a catalog of which a part may be damaged: table by table, row by row, round what cannot be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagline.tagging.catalog import schema
from tagline.tagging.catalog.connection import Connection
from tagline.tagging.catalog.database import state_of
from tagline.tagging.catalog.repair.tables import Table
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.printable import safe

LAST = 1 << 43  # beyond every id
MOST_ERRORS = 500  # stretches of a table that cannot be read, after which the rest is given up


class DamagedCatalog:
    """The file of a catalog, only to be read, whatever is wrong with it. A context manager."""

    def __init__(self, file: Path) -> None:
        self.file, self.name = file, safe(file)
        state_of(file)  # a pipe in the place of a journal would hold SQLite for ever
        self.stretches: dict[str, int] = {}  # of each table, how often something could not be read
        self._opened = _open(file, self.name)
        self.sqlite = self._opened.sqlite
        self.sqlite.text_factory = _text
        self.sqlite.execute("PRAGMA writable_schema = ON")  # a line of the schema that is broken is left out

    def __enter__(self) -> DamagedCatalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.sqlite.close()

    def pragma(self, name: str) -> list[tuple[Any, ...]]:
        """What SQLite itself finds. Raises CatalogError where it finds no end of it."""
        with self._opened.sentences():
            return self.sqlite.execute(f"PRAGMA {name}").fetchall()

    def layout(self) -> list[str]:
        """What is there that is not as tagline makes it, in words."""
        with self._opened.sentences():
            version = int(self.sqlite.execute("PRAGMA user_version").fetchone()[0])
            if not 0 < version <= len(schema.MIGRATIONS):
                return [f"schema {version}, which this tagline does not know"]
            return schema.strange_tables(self.sqlite, version)

    def has(self, table: Table) -> bool:
        """Whether it is a plain table; a view or another program's table is not read."""
        try:
            rows = self.sqlite.execute(
                "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table.name,)
            ).fetchall()
        except sqlite3.Error:
            return False
        return len(rows) == 1 and str(rows[0][0]).upper().lstrip().startswith("CREATE TABLE")

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        """Every row that can be read, in the order of its columns; columns that are not there are None."""
        there = {row[1] for row in self.sqlite.execute(f"PRAGMA table_info({table.name})")}
        if table.key not in there:
            self._failed(table)
            return
        columns = ", ".join(name if name in there else "NULL" for name in table.columns)
        select = f"SELECT {table.key}, {columns} FROM {table.name}"
        if table.key == "key":
            yield from self._by_text(table, select)
            return
        seen: set[tuple[Any, ...]] = set()  # where several rows have one key, it is read again
        waiting = [(0, LAST)]
        while waiting and self.stretches.get(table.name, 0) <= MOST_ERRORS:
            first, last = waiting.pop()
            reached = first
            try:
                for key, *row in self.sqlite.execute(
                    f"{select} WHERE {table.key} >= ? AND {table.key} < ? ORDER BY {table.key}", (first, last)
                ):
                    reached = key if type(key) is int else reached
                    mark = (key, row[1]) if table.key == "video_id" else (key,)
                    if mark not in seen:
                        seen.add(mark)
                        yield tuple(row)
            except (sqlite3.Error, UnicodeError):
                self._failed(table)
                if last - reached > 1:
                    middle = (reached + 1 + last) // 2
                    waiting += [(middle, last), (reached + 1, middle)]

    def _by_text(self, table: Table, select: str) -> Iterator[tuple[Any, ...]]:
        """From both ends, as far as each goes."""
        seen = set()
        for order in ("", " DESC"):
            try:
                for key, *row in self.sqlite.execute(f"{select} ORDER BY {table.key}{order}"):
                    if key not in seen:
                        seen.add(key)
                        yield tuple(row)
                return
            except sqlite3.Error:
                self._failed(table)

    def _failed(self, table: Table) -> None:
        self.stretches[table.name] = self.stretches.get(table.name, 0) + 1


def _open(file: Path, name: str) -> Connection:
    """To read alone; or, where nothing can be written beside the file, what stands in the file itself."""
    first: CatalogError | None = None
    for mode in ("write", "fixed"):
        opened = None
        try:
            opened = Connection(file, name, mode=mode)
            with opened.sentences():
                opened.sqlite.execute("PRAGMA query_only = ON")
                opened.sqlite.execute("PRAGMA writable_schema = ON")
                opened.sqlite.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return opened
        except CatalogError as error:
            if opened is not None:
                opened.sqlite.close()
            first = first or error
    raise schema.NotACatalog(
        f"of {name} nothing can be read any more ({first.__cause__ if first else ''}); take it from a "
        "backup, or move it away and run `tagline tag` again"
    )


def _text(value: bytes) -> str | bytes:
    """Bytes that are no UTF-8 stay bytes, which no kind of value takes."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value
