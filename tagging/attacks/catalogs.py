"""Attacks by a catalog that is damaged or a stranger's, and on one in use: `tagline selftest --hostile`."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagline.experts.attacks import hostile
from tagline.experts.attacks.mutate import mutate
from tagline.experts.attacks.selftest import Cases, Unexpected
from tagline.experts.panel import Panel
from tagline.tagging.attacks import libraries
from tagline.tagging.attacks.beside import Saboteur
from tagline.tagging.catalog import connection
from tagline.tagging.catalog.connection import CatalogFull, CatalogSlow
from tagline.tagging.catalog.database import CatalogGone
from tagline.tagging.catalog.files import FOLDER
from tagline.tagging.catalog.location import FILE
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run

if TYPE_CHECKING:
    from click.testing import Result

CASES = Cases()
FLIPPED = 8  # catalogs whose bytes are changed
READING = (
    ("show", "1", "--all", "--transcript"),
    ("show", "2", "--json"),
    ("tags", "list"),
    ("export", "-f", "json", "--out", "out"),
    ("tags", "accept", "1", "dog"),
    ("check",),
)
COUNTING = (("tags", "list"), ("export", "-f", "json", "--out", "out"))


@CASES.case("A37", "tables that are views, triggers and tables of another make")
def _strange(folder: Path) -> str:
    for number, (what, script) in enumerate(libraries.STRANGE.items()):
        library = _copy(folder, number)
        libraries.alter(library, script)
        for words in READING:
            _said(library, words, 1, what)
    return f"{len(libraries.STRANGE)} refused"


@CASES.case("A37", "a statement without end, and tags without end on one video")
def _endless(folder: Path) -> str:
    with _copy_opened(folder, 0) as catalog, _timeout(0.2):
        try:
            catalog.query(libraries.COUNT_WITHOUT_END)
        except CatalogSlow:
            pass
        else:
            raise Unexpected("it was carried out")
    library = _copy(folder, 1)
    libraries.alter(library, libraries.TAGS_WITHOUT_END)
    _said(library, ("show", "1"), 1, "more than 100,000 rows")
    _said(library, ("show", "2"), 0, "automobile")
    return "ended; the other videos are shown"


@CASES.case("A38", "values that cannot be: 1/0, NaN, no UTF-8, bottomless JSON, unknown words")
def _values(folder: Path) -> str:
    for number, (statement, table) in enumerate(libraries.VALUES.items()):
        library = _copy(folder, number)
        libraries.alter(library, statement)
        _said(library, ("show", "1", "--transcript"), 0, table)
        for words in COUNTING:
            _tolerates(library, words, statement)
    return f"{len(libraries.VALUES)} left out, and said to be"


@CASES.case("A38", "a folder, a pipe, nonsense in the place of a library's files")
def _something_else(folder: Path) -> str:
    made: dict[str, Callable[[Path], Any]] = {
        "folder": Path.mkdir,
        "nonsense": lambda path: path.write_bytes(b"\xff\x00" * 600),
    }
    if hasattr(os, "mkfifo"):
        made["pipe"] = os.mkfifo
    for place, name in enumerate((FILE, f"{FILE}.lock", f"{FILE}-wal", "tagline.toml")):
        for number, (what, make) in enumerate(made.items()):
            library = _copy(folder, 10 * place + number)
            path = library / FOLDER / name
            path.unlink(missing_ok=True)
            make(path)
            _drive(library, f"a {what} named {name}")
    return f"{4 * len(made)} ended in sentences"


@CASES.case("A38", "catalogs whose bytes were changed at random, and their repair")
def _flipped(folder: Path) -> str:
    for number in range(FLIPPED):
        library = _copy(folder, number)
        file = library / FOLDER / FILE
        file.write_bytes(mutate(file.read_bytes(), random.Random(number)))
        _drive(library, f"the bytes of catalog {number}")
        _call(library, ("check", "--repair"))
        _drive(library, f"the repair of catalog {number}")
    return f"{FLIPPED} ended in answers and sentences"


@CASES.case("A40", "a catalog whose folder is taken away while a run writes to it")
def _taken_away(folder: Path) -> str:
    hostile.honest_video(folder / "a.mp4")
    thief = Saboteur(lambda path: shutil.rmtree(folder / FOLDER))
    with Catalog.open(folder) as catalog:
        made = plan(catalog, [folder], [thief])
        try:
            run(made, Panel(made.experts, jobs=1))
        except CatalogGone as reason:
            return _without(folder, reason)
    raise Unexpected("the run ended as if all were well")


@CASES.case("A41", "a disk that is full")
def _full(folder: Path) -> str:
    try:
        import resource
    except ImportError:
        return "not tried: this system cannot pretend that a disk is full"
    library = _copy(folder, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for left in (4096, 16384):
        # No file may grow beyond this, which is what a program sees of a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
        try:
            _said(library, ("show", "1"), 0, "dog")
            _said(library, ("tags", "list"), 0, "beach")
            with Catalog.open(library) as catalog:
                catalog.decide.add(1, "one more")
        except CatalogFull as reason:
            said = _without(library, reason)
        else:
            raise Unexpected("it was written")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with Catalog.open(library) as catalog:
        catalog.decide.add(1, "room again")
    return f"it is read on; {said}"


@CASES.case("A46", "a hundred thousand tags")
def _many(folder: Path) -> str:
    libraries.fill_with_many(folder, videos=1_000, words=5_000, seed=0)
    Catalog.open(folder).close()  # packs them, once
    with Catalog.open(folder) as catalog:
        counts, quick = _cpu(catalog.tag_counts)
        tags, slow = _cpu(lambda: sum(len(tags) for _, tags in catalog.all_tags()))
    if sum(count.spans for count in counts) != tags:
        raise Unexpected(f"{sum(count.spans for count in counts)} of {tags} tags were counted")
    if quick > slow / 3:
        raise Unexpected(f"counting them took {quick:.1f} s, going through all videos {slow:.1f} s")
    return f"counted in {quick:.2f} s"


# ---- what they are tried with


def _copy(folder: Path, number: int) -> Path:
    """Another copy of a library with a row of every kind."""
    whole = folder / "whole"
    if not whole.exists():
        whole.mkdir()
        with Catalog.open(whole) as catalog:
            libraries.fill(catalog, whole)
    return Path(shutil.copytree(whole, folder / f"library {number}"))


@contextmanager
def _copy_opened(folder: Path, number: int) -> Iterator[Catalog]:
    with Catalog.open(_copy(folder, number)) as catalog:
        yield catalog


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = connection.READ_TIMEOUT
    connection.READ_TIMEOUT = seconds
    try:
        yield
    finally:
        connection.READ_TIMEOUT = before


def _drive(library: Path, what: str) -> None:
    """All commands that read a catalog: each ends in an answer or in a sentence."""
    for words in READING:
        _tolerates(library, words, what)


def _tolerates(library: Path, words: Sequence[str], what: str) -> None:
    answer = _call(library, words)
    if not isinstance(answer.exception, SystemExit | None):
        raise Unexpected(f"{what}: `{' '.join(words)}` ended in {answer.exception!r}")
    if answer.exit_code not in (0, 1, 4) or not answer.output.strip():
        raise Unexpected(f"{what}: `{' '.join(words)}` ended with {answer.exit_code}: {answer.output!r}")


def _said(library: Path, words: Sequence[str], code: int, part: str) -> None:
    answer = _call(library, words)
    if answer.exit_code != code or part not in answer.output:
        raise Unexpected(f"`{' '.join(words)}` ended with {answer.exit_code}: {answer.output!r}")


def _call(library: Path, words: Sequence[str]) -> Result:
    """A command as it is typed."""
    import click
    from click.testing import CliRunner

    from tagline.tagging.cli.catalog import check
    from tagline.tagging.cli.errors import as_sentences
    from tagline.tagging.cli.exchange import export
    from tagline.tagging.cli.show import show
    from tagline.tagging.cli.tags import tags

    class Commands(click.Group):
        def invoke(self, ctx: click.Context) -> Any:
            with as_sentences():
                return super().invoke(ctx)

    group = Commands(commands={"show": show, "tags": tags, "export": export, "check": check})
    typed = [str(library / "out") if word == "out" else word for word in words]
    return CliRunner().invoke(group, [*typed, "--library", str(library)])


def _cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    """What comes of it, and the seconds of CPU that it took."""
    begun = time.process_time()
    return work(), time.process_time() - begun


def _without(folder: Path, reason: Exception) -> str:
    return str(reason).replace(str(folder), "")
