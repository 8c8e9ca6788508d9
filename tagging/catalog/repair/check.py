"""Checking a catalog: its file, its tables, what refers to what, and every value. Nothing is changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tagline.tagging.catalog.repair.reader import DamagedCatalog
from tagline.tagging.catalog.repair.tables import TABLES, BadValue
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.printable import safe

MOST_NAMED = 20  # findings of SQLite that are listed


class Problem(NamedTuple):
    """Something that is wrong. table: "" where it is the file as a whole; rows: how many, None if unknown."""

    table: str
    rows: int | None
    what: str


def check_catalog(file: Path) -> list[Problem]:
    """What is wrong with a catalog's file; nothing if it is whole. Raises NotACatalog where nothing of it can
    be read."""
    found: list[Problem] = []
    with DamagedCatalog(file) as damaged:
        found += [Problem("", None, what) for what in damaged.layout()]
        found += _whole(damaged)
        for table in TABLES:
            if not damaged.has(table):
                continue
            bad: Counter[str] = Counter()
            for row, within in table.within_bounds(damaged.rows(table)):
                try:
                    table.check(row)
                except BadValue as error:
                    bad[f"hold what cannot be: {error}"] += 1
                else:
                    bad[f"beyond the {table.most} of one expert and video"] += not within
            if damaged.stretches.get(table.name):
                found.append(Problem(table.name, None, "a part of it cannot be read"))
            found += [Problem(table.name, count, what) for what, count in sorted((+bad).items())]
    return found


def _whole(damaged: DamagedCatalog) -> list[Problem]:
    """What SQLite finds: pages, indexes, and rows of videos that are not there."""
    try:
        said = [str(row[0]) for row in damaged.pragma(f"integrity_check({MOST_NAMED})")]
        lines = [line for text in said if text != "ok" for line in text.splitlines()[:MOST_NAMED]]
        found = [Problem("", None, safe(line, 200)) for line in lines[:MOST_NAMED]]
        orphans = Counter(str(row[0]) for row in damaged.pragma("foreign_key_check"))
        return found + [
            Problem(safe(name, 60), count, "of videos that are not there")
            for name, count in sorted(orphans.items())
        ]
    except CatalogError as error:
        return [Problem("", None, f"SQLite cannot check it: {error.__cause__}")]
