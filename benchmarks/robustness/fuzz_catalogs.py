"""fuzz-catalogs: a library's files damaged in many ways, and every command that reads one driven over them.

Nothing may end in a traceback or hang: each ends in an answer or in a sentence.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tagline.benchmarks.robustness.mutants import mutate
from tagline.experts.footage import Coverage, Facts
from tagline.experts.tags import Embedding, Modality, Report, Sighting, Tag, Word
from tagline.tagging.catalog.files import FOLDER
from tagline.tagging.catalog.location import FILE
from tagline.tagging.catalog.records import Caption, Look, Place
from tagline.tagging.catalog.write import Catalog

VIDEOS = 6
LIMIT = 20.0  # seconds for a command
FINGERPRINT = "f" * 64
EXIT_CODES = frozenset({0, 1, 2, 3, 4})
LISTED = 20  # tracebacks that the record holds


@dataclass(slots=True)
class Tally:
    """What came of the commands so far."""

    runs: int = 0
    hangs: int = 0
    codes: Counter[str] = field(default_factory=Counter)  # by exit code, or the page's status
    tracebacks: list[str] = field(default_factory=list)
    damages: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """count=500 damaged libraries, drawn with seed=0, in process; shell=25 of them through the shell, too."""
    count, seed, shell = (int(options.get(key, default)) for key, default in _DEFAULTS.items())
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tagline-fuzz-") as scratch:
        tally = run(Path(scratch), count, seed)
        through_shell = run_in_shell(Path(scratch), shell, seed)
    return {
        "values": {
            "libraries": count,
            "runs": tally.runs + through_shell.runs,
            "tracebacks": len(tally.tracebacks) + len(through_shell.tracebacks),
            "hangs": tally.hangs + through_shell.hangs,
            "slowest_seconds": round(max(tally.slowest, through_shell.slowest), 2),
            "seconds": round(time.perf_counter() - begun, 1),
        },
        "configuration": {
            "commands": [" ".join(words) for words in commands(Path("LIBRARY"))],
            "routes_of_the_page": len(_routes()),
            "damages": dict(sorted(tally.damages.items())),
            "exit_codes": dict(sorted((tally.codes + through_shell.codes).items())),
            "limit_seconds": LIMIT,
            "through_shell": shell,
        },
        "seeds": [seed],
        "details": {"tracebacks": (tally.tracebacks + through_shell.tracebacks)[:LISTED]},
    }


_DEFAULTS = {"count": "500", "seed": "0", "shell": "25"}


def run(scratch: Path, count: int, seed: int, *, first: int = 0, heavy: bool = True) -> Tally:
    """Damage so many copies of a library and drive everything over each."""
    whole = make_library(scratch / "whole")
    tally = Tally()
    with _environment(scratch):
        warm = Path(shutil.copytree(whole, scratch / "warm"))
        for words in commands(warm, heavy):  # what is imported for the first time takes its time
            _drive(words, "a whole library", tally, limit=20 * LIMIT)
        tally.slowest = 0.0
        for number in range(first, first + count):
            with _damaged(whole, scratch, seed, number) as (folder, what):
                tally.damages[what.split(":")[0]] += 1
                for words in commands(folder, heavy):
                    _drive(words, f"{number} ({what})", tally)
                _drive_page(folder, f"{number} ({what})", tally)
                for words in _REPAIRS:
                    _drive([*words, "--library", str(folder)], f"{number} ({what})", tally)
    return tally


def run_in_shell(scratch: Path, count: int, seed: int) -> Tally:
    """The same for one command each, as a process of its own."""
    whole = make_library(scratch / "whole in shell")
    tally = Tally()
    for number in range(count):
        with _damaged(whole, scratch, seed, number) as (folder, what):
            listed = list(commands(folder))
            words = listed[number % len(listed)]
            tally.runs += 1
            begun = time.perf_counter()
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "tagline", *words], capture_output=True, timeout=6 * LIMIT
                )
            except subprocess.TimeoutExpired:
                tally.hangs += 1
                continue
            tally.slowest = max(tally.slowest, time.perf_counter() - begun)
            tally.codes[str(done.returncode)] += 1
            if b"Traceback" in done.stderr or done.returncode not in EXIT_CODES:
                said = done.stderr.decode(errors="replace")[-1_500:]
                tally.tracebacks.append(f"{number} ({what}): {' '.join(words)}\n{said}")
    return tally


# -- what is driven ------------------------------------------------------------------------------------


def commands(folder: Path, heavy: bool = True) -> Iterator[list[str]]:
    """Every command that reads a catalog, as its words; without `heavy`, those that load no torch."""
    there = ["--library", str(folder)]
    out = str(folder / "out")
    for words in (
        ["show", "1"],
        ["show", "video 2", "--all", "--transcript"],
        ["show", "3", "--json"],
        ["show", "1", "--fused"],
        ["tags", "list"],
        ["tags", "list", "--rare", "--json"],
        ["search", "a", "dog", "on", "the", "beach", "--anyway"],
        ["search", "dog", "--tag", "object:dog", "--longer", "1s", "--json"],
        ["explain", "a dog", "1", "--json"],
        ["similar", "1"],
        ["describe", "2"],
        ["tune"],
        ["export", "-f", "json", "-f", "csv", "-f", "xmp", "-f", "vtt", "--out", out],
        ["tags", "accept", "1", "dog"],
        ["tags", "reject", "2", "beach"],
        ["tags", "add", "3", "Anna", "--from", "1"],
        ["tags", "rename", "dog", "Rex"],
        ["tags", "merge", "beach", "sea", "--into", "shore"],
        ["tags", "alias", "hound", "dog"],
        ["tags", "undo"],
        ["import", str(folder / "tags.csv")],
        ["index"],
    ):
        yield [*words, *there]
    if heavy:
        yield ["eval", *there]
    yield ["plan", str(folder), "--only", "object"]
    yield ["tag", str(folder), "--only", "object"]


_REPAIRS = (
    ["catalog", "check"],
    ["catalog", "check", "--json"],
    ["catalog", "check", "--repair"],
    ["show", "1"],
)


def _drive(words: Sequence[str], where: str, tally: Tally, limit: float = LIMIT) -> None:
    from click.testing import CliRunner

    from tagline.experts import extras
    from tagline.retrieval.cli.main import cli

    def command() -> str:
        answer = CliRunner().invoke(cli, list(words))
        error = answer.exception
        known = isinstance(error, ImportError) and extras.from_import_error(error) is not None
        if error is not None and not isinstance(error, SystemExit) and not known:
            raise error
        if answer.exit_code not in EXIT_CODES:
            raise RuntimeError(f"exit code {answer.exit_code}")
        if answer.exit_code and not answer.output.strip() and not known:
            raise RuntimeError("it failed without a word")
        return str(answer.exit_code)

    _timed(command, f"{where}: {' '.join(words)}", tally, limit)


def _drive_page(folder: Path, where: str, tally: Tally) -> None:
    """Every route of the page, as the server calls it."""
    from tagline.retrieval.web.api.contract import Problem
    from tagline.retrieval.web.api.state import AppState
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.schema import CatalogError

    def opened() -> str:
        try:
            states.append(AppState(location.find_catalog_home(library=folder)))
        except CatalogError:
            return "not served"
        return "served"

    states: list[AppState] = []
    _timed(opened, f"{where}: the page", tally)
    for state in states:
        with closing(state):
            for name, answer in _routes():

                def ask(answer: Callable[[AppState], Any] = answer, state: AppState = state) -> str:
                    try:
                        given = answer(state)
                        if isinstance(given, dict):
                            json.dumps(given, allow_nan=False).encode()
                        return "200"
                    except Problem as problem:
                        return str(problem.status)

                _timed(ask, f"{where}: {name}", tally)


def _routes() -> list[tuple[str, Callable[[Any], Any]]]:
    from tagline.retrieval.web.api.contract import read_body, read_query
    from tagline.retrieval.web.api.routes import ROUTES

    key = _digest(1)[:20]
    given = {"id": key, "text": "dog", "modality": "object", "act": 1, "kind": "accept"}
    found: list[tuple[str, Callable[[Any], Any]]] = []
    for route in ROUTES:
        if route.kind != "api":
            continue
        query = [(p.name, str(given[p.name])) for p in route.of("query") if p.required]
        for more in ([], [("q", "dog")]) if any(p.name == "q" for p in route.of("query")) else ([],):
            args = {"id": key, **read_query(route, [*query, *more])}
            if route.changes:
                body = {p.name: given[p.name] for p in route.of("body") if p.name in given}
                args |= read_body(route, json.dumps(body).encode())
            found.append((f"{route.method} {route.path}", partial(_ask, route, args)))
    return found


def _ask(route: Any, args: Mapping[str, Any], state: Any) -> Any:
    return route.run(state, args)


class _Hang(BaseException):
    pass


def _timed(work: Callable[[], str], where: str, tally: Tally, limit: float = LIMIT) -> None:
    def ring(number: int, frame: object) -> None:
        raise _Hang

    tally.runs += 1
    begun = time.perf_counter()
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        tally.codes[work()] += 1
    except _Hang:
        tally.hangs += 1
        tally.tracebacks.append(f"hangs: {where}")
    except Exception as error:
        said = "".join(traceback.format_exception(error))[-1_500:]
        tally.tracebacks.append(f"{where}\n{said}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    tally.slowest = max(tally.slowest, time.perf_counter() - begun)


@contextmanager
def _environment(scratch: Path) -> Iterator[None]:
    """A user with nothing of their own, so that what is found here is found everywhere."""
    fresh = {
        "XDG_CONFIG_HOME": str(scratch / "config"),
        "XDG_DATA_HOME": str(scratch / "data"),
        "TAGLINE_LIBRARY": "",
        "HF_HUB_OFFLINE": "1",
    }
    before = {name: os.environ.get(name) for name in fresh}
    os.environ.update(fresh)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# -- the library, and how it is damaged ----------------------------------------------------------------


def make_library(folder: Path) -> Path:
    """A library with a row of every kind, an index, what search learned, settings, and a file to import."""
    from tagline.retrieval.embed.search_model import APPEARANCE, CHOICE, SearchModel
    from tagline.retrieval.index.base import Level
    from tagline.retrieval.index.update import update
    from tagline.retrieval.query import params

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with Catalog.open(folder) as catalog:
        for number in range(VIDEOS):
            video = _put_video(catalog, folder, number, rng)
            whole, *spans = (_embedding(rng, 2.0 * place) for place in range(3))
            catalog.vectors.put_embeddings(video, FINGERPRINT, "", whole, spans)
            catalog.put_captions(video, [Caption("a dog runs on the beach", 0.0, 3.0, "train")])
        catalog.put_failure("it is damaged", "d", path=str(folder / "broken.mp4"))
        catalog.decide.accept(1, "dog")
        catalog.decide.reject(2, "sea")
        catalog.decide.add(3, "Anna", span=(1.0, 2.0))
        catalog.decide.rename("car", "automobile")
        catalog.decide.alias("seaside", "beach")
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
    (folder / FOLDER / "tagline.toml").write_text("[tag]\nbatch = 4\n", encoding="utf-8")
    (folder / FOLDER / f"{FILE}.lock").write_text(f"{os.getpid():<20}", encoding="utf-8")
    (folder / "tags.csv").write_text("path,text,modality\nvideo 1.mp4,boat,object\n", encoding="utf-8")
    return folder


def _put_video(catalog: Catalog, folder: Path, number: int, rng: Any) -> int:
    said: dict[Modality, Sequence[str]] = {
        Modality.OBJECT: ("dog", f"thing {number}", "car"),
        Modality.SCENE: ("beach", "sea"),
        Modality.SPEECH: ("holiday",),
        Modality.SCREEN: ("EXIT",),
    }
    looks = []
    for modality, texts in said.items():
        tags = [Tag(t, modality, 0.8, i, i + 2.0, str(modality), i) for i, t in enumerate(texts)]
        report = Report(
            tags=tags,
            sightings=[Sighting(t, 0.7, 1.0, (0.1, 0.1, 0.5, 0.5)) for t in texts],
            words=[Word("hello", 0.0, 0.5, 0.9)] if modality == Modality.SPEECH else [],
            vectors=[_embedding(rng, 0.0)],
            notes=["half of it was dark"],
            facts={"backend": "none"},
        )
        looks.append(
            Look(str(modality), modality, "1", "f", report, seconds=0.5, coverage=Coverage(12, 11, "read"))
        )
    looks.append(Look("motion", Modality.MOTION, "1", "f", reason="it broke"))
    facts = Facts(9.0, 64, 36, Fraction(25), "h264", 0, "bt709", True, f"title {number}", "2024-05-01")
    place = Place(str(folder / f"video {number}.mp4"), 1_000 + number, 1)
    return catalog.save(_digest(number), place, facts=facts, looks=looks)


def _digest(number: int) -> str:
    return f"{number:064x}"[::-1]


def _embedding(rng: Any, start: float) -> Embedding:
    values = rng.standard_normal(8).astype(np.float32)
    return Embedding(start, start + 2.0, values / np.linalg.norm(values))


@contextmanager
def _damaged(whole: Path, scratch: Path, seed: int, number: int) -> Iterator[tuple[Path, str]]:
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


_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
_SCHEMA = (
    f"ALTER TABLE tag RENAME TO old;CREATE VIEW tag AS {_ENDLESS} SELECT i AS id, 1 AS video_id, 'object' AS"
    " expert, 'object' AS modality, 'a' AS said, 'a' AS text, 0.5 AS score, 0 AS start,"
    " 1 AS end, 0 AS best FROM n",
    f"DROP TABLE meta;CREATE VIEW meta AS {_ENDLESS} SELECT i AS key, i AS value FROM n",
    f"DROP TABLE path;CREATE VIEW path AS {_ENDLESS} SELECT i AS id, 1 AS video_id, 'x' AS path,"
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
