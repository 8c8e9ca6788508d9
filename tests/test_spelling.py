"""Typing mistakes and the screen reader's mistakes are forgiven, exact words come first, and it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.retrieval.query.search import answer, search
from tagline.retrieval.query.spelling import Terms, edit_distance
from tagline.tagging.catalog.write import Catalog

VIDEOS: dict[str, dict[str, Any]] = {
    "bird.mp4": {"tags": {"object": ["cockatoo"], "scene": ["happy birthday"]}},
    "space.mp4": {"tags": {"screen": ["GOD DARD SPACE FLIGHT"]}},
    "stand.mp4": {"tags": {"screen": ["HOTDOG 2 EUR"]}},
    "talk.mp4": {"words": "we sell hot dogs and the launch pad"},
    "house.mp4": {"tags": {"object": ["house"]}},
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return fakes.library(tmp_path, VIDEOS)


def names(hits: Any) -> list[str]:
    return [Path(hit.video.paths[0]).name for hit in hits]


@pytest.mark.parametrize(
    ("typed", "meant"), [("cockatto", "cockatoo"), ("cokcatoo", "cockatoo"), ("birhtday", "birthday")]
)
def test_a_typing_mistake_is_forgiven_and_said(catalog: Catalog, typed: str, meant: str) -> None:
    found = answer(catalog, f"the {typed}")
    assert names(found) == ["bird.mp4"]
    assert f"no '{typed}' here; searched for {meant}" in found.notices


def test_exact_words_are_not_mended(catalog: Catalog) -> None:
    assert answer(catalog, "cockatoo").notices == ()


@pytest.mark.parametrize("query", ["horse", "mouse", "bath", "submarine", "zebra"])
def test_another_word_is_not_a_mistake(catalog: Catalog, query: str) -> None:
    assert search(catalog, query) == []


def test_words_that_the_reader_split_are_found(catalog: Catalog) -> None:
    hit = search(catalog, "goddard")[0]
    assert names([hit]) == ["space.mp4"]
    assert hit.why[0].text == "god dard space flight"
    assert hit.score > 0.7


def test_words_that_are_joined_or_split_are_found_exact_ones_first(catalog: Catalog) -> None:
    assert names(search(catalog, "hotdog")) == ["stand.mp4", "talk.mp4"]
    assert names(search(catalog, "hot dog")) == ["talk.mp4", "stand.mp4"]
    assert names(search(catalog, "launchpad")) == ["talk.mp4"]


def test_a_search_hides_no_table_of_the_catalog(catalog: Catalog) -> None:
    """Whoever keeps a library open searches, lists tags and decides in turn."""
    counts = catalog.tag_counts()
    assert names(search(catalog, "cockatto")) == ["bird.mp4"]
    assert catalog.tag_counts() == counts
    catalog.decide.add(1, "never heard before")
    assert len(catalog.tag_counts()) == len(counts) + 1
    temporary = {row[0] for row in catalog.query("SELECT name FROM temp.sqlite_master")}
    assert temporary
    assert not temporary & {row[0] for row in catalog.query("SELECT name FROM main.sqlite_master")}


def test_edits() -> None:
    assert edit_distance("cockatto", "cockatoo", 2) == 1
    assert edit_distance("cokcatoo", "cockatoo", 2) == 1, "a swap is one slip"
    assert edit_distance("abc", "abc", 1) == 0
    assert edit_distance("abcdef", "uvwxyz", 1) == 2


@given(st.text("abcd", max_size=7), st.text("abcd", max_size=7))
def test_edit_distance_is_a_distance(one: str, other: str) -> None:
    found = edit_distance(one, other, 10)
    assert found == edit_distance(other, one, 10)
    assert (found == 0) == (one == other)
    assert found <= max(len(one), len(other))
    assert edit_distance(one, other, 1) == min(found, 2)


def test_the_letters_leave_out_no_word_that_is_near_enough() -> None:
    words = [f"{a}{b}ocka{c}oo" for a in "abcdefgh" for b in "abcdefgh" for c in "abcdefgh"]
    terms = Terms([(word, 1) for word in words])
    for typed in ("abockabo", "abocakboo", "abockaboox"):
        within = [word for word in words if edit_distance(typed, word, 2) <= (2 if len(typed) >= 9 else 1)]
        assert (terms.nearest(typed) is None) == (not [word for word in within if word[0] == "a"])
