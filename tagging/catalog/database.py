"""A catalog's file: opening it, checking it, writing to it in whole transactions, and how paths are kept."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tagline.tagging.catalog import files, location, schema
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.printable import safe

_STATE = "state"  # the small fact that is another after every change
LOCK_TIMEOUT = 30.0  # seconds for another program's write to end


class CatalogFull(CatalogError):
    """The disk is full. Nothing that was written before is lost."""


class CatalogDatabase:
    """An open catalog file. `root` is the folder below which paths are stored relative to it."""

    def __init__(
        self, connection: sqlite3.Connection, file: Path | None, root: Path, notice: str | None
    ) -> None:
        self._connection = connection
        self.file = file  # None: only in memory
        self.root = root
        self.bounds = root  # the folder below which files may be written because of what the catalog says
        self.notice = notice  # what the user should know about where it lies
        # Called at the end of a transaction, while it can still be taken back; and when one was taken back.
        self.before_commit: list[Callable[[], None]] = []
        self.on_rollback: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._depth = 0

    @classmethod
    def open(cls, folder_or_file: str | os.PathLike[str] | location.Home, *, create: bool = True) -> Self:
        """The catalog of a folder, or the catalog that a file is; made if it is not there yet."""
        where = (
            folder_or_file
            if isinstance(folder_or_file, location.Home)
            else location.catalog_home(folder_or_file)
        )
        name = safe(where.file)
        if _state(where.file) is None:
            if not create:
                raise location.NoCatalog(f"there is no catalog at {name}; run `tagline tag FOLDER` first")
            _create(where.file)
        writable = os.access(where.file, os.W_OK)
        try:
            connection = _connect(where.file, writable)
        except sqlite3.Error as error:
            raise catalog_error(error, name) from error
        try:
            if writable:
                schema.check_schema(connection, name)
                connection.execute("PRAGMA journal_mode = WAL")
                schema.upgrade(connection, name)
            elif schema.check_schema(connection, name) < len(schema.MIGRATIONS):
                raise CatalogError(
                    f"{name} is older than this tagline, which may not write to it to renew it"
                )
            catalog = cls(connection, where.file, where.root, where.notice)
            catalog._settle(writable)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise catalog_error(error, name) from error
            raise
        return catalog

    @classmethod
    def in_memory(cls, root: str | os.PathLike[str] = ".") -> Self:
        """A catalog that is gone when it is closed."""
        connection = _connect(None, True)
        schema.upgrade(connection, "the catalog in memory")
        catalog = cls(connection, None, Path(os.path.realpath(root)), None)
        catalog._settle(True)
        return catalog

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self, writable: bool) -> None:
        """Learn the folder where the file's place does not tell it."""
        beside = self.file is None or self.file == self.root / location.FOLDER / location.FILE
        known = self.meta("root")
        if known is not None and not beside:
            self.root = Path(known)
            if self.file is not None and self.file.is_relative_to(location.data_directory()):
                self.bounds = self.root  # this user's own: no stranger wrote it
        if writable and known is None and not beside:
            self.set_meta("root", str(self.root))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written together or not at all. May be nested."""
        with self._lock:
            if self._depth:
                yield
                return
            self.execute("BEGIN IMMEDIATE")
            self._depth = 1
            changes = self._connection.total_changes
            try:
                yield
                for renew in self.before_commit:
                    renew()
                if self._connection.total_changes != changes:
                    self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_STATE, uuid.uuid4().hex))
                self.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                for forget in self.on_rollback:
                    forget()
                raise
            finally:
                self._depth = 0

    # ---- statements: everything that is read or written goes through these five, whose errors are sentences

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """The rows that a statement finds."""
        with self._in_a_sentence():
            return self._connection.execute(statement, values).fetchall()

    def query_one(self, statement: str, values: Sequence[object] = ()) -> Any:
        """The first row that a statement finds; None if there is none."""
        with self._in_a_sentence():
            return self._connection.execute(statement, values).fetchone()

    def iterate(self, statement: str, values: Sequence[object] = ()) -> Iterator[Any]:
        """The rows that a statement finds, one at a time, for what is too large to lie in memory at once."""
        with self._in_a_sentence():
            yield from self._connection.execute(statement, values)

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        with self._in_a_sentence():
            self._connection.execute(statement, values)

    def execute_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        with self._in_a_sentence():
            self._connection.executemany(statement, rows)

    @contextmanager
    def _in_a_sentence(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise catalog_error(error, self.name) from error

    @property
    def name(self) -> str:
        """The catalog's file as it may be shown."""
        return safe(self.file) if self.file is not None else "the catalog in memory"

    def meta(self, key: str) -> str | None:
        """A small fact about the catalog itself."""
        row = self.query_one("SELECT value FROM meta WHERE key = ?", (key,))
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        with self.transaction():
            self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def change_token(self) -> Hashable:
        """Differs whenever anything in the catalog does, whoever wrote it: every change gives it a new name.

        What was read under one token need not be read again while the token stays.
        """
        return self.name, self.meta(_STATE)

    def check_integrity(self) -> list[str]:
        """What SQLite finds wrong with the file; nothing if it is whole."""
        found = [row[0] for row in self.query("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def key_of(self, path: str | os.PathLike[str]) -> str | bytes:
        """A path as it is stored: relative where it lies below the root; bytes where it is not UTF-8."""
        text = os.path.abspath(path)  # noqa: PTH100 (links stay as they are)
        below = os.fspath(self.root).rstrip(os.sep) + os.sep
        if text.startswith(below):
            text = text[len(below) :]
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return os.fsencode(text)
        return text

    def path_of(self, key: str | bytes) -> str:
        """The absolute path that a stored one stands for."""
        return os.path.join(self.root, os.fsdecode(key))  # noqa: PTH118 (Path would drop odd names' dots)


def _connect(file: Path | None, writable: bool) -> sqlite3.Connection:
    if file is None:
        target = ":memory:"
    elif writable:
        target = file.as_uri()
    else:  # without write access there is no shared memory for the log: read what is in the file
        target = file.as_uri() + "?mode=ro&immutable=1"
    connection = sqlite3.connect(
        target, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False, uri=file is not None
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # what a person said outlives a power cut
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA trusted_schema = OFF")  # a catalog may come from a stranger
    return connection


def _state(file: Path) -> os.stat_result | None:
    """Look at a catalog's file before SQLite does, and at those that SQLite would write beside it."""
    for ending in ("-wal", "-shm", "-journal"):
        files.state(file.with_name(file.name + ending), write=True)
    return files.state(file)


def _create(file: Path) -> None:
    """An empty file for SQLite, which would follow a link that leads nowhere yet."""
    try:
        files.create(file)
    except FileExistsError:  # another process was as fast
        files.state(file)
    except OSError as error:
        raise CatalogError(
            f"{safe(file)} cannot be made ({error.strerror}); say with --library where the catalog is to be"
        ) from error


def catalog_error(error: sqlite3.Error, name: str) -> CatalogError:
    """What SQLite says, for people."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL or (code is not None and code in _WRITE_ERRORS):
        return CatalogFull(
            f"the disk that holds {name} is full; make room and run the same command again, nothing is lost"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CatalogError(f"{name} is being written to by another program; try again when it is done")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return schema.NotACatalog(
            f"{name} is damaged or no catalog ({error}); name another with --library, or move it away"
        )
    return CatalogError(f"{name} cannot be used: {error}")


# A write that the file system refuses half-way: quota, file size limit, disk full under the log.
_WRITE_ERRORS = frozenset(
    {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_TRUNCATE}
)
