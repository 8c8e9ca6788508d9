"""A37, A38: a catalog that is damaged or a stranger's ends in an answer or a sentence, in no traceback."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tagline
from tagline.benchmarks.robustness import damaged_libraries, fuzz_catalogs
from tagline.retrieval.cli.main import cli
from tagline.retrieval.web.api.contract import Problem, read_query
from tagline.retrieval.web.api.routes import ROUTES
from tagline.retrieval.web.api.state import AppState, id_of
from tagline.tagging.attacks.libraries import ENDLESS, STRANGE, TAGS_WITHOUT_END, VALUES, alter
from tagline.tagging.catalog import connection, location
from tagline.tagging.catalog.lock import only_writer
from tagline.tagging.catalog.schema import CatalogError, NotACatalog
from tagline.tagging.catalog.write import Catalog

CHECK = "tagline catalog check"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return damaged_libraries.make_library(tmp_path_factory.mktemp("damaged") / "whole")


@pytest.fixture
def library(whole: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(whole, tmp_path / "library"))


def call(library: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--library", str(library)])


def says(result: Result, code: int, *parts: str) -> None:
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code == code, result.output
    for part in parts:
        assert part in result.output, result.output


# ---- A37: tables are tables, and nothing takes for ever


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("what", "script"), STRANGE.items())
def test_a_catalog_of_another_make_is_refused(library: Path, what: str, script: str) -> None:
    alter(library, script)
    for words in (["show", "1"], ["tags", "list"], ["search", "dog"], ["tag", str(library)]):
        if words[0] == "tag":
            says(CliRunner().invoke(cli, words), 1, what, CHECK)
        else:
            says(call(library, *words), 1, what, CHECK)
    with pytest.raises(NotACatalog):
        tagline.open(library).tags()


def test_a_statement_that_takes_too_long_is_ended(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READ_TIMEOUT", 0.2)
    begun = time.monotonic()
    for read in (catalog.query, catalog.query_one, lambda s: list(catalog.iterate(s))):
        with pytest.raises(connection.CatalogSlow, match="took longer than"):
            read(f"{ENDLESS} SELECT count(*) FROM n")  # type: ignore[operator]
    assert time.monotonic() - begun < 30
    assert catalog.query("SELECT 1") == [(1,)], "the next one has its own time"


def test_more_tags_of_a_video_than_experts_can_give_are_refused(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter(library, TAGS_WITHOUT_END)
    says(call(library, "show", "1"), 1, "more than 100,000 rows", CHECK)
    says(call(library, "show", "2"), 0, "automobile")


# ---- A38: values that cannot be


@pytest.mark.parametrize(("statement", "table"), VALUES.items())
def test_a_row_that_holds_what_cannot_be_is_left_out_and_said(
    library: Path, statement: str, table: str
) -> None:
    alter(library, statement)
    answer = call(library, "show", "1", "--transcript")
    says(answer, 0, "left out of", table, CHECK)
    for words in (["tags", "list"], ["search", "dog"], ["describe", "1"], ["export", "-f", "json"]):
        found = call(library, *words, *(["--out", str(library)] if words[0] == "export" else []))
        assert isinstance(found.exception, SystemExit | None), found.exception
        assert found.exit_code in (0, 1, 4)
    with tagline.open(library) as videos:
        for video in videos.videos():
            videos.show(video)
        assert videos.catalog.damage is not None


def test_what_is_good_beside_it_stays(library: Path) -> None:
    alter(library, "UPDATE tag SET score = 'much' WHERE text = 'car' AND video_id = 1")
    with Catalog.open(library) as catalog:
        assert {tag.text for tag in catalog.tags(1)} >= {"dog", "beach"}
        assert "car" not in {tag.text for tag in catalog.tags(1)}
        assert "automobile" in {tag.text for tag in catalog.tags(2)}, "renamed by a verdict"


def test_vectors_that_are_none_are_left_out(library: Path) -> None:
    alter(library, "UPDATE vector SET floats = x'0011' WHERE video_id = 1 AND source = 'video'")
    alter(library, "UPDATE vector SET floats = x'0000c07f' WHERE video_id = 2 AND source = 'video'")  # NaN
    with Catalog.open(library) as catalog:
        ids, _, values = catalog.vectors.read("video")
        assert ids.tolist() == [3, 4, 5, 6]
        assert values.shape == (4, 8)
        (page,) = catalog.vectors.pages("video", damaged_libraries.FINGERPRINT)
        assert page.ids.tolist() == [3, 4, 5, 6]
    says(call(library, "similar", "1"), 1, "has no vector yet")
    says(call(library, "similar", "3"), 0)


# ---- A38: files that are something else


def in_place_of(library: Path, name: str, make: Callable[[Path], Any]) -> None:
    path = library / ".tagline" / name
    path.unlink(missing_ok=True)
    make(path)


SOMETHING_ELSE: dict[str, Callable[[Path], Any]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "bytes": lambda path: path.write_bytes(b"\xff\x00" * 600),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", SOMETHING_ELSE)
@pytest.mark.parametrize("name", ["catalog.sqlite", "catalog.sqlite.lock", "tagline.toml", "search.npz"])
def test_anything_in_the_place_of_a_file_is_a_sentence(library: Path, name: str, what: str) -> None:
    in_place_of(library, name, SOMETHING_ELSE[what])
    reads_it = {
        "catalog.sqlite": (["show", "1", "--library", str(library)], (1,)),
        "catalog.sqlite.lock": (["tag", str(library), "--only", "object"], (1, 4)),
        "tagline.toml": (["tag", str(library)], (2,)),
        "search.npz": (["search", "dog", "--library", str(library)], (0, 1)),
    }
    words, codes = reads_it[name]
    (library / "a.mp4").write_bytes(b"\0" * 100)
    answer = CliRunner().invoke(cli, words)
    assert isinstance(answer.exception, SystemExit | None), answer.exception
    assert answer.exit_code in codes
    assert name in answer.output


def test_a_broken_index_is_a_sentence(library: Path) -> None:
    path = library / ".tagline" / "search" / "video.index"
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    says(call(library, "similar", "1"), 1, "video.index is damaged", "tagline index --rebuild")


def test_a_lock_that_is_none_does_not_stop_a_reader(library: Path) -> None:
    in_place_of(library, "catalog.sqlite.lock", os.mkfifo)
    says(call(library, "show", "1"), 0)
    with Catalog.open(library) as catalog, pytest.raises(CatalogError, match="lock"), only_writer(catalog):
        pass


# ---- whoever asks: Python and the page


def test_from_python_it_is_one_class_of_errors(library: Path) -> None:
    assert tagline.CatalogError is CatalogError
    (library / ".tagline" / "search" / "video.index").write_bytes(b"nothing")
    with tagline.open(library) as videos, pytest.raises(tagline.CatalogError, match=r"video\.index"):
        videos.similar(1)
    (library / ".tagline" / "tagline.toml").write_bytes(b"\xff")
    with pytest.raises(tagline.CatalogError, match="not valid TOML"):
        tagline.open(library).tag()
    in_place_of(library, "catalog.sqlite", lambda path: path.write_bytes(b"no database" * 500))
    with pytest.raises(tagline.CatalogError, match=r"catalog\.sqlite"):
        tagline.open(library).tags()


@pytest.fixture
def state(library: Path) -> Iterator[AppState]:
    with closing(AppState(location.find_catalog_home(library=library))) as opened:
        yield opened


def test_the_page_answers_503_with_the_sentence(library: Path, state: AppState) -> None:
    alter(library, "DROP TABLE word")
    route = next(route for route in ROUTES if route.path == "/api/videos/{id}")
    with state.catalog() as catalog:
        video = catalog.video(1)
        assert video is not None
    with pytest.raises(Problem) as problem:
        route.run(state, {"id": id_of(video)})
    assert problem.value.status == 503
    assert CHECK in problem.value.message


@pytest.mark.parametrize("path", ["/api/review", "/api/videos/{id}/similar", "/api/search", "/api/tags"])
def test_the_page_leaves_out_videos_whose_paths_are_none(library: Path, state: AppState, path: str) -> None:
    """Their tags are there, packed, and nothing to show with them."""
    with state.catalog() as catalog:
        videos = list(catalog.videos())
    alter(library, "UPDATE path SET path = video_id * 1e300 WHERE video_id % 2 = 1")
    route = next(route for route in ROUTES if route.path == path)
    for video in videos[1::2]:
        answer = route.run(state, read_query(route, []) | {"id": id_of(video), "k": 24})
        for hit in answer.get("hits", []):
            assert hit["id"] in {id_of(other) for other in videos[1::2]}


# ---- everything at once


@pytest.mark.timeout(240)
def test_damaged_libraries_end_in_answers_and_sentences(tmp_path: Path) -> None:
    """The measurement `fuzz-catalogs` in small."""
    tally = fuzz_catalogs.run(tmp_path, 6, seed=1, heavy=False)
    assert tally.tracebacks == []
    assert tally.hangs == 0
    assert tally.runs > 150
