"""Libraries to be damaged: one with a row of every kind, and the many ways in which its files are spoiled."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np

from tagline.experts.attacks.mutate import mutate
from tagline.tagging.attacks.libraries import ENDLESS, VIDEOS, embedding, fill
from tagline.tagging.catalog.files import FOLDER
from tagline.tagging.catalog.location import FILE
from tagline.tagging.catalog.write import Catalog

FINGERPRINT = "f" * 64


def make_library(folder: Path) -> Path:
    """A library with a row of every kind, an index, what search learned, settings, and a file to import."""
    from tagline.retrieval.embed.search_model import APPEARANCE, CHOICE, SearchModel
    from tagline.retrieval.index.base import Level
    from tagline.retrieval.index.update import update
    from tagline.retrieval.query import params

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with Catalog.open(folder) as catalog:
        fill(catalog, folder)
        for video in range(1, VIDEOS + 1):
            whole, *spans = (embedding(rng, 2.0 * place) for place in range(3))
            catalog.vectors.put_embeddings(video, FINGERPRINT, "", whole, spans)
        catalog.set_meta(CHOICE, SearchModel(APPEARANCE, "nobody-has-it", FINGERPRINT).as_json())
        for level in Level:
            update(catalog, level, FINGERPRINT)
        taught = params.SearchParams(
            qb_norm=params.QBNorm(),
            probe_queries=2,
            row_hubness={level: (np.arange(3), np.zeros(3)) for level in params.LEVELS},
            out_of_domain={"video": (0.1, 0.1)},
            vocabulary=frozenset({"dog"}),
            tags=[("object", "dog")],
            tag_vectors=np.ones((1, 8), np.float32),
        )
        params.write(catalog, "", taught)
    (folder / "tags.csv").write_text("path,text,modality\nvideo 1.mp4,boat,object\n", encoding="utf-8")
    return folder


@contextmanager
def damaged(whole: Path, scratch: Path, seed: int, number: int) -> Iterator[tuple[Path, str]]:
    """A damaged copy of a library, and what was done to it."""
    folder = scratch / f"library {number}"
    shutil.copytree(whole, folder)
    try:
        yield folder, damage(folder, random.Random(f"{seed} {number}"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def damage(folder: Path, rng: random.Random) -> str:
    """Damage one thing in a library, and say what."""
    home = folder / FOLDER
    kind = rng.choice(
        ("bytes", "bytes", "values", "values", "values", "schema", "pragma", "beside", "beside")
    )
    if kind == "bytes":
        file = home / FILE
        file.write_bytes(mutate(file.read_bytes(), rng))
        return "bytes of the catalog"
    if kind == "beside":
        return _damage_file(home, rng)
    with closing(sqlite3.connect(home / FILE, isolation_level=None)) as connection:
        if kind == "values":
            changes = [_damage_values(connection, rng) for _ in range(rng.choice((1, 1, 4, 12)))]
            return f"values: {', '.join(changes)}"
        statement = rng.choice(_SCHEMA if kind == "schema" else _PRAGMAS)
        with suppress(sqlite3.Error):  # a schema that is broken cannot be read on
            connection.executescript(statement)
        return f"{kind}: {statement[:60]}"


_VALUES: tuple[str, ...] = (
    "CAST(x'c328ff' AS TEXT)",  # no UTF-8
    "x'00ff00'",
    "zeroblob(100000)",
    "'no number'",
    "''",
    "9e999",
    "-9e999",
    "1e300",
    "-1",
    "4611686018427387904",
    "9223372036854775807",
    "NULL",
    "'1/0'",
    "'\u202e\u001b[2J'",
    "'[1, 2'",
    "'{\"a\": 1}'",
    "replace(hex(zeroblob(20000)), '00', '[')",  # a list in a list in a list
    "replace(hex(zeroblob(200000)), '0', 'x')",
    "0.5",
    "CAST('../../etc/passwd' AS TEXT)",
)
_TABLES = (
    "meta",
    "video",
    "path",
    "run",
    "failure",
    "tag",
    "sighting",
    "word",
    "vector",
    "caption",
    "verdict",
)


def _damage_values(connection: sqlite3.Connection, rng: random.Random) -> str:
    """Put a value where it cannot be; what the table itself refuses is drawn again."""
    while True:
        table = rng.choice((*_TABLES, "embedded", "found"))
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        column, value = rng.choice(columns), rng.choice(_VALUES)
        some = rng.choice(("", " WHERE rowid % 2 = 1", " WHERE rowid = 1"))
        some = "" if table in ("meta", "run", "embedded") else some
        try:
            connection.execute(f"UPDATE {table} SET {column} = {value}{some}")
            return f"{table}.{column} = {value[:30]}"
        except sqlite3.Error:
            continue


_SCHEMA = (
    f"ALTER TABLE tag RENAME TO old;CREATE VIEW tag AS {ENDLESS} SELECT i AS id, 1 AS video_id, 'object' AS"
    " expert, 'object' AS modality, 'a' AS said, 'a' AS text, 0.5 AS score, 0 AS start,"
    " 1 AS end, 0 AS best FROM n",
    f"DROP TABLE meta;CREATE VIEW meta AS {ENDLESS} SELECT i AS key, i AS value FROM n",
    f"DROP TABLE path;CREATE VIEW path AS {ENDLESS} SELECT i AS id, 1 AS video_id, 'x' AS path,"
    " 0 AS gone FROM n",
    "CREATE TRIGGER t AFTER INSERT ON verdict BEGIN DELETE FROM verdict;END",
    "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN DELETE FROM tag;END",
    "DROP TABLE tag",
    "DROP TABLE verdict",
    "DROP TABLE found",
    "DROP INDEX tag_by_text",
    "ALTER TABLE video DROP COLUMN fps",
    "ALTER TABLE tag RENAME COLUMN score TO points",
    "ALTER TABLE run ADD COLUMN more",
    "DROP TABLE caption;CREATE VIRTUAL TABLE caption USING fts5(video_id, text, start, end, split)",
    "CREATE TABLE more(a)",
    "DELETE FROM found_data",
    "UPDATE found_data SET block = zeroblob(10)",
    "DELETE FROM found_config",
    "PRAGMA foreign_keys = OFF;DELETE FROM video",
    "DELETE FROM path",
    "DELETE FROM meta",
)
_PRAGMAS = (
    "PRAGMA user_version = 99",
    "PRAGMA user_version = 1",
    "PRAGMA user_version = 0",
    "PRAGMA user_version = -3",
    "PRAGMA application_id = 7",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA writable_schema = ON;UPDATE sqlite_master SET sql = 'CREATE TABLE tag(' WHERE name = 'tag'",
    "PRAGMA writable_schema = ON;UPDATE sqlite_master SET rootpage = 1 WHERE name = 'video'",
    "PRAGMA writable_schema = ON;UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'verdict'",
    "PRAGMA writable_schema = ON;UPDATE sqlite_master SET type = 'view' WHERE name = 'run'",
    "PRAGMA writable_schema = ON;DELETE FROM sqlite_master WHERE name LIKE 'found_%'",
    "PRAGMA writable_schema = ON;UPDATE sqlite_master SET name = x'ff' WHERE name = 'word'",
)
_BESIDE = (
    FILE,
    f"{FILE}.lock",
    f"{FILE}-wal",
    f"{FILE}-shm",
    f"{FILE}-journal",
    "tagline.toml",
    "search.npz",
    "search",
    "search/video.index",
    "search/span.index",
    "search/video.milvus.json",
    "page",
)


def _damage_file(home: Path, rng: random.Random) -> str:
    """Put something else in the place of a file beside the catalog, or change its bytes."""
    name = rng.choice(_BESIDE)
    path = home / name
    how = rng.choice(("bytes", "bytes", "bytes", "folder", "pipe", "link", "empty", "noise", "json", "gone"))
    before = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if how == "bytes":
        path.write_bytes(mutate(before or rng.randbytes(100), rng))
    elif how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "link":
        path.symlink_to(rng.choice(("/dev/zero", "nowhere", "/etc/passwd", ".")))
    elif how != "gone":
        path.write_bytes({"empty": b"", "noise": rng.randbytes(5_000), "json": b'{"a": [1, 2, {}]}'}[how])
    return f"file {name}: {how}"
