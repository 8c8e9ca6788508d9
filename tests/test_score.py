"""What a score means, as laws: how surely a moment holds what was asked, whatever else is in the library."""

from __future__ import annotations

from typing import Any

import fakes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.experts.tags import Modality, Report, Tag, Word
from tagline.retrieval.query.calibration import falling, noisy_or, similarity_chance
from tagline.retrieval.query.lexical import idf
from tagline.retrieval.query.search import answer, search
from tagline.tagging.catalog.records import Look, Place
from tagline.tagging.catalog.write import Catalog

THINGS = ("dog", "beach", "frisbee", "robot", "kite")
CHANCE = st.floats(0.0, 1.0)
EVIDENCE = st.tuples(
    st.sampled_from(THINGS),
    st.sampled_from(("tag", "word")),
    st.floats(0.05, 1.0),
    st.floats(0.0, 50.0),  # seconds
)
VIDEO = st.lists(EVIDENCE, max_size=6)
QUERY = st.lists(st.sampled_from((*THINGS, "submarine")), min_size=1, max_size=4, unique=True)


def filled(videos: list[list[Any]]) -> Catalog:
    """A library in memory: of each video (text, "tag" or "word", score, second)."""
    catalog = Catalog.in_memory("/videos")
    for number, evidence in enumerate(videos):
        tags = [
            Tag(t, Modality.OBJECT, s, at, at + 1, "object") for t, kind, s, at in evidence if kind == "tag"
        ]
        words = [Word(t, at, at + 1, s) for t, kind, s, at in evidence if kind == "word"]
        looks = [
            Look("object", Modality.OBJECT, "1", "f", Report(tags=tags)),
            Look("speech", Modality.SPEECH, "1", "f", Report(words=sorted(words, key=lambda w: w.start))),
        ]
        place = Place(f"/videos/{number:03}.mp4", number, 1)
        catalog.save(f"{number:064}", place, facts=fakes.facts_of({"duration": 60.0}), looks=looks)
    return catalog


def scores(catalog: Catalog, query: list[str]) -> dict[int, float]:
    return {hit.video.id: hit.score for hit in search(catalog, " ".join(query), 50)}


@settings(max_examples=15, deadline=None)
@given(st.lists(VIDEO, min_size=1, max_size=4), EVIDENCE, QUERY)
def test_more_evidence_never_lowers_a_score(videos: list[Any], more: Any, query: list[str]) -> None:
    with filled(videos) as catalog:
        before = scores(catalog, query).get(1, 0.0)
    with filled([[*videos[0], more], *videos[1:]]) as catalog:
        found = scores(catalog, query)
    assert found.get(1, 0.0) >= before - 1e-9
    assert all(0.0 <= score <= 1.0 for score in found.values())


@settings(max_examples=10, deadline=None)
@given(
    st.lists(VIDEO, min_size=1, max_size=4),
    QUERY.flatmap(lambda q: st.tuples(st.just(q), st.permutations(q))),
)
def test_the_order_of_words_does_not_matter(videos: list[Any], queries: tuple[list[str], list[str]]) -> None:
    with filled(videos) as catalog:
        first, other = (scores(catalog, query) for query in queries)
    assert first.keys() == other.keys()
    assert all(score == pytest.approx(other[number]) for number, score in first.items())


@settings(max_examples=10, deadline=None)
@given(st.lists(VIDEO, max_size=3), st.floats(0.9, 1.0), st.sampled_from(THINGS))
def test_a_word_that_was_heard_exactly_scores_high(others: list[Any], sure: float, word: str) -> None:
    with filled([[(word, "word", sure, 3.0)], *others]) as catalog:
        assert scores(catalog, [word])[1] >= 0.8


@settings(max_examples=10, deadline=None)
@given(st.lists(VIDEO, min_size=1, max_size=4), QUERY)
def test_scores_do_not_contradict_the_order(videos: list[Any], query: list[str]) -> None:
    with filled(videos) as catalog:
        found = [hit.score for hit in answer(catalog, " ".join(query), 50).hits]
    assert found == sorted(found, reverse=True)


@given(st.lists(CHANCE, max_size=5), CHANCE)
def test_noisy_or_grows_with_evidence(chances: list[float], more: float) -> None:
    before = noisy_or(*chances)
    assert 0.0 <= before <= noisy_or(*chances, more) + 1e-12 <= 1.0 + 1e-9


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_a_nearer_picture_is_surer(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0.0 < similarity_chance(low) <= similarity_chance(high) < 1.0


def test_falling() -> None:
    assert falling([0.5, 0.9, 0.3, 0.4]) == [0.5, 0.5, 0.3, 0.3]
    assert falling([]) == []


def test_an_unsure_tag_alone_in_its_library_does_not_score_one() -> None:
    with filled([[("dog", "tag", 0.3, 0.0)]]) as catalog:
        assert scores(catalog, ["dog"])[1] == pytest.approx(0.3)


def test_another_video_that_improves_takes_nothing_away() -> None:
    with filled([[("dog", "tag", 0.6, 0.0)], [("dog", "tag", 0.1, 0.0)]]) as catalog:
        before = scores(catalog, ["dog"])[1]
    with filled([[("dog", "tag", 0.6, 0.0)], [("dog", "tag", 0.9, 0.0)]]) as catalog:
        assert scores(catalog, ["dog"])[1] == pytest.approx(before)
        assert set(idf(catalog, ["dog"])) == {"dog"}
