"""File and folder names find a video, below whatever was seen or heard in it."""

from __future__ import annotations

from pathlib import Path

import fakes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.retrieval.query.lexical import NAME_SCORE
from tagline.retrieval.query.search import search
from tagline.tagging.catalog.records import Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.names import name_words


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("yoga.mp4", "yoga"),
        ("2023/birthday-party_at.home.mp4", "2023 birthday party at home"),
        ("BeachDay.mov", "BeachDay Beach Day"),
        ("HDVideo2.avi", "HDVideo2 HD Video 2"),
        ("iPhone/clip.mp4", "iPhone i Phone clip"),
        ("ÉtéÀParis.mkv", "ÉtéÀParis Été À Paris"),
        ("/home/anna/Videos/surf.mp4", "surf"),
        ("....mp4", ""),
    ],
)
def test_names_are_taken_apart(path: str, words: str) -> None:
    assert name_words(path) == words


@given(st.text(min_size=1, max_size=60))
def test_any_name_gives_words_without_signs(name: str) -> None:
    assert all(word.isalnum() for word in name_words(name).split())


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    videos = {
        "trip/MorningYoga_01.mp4": {"tags": {"object": ["mat"]}},
        "b.mp4": {"tags": {"object": ["yoga"]}},
        "c.mp4": {"tags": {"object": ["ball"]}},
    }
    return fakes.library(tmp_path, videos)


def test_a_name_finds_and_what_was_seen_comes_first(catalog: Catalog) -> None:
    hits = search(catalog, "yoga")
    assert [Path(hit.video.paths[0]).name for hit in hits] == ["b.mp4", "MorningYoga_01.mp4"]
    assert [one.kind for one in hits[1].why] == ["name"]
    assert hits[1].score == pytest.approx(NAME_SCORE)  # a name holds at every moment
    assert [Path(hit.video.paths[0]).name for hit in search(catalog, "trip")] == ["MorningYoga_01.mp4"]


def test_a_renamed_file_is_found_by_its_new_name_alone(catalog: Catalog) -> None:
    video = search(catalog, "morning")[0].video
    old = Path(video.paths[0])
    new = old.rename(old.with_name("evening.mp4"))
    catalog.put_path(video.id, Place(str(new), 5, 1))
    assert [hit.video.id for hit in search(catalog, "evening")] == [video.id]
    assert search(catalog, "morning") == []


def test_a_catalog_of_before_learns_the_names_when_it_is_opened(catalog: Catalog) -> None:
    with catalog.transaction():
        catalog.execute("UPDATE found SET title = ''")
        catalog.set_meta("normal form", "1")
    home = catalog.root
    catalog.close()
    with Catalog.open(home, create=False) as again:
        assert [Path(hit.video.paths[0]).name for hit in search(again, "trip")] == ["MorningYoga_01.mp4"]
