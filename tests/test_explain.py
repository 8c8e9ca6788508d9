"""Why a video answers: leaving one out against searching again without it; heat where the answer is."""

from __future__ import annotations

import json
from pathlib import Path

import fakes
import numpy as np
import pytest
import table_fakes
from click.testing import CliRunner
from test_searcher import catalog, searcher  # noqa: F401 (a fixture)

from tagline.retrieval.cli.main import cli
from tagline.retrieval.query import explain as explaining
from tagline.retrieval.query.explain import explain
from tagline.retrieval.query.lexical import evidence_of, idf, index_evidence, lexical_hit
from tagline.retrieval.query.rerank import blend, late_interaction
from tagline.retrieval.query.search import search
from tagline.table.data import Tokenizer
from tagline.table.saving import PretrainedTable
from tagline.tagging.catalog.write import Catalog

BEACH = {
    "tags": {
        "object": [("dog", 0.9, 2.0, 4.0), ("frisbee", 0.8, 3.0, 5.0)],
        "scene": [("beach", 0.9, 0.0, 5.0)],
    },
    "words": "we talk about rain",
}


@pytest.fixture
def library(tmp_path: Path) -> Catalog:
    return fakes.library(tmp_path, {"beach.mp4": BEACH, "other.mp4": {"tags": {"object": ["cat"]}}})


def test_a_tag_counts_what_search_loses_without_it(library: Catalog) -> None:
    video = library.find("beach.mp4")
    assert video is not None
    found = explain(library, "a dog with a frisbee", video)
    assert found.lexical_score == pytest.approx(search(library, "a dog with a frisbee")[0].score)
    assert {one.text for one in found.evidence} == {"dog", "frisbee"}
    # Looked for again, with the same weights, in what is left of the video.
    weights = idf(library, ["dog", "frisbee"])
    for one in found.evidence:
        rest = [e for e in evidence_of(library, video, library.tags(video.id)) if e.text != one.text]
        hit = lexical_hit(video, index_evidence(rest), weights)
        assert hit is not None
        assert one.words == pytest.approx(found.lexical_score - hit.score)


def test_words_share_what_is_held(library: Catalog) -> None:
    video = library.find("beach.mp4")
    assert video is not None
    found = explain(library, "dog frisbee submarine", video)
    lost = {one.text: one.words for one in found.words}
    assert lost["submarine"] == 0
    assert lost["dog"] > 0.1
    assert lost["frisbee"] > 0.1
    assert all(one.picture is None for one in found.words), "there is no model"
    other = library.find("other.mp4")
    assert other is not None
    nothing = explain(library, "dog frisbee", other)
    assert nothing.lexical_score == 0
    assert nothing.evidence == []


def test_heat_is_where_the_answer_is(library: Catalog) -> None:
    video = library.find("beach.mp4")
    assert video is not None
    found = explain(library, "frisbee", video)
    assert sum(one.share for one in found.heat) == pytest.approx(1)
    assert all((one.share > 0) == (3.0 <= one.time <= 5.0) for one in found.heat)
    assert found.heat_by == "evidence"


def test_with_vectors_the_picture_counts(catalog: Catalog) -> None:  # noqa: F811
    video = catalog.find("kitchen.mp4")
    assert video is not None
    found = explain(catalog, "a man cooks", video, searcher(catalog))
    assert found.similarity is not None
    assert found.similarity > 0.5
    assert found.heat_by == "spans"
    assert all(one.share > 0 for one in found.heat if one.time < 5)
    assert all(one.share == pytest.approx(0, abs=1e-6) for one in found.heat if one.time > 5)
    assert max(one.picture or 0 for one in found.words) > 0.1


def test_with_a_table_model_attention_and_tags_count(
    library: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagline.retrieval.query import rerank

    model = table_fakes.model(modalities=("object",))
    saved = PretrainedTable(model, Tokenizer(), "", {})
    frames = table_fakes.pictures(1)[0].numpy()

    class Held:
        def read(self, key: str) -> np.ndarray:
            return frames

    seen = [rerank.VideoInput("a", "dog, frisbee")]
    monkeypatch.setattr(rerank, "model_inputs", lambda *_: (Held(), seen, [1]))
    video = library.find("beach.mp4")
    assert video is not None
    found = explain(library, "dog", video, model=saved)
    assert found.heat_by == "attention"
    assert len(found.heat) == 3
    assert sum(one.share for one in found.heat) == pytest.approx(1, abs=1e-5)
    drawn = {one.text: one.picture for one in found.evidence}
    assert drawn.keys() == {"dog", "frisbee"}
    assert all(value is not None for value in drawn.values())

    # The same model looks again at two videos: as one by one.
    looker = rerank.JointScorer(saved)
    both = looker.scores("dog", [seen[0], rerank.VideoInput("b", "")], Held())
    assert both.shape == (2,)
    alone = rerank.JointScorer(saved).scores("dog", [rerank.VideoInput("b", "")], Held())
    assert alone[0] == pytest.approx(both[1], abs=1e-4)


@pytest.mark.parametrize("head", [True, False])
def test_a_video_is_seen_once_and_the_oldest_is_forgotten(
    head: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagline.retrieval.query import rerank

    model = table_fakes.model(modalities=("object",), vtm=head)
    looker = rerank.JointScorer(PretrainedTable(model, Tokenizer(), "", {}))
    pictures = {key: table_fakes.pictures(1, seed=n)[0].numpy() for n, key in enumerate("abc")}
    read: list[str] = []

    class Counted:
        def read(self, key: str) -> np.ndarray:
            read.append(key)
            return pictures[key]

    monkeypatch.setattr(rerank, "MAX_CACHED", 2)
    seen = [rerank.VideoInput("a", "dog"), rerank.VideoInput("b", "cat")]
    first = looker.scores("a dog", seen, Counted())
    assert looker.scores("a dog", seen[::-1], Counted()) == pytest.approx(first[::-1], abs=1e-5)
    assert read == ["a", "b"]
    looker.scores("a dog", [seen[1], rerank.VideoInput("c", "")], Counted())
    looker.scores("a dog", [rerank.VideoInput("b", "cat, dog")], Counted())  # with other tags it is another
    assert read == ["a", "b", "c", "b"]


def test_late_interaction_is_the_mean_of_the_best() -> None:
    words, frames = np.random.default_rng(0).normal(size=(2, 5, 8))
    cosine = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in frames] for a in words]
    assert late_interaction(words, frames) == pytest.approx(np.mean([max(row) for row in cosine]))
    assert np.isnan(late_interaction(words[:0], frames))


def test_blending() -> None:
    before, after = np.array([0.5, 0.3, 0.2]), np.array([1.0, 2.0, 6.0])
    assert blend(before, after, weight=0.0) == [0, 1, 2]
    assert blend(before, after, weight=10.0) == [2, 1, 0]
    z = (after - 3.0) / np.std(after)
    assert blend(before, after, weight=0.4) == list(np.argsort(-(np.log(before) + 0.4 * z)))
    assert blend(before, 100 * after - 7, weight=0.4) == blend(before, after, weight=0.4), "on any scale"
    assert blend(before, np.array([np.nan] * 3)) == [0, 1, 2], "nobody was looked at: nothing changes"
    assert blend(before, np.array([np.nan, 1.0, 2.0]), weight=10.0) == [2, 0, 1]
    assert blend(np.array([0.0, 0.0]), np.array([5.0, 5.0])) == [0, 1]


def ask(folder: Path, *words: str) -> object:
    return CliRunner().invoke(cli, [*words, "--library", str(folder)])


def test_the_command(library: Catalog, tmp_path: Path) -> None:
    shown = ask(tmp_path, "explain", "dog on the beach", "beach")
    assert shown.exit_code == 0, shown.output  # type: ignore[attr-defined]
    assert "dog" in shown.output  # type: ignore[attr-defined]
    row = json.loads(ask(tmp_path, "explain", "dog", "beach", "--json").output)  # type: ignore[attr-defined]
    assert row["evidence"][0]["text"] == "dog"
    assert row["heat"]
    gone = ask(tmp_path, "explain", "dog", "beach", "--picture", str(tmp_path / "why.png"))
    assert gone.exit_code == 1, "a stand-in for a video has no frames"  # type: ignore[attr-defined]
    assert "was not drawn" in gone.output  # type: ignore[attr-defined]
    assert ask(tmp_path, "explain", "dog", "zebra").exit_code == 4  # type: ignore[attr-defined]


def test_the_picture(library: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from tagline.table import frame_cache as cached

    grey = np.full((12, 3, 32, 32), 200, np.uint8)
    monkeypatch.setattr(cached.FrameCache, "fill", lambda self, work: [(k, p, None) for k, p in work])
    monkeypatch.setattr(cached.FrameCache, "read", lambda self, key: grey)
    video = library.find("beach.mp4")
    assert video is not None
    found = explain(library, "frisbee", video)
    explaining.draw(library, found, tmp_path / "why.png")
    drawn = np.asarray(Image.open(tmp_path / "why.png").convert("RGB")).astype(int)
    light = drawn[:32].reshape(32, 12, 32, 3).mean(axis=(0, 2, 3))
    hot = np.array([one.share for one in found.heat]) > 0
    assert light[hot].min() > light[~hot].max()
