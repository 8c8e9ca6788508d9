"""A new catalog from what is left of a damaged one. What people said is saved first; the old file is kept."""

# The files of a catalog are moved as they are, and opening them would give up the database's locks.
# ruff: noqa: PTH105

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from tagline.tagging.catalog import files, location
from tagline.tagging.catalog.lock import locked
from tagline.tagging.catalog.repair.reader import DamagedCatalog
from tagline.tagging.catalog.repair.tables import FACTS, TABLES, BadValue, Table
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.printable import safe

BESIDE = ("-wal", "-shm", "-journal")  # what SQLite writes beside a file, by the end of its name
_OWN = frozenset({"state", "effective tags", "normal form"})  # facts that the new catalog writes itself


@dataclass(slots=True)
class Repair:
    """What became of a damaged catalog."""

    file: Path
    old: Path  # where the damaged one lies now
    kept: Counter[str] = field(default_factory=Counter)  # rows of each table
    lost: Counter[str] = field(default_factory=Counter)
    parts: dict[str, str] = field(default_factory=dict)  # table: what more of it was lost, in words
    again: set[int] = field(default_factory=set)  # videos at which the next run looks again


def repair_catalog(where: location.Home) -> Repair:
    """Put a new catalog in the place of a damaged one. Raises CatalogError where nothing can be saved."""
    file = where.file
    if files.state(file) is None:
        raise location.NoCatalog(f"there is no catalog at {safe(file)}")
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    done = Repair(file, file.with_name(f"{file.stem}.damaged-{stamp}-{uuid4().hex[:4]}{file.suffix}"))
    new = file.with_name(f"{files.PART}{uuid4().hex[:12]}.sqlite")
    try:
        with locked(file, safe(file)):
            with DamagedCatalog(file) as damaged, Catalog.open(new) as into:
                _copy(damaged, into, done)
            with Catalog.open(new) as into:  # a last look, as any command opens it
                if into.check_integrity():
                    raise CatalogError(f"no whole catalog came of what is left of {safe(file)}")
                into.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _swap(file, new, done.old)
    finally:
        for ending in ("", *BESIDE):
            files.remove(new.with_name(new.name + ending))
    return done


def _swap(file: Path, new: Path, old: Path) -> None:
    """The damaged file goes aside with what lies beside it, and the new one takes its place."""
    for ending in BESIDE:
        beside = file.with_name(file.name + ending)
        if os.path.lexists(beside):
            os.replace(beside, old.with_name(old.name + ending))
    os.replace(file, old)
    os.replace(new, file)


def _copy(damaged: DamagedCatalog, into: Catalog, done: Repair) -> None:
    into.execute("PRAGMA foreign_keys = OFF")  # verdicts come before the videos that they are about
    with into.transaction():
        into.execute("DELETE FROM meta WHERE key = 'root'")
        for table in TABLES:
            _copy_table(damaged, into, table, done)
            if damaged.stretches.get(table.name):
                done.parts[table.name] = "a part of it could not be read"
        _restore_videos(into, done)
        for table in TABLES:
            if "video_id" in table.columns:
                gone = "video_id IS NOT NULL AND video_id NOT IN (SELECT id FROM video)"
                done.lost[table.name] += into.query_one(f"SELECT count(*) FROM {table.name} WHERE {gone}")[0]
                into.execute(f"DELETE FROM {table.name} WHERE {gone}")
        into.fulltext.mark_stale(None)
    for table in TABLES:
        done.kept[table.name] = into.query_one(f"SELECT count(*) FROM {table.name}")[0]
    into.execute("PRAGMA foreign_keys = ON")


def _copy_table(damaged: DamagedCatalog, into: Catalog, table: Table, done: Repair) -> None:
    if not damaged.has(table):
        done.parts[table.name] = "the whole table was not there, or no table of tagline"
        return
    columns = ", ".join(table.columns)
    insert = f"INSERT OR IGNORE INTO {table.name}({columns}) VALUES ({', '.join('?' * len(table.columns))})"
    for row, within in table.within_bounds(damaged.rows(table)):
        if table.name == "meta" and row[0] in _OWN:
            continue
        fitting = _fitting(table, row, done) if within else None
        if fitting is None:
            done.lost[table.name] += 1
        else:
            into.execute(insert, fitting)


def _fitting(table: Table, row: Sequence[Any], done: Repair) -> Sequence[Any] | None:
    """The row as it can be kept: a video whose facts cannot be, without them, to be looked at again."""
    try:
        table.check(row)
        return row
    except BadValue:
        if table.name != "video":
            return None
    without = list(row)
    for place in table.places("size", "title", "created", *FACTS):
        without[place] = None
    without[table.places("size")[0]] = 0
    try:
        table.check(without)
    except BadValue:
        return None
    done.again.add(row[0])
    return without


def _restore_videos(into: Catalog, done: Repair) -> None:
    """Videos whose row is lost, from the files that they were; where there is none, what people said of them
    is kept under a name that no file has."""
    lacking = into.query(
        "SELECT DISTINCT video_id FROM (SELECT video_id FROM path UNION SELECT video_id FROM verdict)"
        " WHERE video_id IS NOT NULL AND video_id NOT IN (SELECT id FROM video)"
    )
    for (video_id,) in lacking:
        paths = into.query("SELECT path, size FROM path WHERE video_id = ?", (video_id,))
        digests = (_digest(into.path_of(key), size) for key, size in paths)
        digest = next((one for one in digests if one is not None), None)
        if digest is None and not into.verdicts.of(video_id):
            continue
        size = paths[0][1] if digest is not None else 0
        into.execute(
            "INSERT OR IGNORE INTO video(id, hash, size) VALUES (?, ?, ?)",
            (video_id, digest or f"lost:{video_id}", size),
        )
        done.lost["video"] += 1
        done.again.add(video_id)
    for number in done.again:  # the next run reads these files again, and learns what is lost
        into.execute("DELETE FROM run WHERE video_id = ?", (number,))


def _digest(path: str, size: int) -> str | None:
    """The hash of a plain file that has still its size."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(number, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return None
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None
