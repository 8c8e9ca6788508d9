"""A library's files: nothing outside of it is written, emptied or removed because of what lies in it."""

from __future__ import annotations

import os
from pathlib import Path

import fakes
import pytest
from click.testing import CliRunner, Result
from embedding import use_fake_embedder
from folder_runs import write

from tagline.retrieval.cli.main import cli
from tagline.retrieval.web.api.state import AppState
from tagline.tagging.catalog.location import NoCatalog, catalog_home, find_catalog_home
from tagline.tagging.catalog.lock import only_writer
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.formats.export import export

SOMEBODY = 54_321  # a user who is neither root nor the one who runs the tests

as_root = pytest.mark.skipif(
    getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can give files to another user"
)


@pytest.fixture(autouse=True)
def of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAGLINE_LIBRARY", raising=False)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of the user's that has nothing to do with any library."""
    file = tmp_path / "precious.txt"
    file.write_text("years of work")
    return file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def give_away(folder: Path) -> None:
    """To another user, links included."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)


# ---- A33: whose library it is, and its lock


@as_root
def test_the_library_of_another_user_above_is_not_adopted(
    decoder: type[fakes.FakeDecoder], tmp_path: Path, precious: Path
) -> None:
    Catalog.open(tmp_path / "shared").close()
    own = tmp_path / "shared" / "own"
    own.mkdir()
    write(own, 1)
    theirs = tmp_path / "shared" / ".tagline"
    (theirs / "catalog.sqlite.lock").symlink_to(precious)
    give_away(theirs)
    before = {path.name: path.lstat() for path in theirs.iterdir()}
    with pytest.raises(NoCatalog, match="no catalog of yours"):
        find_from(own)
    assert run("tag", own).exit_code == 0
    assert precious.read_text() == "years of work"
    assert {path.name: path.lstat() for path in theirs.iterdir()} == before
    assert find_catalog_home([own]).file == own / ".tagline" / "catalog.sqlite"


def find_from(folder: Path) -> Path:
    """The catalog that a command without a folder finds there."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        return find_catalog_home().file
    finally:
        os.chdir(here)


@as_root
def test_the_library_of_another_user_is_opened_once_its_folder_is_approved(
    tmp_path: Path,
) -> None:
    fakes.library(tmp_path / "shared", {"dog.mp4": {"tags": {"object": ["dog"]}}}).close()
    give_away(tmp_path / "shared")
    refused = run("search", "dog", "--library", tmp_path / "shared")
    assert refused.exit_code == 1
    assert "belongs to another user" in refused.output
    assert f"tagline approve {tmp_path / 'shared'}" in refused.output
    assert run("approve", tmp_path / "shared").exit_code == 0
    assert "dog.mp4" in run("search", "dog", "--library", tmp_path / "shared").output
    # What a third one has put there is still nobody's.
    os.chown(tmp_path / "shared" / ".tagline" / "catalog.sqlite", SOMEBODY + 1, SOMEBODY)
    assert run("search", "dog", "--library", tmp_path / "shared").exit_code == 1


def test_what_others_may_change_in_a_folder_for_everybody_is_not_adopted(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "all").close()
    (tmp_path / "all" / "own").mkdir()
    assert find_from(tmp_path / "all" / "own") == tmp_path / "all" / ".tagline" / "catalog.sqlite"
    (tmp_path / "all" / ".tagline").chmod(0o777)
    assert find_from(tmp_path / "all" / "own") == tmp_path / "all" / ".tagline" / "catalog.sqlite"
    (tmp_path / "all").chmod(0o1777)
    with pytest.raises(NoCatalog):
        find_from(tmp_path / "all" / "own")


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_a_lock_that_is_a_link_empties_nothing(
    decoder: type[fakes.FakeDecoder], films: Path, precious: Path, make: str
) -> None:
    Catalog.open(films).close()
    write(films, 1)
    getattr(films / ".tagline" / "catalog.sqlite.lock", make)(precious)
    answer = run("tag", films)
    assert precious.read_text() == "years of work"
    assert answer.exit_code == 1
    assert "link" in answer.output
    assert "catalog.sqlite.lock" in answer.output


def test_a_file_that_is_no_lock_is_left_as_it_is(films: Path, precious: Path) -> None:
    with Catalog.open(films) as catalog:
        lock = films / ".tagline" / "catalog.sqlite.lock"
        lock.write_text("a diary")
        with pytest.raises(CatalogError, match="is no lock of tagline"), only_writer(catalog):
            pass
        assert lock.read_text() == "a diary"
        lock.write_text("4711")  # of a run that was killed, and of an older tagline
        with only_writer(catalog):
            assert lock.read_text().strip() == str(os.getpid())


def test_a_folder_that_is_a_link_is_no_library(
    decoder: type[fakes.FakeDecoder], films: Path, tmp_path: Path
) -> None:
    write(films, 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (films / ".tagline").symlink_to(elsewhere)
    answer = run("tag", films)
    assert answer.exit_code == 1
    assert "symbolic link" in answer.output
    assert list(elsewhere.iterdir()) == []
    # Who means it names it.
    assert run("tag", films, "--library", elsewhere / "catalog.sqlite").exit_code == 0
    assert (elsewhere / "catalog.sqlite").is_file()


@pytest.mark.parametrize("name", ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-journal"])
def test_no_file_of_the_database_is_a_link(films: Path, precious: Path, name: str) -> None:
    (films / ".tagline").mkdir()
    if name != "catalog.sqlite":
        Catalog.open(films).close()
    nowhere = precious.with_name("not there yet")
    (films / ".tagline" / name).symlink_to(nowhere)
    with pytest.raises(CatalogError, match="symbolic link"):
        Catalog.open(films)
    assert not nowhere.exists()
    (films / ".tagline" / name).unlink()
    if name != "catalog.sqlite":
        (films / ".tagline" / name).hardlink_to(precious)
        with pytest.raises(CatalogError, match="hard link"):
            Catalog.open(films)
        assert precious.read_text() == "years of work"


# ---- A35: the page, the index, what was learnt, models, shards


def test_the_page_removes_and_writes_nothing_elsewhere(films: Path, tmp_path: Path) -> None:
    fakes.library(films, {"dog.mp4": {}}).close()
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for name in ("film.mp4.part", "old.made"):
        (downloads / name).write_text("half a film")
    (films / ".tagline" / "page").symlink_to(downloads)
    desk = AppState(catalog_home(films))
    try:
        os.close(desk.cache.get("a picture", lambda: b"picture")[1])
    finally:
        desk.close()
    assert sorted(path.name for path in downloads.iterdir()) == ["film.mp4.part", "old.made"]


def test_the_page_removes_only_what_it_made_itself(films: Path, precious: Path) -> None:
    fakes.library(films, {"dog.mp4": {}}).close()
    page = films / ".tagline" / "page"
    page.mkdir()
    (page / "film.mp4.part").write_text("half a film")
    (page / ("0" * 32 + ".made")).symlink_to(precious)
    desk = AppState(catalog_home(films), cache_bytes=10)
    try:
        os.close(desk.cache.get("a picture", lambda: b"a picture of many bytes")[1])
    finally:
        desk.close()
    assert (page / "film.mp4.part").read_text() == "half a film"
    assert precious.read_text() == "years of work"


def test_the_index_is_not_written_elsewhere(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_embedder(monkeypatch, tmp_path / "cache")
    fakes.library(films, {"dog.mp4": {"tags": {"object": ["dog"]}}}).close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (films / ".tagline" / "search").symlink_to(elsewhere)
    answer = run("index", films)
    assert answer.exit_code == 1
    assert "symbolic link" in answer.output
    assert list(elsewhere.iterdir()) == []
    (films / ".tagline" / "search").unlink()
    assert run("index", films).exit_code == 0
    assert (films / ".tagline" / "search" / "video.index").is_file()
    # An index, and what was learnt, are not read through a link either.
    for name in ("search/video.index", "search.npz"):
        file = films / ".tagline" / name
        file.rename(tmp_path / "moved")
        file.symlink_to(tmp_path / "moved")
        assert "symbolic link" in run("search", "dog", "--library", films).output
        file.unlink()
        (tmp_path / "moved").rename(file)


def test_a_model_is_not_trained_into_a_link(films: Path, tmp_path: Path) -> None:
    fakes.library(films, {"dog.mp4": {}}).close()
    (tmp_path / "elsewhere").mkdir()
    (films / ".tagline" / "models").symlink_to(tmp_path / "elsewhere")
    for command in ("ranker", "tagger"):
        answer = run("train", command, "--data", films)
        assert answer.exit_code == 1, command
        assert "symbolic link" in answer.output, command
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_shards_are_not_written_through_a_link(films: Path, tmp_path: Path) -> None:
    from tagline.tagging.ray import ClusterError
    from tagline.tagging.ray.shards import ShardStore

    (tmp_path / "elsewhere").mkdir()
    (films / ".tagline").mkdir()
    (films / ".tagline" / "shards").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match="symbolic link"):
        ShardStore(str(films / ".tagline" / "shards")).create()
    assert list((tmp_path / "elsewhere").iterdir()) == []


# ---- A35: paths that a stranger wrote into the catalog


@pytest.fixture
def strange(films: Path, tmp_path: Path) -> Catalog:
    """A library whose catalog names videos elsewhere, one by its path and one with dots."""
    catalog = fakes.library(films, {"dog.mp4": {"tags": {"object": ["dog"]}}, "cat.mp4": {}, "cow.mp4": {}})
    (tmp_path / "elsewhere").mkdir()
    change = "UPDATE path SET path = ? WHERE path = ?"
    catalog.execute(change, (str(tmp_path / "elsewhere" / "cat.mp4"), "cat.mp4"))
    catalog.execute(change, ("../elsewhere/cow.mp4", "cow.mp4"))
    return catalog


def test_nothing_is_exported_beside_videos_that_only_the_catalog_names(
    strange: Catalog, films: Path, tmp_path: Path
) -> None:
    for video in strange.videos():
        strange.decide.add(video.id, "seen")
    elsewhere = tmp_path / "elsewhere"
    outcomes = {one.path.name: one for one in export(strange, ["xmp"])}
    assert sorted(one.state for one in outcomes.values()) == ["failed", "failed", "written"]
    assert "outside of the library's folder" in str(outcomes["cat.mp4"].reason)
    assert list(elsewhere.iterdir()) == []
    assert (films / "dog.mp4.xmp").is_file()
    # In a folder that the user names, nothing climbs out of it.
    out = tmp_path / "a" / "b" / "out"
    assert {one.state for one in export(strange, ["xmp"], out=out)} == {"written"}
    assert sorted(path.name for path in out.iterdir()) == ["cat.mp4.xmp", "cow.mp4.xmp", "dog.mp4.xmp"]
    assert sorted(path.name for path in (tmp_path / "a").rglob("*.xmp")) == sorted(
        path.name for path in out.iterdir()
    )
    # The videos' folder counts if the user names it.
    (elsewhere / "cat.mp4").write_bytes(b"a film")
    strange.close()
    assert run("export", elsewhere, "-f", "xmp", "--library", films).exit_code == 0
    assert (elsewhere / "cat.mp4.xmp").is_file()


def test_a_catalog_cannot_say_itself_which_folder_is_the_librarys(films: Path, tmp_path: Path) -> None:
    fakes.library(films, {"dog.mp4": {"tags": {"object": ["dog"]}}}).close()
    strange = tmp_path / "bundle" / "strange.sqlite"
    strange.parent.mkdir()
    (films / ".tagline" / "catalog.sqlite").rename(strange)
    with Catalog.open(strange) as catalog:
        catalog.set_meta("root", str(films))
    with Catalog.open(strange) as catalog:
        assert [one.state for one in export(catalog, ["xmp"])] == ["failed"]
    assert not (films / "dog.mp4.xmp").exists()
