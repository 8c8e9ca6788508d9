"""fuzz-catalogs: a library's files damaged in many ways, and every command that reads one driven over them.

Nothing may end in a traceback or hang: each ends in an answer or in a sentence.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tagline.benchmarks.robustness.damaged_libraries import damaged, make_library
from tagline.tagging.attacks.libraries import digest_of

LIMIT = 20.0  # seconds for a command
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
            with damaged(whole, scratch, seed, number) as (folder, what):
                tally.damages[what.split(":")[0]] += 1
                for words in commands(folder, heavy):
                    _drive(words, f"{number} ({what})", tally)
                _drive_page(folder, f"{number} ({what})", tally)
                for words in _REPAIRS:
                    _drive([*words, "--library", str(folder)], f"{number} ({what})", tally)
    return tally


def run_in_shell(scratch: Path, count: int, seed: int, *, first: int = 0) -> Tally:
    """The same for one command each, as a process of its own."""
    whole = make_library(scratch / "whole in shell")
    tally = Tally()
    for number in range(first, first + count):
        with damaged(whole, scratch, seed, number) as (folder, what):
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

    key = digest_of(1)[:20]
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
