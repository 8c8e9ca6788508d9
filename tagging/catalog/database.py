"""A catalog's file: opening it, checking it, writing to it in whole transactions, and how paths are kept."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tagline.tagging.catalog import files, location, schema
from tagline.tagging.catalog.connection import Connection, NotUnicode, connect
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.values import BadValue, Kind, long_text
from tagline.tagging.printable import safe

IN_MEMORY = "the catalog in memory"
_STATE = "state"  # the small fact that is another after every change
ROWS_AT_ONCE = 1_000


class CatalogGone(CatalogError):
    """The catalog's file was taken away while it was open."""


class CatalogDatabase:
    """An open catalog file. `root` is the folder below which paths are stored relative to it."""

    def __init__(self, connection: Connection, file: Path | None, root: Path, notice: str | None) -> None:
        self._opened = connection
        self._connection = connection.sqlite
        self.file = file  # None: only in memory
        self.root = root
        self.bounds = root  # the folder below which files may be written because of what the catalog says
        self.notice = notice  # what the user should know about where it lies
        self.left_out: set[str] = (
            set()
        )  # tables of which rows were left out, because they hold what cannot be
        # Called at the end of a transaction, while it can still be taken back; and when one was taken back.
        self.before_commit: list[Callable[[], None]] = []
        self.on_rollback: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._depth = 0
        self._identity = None if file is None else _identity(file)

    @classmethod
    def open(cls, folder_or_file: str | os.PathLike[str] | location.Home, *, create: bool = True) -> Self:
        """The catalog of a folder, or the catalog that a file is; made if it is not there yet."""
        where = (
            folder_or_file
            if isinstance(folder_or_file, location.Home)
            else location.catalog_home(folder_or_file)
        )
        name = safe(where.file)
        try:
            if state_of(where.file) is None:
                if not create:
                    raise location.NoCatalog(f"there is no catalog at {name}; run `tagline tag FOLDER` first")
                _create(where.file)
            writable = os.access(where.file, os.W_OK)
        except OSError as error:
            raise CatalogError(f"{name} cannot be opened ({error.strerror}); look at its folder") from error
        connection = connect(where.file, name, writable=writable)
        try:
            catalog = cls(connection, where.file, where.root, where.notice)
            catalog._settle(connection.mode == "write")
        except BaseException:
            connection.sqlite.close()
            raise
        return catalog

    @classmethod
    def in_memory(cls, root: str | os.PathLike[str] = ".") -> Self:
        """A catalog that is gone when it is closed."""
        connection = Connection(None, IN_MEMORY)
        schema.upgrade(connection.sqlite, IN_MEMORY)
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
                self._check_there()
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                for forget in self.on_rollback:
                    forget()
                raise
            finally:
                self._depth = 0

    def _check_there(self) -> None:
        """What was just written is of use only if the file is still the one that has this name."""
        if self.file is not None and _identity(self.file) != self._identity:
            raise CatalogGone(
                f"{self.name} is not there any more, or another file by now: what was found since then is "
                "lost; leave its folder in place and run the same command again"
            )

    # ---- statements: everything that is read or written goes through these, whose errors are sentences

    def query(self, statement: str, values: Sequence[object] = (), most: int | None = None) -> list[Any]:
        """The rows that a statement finds. More than `most` are refused: no run writes as many."""
        rows = self._fetch(statement, values, most)
        if most is not None and len(rows) > most:
            raise CatalogError(f"{self.name} holds more than {most:,} rows of one thing; {schema.CHECK}")
        return rows

    def _fetch(self, statement: str, values: Sequence[object], most: int | None) -> list[Any]:
        try:
            with self._opened.sentences(read=True):
                cursor = self._connection.execute(statement, values)
                return cursor.fetchall() if most is None else cursor.fetchmany(most + 1)
        except NotUnicode:
            if self._connection.text_factory is _forgiving:
                raise
            self.left_out.add("text that is not UTF-8")
            self._connection.text_factory = _forgiving
            return self._fetch(statement, values, most)

    def rows(
        self,
        table: str,
        kinds: Sequence[Kind],
        statement: str,
        values: Sequence[object] = (),
        most: int | None = None,
    ) -> list[tuple[Any, ...]]:
        """The same, each value as its kind has it. A row with one that cannot be is left out, and that is
        remembered of its table."""
        return self.good(table, kinds, self.query(statement, values, most))

    def good(self, table: str, kinds: Sequence[Kind], rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """Of these rows those whose values can be, each as its kind has it."""
        found = []
        for row in rows:
            try:
                found.append(tuple([kind(value) for kind, value in zip(kinds, row, strict=True)]))
            except BadValue:
                self.left_out.add(table)
        return found

    def query_one(self, statement: str, values: Sequence[object] = ()) -> Any:
        """The first row that a statement finds; None if there is none."""
        return next(iter(self._fetch(statement, values, 0)), None)

    def iterate(self, statement: str, values: Sequence[object] = ()) -> Iterator[Any]:
        """The rows that a statement finds, some at a time, for what is too large to lie in memory at once."""
        with self._opened.sentences(read=True):
            cursor = self._connection.execute(statement, values)
        while True:
            with self._opened.sentences(read=True):
                some = cursor.fetchmany(ROWS_AT_ONCE)
            if not some:
                return
            yield from some

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        with self._opened.sentences():
            self._connection.execute(statement, values)

    def execute_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        with self._opened.sentences():
            self._connection.executemany(statement, rows)

    @property
    def damage(self) -> str | None:
        """What was left out of all that was read so far, as a sentence; None if nothing was."""
        if not self.left_out:
            return None
        what = ", ".join(sorted(self.left_out))
        return f"left out of {self.name}, for it holds what cannot be: some {what}; {schema.CHECK}"

    @property
    def name(self) -> str:
        """The catalog's file as it may be shown."""
        return self._opened.name

    def meta(self, key: str) -> str | None:
        """A small fact about the catalog itself."""
        rows = self.rows("meta", (long_text,), "SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else None

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


def state_of(file: Path) -> os.stat_result | None:
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


def _identity(file: Path) -> tuple[int, int] | None:
    """Which file has this name; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _forgiving(text: bytes) -> str:
    return text.decode("utf-8", "replace")
