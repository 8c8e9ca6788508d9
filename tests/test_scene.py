"""The scene expert: two judges that must agree, either of which may be absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeing

from tagline.benchmarks.fixtures import random_weights
from tagline.experts.base import labels
from tagline.experts.scene import (
    ImageClassifier,
    SceneExpert,
    SceneSettings,
    classifier_preparation,
    joint_scores,
    label_matrix,
    readable_label,
    save_classifier,
)
from tagline.experts.vision.frames import Preparation


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("scene")
    return {
        "classifier": str(random_weights.classifier(home / "vit", seeing.PLACES, **seeing.SMALL_VIT)),
        "clip": str(random_weights.towers(home / "clip", seeing.SMALL_CLIP)),
    }


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path))


def loaded(**settings: Any) -> SceneExpert:
    expert = SceneExpert(**{"precision": "float32", **settings})
    expert.load("cpu")
    return expert


def test_a_batch_of_videos_is_told_as_one_by_one(folders: dict[str, str]) -> None:
    expert = loaded(**folders, confidence=0.05)
    videos = seeing.videos([expert])
    together = expert(videos)
    assert any(report.tags for report in together)
    for video, report in zip(videos, together, strict=True):
        alone = expert([video])[0]
        seeing.same(report, alone)
        for one, other in zip(report.vectors, alone.vectors, strict=True):
            assert (one.start, one.end) == (other.start, other.end)
            np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    assert together[-1].notes == ["no frame for the scene expert"]
    assert {tag.text for report in together for tag in report.tags} <= {
        readable_label(p) for p in seeing.PLACES
    }


def test_the_classifier_says_what_transformers_own_pipeline_says(folders: dict[str, str]) -> None:
    from PIL import Image
    from transformers import pipeline

    frames = seeing.frames(3, (90, 160))
    judge = ImageClassifier.open(Path(folders["classifier"]), "cpu", "float32")
    ours = judge(judge.preparation.fit(frames))
    theirs = pipeline("image-classification", model=folders["classifier"], device="cpu")
    for frame, row in zip(frames, ours, strict=True):
        said = {answer["label"]: answer["score"] for answer in theirs(Image.fromarray(frame), top_k=9)}
        np.testing.assert_allclose(row, [said[name] for name in seeing.PLACES], atol=0.02)


@pytest.mark.usefixtures("nothing_here")
@pytest.mark.parametrize("present", ["classifier", "clip"])
def test_each_judge_can_work_alone(folders: dict[str, str], present: str) -> None:
    expert = SceneExpert(**{present: folders[present]}, confidence_alone=0.01, categories=())
    assert expert.missing() is None
    expert.load("cpu")
    report = expert([seeing.footage([expert])])[0]
    assert report.tags
    assert any("did not look" in note and "tagline models pull" in note for note in report.notes)
    assert bool(report.vectors) == (present == "clip")
    both = SceneExpert(**folders)
    assert both.fingerprint() != expert.fingerprint()


@pytest.mark.usefixtures("nothing_here")
def test_without_either_it_says_so() -> None:
    assert (SceneExpert().missing() or "").startswith("not run: weights vit-base-imagenet")


def test_both_must_agree_on_what_both_know() -> None:
    settings = SceneSettings(confidence=0.3, confidence_alone=0.6, within=2, tags=3)
    known = np.array([True, True, True, False])
    seen = np.array([[0.80, 0.15, 0.05, 0.0]], np.float32)

    def told(*named: float) -> list[tuple[int, float]]:
        [frame] = joint_scores(seen, np.array([named], np.float32), known, settings)
        return [(kind, round(score, 3)) for kind, score in frame]

    assert told(0.5, 0.3, 0.1, 0.1) == [(0, round((0.8 * 0.5) ** 0.5, 3))]
    assert told(0.05, 0.3, 0.6, 0.05) == []  # each has another favourite
    assert told(0.1, 0.1, 0.1, 0.7) == [(3, 0.7)]  # only CLIP can know it, and is sure
    assert told(0.2, 0.1, 0.1, 0.55) == [(0, 0.4)]  # CLIP alone is not sure enough
    alone = joint_scores(seen, None, known, settings)
    assert [(kind, round(score, 3)) for kind, score in alone[0]] == [(0, 0.8)]
    assert joint_scores(None, None, known, settings) == []


def test_imagenet_classes_stand_for_places() -> None:
    names = ["tench", *(f"thing {i}" for i in range(997)), "seashore", "church"]
    categories, into = label_matrix(names)
    assert len(categories) == 365
    at = {name: row for row, name in enumerate(names)}
    assert {categories[i] for i in np.flatnonzero(into[at["seashore"]])} == {"beach", "coast", "ocean"}
    assert {categories[i] for i in np.flatnonzero(into[at["church"]])} == {"indoor church", "outdoor church"}
    assert not into[at["tench"]].any()
    places = {line.split("\t")[1] for line in labels("places365")}
    assert all(set(line.split("\t")[1:]) <= places for line in labels("imagenet_places"))


def test_own_labels_are_the_categories_and_readable() -> None:
    names, into = label_matrix(seeing.PLACES)
    assert names == ["beach", "indoor church", "kitchen", "alley"]
    assert (into == np.eye(4)).all()
    assert label_matrix([])[0] == [line.split("\t")[1] for line in labels("places365")]
    assert label_matrix(seeing.PLACES, ["kitchen", "moon"])[1].tolist() == [[0, 0], [0, 0], [1, 0], [0, 0]]
    assert readable_label("/a/apartment_building/outdoor") == "apartment building"
    assert readable_label("seashore, coast, seacoast") == "seashore"


def test_preparations_survive_the_folder(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    model = ViTForImageClassification(ViTConfig(**seeing.SMALL_VIT))
    for preparation in (
        Preparation((64, 64), mean=(0.5,) * 3, std=(0.5,) * 3),
        Preparation((64, 64), 72, interpolation="bicubic"),
    ):
        assert classifier_preparation(save_classifier(model, tmp_path, preparation)) == preparation


def test_low_precision_moves_scores_little(folders: dict[str, str]) -> None:
    plain, low = loaded(**folders), loaded(**folders, precision="bfloat16")
    video = seeing.footage([plain])
    frames = video.view(plain.sampling).frames
    assert plain.classifier is not None
    assert low.classifier is not None
    fitted = plain.classifier.preparation.fit(frames)
    np.testing.assert_allclose(plain.classifier(fitted), low.classifier(fitted), atol=0.1)
    assert plain.clip is not None
    assert low.clip is not None
    assert low.clip.scale == plain.clip.scale
    alike = (plain.clip.encode_frames(frames) * low.clip.encode_frames(frames)).sum(axis=1)
    assert alike.min() > 0.999
