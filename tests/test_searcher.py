"""Search by everything at once, with a stand-in for the model: what is missing is left out, hubs lose, and a
query without an answer is told apart."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import fakes
import numpy as np
import pytest
from shaking import shaken

from tagline.experts.tags import Embedding, Modality
from tagline.retrieval.index.base import Level, pack
from tagline.retrieval.query.candidates import Searcher
from tagline.retrieval.query.hits import Filters
from tagline.retrieval.query.params import FEATURES, SearchParams, defaults, read, write
from tagline.retrieval.query.parse import parse
from tagline.retrieval.query.search import answer, search
from tagline.retrieval.tune import tune
from tagline.retrieval.tune.probe_queries import caption_queries, tag_queries, unanswerable_queries
from tagline.tagging.catalog.records import Caption
from tagline.tagging.catalog.write import Catalog

DIMENSIONS = 64
ALIKE = {"puppy": "dog", "seaside": "beach"}  # what the stand-in knows beyond the letters


class FakeEncoder:
    """Texts are the sum of a fixed random vector for each word; synonyms share theirs."""

    fingerprint = "stand-in"

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack(
            [unit(sum((word(w) for w in t.lower().split()), np.zeros(DIMENSIONS))) for t in texts]
        )

    def image(self, path: Path) -> np.ndarray:
        raise AssertionError("nobody asks by a picture here")


def word(text: str) -> np.ndarray:
    seed = zlib.crc32(ALIKE.get(text, text).encode())
    return np.random.default_rng(seed).normal(size=DIMENSIONS)


def unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return shaken((vector / length if length else vector).astype(np.float32))


class FakeIndex:
    """Exact search over rows in memory."""

    fingerprint = "stand-in"
    revision = 0

    def __init__(self, ids: np.ndarray, values: np.ndarray) -> None:
        self.rows, self.values = ids, values

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = queries @ self.values.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return self.rows[order], np.take_along_axis(scores, order, axis=1)


SHOWS = {  # what is in the picture, span by span; tags know less
    "beach.mp4": ("a dog runs", "beach waves"),
    "kitchen.mp4": ("a man cooks", "a cat sleeps"),
    "street.mp4": ("cars wait", "a dog runs"),
    "talk.mp4": ("a woman speaks", "a woman speaks"),
}
TAGS = {
    "beach.mp4": {"object": [("dog", 0.9, 0.0, 5.0)], "scene": [("beach", 0.8, 5.0, 10.0)]},
    "kitchen.mp4": {"object": [("cat", 0.9, 5.0, 10.0)], "scene": ["kitchen"]},
    "street.mp4": {"object": [("car", 0.9, 0.0, 5.0)], "scene": ["street"]},
    "talk.mp4": {"speech": [("volcano", 0.9, 2.0, 3.0)]},
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = fakes.library(tmp_path, {name: {"tags": tags} for name, tags in TAGS.items()})
    encoder = FakeEncoder()
    for name, shows in SHOWS.items():
        video = made.find(name)
        assert video is not None
        first, second = encoder.texts(shows)
        made.vectors.put_embeddings(
            video.id,
            encoder.fingerprint,
            "",
            Embedding(0.0, 10.0, unit(first + second)),
            [Embedding(0.0, 5.0, first), Embedding(5.0, 10.0, second)],
        )
    return made


def searcher(catalog: Catalog, learnt: SearchParams | None = None) -> Searcher:
    indexes = {}
    for level, source in ((Level.VIDEO, "video"), (Level.SPAN, "span")):
        held = catalog.vectors.read(source)
        places = np.tile([1, 2], len(held.ids) // 2) if level == Level.SPAN else np.zeros(len(held.ids), int)
        indexes[level] = FakeIndex(pack(held.ids, places), held.values)
    return Searcher(FakeEncoder(), indexes, learnt)  # type: ignore[arg-type]


def names(hits: Sequence[object]) -> list[str]:
    return [Path(hit.video.paths[0]).name for hit in hits]  # type: ignore[attr-defined]


def test_the_model_finds_what_no_tag_says_and_when(catalog: Catalog) -> None:
    found = answer(catalog, "a man cooks", 1, searcher=searcher(catalog))
    assert names(found.hits) == ["kitchen.mp4"]
    assert (found.hits[0].start, found.hits[0].end) == (0.0, 5.0)
    assert [one.kind for one in found.hits[0].why] == ["picture"]


def test_what_is_said_is_where_it_is_said(catalog: Catalog) -> None:
    hit = answer(catalog, "volcano", 1, searcher=searcher(catalog)).hits[0]
    assert names([hit]) == ["talk.mp4"]
    assert (hit.start, hit.end) == (2.0, 3.0)


def test_words_and_pictures_together_beat_each_alone(catalog: Catalog) -> None:
    both = answer(catalog, "dog beach", 1, searcher=searcher(catalog)).hits
    assert names(both) == ["beach.mp4"]
    pictures = answer(catalog, "dog runs", searcher=searcher(catalog), signals=("span",)).hits
    assert set(names(pictures)[:2]) == {"beach.mp4", "street.mp4"}


def test_a_tag_of_the_same_meaning_counts(catalog: Catalog) -> None:
    ready = searcher(catalog)
    tune.embed_tags(catalog, ready)
    found = answer(catalog, "puppy", 1, searcher=ready, signals=("tags",)).hits
    assert names(found) == ["beach.mp4"]
    assert "dog" in {one.text for one in found[0].why}


def test_sums_of_phrases(catalog: Catalog) -> None:
    ready = searcher(catalog)
    vector = ready.vector(parse("dog + beach - car"))
    assert vector is not None
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    encoded = FakeEncoder().texts(["dog", "beach", "car"])
    assert np.allclose(vector, unit(encoded[0] + encoded[1] - encoded[2]), atol=1e-5)
    found = answer(catalog, "dog runs - beach waves", 1, searcher=ready, signals=("video", "span"))
    assert names(found.hits) == ["street.mp4"]
    assert search(catalog, "- dog") == []


def test_without_a_model_sums_still_work_by_words(catalog: Catalog) -> None:
    assert names(search(catalog, "dog + beach")) == ["beach.mp4"]
    assert search(catalog, "dog - beach")[0].score < search(catalog, "dog")[0].score


def test_filters_hold_for_what_the_model_finds(catalog: Catalog) -> None:
    ready = searcher(catalog)
    lacking = Filters(lacking=((Modality.SCENE, "beach"),))
    assert "beach.mp4" not in names(answer(catalog, "a dog runs", filters=lacking, searcher=ready).hits)
    assert answer(catalog, "a dog runs", filters=Filters(longer=11.0), searcher=ready).hits == []
    assert len(answer(catalog, "a dog runs", filters=Filters(longer=9.0), searcher=ready).hits) == 4


def test_days(tmp_path: Path) -> None:
    made = fakes.library(
        tmp_path,
        {
            "old.mp4": {"tags": {"object": ["dog"]}, "created": "2019-05-17T12:00:00Z"},
            "new.mp4": {"tags": {"object": ["dog"]}, "created": "2024-01-01T00:00:00Z"},
            "none.mp4": {"tags": {"object": ["dog"]}},
        },
    )
    assert names(search(made, "dog", filters=Filters(after="2019-05-17", before="2020"))) == ["old.mp4"]
    assert names(search(made, "dog", filters=Filters(after="2019-06"))) == ["new.mp4"]
    assert len(search(made, "dog")) == 3


def test_hubs_lose_by_the_bank(catalog: Catalog) -> None:
    ready = searcher(catalog)
    vectors = catalog.vectors.read("video")
    plain = answer(catalog, "a dog runs", searcher=ready, signals=("video",)).hits
    top = plain[0].video.id
    ids = np.sort(pack(vectors.ids, np.zeros(len(vectors.ids), int)))
    ready.params.row_hubness["video"] = (
        ids,
        np.where(ids == pack(np.array([top]), np.array([0]))[0], 2.0, 0.0),
    )
    assert answer(catalog, "a dog runs", searcher=ready, signals=("video",)).hits[-1].video.id == top
    kept = answer(catalog, "a dog runs", searcher=ready, signals=("video",), qb_norm=False).hits
    assert kept[0].video.id == top
    new = pack(np.array([10_000]), np.array([0]))
    assert ready.params.hubness("video", new)[0] == pytest.approx(0.5), "who came later is as usual"


# -- learning ----------------------------------------------------------------------------------------


def world(folder: Path, videos: int = 24, written: bool = True) -> Catalog:
    """Videos of a thing in a place, some things unseen by the experts, each with captions."""
    things = ["dog", "horse", "robot", "kite", "drum", "balloon"]
    scenes = ["beach", "forest", "harbour", "stage"]
    rng = np.random.default_rng(5)
    content, shows = {}, {}
    for i in range(videos):
        thing, scene = things[i % 6], scenes[(i // 6) % 4]
        seen = {"object": [thing] if rng.random() < 0.8 else [], "scene": [scene]}
        content[f"{i:02}.mp4"] = {"tags": seen, "salt": i}
        shows[f"{i:02}.mp4"] = (thing, scene)
    made = fakes.library(folder, content)
    encoder = FakeEncoder()
    for name, (thing, scene) in shows.items():
        video = made.find(name)
        assert video is not None
        noise = rng.normal(size=DIMENSIONS) * 0.1
        whole = unit(encoder.texts([f"{thing} {scene}"])[0] + noise)
        made.vectors.put_embeddings(
            video.id,
            "stand-in",
            "",
            Embedding(0, 10, whole),
            [Embedding(0, 5, whole), Embedding(5, 10, whole)],
        )
        if written:
            lines = [
                f"a {thing} in the {scene}",
                f"{scene} with a {thing}",
                f"{thing} {scene}",
                f"the {thing} at {scene}",
            ]
            lines += [f"lovely {thing} near {scene}", f"my {thing} and the {scene}"]
            made.put_captions(video.id, [Caption(line, split="val") for line in lines])
    return made


def test_background_queries(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.put_captions(1, [Caption("a secret of the test", split="test")])
    assert "a secret of the test" not in {query.text for query in caption_queries(made)}
    for query in tag_queries(made):
        video = made.video(query.video or 0)
        assert video is not None
        texts = {tag.text for tag in made.tags(video.id)}
        assert any(text in query.text for text in texts)
    strangers = unanswerable_queries(made, {"catching"})
    assert len(strangers) > 100
    assert not any("catching" in query.text or "kite" in query.text.split()[-1:] for query in strangers)
    assert strangers == unanswerable_queries(made, {"catching"})


def test_learning_tells_answers_from_nothing(tmp_path: Path) -> None:
    made = world(tmp_path)
    ready = searcher(made)
    learnt = tune.tune(made, ready)
    assert learnt.weights is not None
    assert learnt.calibration is not None
    asked = [f"{t} close to the {s}" for t in ("dog", "robot", "kite") for s in ("beach", "stage")]
    strange = ["a submarine under water", "bungee jumping", "somebody repairs a chimney", "volleyball"]
    answered = [answer(made, text, searcher=ready).answered for text in asked]
    assert sum(answered) >= 5
    assert not any(answer(made, text, searcher=ready).answered for text in strange)
    probable = answer(made, "dog beach", searcher=ready).hits
    assert probable[0].probability is not None
    assert [h.score for h in probable] == sorted((h.score for h in probable), reverse=True)
    assert all(0 <= (h.probability or 0) <= 1 for h in probable)


def test_what_was_learnt_is_kept_and_belongs_to_its_model(tmp_path: Path) -> None:
    made = world(tmp_path)
    learnt = tune.tune(made, searcher(made))
    again = read(made, "stand-in")
    assert again.weights == learnt.weights
    assert again.calibration == learnt.calibration
    assert again.tags == learnt.tags
    assert np.array_equal(again.tag_vectors, learnt.tag_vectors)
    assert again.row_hubness.keys() == learnt.row_hubness.keys()
    assert read(made, "another").weights is None
    (tmp_path / ".tagline" / "search.npz").write_bytes(b"broken")
    assert read(made, "stand-in").weights is None
    write(made, "stand-in", SearchParams())
    assert read(made, "stand-in").calibration is None


def test_without_captions_weights_are_the_defaults(tmp_path: Path) -> None:
    made = world(tmp_path, written=False)
    learnt = tune.tune(made, searcher(made))
    assert learnt.weights is None
    assert learnt.probe_queries > 5
    usual = defaults().calibration
    assert learnt.calibration is None if usual is None else learnt.calibration is not None


def test_rejected_tags_do_not_come_back_by_their_meaning(catalog: Catalog) -> None:
    ready = searcher(catalog)
    tune.embed_tags(catalog, ready)
    video = catalog.find("beach.mp4")
    assert video is not None

    def near() -> str | None:
        """The tag by whose meaning the video is found."""
        looked = ready.candidates(catalog, parse("puppy"))
        found = {one.video.id: one.near for one in looked.entries}.get(video.id)
        return found[1].text if found else None

    assert near() == "dog"
    catalog.decide.reject(video.id, "dog", Modality.OBJECT)
    assert near() != "dog"


def test_a_warm_searcher_answers_alike_and_reads_no_evidence(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = answer(catalog, "a dog at the beach", searcher=searcher(catalog))
    ready = searcher(catalog)
    monkeypatch.setattr(ready, "_drop_stale_cache", lambda catalog: None)
    ready.warm(catalog)
    monkeypatch.setattr(Catalog, "tags", lambda *args, **named: pytest.fail("the evidence is read again"))
    assert answer(catalog, "a dog at the beach", searcher=ready) == cold


def test_warming_up_ends_when_it_is_told_to(catalog: Catalog) -> None:
    ready = searcher(catalog)
    ready.warm(catalog, enough=lambda: len(ready._cached) >= 2)
    assert len(ready._cached) == 2


def test_qb_norm_is_left_out_where_it_finds_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world(tmp_path)
    monkeypatch.setattr(tune, "qb_norm_helps", lambda *_: False)
    lines: list[str] = []
    params = tune.tune(made, searcher(made), say=lines.append)
    assert not params.row_hubness
    assert any("QB-Norm is left out" in line for line in lines)
    monkeypatch.setattr(tune, "qb_norm_helps", lambda *_: True)
    assert set(tune.tune(made, searcher(made)).row_hubness) == {Level.VIDEO, Level.SPAN}


def test_qb_norm_helps_if_videos_are_found_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world(tmp_path)
    queries = caption_queries(made)[:8]
    monkeypatch.setattr(
        tune, "candidates_of", lambda catalog, searcher, queries, qb_norm: [qb_norm] * len(queries)
    )
    monkeypatch.setattr(tune, "fit_weights", lambda candidates, queries: None)
    for better, helps in ((0.9, True), (0.5, False)):
        monkeypatch.setattr(
            tune, "_reciprocal_rank", lambda qb_norm, query, weights, to=better: to if qb_norm else 0.5
        )
        assert tune.qb_norm_helps(made, searcher(made), queries) is helps


def test_a_word_that_nobody_used_tells_only_where_somebody_wrote(catalog: Catalog) -> None:
    ready = searcher(catalog)
    place = FEATURES.index("unwritten_words")
    assert ready.candidates(catalog, parse("a purple dog")).features[place] == 0.0
    ready.params.vocabulary = frozenset({"dog"})
    assert ready.candidates(catalog, parse("a purple dog")).features[place] == 1.0
    assert ready.candidates(catalog, parse("a dog next to the beach")).features[place] == 0.0
