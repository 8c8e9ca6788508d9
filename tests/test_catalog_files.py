"""The file of the catalog: where it lies, what is opened and what refused, and no write is left half done."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import fakes
import pytest
from looks import look, tag, texts, video

from tagline.tagging.catalog import location, schema
from tagline.tagging.catalog.connection import CatalogFull
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.location import NoCatalog
from tagline.tagging.catalog.schema import CatalogError, CatalogTooNew, NotACatalog
from tagline.tagging.catalog.write import Catalog

# ---- opening, and what must not be opened


def test_a_newer_schema_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as catalog:
        file = catalog.file
        catalog.execute("PRAGMA user_version = 99")
    before = {p.name: p.read_bytes() for p in (tmp_path / ".tagline").iterdir()}
    with pytest.raises(
        CatalogTooNew, match=r"written by a newer tagline \(schema 99.*install the newer version"
    ):
        Catalog.open(tmp_path)
    assert {p.name: p.read_bytes() for p in (tmp_path / ".tagline").iterdir()} == before
    assert file == tmp_path / ".tagline" / "catalog.sqlite"


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look like one" * 99, b"\x80\x04pickled"]
)
def test_what_is_no_catalog_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "c.sqlite"
    file.write_bytes(content)
    with pytest.raises(NotACatalog):
        Catalog.open(file)
    assert file.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE bookmarks(url)")
    with pytest.raises(NotACatalog, match="belongs to another program"):
        Catalog.open(file)


def test_an_older_catalog_is_brought_up_to_date_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(tmp_path) as catalog:
        video(catalog, look(tag("dog")))
    steps = (*schema.MIGRATIONS, "CREATE TABLE later(a)", "INSERT INTO later VALUES (7)")
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    for _ in range(2):
        with Catalog.open(tmp_path) as catalog:
            assert catalog.query("SELECT * FROM later") == [(7,)]
            assert len(list(catalog.videos())) == 1
    monkeypatch.setattr(schema, "MIGRATIONS", (*steps, "CREATE TABLE half(a); SELECT no such thing"))
    with pytest.raises(CatalogError):
        Catalog.open(tmp_path)
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    with Catalog.open(tmp_path) as catalog:
        assert not catalog.query("SELECT * FROM sqlite_master WHERE name = 'half'")


def test_normal_forms_of_an_older_tagline_are_written_anew(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as catalog:
        video_id = video(catalog, look(tag("Dogs")))
        catalog.execute("UPDATE tag SET text = 'dogz'")
        catalog.set_meta("normal form", "0")
    with Catalog.open(tmp_path) as catalog:
        assert texts(catalog, video_id) == ["dog"]


def test_a_catalog_is_not_made_by_looking_for_it(tmp_path: Path) -> None:
    with pytest.raises(NoCatalog):
        Catalog.open(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_catalog_that_may_not_be_written_to_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(tmp_path) as catalog:
        video_id = video(catalog, look(tag("dog")))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with Catalog.open(tmp_path / ".tagline" / "catalog.sqlite") as catalog:
        assert texts(catalog, video_id) == ["dog"]
        with pytest.raises(CatalogError):
            catalog.decide.add(video_id, "cat")


def test_two_programs_may_write_one_after_the_other(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as one, Catalog.open(tmp_path) as other:
        video_id = video(one, look(tag("dog")))
        other.decide.rename("dog", "Rex")
        assert texts(one, video_id) == ["Rex"], "names that another program gave are seen at once"
        other.decide.add(video_id, "cat")
        assert sorted(texts(one, video_id)) == ["Rex", "cat"]


@pytest.mark.parametrize("looked_at", ["user_version", "application_id", "count(*)", "type, name"])
def test_a_catalog_that_another_program_is_making_is_not_taken_for_damaged(
    tmp_path: Path, looked_at: str
) -> None:
    """The other one finishes right before one of the statements by which a catalog is judged."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(tmp_path / "c.sqlite", isolation_level=None)

    with closing(connect()) as one, closing(connect()) as other:
        one.execute("PRAGMA journal_mode = WAL")
        made: list[int] = []

        def finish(statement: str) -> None:
            if looked_at in statement and not made:
                made.append(1)
                schema.upgrade(other, "the other")

        one.set_trace_callback(finish)
        assert schema.check_schema(one, "c.sqlite") in (0, len(schema.MIGRATIONS))
        one.set_trace_callback(None)
        schema.upgrade(one, "c.sqlite")
        assert schema.check_schema(one, "c.sqlite") == len(schema.MIGRATIONS)


def test_a_full_disk_loses_nothing(catalog: Catalog) -> None:
    """A25: what was written stays, what could not be leaves no trace, and the sentence says what to do."""
    video_id = video(catalog, look(tag("dog")))
    before = list(dump_lines(catalog))
    pages = catalog.query_one("PRAGMA page_count")[0]
    catalog.execute(f"PRAGMA max_page_count = {pages + 2}")
    many = [tag(f"thing number {i} of a great many", i, i + 1) for i in range(1_500)]
    with pytest.raises(
        CatalogFull, match="is full; make room and run the same command again, nothing is lost"
    ):
        video(catalog, look(*many), digest="b" * 64)
    assert list(dump_lines(catalog)) == before
    catalog.execute("PRAGMA max_page_count = 1000000")
    assert len(texts(catalog, video(catalog, look(*many), digest="b" * 64))) > 1_000
    assert texts(catalog, video_id) == ["dog"]


def test_a_transaction_that_fails_leaves_nothing(catalog: Catalog) -> None:
    video_id = video(catalog, look(tag("dog")))
    before = list(dump_lines(catalog))

    def interrupted() -> None:
        with catalog.transaction():
            catalog.decide.rename("dog", "Rex")
            assert texts(catalog, video_id) == ["Rex"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(dump_lines(catalog)) == before
    assert texts(catalog, video_id) == ["dog"]


# ---- where it lies

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/films /mnt/films nfs4 rw 0 0
//nas/video /mnt/nas\\040share cifs rw 0 0
/dev/sdb1 /mnt/films/local ext4 rw 0 0
user@host: /mnt/ssh fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me", "ext4"),
        ("/mnt/films", "nfs4"),
        ("/mnt/films/2024", "nfs4"),
        ("/mnt/filmsy", "ext4"),
        ("/mnt/films/local/x", "ext4"),
        ("/mnt/nas share/x", "cifs"),
        ("/mnt/ssh", "fuse.sshfs"),
    ],
)
def test_network_file_systems_are_known_by_their_mount(tmp_path: Path, folder: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS, encoding="utf-8")
    assert location.file_system(Path(folder), str(mounts)) == kind
    assert location.file_system(Path(folder), str(tmp_path / "none")) == ""


def test_on_a_network_the_catalog_moves_to_this_machine_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, data = tmp_path / "films", tmp_path / "data"
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    monkeypatch.setattr(location, "file_system", lambda path: "nfs4")
    with fakes.library(films, {"a.mp4": {}}) as catalog:
        assert catalog.file is not None
        assert data in catalog.file.parents
        assert "network file system (nfs4), so its catalog is" in (catalog.notice or "")
        file = catalog.file
    assert not (films / ".tagline").exists()
    assert (
        location.find_catalog_home([films]).file == location.find_catalog_home([films / "sub"]).file == file
    )
    with Catalog.open(file) as catalog:
        assert [v.paths for v in catalog.videos()] == [[str(films / "a.mp4")]]


def test_the_nearest_catalog_is_found_as_git_finds_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAGLINE_LIBRARY", raising=False)
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a / "deep" / "er", b):
        folder.mkdir(parents=True)
    with pytest.raises(location.Undecided, match="--library"):
        location.find_catalog_home([a, b])
    assert (
        location.find_catalog_home([a, b], library=tmp_path).file == tmp_path / ".tagline" / "catalog.sqlite"
    )
    monkeypatch.setenv("TAGLINE_LIBRARY", str(b))
    assert location.find_catalog_home([a]).root == b
    monkeypatch.delenv("TAGLINE_LIBRARY")
    Catalog.open(a).close()
    assert location.find_catalog_home([a / "deep" / "er"]).root == a
    assert location.find_catalog_home([a, a / "deep"]).root == a
    monkeypatch.chdir(a / "deep")
    assert location.find_catalog_home().root == a
    monkeypatch.chdir(b)
    with pytest.raises(NoCatalog, match="tagline tag FOLDER"):
        location.find_catalog_home()
