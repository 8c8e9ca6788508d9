"""The one list: agreement raises, rejections of look-alikes lower, stated precision is what is found."""

from __future__ import annotations

import math
from pathlib import Path

import fakes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shaking import shaken

from tagline.experts.tags import Embedding, Modality, Report, Tag
from tagline.tagging.catalog.records import Look
from tagline.tagging.catalog.uploads import Upload, put_upload
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.fusion.fuse import FusionModel, TagFusion, fit_fusion, rejection_penalties
from tagline.tagging.fusion.weighing import (
    LEAST_LABELLED,
    LabelledCandidate,
    SourceScore,
    SourceWeights,
    TagCandidate,
    fit_weights,
    gather_candidates,
    neighbour_hashes,
    threshold_for_precision,
)
from tagline.tagging.ml.text_embedding import CharacterNgrams
from tagline.tagging.neighbours.expert import NeighboursExpert, update_catalog
from tagline.tagging.neighbours.snapshot import read_snapshot
from tagline.tagging.neighbours.views import ViewEncoder


def candidate(form: str, **scores: float) -> TagCandidate:
    return TagCandidate(
        form, form, {name: SourceScore(name, score, 0.0, 1.0) for name, score in scores.items()}
    )


def judged(count: int = 900, seed: int = 0) -> list[LabelledCandidate]:
    """A sure source, an unsure one, and a third that knows nothing; a tag that is always wrong."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        right = bool(rng.random() < 0.4)
        form = f"tag {rng.integers(12)}"
        if form == "tag 0":
            right = False
        scores = {"noise": float(rng.random())}
        if rng.random() < (0.9 if right else 0.1):
            scores["sure"] = float(np.clip(0.4 * right + 0.6 * rng.random(), 0, 1))
        if rng.random() < (0.7 if right else 0.3):
            scores["unsure"] = float(rng.random())
        rows.append(LabelledCandidate(f"video {i // 5}", candidate(form, **scores), right))
    return rows


def test_findings_of_one_tag_come_together_whatever_the_modality() -> None:
    tags = [
        Tag("Dogs", Modality.OBJECT, 0.5, 0, 2, "object"),
        Tag("dog", Modality.OBJECT, 0.8, 5, 6, "object"),
        Tag("dog", Modality.SPEECH, 0.3, 1, 2, "speech"),
        Tag("dog", Modality.GENERATED, 0.9, 0, 10, "neighbours"),
        Tag("dog", Modality.HUMAN, 1.0, 0, 10, "uploader"),
    ]
    found = gather_candidates(tags, neighbour_hashes({"neighbours": {"dog": {"videos": ["a", "b"]}}}))
    assert list(found) == ["dog"]
    pieces = found["dog"].scores
    assert {name: piece.score for name, piece in pieces.items()} == {
        "object": 0.8, "speech": 0.3, "neighbours": 0.9}  # fmt: skip
    assert pieces["neighbours"].neighbour_hashes == ("a", "b")
    assert found["dog"].span == (5, 6)  # what knows when goes before what speaks of the whole video
    assert neighbour_hashes({}) == {}


def test_what_is_learned_follows_the_truth() -> None:
    weights = fit_weights(judged())
    assert weights.labelled == 900
    both, alone = candidate("tag 3", sure=0.9, noise=0.5), candidate("tag 3", noise=0.5)
    assert weights(both) > 0.7 > 0.3 > weights(alone)
    assert weights(candidate("tag 0", sure=0.9, noise=0.5)) < weights(both)  # a tag that is never right
    assert weights.score_weight["noise"] < 0.5
    few = fit_weights(judged(LEAST_LABELLED - 1))
    assert few == SourceWeights()
    assert few(candidate("x", a=0.9)) > few(candidate("x", a=0.2))


@pytest.fixture(scope="module")
def weights() -> SourceWeights:
    return fit_weights(judged())


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["sure", "unsure", "noise", "new"]), st.floats(0, 1), max_size=3),
    st.sampled_from(["sure", "unsure", "noise", "new"]),
    st.floats(0, 1),
)
def test_agreement_never_lowers_a_tag(
    weights: SourceWeights, scores: dict[str, float], other: str, score: float
) -> None:
    for learned in (weights, SourceWeights()):
        before = learned(candidate("tag 1", **{k: v for k, v in scores.items() if k != other}))
        after = learned(candidate("tag 1", **{**scores, other: score}))
        assert after >= before - 1e-12
        assert 0 <= before <= after <= 1


def test_stated_precision_is_found_on_other_videos() -> None:
    fitted = fit_fusion(
        (f"v{i}", {one.candidate.normal_form: one.candidate}, {one.candidate.normal_form: one.right})
        for i, one in enumerate(judged(3000, seed=1))
    )
    test = judged(3000, seed=2)
    for stated in (0.7, 0.8, 0.9):
        least = fitted.threshold_for(stated)
        said = [one for one in test if fitted.weights(one.candidate) >= least]
        assert len(said) > 100
        claimed = np.mean([fitted.weights(one.candidate) for one in said])
        assert claimed == pytest.approx(np.mean([one.right for one in said]), abs=0.03)
        assert claimed >= stated - 0.02
    assert math.isinf(fitted.threshold_for(0.999))
    assert FusionModel.from_json(fitted.to_json()) == fitted


def test_stated_thresholds_against_trying_them_all() -> None:
    scores = np.round(np.random.default_rng(4).random(200), 2)  # with ties
    for wanted in (0.6, 0.8, 0.95, 0.999):
        sure = [s for s in np.unique(scores) if scores[scores >= s].mean() >= wanted]
        assert threshold_for_precision(scores.tolist(), wanted) == (min(sure) if sure else math.inf)


def test_only_look_alikes_are_heard_and_never_oneself() -> None:
    views = np.array([[1.0, 0], [0.96, 0.28], [0, 1.0], [0.6, 0.8]])
    rejected = [("dog",), ("Cats",), ("sea",), ()]
    assert rejection_penalties(views, rejected, 0) == pytest.approx({"cat": 0.96})
    assert rejection_penalties(views, rejected, 3) == pytest.approx(
        {"sea": 0.8, "cat": 0.8, "dog": 0.6}, abs=0.01
    )


# -- a whole library


def library(folder: Path) -> Catalog:
    """Twelve videos of two kinds, by frames and titles; the first five of each are tagged by people."""
    catalog = fakes.library(
        folder, {f"v{i:02}.mp4": {"tags": {"object": ["thing"]}, "salt": i} for i in range(12)}
    )
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(2, 8))
    for i, video in enumerate(catalog.videos()):
        kind = i % 2
        look = shaken((kinds[kind] + 0.1 * rng.normal(size=8)).astype(np.float32))
        catalog.vectors.put(video.id, "appearance", "clip", [Embedding(0.0, 1.0, look)])
        catalog.put_video(video.hash, title=("a day at the sea", "football match")[kind])
        if i < 10:
            tags = (("beach", "summer"), ("sport", "ball"))[kind]
            put_upload(catalog, video.id, Upload("x", str(i), "train", tags))
    return catalog


def test_neighbours_propose_with_the_videos_they_come_from(tmp_path: Path) -> None:
    with library(tmp_path) as catalog:
        viewer, expert = ViewEncoder(CharacterNgrams()), NeighboursExpert()
        videos, tags = update_catalog(catalog, read_snapshot(catalog), viewer, expert)
        assert videos == 12
        assert tags >= 24
        new = list(catalog.videos())[10]
        said = [t for t in catalog.tags(new.id) if t.source == "neighbours"]
        assert {t.text for t in said[:2]} | {t.text for t in said} >= {"beach", "summer"}
        best = sorted(said, key=lambda t: -t.score)[:2]
        assert {t.text for t in best} == {"beach", "summer"}
        assert all((t.modality, t.start, t.end) == (Modality.GENERATED, 0.0, 10.0) for t in best)
        facts = next(run.facts for run in catalog.runs(new.id) if run.expert == "neighbours")
        from_videos = facts["neighbours"]["beach"]["videos"]
        assert 1 <= len(from_videos) <= 5
        beaches = {v.hash for i, v in enumerate(catalog.videos()) if i % 2 == 0 and i < 10}
        assert set(from_videos) <= beaches
        # What has not changed is not written again; a new tag reaches look-alikes by the next run.
        before = catalog.runs(new.id)
        update_catalog(catalog, read_snapshot(catalog), viewer, expert)
        assert catalog.runs(new.id) == before
        for video in list(catalog.videos())[0:6:2]:
            catalog.decide.add(video.id, "grandma")
        update_catalog(catalog, read_snapshot(catalog), viewer, expert)
        assert "grandma" in {t.text for t in catalog.tags(new.id)}


def test_tags_of_test_videos_reach_nobody(tmp_path: Path) -> None:
    with library(tmp_path) as catalog:
        for i, split in ((0, "test"), (2, "val")):
            video = list(catalog.videos())[i]
            put_upload(catalog, video.id, Upload("x", str(i), split, ("secret", "beach")))
        found = read_snapshot(catalog)
        assert [found.splits[i] for i in (0, 1, 2, 11)] == ["test", "train", "val", ""]
        assert not {0, 2} & set(found.memory_rows())
        update_catalog(catalog, found, ViewEncoder(CharacterNgrams()), NeighboursExpert())
        texts = {t.text for v in catalog.videos() for t in catalog.tags(v.id) if t.source == "neighbours"}
        assert "beach" in texts
        assert "secret" not in texts


def test_the_one_list_names_each_tag_once_and_hears_people(tmp_path: Path) -> None:
    with library(tmp_path) as catalog:
        viewer = ViewEncoder(CharacterNgrams())
        tenth = list(catalog.videos())[10]
        tags = [Tag("Beaches", Modality.SCENE, 0.9, 2.0, 4.0, "scene"),
                Tag("beach", Modality.SPEECH, 0.4, 1.0, 2.0, "speech"),
                Tag("summer", Modality.SPEECH, 0.4, 1.0, 2.0, "speech")]  # fmt: skip
        catalog.put_look(tenth.id, Look("scene", Modality.SCENE, "1", "f", Report(tags=tags[:1])))
        catalog.put_look(tenth.id, Look("speech", Modality.SPEECH, "1", "f", Report(tags=tags[1:])))
        update_catalog(catalog, read_snapshot(catalog), viewer, NeighboursExpert())

        def merged() -> dict[str, tuple[float, tuple[str, ...]]]:
            made = TagFusion(catalog, read_snapshot(catalog), viewer, FusionModel(threshold=0.0)).fused_tags(
                tenth.id
            )
            assert [one.score for one in made] == sorted((one.score for one in made), reverse=True)
            assert len({one.text for one in made}) == len(made)
            return {one.text: (one.score, one.sources) for one in made}

        first = merged()
        assert set(first["beach"][1]) == {"scene", "speech", "neighbours"}
        assert first["beach"][0] > first["summer"][0]
        fusion = TagFusion(catalog, read_snapshot(catalog), viewer, FusionModel(threshold=0.0))
        one = next(m for m in fusion.fused_tags(tenth.id) if m.text == "beach")
        assert (one.start, one.end) == (2.0, 4.0)
        assert one.neighbours

        like = next(iter(catalog.videos()))
        catalog.decide.reject(like.id, "summer")
        assert merged()["summer"][0] < 0.6 * first["summer"][0]  # its look-alike was judged
        assert merged()["beach"] == first["beach"]
        catalog.decide.reject(tenth.id, "beach")
        assert "beach" not in merged()
        catalog.decide.accept(tenth.id, "summer")
        assert merged()["summer"][0] == 1.0
        catalog.decide.add(tenth.id, "grandma")
        assert merged()["grandma"] == (1.0, ("human",))
