"""attacks: everything that tagline attacks itself with, in one run that goes on where it was interrupted.

The selftest; damaged libraries; requests to the page; broken files; kills of those who write; readers that
read nothing. Every choice is drawn from a seed.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagline.benchmarks.registry.cache import cached_figures, code_fingerprint
from tagline.benchmarks.robustness import (
    fuzz_catalogs,
    fuzz_http,
    kill_writers,
    mutants,
    serve_load,
    stalled,
)

DEFAULTS = {
    "catalogs": 500,
    "shell": 25,
    "http": 5_000,
    "media": 10_000,
    "kills": 1_000,
    "stalled": 1_500,
    "seconds": 30,
    "seed": 0,
}
AT_ONCE = {"catalogs": 25, "shell": 5, "http": 500, "media": 1_000, "kills": 100}  # that a part counts
# What figures of a part depend on beside its size.
ROOMS = ("tagline.experts", "tagline.tagging", "tagline.retrieval", "tagline.benchmarks.robustness")
LISTED = 20  # of what went wrong, of each kind

Figures = dict[str, Any]


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """Sizes: catalogs=500 (shell=25 of them through the shell), http=5000 requests, media=10000 files,
    kills=1000, stalled=1500 readers for seconds=30; seed=0. state=FOLDER keeps each finished part there, and
    the same command goes on with what is left, as long as the code is the same."""
    sizes = {key: int(options.get(key, default)) for key, default in DEFAULTS.items()}
    seed = sizes.pop("seed")
    state = Path(options["state"]).expanduser() if "state" in options else None
    code = code_fingerprint(*ROOMS)
    done: list[Figures] = []
    for part in parts(sizes, seed):
        about = {"part": part.name, "first": part.numbers.start, "end": part.numbers.stop, "seed": seed}
        if state is None:
            done.append(part.timed())
        else:
            about |= {"code": code, "seconds": sizes["seconds"]}
            done.append(cached_figures("attacks", about, part.timed, state))
        print(
            json.dumps({**about, **done[-1], "code": code[:12]}, default=str)[:300],
            file=sys.stderr,
            flush=True,
        )
    return record(done, sizes, seed)


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the attacks of one kind."""

    name: str
    numbers: range
    run: Callable[[Path, range], Figures]

    def timed(self) -> Figures:
        """What came of it, and the seconds that it took."""
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix=f"tagline-{self.name}-") as scratch:
            figures = self.run(Path(scratch), self.numbers)
        return {"part": self.name, **figures, "seconds": round(time.perf_counter() - begun, 1)}


def parts(sizes: Mapping[str, int], seed: int) -> Iterator[Part]:
    """All that is to be done, in pieces that are finished one by one."""

    def split(name: str, run: Callable[[Path, range], Figures]) -> Iterator[Part]:
        for first in range(0, sizes[name], AT_ONCE[name]):
            yield Part(name, range(first, min(first + AT_ONCE[name], sizes[name])), run)

    yield Part("cases", range(1), _cases)
    yield Part("stalled", range(sizes["stalled"]), lambda at, of: _stalled(at, of, sizes["seconds"]))
    yield from split("http", lambda at, of: _http(at, of, seed))
    yield from split("kills", lambda at, of: _kills(at, of, seed))
    yield from split("media", lambda at, of: _media(at, of, seed))
    yield from split("catalogs", lambda at, of: _catalogs(at, of, seed))
    yield from split("shell", lambda at, of: _shell(at, of, seed))


def record(done: list[Figures], sizes: Mapping[str, int], seed: int) -> dict[str, Any]:
    """What all parts come to."""

    def total(part: str, key: str) -> Any:
        return sum(figures[key] for figures in done if figures["part"] == part)

    def wrong(part: str) -> list[str]:
        return [line for figures in done if figures["part"] == part for line in figures["wrong"]][:LISTED]

    stalls = [figures for figures in done if figures["part"] == "stalled"]
    names = dict.fromkeys(figures["part"] for figures in done)
    values = {
        "cases": total("cases", "cases"),
        "survived": total("cases", "survived"),
        "attacks_succeeded": total("cases", "cases") - total("cases", "survived"),
        "fuzz_catalogs": total("catalogs", "count"),
        "through_shell": total("shell", "count"),
        "commands": total("catalogs", "runs") + total("shell", "runs"),
        "tracebacks": total("catalogs", "tracebacks") + total("shell", "tracebacks"),
        "fuzz_http": total("http", "count"),
        "server_errors": total("http", "server_errors"),
        "unanswered": total("http", "unanswered"),
        "fuzz_media": total("media", "count"),
        "hangs": total("media", "hangs") + total("catalogs", "hangs") + total("shell", "hangs"),
        "dead_batches": total("media", "dead_batches"),
        "kill9": total("kills", "count"),
        "lost": total("kills", "lost"),
        "doubled": total("kills", "doubled"),
        "damaged": total("kills", "damaged"),
        "stalled": total("stalled", "count"),
        "p95_ms": max((figures["p95_ms"] for figures in stalls), default=0.0),
        "turned_away": total("stalled", "turned_away"),
        "minutes": round(sum(figures["seconds"] for figures in done) / 60, 1),
    }
    return {
        "values": values,
        "configuration": {
            "sizes": dict(sizes),
            "full_size": all(sizes[key] >= DEFAULTS[key] for key in sizes),
            "minutes": {name: round(total(name, "seconds") / 60, 1) for name in names},
            "verdicts_in_flight": total("kills", "verdicts"),
            "killed_between_writing_and_reporting": total("kills", "in_flight"),
            "answers_beside_stalled_readers": total("stalled", "answers"),
        },
        "seeds": [seed],
        "details": {"wrong": {name: wrong(name) for name in names if wrong(name)}},
    }


def _cases(scratch: Path, numbers: range) -> Figures:
    from tagline.retrieval.cli.selftest import results

    seen = list(results(scratch, True))
    failed = [f"{attack} {case}: {what}" for attack, case, passed, what in seen if not passed]
    return {"cases": len(seen), "survived": len(seen) - len(failed), "wrong": failed}


def _catalogs(scratch: Path, numbers: range, seed: int) -> Figures:
    return _of_catalogs(numbers, fuzz_catalogs.run(scratch, len(numbers), seed, first=numbers.start))


def _shell(scratch: Path, numbers: range, seed: int) -> Figures:
    return _of_catalogs(numbers, fuzz_catalogs.run_in_shell(scratch, len(numbers), seed, first=numbers.start))


def _of_catalogs(numbers: range, tally: fuzz_catalogs.Tally) -> Figures:
    return {
        "count": len(numbers),
        "runs": tally.runs,
        "hangs": tally.hangs,
        "tracebacks": len(tally.tracebacks),
        "slowest": round(tally.slowest, 2),
        "wrong": tally.tracebacks[:LISTED],
    }


def _http(scratch: Path, numbers: range, seed: int) -> Figures:
    terminal = scratch / "terminal"
    with _served(scratch / "library", terminal) as (port, ids):
        tally = fuzz_http.run(port, serve_load.TOKEN, ids, numbers, seed)
    # Of who hung up the answer is not seen, but the terminal of the server is.
    said = terminal.read_text(encoding="utf-8", errors="replace").split("Traceback (most recent call last)")
    return {
        "count": len(numbers),
        "server_errors": tally.server_errors + len(said) - 1,
        "unanswered": tally.unanswered,
        "statuses": dict(tally.statuses.most_common()),
        "wrong": [*tally.faults, *(fault[-600:] for fault in said[1:])],
    }


def _stalled(scratch: Path, numbers: range, seconds: int) -> Figures:
    with _served(scratch / "library", film=True) as (port, ids):
        tally = stalled.run(port, serve_load.TOKEN, ids[0], len(numbers), seconds)
    return {
        "count": len(numbers),
        "opened": tally.opened,
        "answers": len(tally.seconds),
        "p95_ms": tally.p95_ms,
        "turned_away": tally.turned_away,
        "statuses": dict(tally.statuses.most_common()),
        "wrong": [f"{what} ({count} times)" for what, count in tally.refused.most_common(LISTED)],
    }


@contextlib.contextmanager
def _served(
    folder: Path, terminal: Path | None = None, *, film: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """`tagline serve` over a library of videos: its port and the ids of the videos, a long film first."""
    from tagline.retrieval.web.api.state import id_of
    from tagline.retrieval.web.server import more_files
    from tagline.tagging.catalog.write import Catalog

    more_files()
    folder.mkdir()
    serve_load.fill(folder, 12)
    if film:
        stalled.make_film(folder)
    with Catalog.open(folder) as catalog:
        ids = [id_of(video) for video in catalog.videos()]
    with serve_load.serving(folder, terminal) as (process, port):
        yield port, ids
        if process.poll() is not None:
            raise RuntimeError(f"`tagline serve` ended with {process.returncode}")


def _media(scratch: Path, numbers: range, seed: int) -> Figures:
    originals = mutants.make_originals(scratch)
    tally = mutants.run(scratch, originals, numbers, seed, jobs=2)
    return {
        "count": len(numbers),
        "hangs": tally.hangs,
        "dead_batches": tally.dead,
        "outcomes": dict(tally.outcomes.most_common(20)),
        "wrong": [reason for reason in tally.outcomes if reason.startswith("dead") or "longer" in reason],
    }


def _kills(scratch: Path, numbers: range, seed: int) -> Figures:
    tally = kill_writers.run(scratch, len(numbers), seed + numbers.start)
    return {
        "count": tally.kills,
        "lost": tally.lost,
        "doubled": tally.doubled,
        "damaged": tally.damaged,
        "in_flight": tally.in_flight,
        "verdicts": tally.verdicts,
        "videos": tally.videos,
        "wrong": tally.wrong[:LISTED],
    }
