"""`tagline catalog check` and --repair: what is wrong is found, what is left is saved, verdicts first."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from looks import look, tag

from tagline.benchmarks.robustness import damaged_libraries
from tagline.retrieval.cli.main import cli
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.location import catalog_home
from tagline.tagging.catalog.lock import CatalogBusy, only_writer
from tagline.tagging.catalog.records import Place
from tagline.tagging.catalog.repair.check import check_catalog
from tagline.tagging.catalog.repair.salvage import repair_catalog
from tagline.tagging.catalog.write import Catalog


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return damaged_libraries.make_library(tmp_path_factory.mktemp("repair") / "whole")


@pytest.fixture
def library(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "library"))


def file_of(library: Path) -> Path:
    return library / ".tagline" / "catalog.sqlite"


def sql(library: Path, script: str) -> None:
    with closing(sqlite3.connect(file_of(library), isolation_level=None)) as opened:
        opened.executescript(script)


def call(library: Path, *words: str) -> Result:
    answer = CliRunner().invoke(cli, ["catalog", "check", *words, "--library", str(library)])
    assert isinstance(answer.exception, SystemExit | None), answer.exception
    return answer


def dump(library: Path) -> list[str]:
    with Catalog.open(library) as catalog:
        assert catalog.check_integrity() == []
        assert catalog.query("PRAGMA foreign_key_check") == []
        return list(dump_lines(catalog))


def test_a_whole_catalog_is_whole_and_a_repair_changes_nothing(library: Path) -> None:
    before = dump(library)
    answer = call(library)
    assert (answer.exit_code, "is whole" in answer.output) == (0, True)
    assert (
        json.loads(CliRunner().invoke(cli, ["catalog", "check", "--json", "--library", str(library)]).stdout)
        == []
    )
    done = repair_catalog(catalog_home(library))
    assert dump(library) == before
    assert +done.lost == {}
    assert done.parts == {}
    assert done.old.is_file()
    assert not list((library / ".tagline").glob(".part*"))


def test_what_is_wrong_is_named_and_left_alone(library: Path) -> None:
    sql(
        library,
        "UPDATE tag SET score = 'much' WHERE text = 'car'; PRAGMA foreign_keys = OFF;"
        " DELETE FROM video WHERE id = 6; CREATE TRIGGER t AFTER INSERT ON tag BEGIN SELECT 1; END",
    )
    before = file_of(library).read_bytes()
    answer = call(library, "--json")
    assert answer.exit_code == 1
    rows = json.loads(answer.stdout)
    assert {"table": "tag", "rows": 6, "problem": "hold what cannot be: no number"} in rows
    assert any("t is a trigger of another make" in row["problem"] for row in rows)
    assert any(row["table"] == "path" and "not there" in row["problem"] for row in rows)
    assert "--repair" in call(library).output
    assert file_of(library).read_bytes() == before


def test_rows_that_cannot_be_are_left_behind_and_counted(library: Path) -> None:
    sql(
        library,
        "UPDATE tag SET score = 'much' WHERE text = 'car';"
        " UPDATE video SET fps = '1/0' WHERE id = 2;"
        " DROP TABLE caption; CREATE VIEW caption AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
        " FROM n) SELECT i AS id, 1 AS video_id, 'x' AS text, 0 AS start, 1 AS end, '' AS split FROM n;"
        " CREATE TRIGGER t AFTER INSERT ON verdict BEGIN DELETE FROM verdict; END",
    )
    answer = call(library, "--repair", "--json")
    assert answer.exit_code == 0, answer.output
    rows = {row["table"]: row for row in json.loads(answer.stdout)}
    assert rows["tag"]["lost"] == 6
    assert rows["verdict"] == {"table": "verdict", "kept": 5, "lost": 0, "remark": ""}
    assert "no table of tagline" in rows["caption"]["remark"]
    with Catalog.open(library) as catalog:
        assert {t.text for t in catalog.tags(1)} >= {"dog", "beach"}
        assert "automobile" not in {t.text for t in catalog.tags(1)}
        assert catalog.done(2) == {}, "the next run looks at it again, for its facts are lost"
        assert catalog.done(1) != {}
        assert catalog.fulltext.videos_with_any(["beach"], 9)
        assert catalog.tag_counts()
    assert call(library).exit_code == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(4))
def test_round_pages_that_are_noise_the_rest_is_saved(tmp_path: Path, seed: int) -> None:
    """A library of some hundred pages, of which a few are written over."""
    with Catalog.open(tmp_path) as catalog, catalog.transaction():
        for number in range(150):
            place = Place(str(tmp_path / f"{number}.mp4"), number, 1)
            tags = [tag(f"thing {number} {i}", i, i + 1) for i in range(20)]
            catalog.save(f"{number:064x}", place, facts=None, looks=[look(*tags)])
    with Catalog.open(tmp_path) as catalog:
        for number in range(1, 151):
            catalog.decide.add(number, f"said {number}")
        catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = dict(catalog.query("SELECT name, rootpage FROM sqlite_master"))
    file = file_of(tmp_path)
    data, draw = bytearray(file.read_bytes()), random.Random(seed)
    pages = len(data) // 4096
    for page in draw.sample(range(20, pages), 4):
        if page + 1 not in roots.values():  # where a table begins, it ends
            data[4096 * page : 4096 * (page + 1)] = draw.randbytes(4096)
    file.write_bytes(data)
    assert check_catalog(file)
    done = repair_catalog(catalog_home(tmp_path))
    assert done.old.read_bytes()[:16] == b"SQLite format 3\0"
    with Catalog.open(tmp_path) as catalog:
        assert catalog.check_integrity() == []
        assert catalog.query("PRAGMA foreign_key_check") == []
        saved = catalog.query_one("SELECT (SELECT count(*) FROM verdict), (SELECT count(*) FROM tag)")
    assert saved[0] >= 60
    assert saved[1] >= 1_500
    assert check_catalog(file) == []


def test_verdicts_outlive_the_rows_of_their_videos(library: Path) -> None:
    film = library / "video 0.mp4"
    film.write_bytes(b"x" * 1_000)
    sql(
        library,
        "PRAGMA foreign_keys = OFF; DELETE FROM video WHERE id IN (1, 3);"
        " DELETE FROM path WHERE video_id = 3",
    )
    repair_catalog(catalog_home(library))
    with Catalog.open(library) as catalog:
        assert len(catalog.verdicts.all()) == 5
        found = catalog.find(film)
        assert found is not None
        assert found.hash == hashlib.sha256(film.read_bytes()).hexdigest(), "its file still says which it is"
        assert [verdict.text for verdict in catalog.verdicts.of(found.id)] == ["dog"]
        assert [verdict.text for verdict in catalog.verdicts.of(3)] == ["Anna"]
        assert 3 not in [video.id for video in catalog.videos()], "nobody knows where it lies"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "noise": lambda data: b"no database" * 1_000,
    "head": lambda data: b"\0" * 100 + data[100:],
}


@pytest.mark.parametrize("what", DAMAGES)
def test_where_nothing_can_be_saved_nothing_is_touched(library: Path, what: str) -> None:
    data = DAMAGES[what](file_of(library).read_bytes())
    file_of(library).write_bytes(data)
    before = sorted(os.listdir(library / ".tagline"))  # noqa: PTH208
    for words in ([], ["--repair"]):
        answer = call(library, *words)
        assert answer.exit_code == 1
        assert "nothing can be read any more" in answer.output
        assert file_of(library).read_bytes() == data
        assert sorted(os.listdir(library / ".tagline")) == before  # noqa: PTH208


@pytest.mark.timeout(60)
@pytest.mark.parametrize("ending", ["-journal", "-wal", "-shm"])
def test_a_pipe_beside_the_catalog_holds_nobody(library: Path, ending: str) -> None:
    os.mkfifo(file_of(library).with_name(f"catalog.sqlite{ending}"))
    for words in ([], ["--repair"]):
        answer = call(library, *words)
        assert answer.exit_code == 1
        assert "is no plain file; move it away" in answer.output


def test_a_run_at_work_is_not_repaired_under(library: Path) -> None:
    with Catalog.open(library) as catalog, only_writer(catalog), pytest.raises(CatalogBusy):
        repair_catalog(catalog_home(library))


def test_without_a_catalog_there_is_a_sentence(tmp_path: Path) -> None:
    for words in ([], ["--repair"]):
        answer = call(tmp_path, *words)
        assert answer.exit_code == 1
        assert "there is no catalog at" in answer.output
