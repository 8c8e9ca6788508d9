"""The connection to a catalog's file: how it is opened on a full disk, what ends a statement that takes too
long, and what SQLite says, for people.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagline.tagging.catalog import schema
from tagline.tagging.catalog.schema import CHECK, CatalogError

LOCK_TIMEOUT = 30.0  # seconds for another program's write to end
READ_TIMEOUT = 60.0  # seconds for one statement: a million tags take two
LARGEST_VALUE = 128 << 20  # bytes of a row; the words of a day of speech take a tenth
_TICKS = 100_000  # steps of SQLite, some milliseconds, between two looks at the clock


class CatalogUnwritable(CatalogError):
    """The system refuses to write to the file or beside it."""


class CatalogFull(CatalogUnwritable):
    """The disk is full. Nothing that was written before is lost."""


class CatalogSlow(CatalogError):
    """A statement was ended because it took too long."""


class NotUnicode(CatalogError):
    """A text in it is not UTF-8."""


class Connection:
    """A connection of SQLite whose errors are sentences, and on which no statement runs for ever."""

    def __init__(
        self, file: Path | None, name: str, *, mode: str = "write", reason: CatalogUnwritable | None = None
    ) -> None:
        """mode: "write"; "alone", to read where nothing can be written, for the `reason` that a write is then
        given; "fixed", to read a file that nobody changes meanwhile, and nothing beside it."""
        self.name = name
        self.mode, self.reason = mode, reason
        self._until = float("inf")
        with self.sentences():
            self.sqlite = sqlite3.connect(
                _address(file, mode),
                timeout=LOCK_TIMEOUT if mode == "write" else 1.0,
                isolation_level=None,
                check_same_thread=False,
                uri=file is not None,
            )
        try:
            with self.sentences():
                self._prepare()
        except BaseException:
            self.sqlite.close()
            raise

    def _prepare(self) -> None:
        self.sqlite.set_progress_handler(lambda: time.monotonic() > self._until, _TICKS)
        self.sqlite.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        # Alone with the file from the first look on, SQLite keeps the index of its log in memory and needs no
        # room for it.
        alone = ("locking_mode = EXCLUSIVE", "query_only = ON") if self.mode == "alone" else ()
        for pragma in (
            *alone,
            "foreign_keys = ON",
            "synchronous = FULL",  # what a person said outlives a power cut
            "temp_store = MEMORY",
            "trusted_schema = OFF",  # a catalog may come from a stranger
            "cell_size_check = ON",
        ):
            self.sqlite.execute(f"PRAGMA {pragma}")

    @contextmanager
    def sentences(self, *, read: bool = False) -> Iterator[None]:
        """What goes wrong inside is a sentence. read: it is ended after READ_TIMEOUT."""
        if read:
            self._until = time.monotonic() + READ_TIMEOUT
        try:
            yield
        except sqlite3.Error as error:
            late = time.monotonic() > self._until
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT and not late:
                raise KeyboardInterrupt from None  # Ctrl-C came while SQLite looked at the clock
            raise self.error(error) from error
        except (OverflowError, UnicodeError) as error:  # a number or a text that SQLite cannot hold
            raise CatalogError(f"{self.name} cannot hold or find that: {error}") from error
        finally:
            self._until = float("inf")

    def error(self, error: sqlite3.Error) -> CatalogError:
        """What SQLite says, for people."""
        code = getattr(error, "sqlite_errorcode", None)
        if str(error).startswith("Could not decode to UTF-8"):
            return NotUnicode(f"{self.name} holds text that is not UTF-8; {CHECK}")
        if self.reason is not None and code is not None and code & 0xFF in _NO_WRITE:
            return self.reason
        if code in _FULL:
            return CatalogFull(
                f"the disk that holds {self.name} is full; make room and run the same command again, "
                "nothing is lost"
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return CatalogError(
                f"{self.name} is being written to by another program; try again when it is done"
            )
        if code == sqlite3.SQLITE_INTERRUPT:
            return CatalogSlow(
                f"reading {self.name} took longer than {READ_TIMEOUT:.0f} seconds and was ended; {CHECK}"
            )
        if code is not None and code & 0xFF == sqlite3.SQLITE_NOTADB:
            return schema.NotACatalog(
                f"{self.name} is damaged or no catalog ({error}); {CHECK}, or name another with --library"
            )
        if code is not None and code & 0xFF in _DAMAGED:
            return schema.NotACatalog(f"{self.name} is damaged ({error}); {CHECK}")
        if code is not None and code & 0xFF in _NO_WRITE:
            return CatalogUnwritable(
                f"{self.name} cannot be written to or read ({error}); look at its disk and folder"
            )
        return CatalogError(f"{self.name} cannot be used ({error}); {CHECK}")


def connect(file: Path, name: str, *, writable: bool) -> Connection:
    """A connection to a catalog's file whose tables are ours; one that only reads where the disk is full."""
    if not writable:
        reason = CatalogUnwritable(f"{name} may not be written to; its owner can change that")
        return _to_read(file, name, "fixed", reason)
    try:
        return _to_write(file, name)
    except CatalogUnwritable as refused:
        try:
            return _to_read(file, name, "alone", refused)
        except CatalogError:
            if _has_log(file):
                raise refused from None
        try:
            return _to_read(file, name, "fixed", refused)
        except CatalogError:
            raise refused from None


def _has_log(file: Path) -> bool:
    """Whether the last changes lie beside the file and not in it yet."""
    try:
        return file.with_name(f"{file.name}-wal").stat().st_size > 0
    except OSError:
        return False


def _to_read(file: Path, name: str, mode: str, reason: CatalogUnwritable) -> Connection:
    opened = Connection(file, name, mode=mode, reason=reason)
    try:
        with opened.sentences():
            if schema.check_schema(opened.sqlite, name) < len(schema.MIGRATIONS):
                raise CatalogError(
                    f"{name} is older than this tagline, which may not write to it to renew it"
                )
            opened.sqlite.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
    except BaseException:
        opened.sqlite.close()
        raise
    return opened


def _to_write(file: Path, name: str) -> Connection:
    opened = Connection(file, name)
    try:
        with opened.sentences():
            schema.check_schema(opened.sqlite, name)
            opened.sqlite.execute("PRAGMA journal_mode = WAL")
            schema.upgrade(opened.sqlite, name)
            # The first look into the tables is what needs the shared memory beside the file.
            opened.sqlite.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
    except BaseException:
        opened.sqlite.close()
        raise
    return opened


def _address(file: Path | None, mode: str) -> str:
    if file is None:
        return ":memory:"
    # Without write access there is no shared memory for the log: read what is in the file.
    return file.as_uri() + ("?mode=ro&immutable=1" if mode == "fixed" else "")


# What the file system refuses half-way: quota, file size limit, disk full under the log or its index.
_FULL = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
    }
)
_NO_WRITE = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH})
