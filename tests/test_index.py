"""The index against a plain oracle: the same rows, whatever was added, removed, saved or asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shaking import shaken

from tagline.experts.tags import Embedding
from tagline.retrieval.embed.search_model import CHOICE, SearchModel
from tagline.retrieval.index import faiss_index
from tagline.retrieval.index.base import BadIndex, Level, pack, unpack
from tagline.retrieval.index.faiss_index import FaissIndex
from tagline.retrieval.index.update import index_path, open_index, update
from tagline.tagging.catalog.write import Catalog

WIDE = 16


def unit(rows: int, seed: int = 0, groups: int = 0) -> Any:
    """float32 [rows, WIDE] of length 1, in clusters where `groups` says so."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((rows, WIDE))
    if groups:
        found = rng.standard_normal((groups, WIDE))[rng.integers(0, groups, rows)] + 0.5 * found
    return shaken((found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32))


def oracle(held: dict[int, Any], query: Any, k: int) -> list[int]:
    """The k best ids; those that differ by less than a millionth in the order of ids."""
    scored = [(-round(float(np.float32(query @ vector)), 6), key) for key, vector in held.items()]
    return [key for _, key in sorted(scored)][:k]


# -- what it answers -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.lists(st.integers(0, 30), min_size=1, max_size=12)),
            st.tuples(st.just("remove"), st.lists(st.integers(0, 30), max_size=12)),
        ),
        max_size=8,
    ),
    k=st.integers(0, 40),
    same=st.booleans(),
)
def test_it_answers_as_a_plain_search_over_what_was_added_and_not_removed(
    steps: list[tuple[str, list[int]]], k: int, same: bool
) -> None:
    index, held = FaissIndex("f", WIDE), {}
    for number, (what, ids) in enumerate(steps):
        if what == "add":
            vectors = unit(len(ids), number)
            if same:  # ties everywhere: only the ids decide
                vectors[:] = np.eye(WIDE)[0]
            index.add(np.array(ids), vectors)
            held.update(dict(zip(ids, vectors, strict=True)))
        else:
            index.remove(np.array(ids, np.int64))
            held = {key: vector for key, vector in held.items() if key not in ids}
    assert len(index) == len(held)
    assert index.ids().tolist() == sorted(held)
    query = unit(1, 99)
    ids, scores = index.search(query, k)
    assert ids.shape == scores.shape == (1, min(k, len(held)))
    assert ids[0].tolist() == oracle(held, query[0], k)
    assert scores[0] == pytest.approx([held[i] @ query[0] for i in ids[0].tolist()], abs=1e-5)


def test_numbers_that_are_none_come_last_or_not_at_all() -> None:
    index = FaissIndex("f", WIDE)
    index.add(np.arange(3), unit(3))
    queries = unit(3, 1)
    queries[1, 4] = np.nan
    ids, scores = index.search(queries, 2)
    assert ids[1].tolist() == [-1, -1]
    assert np.isneginf(scores[1]).all()
    assert (ids[[0, 2]] >= 0).all()
    bad = unit(2, 2)
    bad[0, 0] = np.inf
    with pytest.raises(ValueError, match="no numbers"):
        index.add(np.array([7, 8]), bad)
    assert len(index) == 3


def test_an_empty_index_finds_nothing() -> None:
    ids, scores = FaissIndex("f", WIDE).search(unit(2), 5)
    assert ids.shape == scores.shape == (2, 0)


def test_queries_of_another_width_are_an_error() -> None:
    with pytest.raises(ValueError, match="16"):
        FaissIndex("f", WIDE).search(np.zeros((1, 3), np.float32), 1)


# -- beyond what can be compared one by one ----------------------------------------------------------------


def built(rows: int, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[FaissIndex, Any]:
    monkeypatch.setattr(faiss_index, "EXACT_BYTES", changes.pop("exact", 1000))
    vectors = unit(rows, groups=20)

    def pages() -> Iterator[tuple[Any, Any]]:
        for first in range(0, rows, 700):
            yield np.arange(first, min(first + 700, rows)), vectors[first : first + 700]

    asked = unit(20, 5, groups=20)
    return FaissIndex.build("f", WIDE, rows, pages, asked), vectors


def test_an_approximate_index_finds_nearly_what_an_exact_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    index, vectors = built(3000, monkeypatch)
    assert not index.exact
    queries = unit(50, 9, groups=20)
    ids, scores = index.search(queries, 10)
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ids.tolist(), truth.tolist(), strict=True)])
    assert share > 0.9
    assert index.recall is not None
    assert abs(index.recall - share) < 0.1, "what it says of itself is about true"
    assert (np.diff(scores, axis=1) <= 1e-6).all()


def test_an_approximate_index_takes_in_and_forgets_without_being_built_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, vectors = built(3000, monkeypatch)
    fresh = unit(1, 77)
    index.add(np.array([90_000]), fresh)
    assert index.search(fresh, 1)[0].tolist() == [[90_000]]
    gone = index.search(vectors[:1], 300)[0][0]
    index.remove(gone)
    left, scores = index.search(vectors[:1], 50)
    assert not set(left[0].tolist()) & set(gone.tolist())
    assert len(index) == 3001 - len(gone)
    assert np.isneginf(scores[left < 0]).all()


def test_size_decides_and_an_index_that_has_outgrown_its_make_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, _ = built(100, monkeypatch, exact=200 * WIDE * 4)
    assert index.exact
    assert index.recall == 1.0
    assert not index.needs_rebuild
    index.add(np.arange(1000, 1101), unit(101, 3))
    assert index.needs_rebuild


def test_building_twice_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = unit(10, 4)
    first, second = (built(2000, monkeypatch)[0].search(queries, 10) for _ in range(2))
    assert (first[0] == second[0]).all()


# -- on disk -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [1000, 1 << 30])
def test_what_was_saved_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: int) -> None:
    index, _ = built(2000, monkeypatch, exact=exact)
    index.remove(np.arange(5, 60))
    index.add(np.array([7]), unit(1, 8))
    index.revision = 12
    index.save(tmp_path / "a" / "video.index")
    again = FaissIndex.open(tmp_path / "a" / "video.index", "f")
    for one, other in zip(index.search(unit(9, 3), 8), again.search(unit(9, 3), 8), strict=True):
        assert (one == other).all()
    assert (again.revision, again.recall, len(again)) == (12, index.recall, len(index))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["video.index"], "nothing is left beside it"


@pytest.mark.parametrize(
    "damage", ["cut", "flipped", "header", "foreign", "newer", "empty", "model", "pickle"]
)
def test_an_index_that_cannot_be_trusted_is_refused_in_a_sentence(tmp_path: Path, damage: str) -> None:
    index = FaissIndex("f", WIDE)
    index.add(np.arange(20), unit(20))
    path = tmp_path / "video.index"
    index.save(path)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-40:]
    elif damage == "flipped":
        data[-100] ^= 1
    elif damage == "header":
        data[20] = 0
    elif damage == "foreign":
        data[:] = b"SQLite format 3\0" * 400
    elif damage == "newer":
        data[8] = 200
    elif damage == "empty":
        data.clear()
    elif damage == "pickle":
        data[:] = b"\x80\x04cos\nsystem\n(S'exit'\ntR." * 300
    path.write_bytes(bytes(data))
    with pytest.raises(BadIndex, match="tagline index") as refused:
        FaissIndex.open(path, "another" if damage == "model" else "f")
    assert "\n" not in str(refused.value)


# -- of a catalog ------------------------------------------------------------------------------------------


def put(catalog: Catalog, video: int, *vectors: Any, fingerprint: str = "f") -> None:
    spans = [Embedding(float(i), i + 1.0, vector) for i, vector in enumerate(vectors[1:])]
    catalog.vectors.put_embeddings(video, fingerprint, "", Embedding(0.0, 9.0, vectors[0]), spans)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path) as catalog:
        for number in range(1, 6):
            catalog.put_video(f"{number:064x}")
            put(catalog, number, *unit(1 + number, number))
        catalog.set_meta(CHOICE, SearchModel("appearance", "x", "f").as_json())
        yield catalog


def rows_of(catalog: Catalog, level: Level) -> dict[int, Any]:
    page = catalog.vectors.read(level, fingerprint="f")
    places: dict[int, int] = {}
    found = {}
    for video, vector in zip(page.ids.tolist(), page.values, strict=True):
        places[video] = places.get(video, 0) + 1
        found[video * (1 << 20) + (places[video] if level == Level.SPAN else 0)] = vector
    return found


@pytest.mark.parametrize("level", list(Level))
def test_the_index_holds_what_the_catalog_holds_after_every_change(catalog: Catalog, level: Level) -> None:
    first = update(catalog, level, "f")
    assert first.built
    assert first.rows == len(rows_of(catalog, level))

    put(catalog, 2, *unit(2, 50))  # embedded anew, with fewer spans
    catalog.forget(4)
    new = catalog.put_video("f" * 64)
    put(catalog, new, *unit(4, 60))
    second = update(catalog, level, "f")
    assert not second.built
    index = open_index(catalog, level)
    assert index is not None
    held = rows_of(catalog, level)
    assert index.ids().tolist() == sorted(held)
    for query in unit(5, 70):
        assert index.search(query[None], 6)[0][0].tolist() == oracle(held, query, 6)
    third = update(catalog, level, "f")
    assert (third.added, third.removed, third.built) == (0, 0, False)


def test_ids_say_video_and_place(catalog: Catalog) -> None:
    update(catalog, Level.SPAN, "f")
    index = open_index(catalog, Level.SPAN)
    assert index is not None
    spans = catalog.vectors.read("span", fingerprint="f")
    number = int(np.flatnonzero(spans.ids == 3)[1])  # the second span of video 3
    ids, _ = index.search(spans.values[number][None], 1)
    assert [part.tolist() for part in unpack(ids[0])] == [[3], [2]]
    assert (pack(*unpack(ids[0])) == ids[0]).all()


def test_a_damaged_index_is_made_again(catalog: Catalog) -> None:
    update(catalog, Level.VIDEO, "f")
    path = index_path(catalog, Level.VIDEO)
    assert path is not None
    path.write_bytes(b"nonsense")
    with pytest.raises(BadIndex, match="tagline index"):
        open_index(catalog, Level.VIDEO)
    assert update(catalog, Level.VIDEO, "f").built
    assert open_index(catalog, Level.VIDEO) is not None


def test_an_index_that_is_missing_or_of_another_model_names_the_command(catalog: Catalog) -> None:
    with pytest.raises(BadIndex, match="tagline index"):
        open_index(catalog, Level.VIDEO)
    update(catalog, Level.VIDEO, "f")
    for number in range(1, 6):
        put(catalog, number, *unit(2, number), fingerprint="g")
    catalog.set_meta(CHOICE, SearchModel("appearance", "y", "g").as_json())
    with pytest.raises(BadIndex, match="another model"):
        open_index(catalog, Level.VIDEO)
    assert update(catalog, Level.VIDEO, "g").built


def test_a_library_without_vectors_has_no_index(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as empty:
        assert open_index(empty) is None
    with Catalog.in_memory() as held:
        held.put_video("a" * 64)
        put(held, 1, *unit(3))
        held.set_meta(CHOICE, SearchModel("appearance", "x", "f").as_json())
        index = open_index(held, Level.SPAN)
        assert index is not None
        assert len(index) == 2
