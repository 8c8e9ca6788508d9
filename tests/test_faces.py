"""Faces: who is a person, and when a face is a man, a woman, a boy or a girl."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import seeing

from tagline.experts import faces
from tagline.experts.faces import Face, FaceFinder, FacesExpert, FacesSettings
from tagline.experts.footage import View
from tagline.experts.weights import registry

ROOT = Path(__file__).parents[1]
LEFT, RIGHT = (0.1, 0.1, 0.2, 0.2), (0.6, 0.1, 0.2, 0.2)


def face(score: float = 0.8, male: float = 0.02, age: float = 30, box: faces.Box = LEFT) -> Face:
    return Face(score, box, male, age)


def said(*frames: list[Face], **settings: float | bool):
    times = np.arange(len(frames), dtype=np.float64)
    view = View(np.zeros((len(frames), 1, 1, 3), np.uint8), times)
    tags, _ = faces.spans_of(frames, view, float(len(frames)), FacesSettings(**settings))
    return [(tag.text, tag.start, tag.end) for tag in tags]


def test_two_frames_or_one_sure_one():
    assert said([face(0.4)], []) == []
    assert said([face(0.1)], [face(0.1)]) == []
    assert said([face(0.4)], [face(0.4)]) == [("person", 0, 2), ("woman", 0, 2)]
    assert said([face(1.5)], []) == [("person", 0, 1), ("woman", 0, 1)]


def test_age_and_gender_are_means_over_the_face():
    swinging = [[face(male=0.99)], [face(male=0.3)]]
    assert said(*swinging) == [("person", 0, 2)]
    ages = [[face(age=9)], [face(age=12)]]
    assert said(*ages) == [("girl", 0, 2), ("person", 0, 2)]
    assert said([face(age=16)], [face(age=16)]) == [("person", 0, 2)]
    assert said([face(age=75)], [face(age=75)]) == [("person", 0, 2)]
    assert said([face(male=0.99, age=8)], [face(male=0.99, age=8)]) == [("boy", 0, 2), ("person", 0, 2)]


def test_two_faces_are_two_persons_of_their_own():
    both = [face(), face(male=0.99, box=RIGHT)]
    assert said(both, both) == [("man", 0, 2), ("person", 0, 2), ("woman", 0, 2)]
    tracks = faces.tracks_of(
        [both, both, [both[1]]], View(np.zeros((3, 1, 1, 3), np.uint8), np.arange(3.0)), 2.5
    )
    assert [len(track.faces) for track in tracks] == [2, 3]


def test_one_setting_switches_gender_off():
    assert said([face()], [face()], gender=False) == [("person", 0, 2)]
    assert FacesExpert(gender=False).fingerprint() != FacesExpert().fingerprint()


def test_boxes_overlap_by_their_common_share():
    assert faces.overlap(LEFT, LEFT) == pytest.approx(1)
    assert faces.overlap(LEFT, RIGHT) == 0
    assert faces.overlap((0, 0, 0.2, 0.2), (0.1, 0, 0.2, 0.2)) == pytest.approx(1 / 3)


def test_small_frames_are_doubled_and_large_ones_left_alone():
    assert faces.enlarged(np.zeros((240, 320, 3), np.uint8), 640).shape == (480, 640, 3)
    assert faces.enlarged(np.zeros((480, 854, 3), np.uint8), 640).shape == (640, 1139, 3)
    assert faces.enlarged(np.zeros((640, 640, 3), np.uint8), 640).shape == (640, 640, 3)


class NoFaces:
    def faces(self, frame):
        return []


def test_no_face_is_not_nobody():
    expert = FacesExpert()
    expert.finder = NoFaces()
    report = expert([seeing.footage([expert])])[0]
    assert report.tags == []
    assert report.notes == [faces.ONLY_FACES]


def test_what_is_missing_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path))
    missing = FacesExpert().missing()
    assert missing
    assert missing.startswith("not run: ")


def photograph(path: str) -> np.ndarray:
    from PIL import Image

    spec = find_spec(path.partition("/")[0])
    place = Path(spec.origin).parents[1] / path if spec and spec.origin else Path("nowhere")
    if not place.is_file():
        pytest.skip(f"{path} is not installed")
    return np.asarray(Image.open(place).convert("RGB"))


def finder() -> FaceFinder:
    pytest.importorskip("dlib")
    try:
        return FaceFinder(registry.find("faces").path, FacesSettings().side)
    except registry.WeightsMissing as error:
        pytest.skip(str(error))


def test_a_portrait_has_one_face_of_that_age_and_a_garden_has_none():
    found = finder()
    portrait = photograph("matplotlib/mpl-data/sample_data/grace_hopper.jpg")  # at 78 or so
    (grace,) = found.faces(portrait)
    assert grace.score > 1
    assert 65 < grace.age < 90
    x, y, width, height = grace.box
    assert 0.4 < x + width / 2 < 0.6
    assert 0.25 < y + height / 2 < 0.55
    assert found.faces(photograph("sklearn/datasets/images/flower.jpg")) == []


def test_a_small_face_is_found_because_the_frame_is_doubled():
    from PIL import Image

    found = finder()
    portrait = Image.fromarray(photograph("matplotlib/mpl-data/sample_data/grace_hopper.jpg"))
    small = np.full((240, 320, 3), 90, np.uint8)
    small[60:180, 100:202] = np.asarray(portrait.resize((102, 120)))
    assert len(found.faces(small)) == 1
    assert not len(found.detector.run(small, 0, 0.0)[0])


def test_faces_need_no_torch():
    finder()
    program = (
        "import sys; from tagline.experts.faces import FacesExpert; FacesExpert().load('cpu'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
