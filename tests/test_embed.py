"""Embedding: what is cut, what becomes a vector, when that is done anew; a reader that equals its model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import table_fakes
from embedding import FakeEmbedder, bag, use_fake_embedder
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.experts.footage import Footage, View
from tagline.experts.sentences import gelu
from tagline.experts.tags import Embedding, Modality, Tag
from tagline.retrieval.embed import text_tower
from tagline.retrieval.embed.embedders import TableEmbedder
from tagline.retrieval.embed.encode import embed, sample_queries
from tagline.retrieval.embed.query_encoder import BadImage, EncoderMissing, open_encoder, read_image
from tagline.retrieval.embed.search_model import SearchModel
from tagline.retrieval.embed.spans import MOST, RATE, WINDOW, spans
from tagline.tagging.catalog.vectors import VectorStore
from tagline.tagging.catalog.write import Catalog

# -- where videos are cut ------------------------------------------------------------------------------


def shots(*lengths: float) -> tuple[Any, Any]:
    """Frames uint8 [T, 48, 64, 3] at RATE a second, each shot in a grey of its own, and their times."""
    total = sum(lengths)
    times = np.arange(0, total, 1 / RATE)
    ends = np.cumsum(lengths)
    greys = (np.searchsorted(ends, times, side="right") * 97 % 256).astype(np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (len(times), 48, 64, 3)), times


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.floats(1.5, 40), min_size=1, max_size=6))
def test_spans_cover_the_video_and_hold_the_frames_that_they_say(lengths: list[float]) -> None:
    frames, times = shots(*lengths)
    found = spans(frames, times, sum(lengths))
    covered = sorted({frame for span in found for frame in range(span.first, span.last)})
    assert covered == list(range(len(times)))
    assert found[0].start == 0.0
    assert found[-1].end == pytest.approx(sum(lengths), abs=1 / RATE)
    for span in found:
        assert span.start < span.end
        assert span.first < span.last
        inside = times[span.first : span.last]
        assert inside[0] >= span.start - 1e-3
        assert inside[-1] <= span.end + 1e-3


def test_each_shot_is_a_span_and_a_long_one_is_several() -> None:
    assert [(s.start, s.end) for s in spans(*shots(4.0, 5.0, 3.0), 12.0)] == [(0, 4), (4, 9), (9, 12)]
    long = spans(*shots(30.0), 30.0)
    assert all(s.end - s.start == WINDOW for s in long)
    assert all(0 < b.start - a.start <= WINDOW / 2 for a, b in pairwise(long))


def test_a_film_of_hours_has_no_more_spans_than_frames() -> None:
    times = np.linspace(0, 7200, MOST)
    found = spans(np.zeros((MOST, 24, 24, 3), np.uint8), times, 7200.0)
    assert len(found) < MOST
    assert all(span.last - span.first >= 3 for span in found)


def test_nothing_is_cut_into_nothing() -> None:
    assert spans(np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0), None) == []


# -- what is embedded, and when ----------------------------------------------------------------------------

VIDEOS: dict[str, dict[str, Any]] = {
    "dog.mp4": {"tags": {"object": [("dog", 0.9, 0.0, 4.0), ("ball", 0.8, 6.0, 10.0)]}},
    "cat.mp4": {"tags": {"object": ["cat"]}},
    "bad.mp4": {"tags": {"object": ["cow"]}, "unreadable": "is damaged"},
}


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    use_fake_embedder(monkeypatch, tmp_path / "cache")
    with fakes.library(tmp_path / "videos", VIDEOS) as catalog:
        yield catalog


def vectors(catalog: Catalog, name: str, source: str = "video") -> Any:
    video = catalog.find(name)
    assert video is not None
    every = catalog.vectors.read(source, fingerprint=FakeEmbedder().choice.fingerprint)
    return every.values[every.ids == video.id]


def test_every_video_and_span_gets_a_vector_and_what_cannot_be_read_a_reason(catalog: Catalog) -> None:
    outcome = embed(catalog, FakeEmbedder())
    assert (outcome.progress.tagged, outcome.spans) == (2, 4)
    [(path, reason)] = outcome.failures
    assert (Path(path).name, reason) == ("bad.mp4", "is damaged")
    assert vectors(catalog, "dog.mp4")[0] == pytest.approx(bag("dog ball"))
    halves = catalog.vectors.read("span")
    assert halves.values[0] == pytest.approx(bag("dog"))
    assert halves.values[1] == pytest.approx(bag("ball"))
    assert halves.spans[:2].tolist() == [[0.0, 5.0], [5.0, 10.0]]


def test_only_what_is_new_or_stale_is_embedded_again(catalog: Catalog) -> None:
    embed(catalog, FakeEmbedder())
    FakeEmbedder.seen.clear()
    again = embed(catalog, FakeEmbedder())
    assert (FakeEmbedder.seen, again.unchanged, len(again.failures)) == ([], 2, 1)

    video = catalog.find("cat.mp4")
    assert video is not None
    catalog.decide.reject(video.id, "cat")
    embed(catalog, FakeEmbedder())
    assert FakeEmbedder.seen == ["cat.mp4"], "the tags that it read are others now"
    catalog.decide.add(video.id, "somebody speaks", Modality.SPEECH)
    embed(catalog, FakeEmbedder())
    assert FakeEmbedder.seen == ["cat.mp4"], "such tags it does not read"


def test_a_model_that_fails_at_a_video_leaves_a_reason_and_never_a_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_embedder(monkeypatch, tmp_path / "cache")
    videos = {"a.mp4": {"salt": "raises"}, "b.mp4": {"salt": "nan"}, "c.mp4": {"tags": {"object": ["dog"]}}}
    with fakes.library(tmp_path / "videos", videos) as catalog:
        outcome = embed(catalog, FakeEmbedder())
        assert outcome.progress.tagged == 1
        assert [reason for _, reason in outcome.failures] == [
            "the model broke",
            "the model made vectors that hold no numbers",
        ]
        assert len(catalog.vectors.read("video").ids) == 1
        kept = [failure.reason for failure in catalog.failures() if failure.expert == "search"]
        assert kept == [reason for _, reason in outcome.failures]
        FakeEmbedder.seen.clear()
        assert len(embed(catalog, FakeEmbedder()).failures) == 2
        assert FakeEmbedder.seen == [], "it would fail again"
        embed(catalog, FakeEmbedder(), retry=True)
        assert FakeEmbedder.seen == ["a.mp4", "b.mp4"]


def test_another_model_takes_over_when_it_is_through(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = FakeEmbedder(version="1"), FakeEmbedder(version="2")
    embed(catalog, old)
    real, calls = VectorStore.put_embeddings, []

    def breaks(*arguments: Any, **keywords: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*arguments, **keywords)

    monkeypatch.setattr(VectorStore, "put_embeddings", breaks)
    with pytest.raises(KeyboardInterrupt):
        embed(catalog, new)
    assert SearchModel.of_catalog(catalog) == old.choice, "search goes on with what is whole"
    assert len(catalog.vectors.embedded_videos(old.choice.fingerprint)) == 2
    monkeypatch.setattr(VectorStore, "put_embeddings", real)
    FakeEmbedder.seen.clear()
    embed(catalog, new)
    assert len(FakeEmbedder.seen) == 1, "and what was done of the new one is kept"
    assert SearchModel.of_catalog(catalog) == new.choice
    assert catalog.vectors.sources()["video"] == {new.choice.fingerprint: 2}


def test_the_encoder_is_that_of_the_vectors_or_says_what_to_do(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_encoder(catalog) is None
    embed(catalog, FakeEmbedder())
    encoder = open_encoder(catalog)
    assert encoder is not None
    assert encoder.fingerprint == FakeEmbedder().choice.fingerprint
    assert encoder.texts(["dog ball"])[0] @ vectors(catalog, "dog.mp4")[0] == pytest.approx(1.0)
    monkeypatch.setattr(
        "tagline.retrieval.embed.query_encoder.load", lambda *_: FakeEmbedder(version="changed")
    )
    with pytest.raises(EncoderMissing, match="tagline index"):
        open_encoder(catalog)


def test_pictures_are_read_upright_and_nothing_else_is(tmp_path: Path) -> None:
    from PIL import Image

    image = Image.new("RGB", (8, 4), (250, 0, 0))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (8, 4, 3)
    (tmp_path / "b.jpg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    for name in ("b.jpg", "missing.jpg"):
        with pytest.raises(BadImage, match=name):
            read_image(tmp_path / name)


def test_an_index_is_tuned_by_what_people_wrote_or_else_by_tags(catalog: Catalog) -> None:
    assert sample_queries(catalog) == ["ball", "cat", "dog"]


# -- a model that was trained ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> TableEmbedder:
    from tagline.table.data import Tokenizer
    from tagline.table.saving import save_pretrained

    folder = tmp_path_factory.mktemp("model")
    save_pretrained(table_fakes.model(text_length=12), folder, Tokenizer())
    return TableEmbedder(str(folder))


def footage(model: TableEmbedder, seconds: float = 12.0) -> Footage:
    """Two shots, six seconds each."""
    rng = np.random.default_rng(0)
    whole, dense = model.samplings

    def view(times: Any) -> View:
        base = np.where(times[:, None, None, None] < 6, 40, 200)
        noise = rng.integers(0, 30, (len(times), 16, 20, 3))
        return View((base + noise).astype(np.uint8), times)

    views = {whole: view(np.linspace(2, 10, 3)), dense: view(np.arange(0, seconds, 0.5))}
    return Footage("x.mp4", fakes.facts_of({"duration": seconds}), views, None)


def tag(text: str, start: float, end: float) -> Tag:
    return Tag(text, Modality.OBJECT, 0.9, start, end, "object")


def test_a_video_is_embedded_as_it_is_in_an_evaluation(aligned: TableEmbedder) -> None:
    from tagline.table.evaluate import embed_videos
    from tagline.table.frame_cache import FramesInMemory
    from tagline.table.rows import Row

    shown = footage(aligned)
    tags = [tag("dog", 0, 3), tag("ball", 7, 9)]
    frames = aligned.preparation.fit(shown.view(aligned.samplings[0]).frames).numpy()
    row = Row("x", "k", (), "ball, dog")
    truth = embed_videos(aligned.model, [row], FramesInMemory({"k": frames}), aligned.saved.tokenizer)
    made = aligned.embed(shown, tags)
    assert made.whole.values == pytest.approx(truth[0], abs=1e-5)
    assert [(s.start, s.end) for s in made.spans] == [(0.0, 6.0), (6.0, 12.0)]


def test_a_span_reads_the_tags_of_its_own_time(aligned: TableEmbedder) -> None:
    shown = footage(aligned)
    one, other = (aligned.embed(shown, [tag("dog", 0, 3), tag(text, 7, 9)]) for text in ("ball", "guitar"))
    assert one.spans[0].values == pytest.approx(other.spans[0].values, abs=1e-6)
    assert np.abs(one.spans[1].values - other.spans[1].values).max() > 1e-4
    assert aligned.tags_read([tag("a", 0, 1), Tag("x", Modality.SCREEN, 1, 0, 1, "s")]) == [tag("a", 0, 1)]


TEXTS = [
    "a dog catches a frisbee",
    "Zwei Kinder spielen Fußball im Café",
    "it's 25 °C & <b>bold</b>, don't",
    "你好 世界 🐶",
    "  a\tb\nc ",
    "<start_of_text> hi",
    "long " * 300,
    "",
]


def test_the_reader_equals_the_model_and_survives_the_disk(aligned: TableEmbedder, tmp_path: Path) -> None:
    truth = aligned.texts(TEXTS)
    tower = aligned.text_tower()
    assert text_tower.NumpyTextTower(tower)(TEXTS) == pytest.approx(truth, abs=1e-5)
    path = tmp_path / "reader.safetensors"
    text_tower.write(tower, path)
    again = text_tower.read(path)
    assert again is not None
    assert again(TEXTS) == pytest.approx(truth, abs=1e-5)
    assert again([]).shape == (0, truth.shape[1])
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole + b"x", b"", whole[:9] + b"?" + whole[10:]):
        path.write_bytes(damaged)
        assert text_tower.read(path) is None, "a damaged one is made again, never used"
    assert text_tower.read(tmp_path / "none") is None


def test_a_tower_that_computes_something_else_is_not_kept(
    aligned: TableEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(text_tower.NotPortable):
        text_tower.store_checked(aligned.text_tower(), -aligned.texts(text_tower.CHECK_TEXTS), "f")
    assert not text_tower.cache_path("f").exists()
    text_tower.store_checked(aligned.text_tower(), aligned.texts(text_tower.CHECK_TEXTS), "f")
    assert text_tower.cache_path("f").exists()


@given(value=st.floats(-8, 8))
def test_gelu_is_what_it_is(value: float) -> None:
    import math

    truth = value * 0.5 * (1 + math.erf(value / math.sqrt(2)))
    assert gelu(np.array([value], np.float32))[0] == pytest.approx(truth, abs=2e-6)


def test_vectors_of_the_catalog_come_in_pages_with_whole_videos(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as catalog:
        for number in range(1, 30):
            catalog.put_video(f"{number:064x}")
            some = [Embedding(float(i), i + 1.0, np.full(3, number, np.float32)) for i in range(number % 5)]
            catalog.vectors.put_embeddings(number, "f", "", Embedding(0, 1, np.ones(3, np.float32)), some)
        pages = list(catalog.vectors.pages("span", "f", size=1))
        whole = catalog.vectors.read("span")
        assert np.concatenate([page.ids for page in pages]).tolist() == whole.ids.tolist()
        assert (np.concatenate([page.values for page in pages]) == whole.values).all()
        some = list(catalog.vectors.pages("span", "f", [3, 4, 99]))
        assert np.concatenate([page.ids for page in some]).tolist() == [3] * 3 + [4] * 4
        assert list(catalog.vectors.pages("span", "other")) == []
