"""A40, A41: a catalog whose folder is taken away while it is written to, and one whose disk is full."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import pytest
from click.testing import CliRunner
from folder_runs import look, write
from looks import FACTS, tag, texts, video
from looks import look as saw

from tagline.retrieval.cli.main import cli
from tagline.tagging.catalog import connection
from tagline.tagging.catalog.connection import CatalogFull
from tagline.tagging.catalog.database import CatalogGone
from tagline.tagging.catalog.records import Place
from tagline.tagging.catalog.write import Catalog

# ---- A40


@pytest.mark.parametrize("how", ["removed", "moved", "another"])
def test_a_catalog_that_is_taken_away_is_noticed_at_the_next_write(tmp_path: Path, how: str) -> None:
    with Catalog.open(tmp_path) as catalog:
        video_id = video(catalog, saw(tag("dog")))
        home = tmp_path / ".tagline"
        if how == "removed":
            shutil.rmtree(home)
        else:
            home.rename(tmp_path / "elsewhere")
        if how == "another":
            Catalog.open(tmp_path).close()
        with pytest.raises(CatalogGone, match="is not there any more, or another file by now"):
            catalog.decide.add(video_id, "cat")


def test_a_run_whose_catalog_is_taken_away_ends_with_1_and_what_to_do(
    decoder: type[fakes.FakeDecoder], films: Path
) -> None:
    write(films, 12)

    def on_progress(progress: Any) -> None:
        if progress.done == 4:
            shutil.rmtree(films / ".tagline")

    with pytest.raises(CatalogGone):
        look(films, on_progress=on_progress)

    class Removing(fakes.FakeObjects):
        def __call__(self, batch: Any) -> Any:
            shutil.rmtree(films / ".tagline", ignore_errors=True)
            return super().__call__(batch)

    fakes_of = sys.modules["fakes"]
    before = fakes_of.FakeObjects
    fakes_of.FakeObjects = Removing  # type: ignore[misc]
    try:
        answer = CliRunner().invoke(cli, ["tag", str(films), "--only", "object"])
    finally:
        fakes_of.FakeObjects = before  # type: ignore[misc]
    assert answer.exit_code == 1, answer.output
    assert "not there any more" in answer.output
    assert "run the same command again" in answer.output


# ---- A41


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes; only root may make one."""
    point = tmp_path / "disk"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(point)]
    if not hasattr(os, "geteuid") or os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root may mount")
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


def fill(disk: Path, left: int) -> None:
    """Fill a disk up to some bytes."""
    with (disk / "filling").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                break
        file.truncate(max(file.tell() - left, 0))


@pytest.mark.parametrize("left", [0, 4096, 16384])
@pytest.mark.parametrize("killed", [False, True])
def test_a_full_disk_can_be_read_on_and_says_that_it_is_full(
    small_disk: Path, left: int, killed: bool
) -> None:
    catalog = Catalog.open(small_disk)
    place = Place(str(small_disk / "a.mp4"), 1, 1)
    video_id = catalog.save("a" * 64, place, facts=FACTS, looks=[saw(tag("dog"))])
    if killed:  # the last changes lie in the log beside the file
        shutil.copytree(small_disk / ".tagline", small_disk / "as it was")
        catalog.close()
        shutil.rmtree(small_disk / ".tagline")
        (small_disk / "as it was").rename(small_disk / ".tagline")
        (small_disk / ".tagline" / "catalog.sqlite-shm").unlink()
    else:
        catalog.close()
    fill(small_disk, left)
    for words in (["show", str(video_id)], ["tags", "list"], ["search", "dog"]):
        answer = CliRunner().invoke(cli, [*words, "--library", str(small_disk)])
        assert answer.exit_code == 0, answer.output
        assert "dog" in answer.output
    answer = CliRunner().invoke(
        cli, ["tags", "add", str(video_id), "a cat" * 20, "--library", str(small_disk)]
    )
    if left < 16384:
        assert answer.exit_code == 1, answer.output
        assert "is full; make room" in answer.output
    (small_disk / "filling").unlink()
    with Catalog.open(small_disk) as catalog:
        catalog.decide.add(video_id, "room again")
        assert "room again" in texts(catalog, video_id)


@pytest.mark.parametrize(
    "code",
    [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN],
)
def test_where_sqlite_finds_no_room_the_catalog_is_read_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The same without a disk: what SQLite says is put in its mouth."""
    with Catalog.open(tmp_path) as catalog:
        video_id = video(catalog, saw(tag("dog")))

    def refused(*args: Any) -> Any:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code  # type: ignore[misc]
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(connection.schema, "upgrade", refused)
        with Catalog.open(tmp_path) as catalog:
            assert texts(catalog, video_id) == ["dog"]
            kind = connection.CatalogUnwritable if code == sqlite3.SQLITE_CANTOPEN else CatalogFull
            with pytest.raises(kind):
                catalog.decide.add(video_id, "cat")
    with Catalog.open(tmp_path) as catalog:
        assert texts(catalog, video_id) == ["dog"]
