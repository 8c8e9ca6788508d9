"""A46: the tags of a library are counted from what was packed; the same as going through every video."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from looks import FACTS, look, tag

from tagline.benchmarks.robustness import million_tags
from tagline.experts.tags import Modality
from tagline.retrieval.query.hits import Filters
from tagline.retrieval.web.api.contract import read_query
from tagline.retrieval.web.api.overview import BestSpan, Overview
from tagline.retrieval.web.api.routes import ROUTES
from tagline.retrieval.web.api.state import AppState
from tagline.tagging.attacks.libraries import fill_with_many
from tagline.tagging.catalog import location
from tagline.tagging.catalog.records import Place, TagCount
from tagline.tagging.catalog.verdicts import MODALITY_ORDER
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.vocabulary import normal

WORDS = ("dog", "dogs", "cat", "car", "beach", "Anna", "newt", "EXIT")
MODALITIES = (Modality.OBJECT, Modality.SCENE, Modality.SCREEN)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Catalog]:
    """Videos with tags that touch, copies, renames, verdicts of every kind, and one file that is gone."""
    draw = random.Random(3)
    with Catalog.open(tmp_path) as catalog:
        for number in range(30):
            path = tmp_path / f"{number}.mp4"
            path.touch()
            looks = []
            for modality in MODALITIES:
                starts = [draw.randrange(8) for _ in range(draw.randrange(7))]
                tags = [tag(draw.choice(WORDS), s, s + 1.5, draw.random(), modality) for s in starts]
                looks.append(look(*tags, expert=str(modality)) if tags else look(expert=str(modality)))
            catalog.save(f"{number:064x}", Place(str(path), 1, 1), facts=FACTS, looks=looks)
        for _ in range(40):
            video = draw.randrange(1, 31)
            decide = draw.choice((catalog.decide.accept, catalog.decide.reject, catalog.decide.add))
            decide(video, draw.choice(WORDS))
        catalog.decide.rename("cat", "Tom")
        catalog.decide.merge(["car", "newt"], "toy", Modality.OBJECT)
        catalog.decide.add(7, "Berta")
        catalog.decide.undo()
        catalog.mark_gone([str(tmp_path / "5.mp4")])
        catalog.forget(9)
        yield catalog


def counted_one_by_one(catalog: Catalog, modality: Modality | None = None) -> list[TagCount]:
    videos: Counter[Any] = Counter()
    spans: Counter[Any] = Counter()
    for _, tags in catalog.all_tags():
        keys = [(one.text, one.modality) for one in tags if modality in (None, one.modality)]
        spans.update(keys)
        videos.update(set(keys))
    counts = [TagCount(*key, videos[key], spans[key]) for key in videos]
    return sorted(counts, key=lambda c: (-c.videos, -c.spans, c.text, MODALITY_ORDER[c.modality]))


def test_tags_are_counted_as_if_one_by_one(filled: Catalog) -> None:
    assert filled.tag_counts() == counted_one_by_one(filled)
    for modality in MODALITIES:
        assert filled.tag_counts(modality) == counted_one_by_one(filled, modality)
    filled.mark_gone([str(filled.root / "5.mp4")], gone=False)
    filled.decide.undo()
    assert filled.tag_counts() == counted_one_by_one(filled)


def test_a_write_that_is_taken_back_leaves_the_counts(filled: Catalog) -> None:
    before = filled.tag_counts()

    def interrupted() -> None:
        with filled.transaction():
            filled.decide.add(1, "never seen before")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert filled.tag_counts() == before
    filled.decide.add(1, "never seen before")
    assert filled.tag_counts() == counted_one_by_one(filled)


def test_a_catalog_without_packed_tags_gets_them_when_it_is_opened(filled: Catalog, tmp_path: Path) -> None:
    wanted = filled.tag_counts()
    filled.close()
    with closing(sqlite3.connect(tmp_path / ".tagline" / "catalog.sqlite")) as connection, connection:
        for statement in (
            "DROP TABLE effective",
            "DROP TABLE term",
            "DELETE FROM meta WHERE key = 'effective tags'",
            "PRAGMA user_version = 2",
        ):
            connection.execute(statement)
    with Catalog.open(tmp_path) as catalog:
        assert catalog.tag_counts() == wanted


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE effective SET tags = x'00'",
        "UPDATE effective SET tags = zeroblob(64)",
        "UPDATE effective SET tags = 'text'",
        "UPDATE term SET id = 2147483647 WHERE id = 1",
        "UPDATE term SET id = -5 WHERE id = 1",
        "UPDATE term SET modality = modality || 'x'",
        "DELETE FROM term",
    ],
)
def test_packed_tags_that_cannot_be_are_left_out(filled: Catalog, damage: str) -> None:
    filled.execute(damage)
    assert len(filled.tag_counts()) < len(counted_one_by_one(filled))
    assert "packed tags" in (filled.damage or "")
    overview = Overview.of(filled, None)
    assert all(overview.similar(number) is not None for number in overview.entries)


# ---- the page


def test_the_overview_holds_what_every_video_holds(filled: Catalog) -> None:
    overview = Overview.of(filled, None)
    assert list(overview.entries) == [video.id for video in filled.videos()]
    having = defaultdict(set)
    for video, tags in filled.all_tags():
        best: dict[Any, BestSpan] = {}
        for one in sorted(tags, key=lambda t: -t.score):
            best.setdefault((one.modality, one.text), BestSpan(one.score, one.start, one.end))
        assert list(overview.entries[video.id].tags.items()) == list(best.items())
        assert overview.modalities(video.id) == {str(key[0]) for key in best}
        for key in best:
            having[key].add(video.id)
    assert dict(overview.count_tags(overview.entries)) == {key: len(ids) for key, ids in having.items()}
    some = list(overview.entries)[:5]
    assert dict(overview.count_tags(some)) == {
        key: len(ids & set(some)) for key, ids in having.items() if ids & set(some)
    }


@pytest.mark.parametrize(
    "filters",
    [
        Filters(having=((None, "dog"),)),
        Filters(having=((Modality.OBJECT, "toy"), (None, "beach"))),
        Filters(lacking=((None, "Dogs"),)),
        Filters(having=((Modality.SCREEN, "exit"),), lacking=((None, "tom"),)),
        Filters(having=((None, "nowhere"),)),
    ],
)
def test_filters_allow_what_they_allow_one_by_one(filled: Catalog, filters: Filters) -> None:
    overview = Overview.of(filled, None)
    allowed = overview.allowed(filters)
    for number, entry in overview.entries.items():
        forms = {(modality, normal(text, modality)) for modality, text in entry.tags}
        assert (number in (allowed or ())) == filters.allow(forms)
    spans = overview.first_spans(filters.having)
    for number, entry in overview.entries.items():
        wanted = [
            (best.start, best.end)
            for (sense, text), best in entry.tags.items()
            for of, asked in filters.having
            if of in (None, sense) and normal(asked, sense) == normal(text, sense)
        ]
        assert spans.get(number) == min(wanted, default=None)


def test_similar_videos_are_those_of_the_formula(filled: Catalog) -> None:
    """The cosine of tf-idf vectors, the score of a tag as its frequency."""
    import math

    overview = Overview.of(filled, None)
    entries = overview.entries

    def vector(number: int) -> dict[Any, float]:
        return {
            key: best.score * math.log(1 + len(entries) / overview.videos_with(key))
            for key, best in entries[number].tags.items()
        }

    def length(one: dict[Any, float]) -> float:
        return math.sqrt(sum(x * x for x in one.values()))

    for number in list(entries)[:6]:
        mine = vector(number)
        expected = {}
        for other in entries:
            theirs = vector(other)
            product = sum(mine[key] * theirs[key] for key in mine.keys() & theirs.keys())
            if other != number and product > 0:
                expected[other] = product / (length(mine) * length(theirs))
        found = overview.similar(number)
        assert dict(found) == pytest.approx(expected)
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        for other, _ in found[:2]:
            shared = overview.shared(number, other)
            assert set(shared) == entries[number].tags.keys() & entries[other].tags.keys()


def test_lists_and_the_first_page_read_no_video_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurement `million-tags` in small, and what makes it quick."""
    fill_with_many(tmp_path, videos=40, words=60, seed=0)
    with Catalog.open(tmp_path) as catalog:
        counts = counted_one_by_one(catalog)

    def refused(*args: Any, **rest: Any) -> Any:
        raise AssertionError("the tags of one video after the other")

    monkeypatch.setattr(Catalog, "tags", refused)
    with Catalog.open(tmp_path) as catalog:
        assert catalog.tag_counts() == counts
    with closing(AppState(location.find_catalog_home(library=tmp_path))) as state:
        for path, pairs in {
            "/api/search": [],
            "/api/tags": [("q", "word")],
            "/api/review": [],
            "/api/progress": [],
        }.items():
            route = next(route for route in ROUTES if route.path == path)
            assert route.run(state, read_query(route, pairs))
    monkeypatch.undo()
    assert million_tags.measure({"videos": "20", "words": "30"})["values"]["tags"] == 2_000
