"""The tables of the catalog, and the steps that bring an older one up to date."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import lru_cache

from tagline.tagging.printable import safe

APPLICATION = 0x7461676C  # "tagl": tells a catalog from other programs' SQLite files

# The end of a sentence about one that is damaged.
CHECK = (
    "`tagline catalog check` says what is wrong, `tagline catalog check --repair` makes a new one of the rest"
)


class CatalogError(Exception):
    """A library that cannot be opened, read or written: its catalog, its index, its settings or its lock.

    The message is one sentence for people. Whatever is wrong with what lies in a folder is one of these.
    """


class CatalogTooNew(CatalogError):
    pass


class NotACatalog(CatalogError):
    pass


# How full-text search cuts and stems words.
TOKENIZER = "tokenize = 'porter unicode61 remove_diacritics 2'"

FIRST = """
-- small facts about the catalog itself: the folder it belongs to, the version of the normal form
CREATE TABLE meta(
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- one row for each content, wherever it lies; codec is NULL until the file could be read
CREATE TABLE video(
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,      -- sha256 of the bytes; an imported data set writes "name:video" here
    size INTEGER,                   -- bytes
    duration REAL,                  -- seconds
    width INTEGER,
    height INTEGER,
    fps TEXT,                       -- a fraction, "30000/1001"
    codec TEXT,
    rotation INTEGER,
    colour TEXT,
    has_sound INTEGER,
    start REAL,                     -- seconds: the file's own time at second 0 of ours
    title TEXT,
    created TEXT
);
CREATE INDEX video_by_size ON video(size);

-- where a content lies; below the library's folder paths are relative, and the folder may move as a whole.
-- A name that is not UTF-8 is a BLOB of its bytes: the column has no type, so both are kept as they are.
CREATE TABLE path(
    id INTEGER PRIMARY KEY,
    video_id INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    path NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0 -- 1: was not there when last looked for
);
CREATE INDEX path_of_video ON path(video_id);

-- what an expert last said in full about a video: one row for each (video, expert)
CREATE TABLE run(
    video_id INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    expert TEXT NOT NULL,
    modality TEXT NOT NULL,
    version TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    seconds REAL,                   -- that it took
    coverage TEXT NOT NULL,         -- JSON: what was asked of the file and what could be read
    notes TEXT NOT NULL,            -- JSON: sentences
    facts TEXT NOT NULL,            -- JSON
    at TEXT NOT NULL,
    PRIMARY KEY (video_id, expert)
) WITHOUT ROWID;

-- what went wrong last: expert '' stands for reading the file; without a video, the path could not be opened
CREATE TABLE failure(
    id INTEGER PRIMARY KEY,
    video_id INTEGER REFERENCES video(id) ON DELETE CASCADE,
    path,
    expert TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL,      -- of the expert or the decoder that failed: another one tries again
    reason TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE UNIQUE INDEX failure_of_video ON failure(video_id, expert) WHERE video_id IS NOT NULL;
CREATE UNIQUE INDEX failure_of_path ON failure(path) WHERE path IS NOT NULL;

CREATE TABLE tag(
    id INTEGER PRIMARY KEY,
    video_id INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    expert TEXT NOT NULL,
    modality TEXT NOT NULL,
    said TEXT NOT NULL,             -- as the expert said it
    text TEXT NOT NULL,             -- its normal form
    score REAL NOT NULL,
    start REAL NOT NULL,            -- seconds
    end REAL NOT NULL,
    best REAL
);
CREATE INDEX tag_of_video ON tag(video_id, expert);
CREATE INDEX tag_by_text ON tag(text);

CREATE TABLE sighting(
    id INTEGER PRIMARY KEY,
    video_id INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    expert TEXT NOT NULL,
    text TEXT NOT NULL,
    score REAL NOT NULL,
    time REAL NOT NULL,             -- seconds
    x REAL, y REAL, width REAL, height REAL -- shares of the picture
);
CREATE INDEX sighting_of_video ON sighting(video_id, expert);

CREATE TABLE word(
    id INTEGER PRIMARY KEY,
    video_id INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    expert TEXT NOT NULL,
    text TEXT NOT NULL,
    start REAL NOT NULL,
    end REAL NOT NULL,
    probability REAL NOT NULL
);
CREATE INDEX word_of_video ON word(video_id, expert);

CREATE TABLE vector(
    id INTEGER PRIMARY KEY,
    video_id INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    start REAL NOT NULL,
    end REAL NOT NULL,
    floats BLOB NOT NULL            -- float32, little-endian
);
CREATE INDEX vector_by_source ON vector(source, video_id);
CREATE INDEX vector_of_video ON vector(video_id);

CREATE TABLE caption(
    id INTEGER PRIMARY KEY,
    video_id INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    start REAL,                     -- NULL: about the whole video
    end REAL,
    split TEXT NOT NULL DEFAULT ''  -- train, val, test
);
CREATE INDEX caption_of_video ON caption(video_id);

-- what people said, in the order in which they said it; rows of one act are undone together
CREATE TABLE verdict(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    act INTEGER NOT NULL,
    kind TEXT NOT NULL,             -- accept, reject, add: of one video; rename, merge, alias: everywhere
    video_id INTEGER REFERENCES video(id) ON DELETE CASCADE,
    modality TEXT,                  -- NULL: whichever
    text TEXT NOT NULL,
    target TEXT,                    -- what a renamed tag is called
    start REAL,
    end REAL,
    at TEXT NOT NULL
);
CREATE INDEX verdict_of_video ON verdict(video_id);

-- words to search for, one row for each video (rowid is its id)
CREATE VIRTUAL TABLE found USING fts5(
    tags, screen, transcript, title,
    TOKENIZER
);
""".replace("TOKENIZER", TOKENIZER)

EMBEDDINGS = """
-- which videos were embedded for search, by which model, and what else than the pictures it read; the vectors
-- themselves are rows of vector with source 'video' (one a video) and 'span'
CREATE TABLE embedded(
    video_id INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,      -- of the model and of the way in which spans are cut
    upstream TEXT NOT NULL,         -- hash of the tags that the model read
    revision INTEGER NOT NULL,      -- counts up with every write, so that an index knows what it has not seen
    at TEXT NOT NULL,
    PRIMARY KEY (video_id, fingerprint)
) WITHOUT ROWID;
"""

EFFECTIVE = """
-- the tags of a video as they hold after people's verdicts, packed for counting and browsing (effective.py);
-- made of the tables above, and made again from them where it is damaged
CREATE TABLE term(
    id INTEGER PRIMARY KEY,
    modality TEXT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (modality, text)
);
CREATE TABLE effective(
    video_id INTEGER PRIMARY KEY REFERENCES video(id) ON DELETE CASCADE,
    tags BLOB NOT NULL
);
"""

# In order. A step is never edited once it has been released: add another.
MIGRATIONS: tuple[str, ...] = (FIRST, EMBEDDINGS, EFFECTIVE)


def has_fulltext() -> bool:
    """Whether this SQLite has the full-text search that every catalog needs."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(f"CREATE VIRTUAL TABLE t USING fts5(x, {TOKENIZER})")
        except sqlite3.Error:
            return False
    return True


def upgrade(connection: sqlite3.Connection, name: str) -> None:
    """Bring an opened database to the newest schema, each step whole or not at all."""
    while check_schema(connection, name) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = check_schema(connection, name)  # another program may have been faster
            for statement in _statements(MIGRATIONS[version]) if version < len(MIGRATIONS) else ():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {min(version + 1, len(MIGRATIONS))}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would end the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def check_schema(connection: sqlite3.Connection, name: str) -> int:
    """The schema version of a database, 0 for an empty one; refuses what is no catalog of ours.

    Version and tables are read at one moment: another program may be making them.
    """
    if connection.in_transaction:
        return _check_schema(connection, name)
    connection.execute("BEGIN")
    try:
        return _check_schema(connection, name)
    finally:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _check_schema(connection: sqlite3.Connection, name: str) -> int:
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB) & 0xFF not in _NO_CATALOG:
            raise
        raise NotACatalog(
            f"{name} is not a catalog of tagline ({error}); name another with --library, or see what is left "
            "of it with `tagline catalog check`"
        ) from error
    if tables and owner != APPLICATION:
        raise NotACatalog(f"{name} belongs to another program; name another file with --library")
    if version > len(MIGRATIONS):
        raise CatalogTooNew(
            f"{name} was written by a newer tagline (schema {version}, this one reads up to "
            f"{len(MIGRATIONS)}); install the newer version to use it"
        )
    if version < 0 or (tables and not version):
        raise NotACatalog(f"{name} is damaged (schema {version}); {CHECK}")
    if tables:
        check_tables(connection, name, version)
    return version


def check_tables(connection: sqlite3.Connection, name: str, version: int | None = None) -> None:
    """Refuse a catalog with anything in it that is not what its version makes: a view in a table's place, a
    trigger, another column. A stranger's statement would run with every one of ours."""
    wrong = strange_tables(connection, len(MIGRATIONS) if version is None else version)
    if wrong:
        raise NotACatalog(f"{name} is not laid out as tagline lays it out ({wrong[0]}); {CHECK}")


def strange_tables(connection: sqlite3.Connection, version: int) -> list[str]:
    """What in a database is not as the steps up to a version make it, in words."""
    wanted = _layout(MIGRATIONS[:version])
    found = _objects(connection)
    lacking = [f"there is no {kind} {safe(name, 60)}" for kind, name in wanted if (kind, name) not in found]
    other = [
        f"{safe(name, 60)} is a {safe(kind, 20)} of another make"
        for (kind, name), made in found.items()
        if wanted.get((kind, name)) != made
    ]
    return [*other, *lacking]


@lru_cache(maxsize=8)
def _layout(steps: tuple[str, ...]) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for script in steps:
            connection.executescript(script)
        return _objects(connection)


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """(kind, name): how each table, index, view and trigger was made, without comments and blanks.

    SQLite's own are left out, and of the tables below full-text search, which it makes, only the kind counts.
    """
    found = {}
    for kind, name, table, made in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        if str(name).startswith("sqlite_") and kind in ("table", "index"):
            continue
        words = " ".join(re.sub(r"--[^\n]*", " ", str(made)).split())
        below = str(name).startswith("found_") and kind == "table" and not words.startswith("CREATE VIRTUAL")
        found[str(kind), str(name)] = str(table) if below else f"{table}: {words}"
    return found


_NO_CATALOG = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})
