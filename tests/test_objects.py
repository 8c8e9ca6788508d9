"""The object expert: its boxes are those of ultralytics itself, whatever is looked at together."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeing

from tagline.experts import base, extras
from tagline.experts.objects import ObjectExpert
from tagline.experts.tags import Modality
from tagline.experts.weights import registry

# Looked for, not imported: it must be imported the careful way.
pytestmark = pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is an extra")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeing.detector(tmp_path_factory.mktemp("yolo"))


@pytest.fixture(scope="module")
def expert(folder: Path) -> ObjectExpert:
    made = ObjectExpert(weights=str(folder), confidence=0.2)
    made.load("cpu")
    return made


def test_a_batch_of_videos_is_told_as_one_by_one(expert: ObjectExpert) -> None:
    videos = seeing.videos([expert])
    together = expert(videos)
    assert sum(len(report.tags) for report in together) > 3
    for video, report in zip(videos, together, strict=True):
        seeing.same(report, expert([video])[0])
    assert together[-1].tags == []
    assert together[-1].notes == ["no frame for the object expert"]


def test_boxes_are_those_of_ultralytics_own_predict(expert: ObjectExpert, folder: Path) -> None:
    from tagline.experts.vision.yolo import load_yolo, ultralytics

    model, names, imgsz = load_yolo(folder)
    theirs = ultralytics().YOLO("yolo11n.yaml", verbose=False)
    theirs.model = model
    model.names = dict(enumerate(names))
    video = seeing.footage([expert], shape=(75, 130), count=3)
    frames = video.view(expert.sampling).frames
    results = theirs.predict(
        [frame[..., ::-1].copy() for frame in frames], imgsz=imgsz, conf=0.2, iou=0.7, verbose=False
    )
    report = expert([video])[0]
    assert len(report.sightings) > 5
    at = 0
    for result in results:
        for centre, score, kind in zip(result.boxes.xywhn, result.boxes.conf, result.boxes.cls, strict=True):
            sighting = report.sightings[at]
            assert sighting.box is not None
            x, y, width, height = sighting.box
            assert sighting.text == names[int(kind)].lower()
            assert sighting.score == pytest.approx(float(score), abs=1e-4)
            assert (x + width / 2, y + height / 2, width, height) == pytest.approx(
                tuple(map(float, centre)), abs=2e-3
            )
            at += 1
    assert at == len(report.sightings)


def test_boxes_lie_inside_the_picture(expert: ObjectExpert) -> None:
    for report in expert(seeing.videos([expert])):
        for sighting in report.sightings:
            assert sighting.box is not None
            x, y, width, height = sighting.box
            assert min(x, y, width, height) >= 0
            assert max(x + width, y + height) <= 1 + 1e-6
            assert 0.2 <= sighting.score <= 1


def test_classes_come_from_the_weights_and_can_be_left_out(folder: Path, expert: ObjectExpert) -> None:
    video = seeing.footage([expert])
    said = {sighting.text for sighting in expert([video])[0].sightings}
    assert said <= {name.lower() for name in seeing.KINDS}
    picky = ObjectExpert(weights=str(folder), confidence=0.2, drop=(sorted(said)[0],))
    picky.load("cpu")
    assert {s.text for s in picky([video])[0].sightings} == said - {sorted(said)[0]}


def test_what_is_seen_in_too_few_frames_is_a_sighting_but_no_tag(folder: Path, expert: ObjectExpert) -> None:
    video = seeing.footage([expert], count=4)
    strict = ObjectExpert(weights=str(folder), confidence=0.2, min_frames=4)
    strict.load("cpu")
    report = strict([video])[0]
    in_all = {
        text
        for text in {s.text for s in report.sightings}
        if len({s.time for s in report.sightings if s.text == text}) == 4
    }
    assert {tag.text for tag in report.tags} == in_all
    assert len(report.sightings) == len(expert([video])[0].sightings)


def test_half_precision_weights_find_the_same(folder: Path, expert: ObjectExpert, tmp_path: Path) -> None:
    from tagline.experts.vision.yolo import load_yolo, save_yolo

    model, names, imgsz = load_yolo(folder)
    half = save_yolo(model, tmp_path / "half", names=names, imgsz=imgsz, half=True)
    smaller, whole = ((place / "model.safetensors").stat().st_size for place in (half, folder))
    assert smaller < 0.6 * whole
    other = ObjectExpert(weights=str(half), confidence=0.2)
    other.load("cpu")
    video = seeing.footage([expert])
    seen, again = (len(each([video])[0].sightings) for each in (expert, other))
    assert abs(seen - again) <= 0.05 * seen + 1


def test_ultralytics_is_kept_off_the_network() -> None:
    from tagline.experts.vision.yolo import ultralytics

    ultralytics()
    from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS
    from ultralytics.utils.events import events

    assert (AUTOINSTALL, bool(ONLINE), SETTINGS["sync"], events.enabled) == (False, False, False, False)
    assert os.environ["YOLO_OFFLINE"] == "True"


def test_ultralytics_does_not_change_how_pictures_are_opened(tmp_path: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    from tagline.experts.vision.yolo import ultralytics

    ultralytics()
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(UnidentifiedImageError):
        Image.open(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "__import__('os').system('true')"},
        {"backbone": [[-1, 1, "TorchVision", [64, "resnet18", "DEFAULT"]]]},
        {"backbone": [[-1, 1, "Conv", ["__import__('os')", 3, 2]]]},
        {"backbone": [[-1, 1, "Conv"]]},
        {"backbone": "Conv"},
    ],
)
def test_an_architecture_that_could_do_more_than_detect_is_refused(
    folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    from tagline.experts.vision.yolo import WrongArchitecture, load_yolo

    config = json.loads((folder / "config.json").read_text())
    config["yaml"].update(change)
    (tmp_path / "config.json").write_text(json.dumps(config))
    os.link(folder / "model.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(WrongArchitecture):
        load_yolo(tmp_path)


def test_a_users_own_pickle_needs_their_word(folder: Path, tmp_path: Path) -> None:
    import torch

    from tagline.experts.vision.yolo import load_yolo

    model, names, _ = load_yolo(folder)
    model.names = dict(enumerate(names))
    checkpoint = tmp_path / "own.pt"
    torch.save({"model": model, "train_args": {"imgsz": 160}}, checkpoint)
    refused = ObjectExpert(weights=str(checkpoint)).missing()
    assert refused is not None
    assert "--allow-pickle" in refused
    allowed = ObjectExpert(weights=str(checkpoint), confidence=0.2, allow_pickle=True)
    assert allowed.missing() is None
    allowed.load("cpu")
    safe = ObjectExpert(weights=str(folder), confidence=0.2)
    safe.load("cpu")
    video = seeing.footage([safe])
    seeing.same(allowed([video])[0], safe([video])[0])


def test_what_is_absent_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path))
    said = ObjectExpert().missing()
    assert said is not None
    assert said.startswith("not run: weights yolo11n (5.4 MB, AGPL-3.0) are not here")
    assert "tagline models pull object" in said
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    said = ObjectExpert(weights=str(folder)).missing()
    assert said == "not run: object needs ultralytics; run `pip install 'tagline[yolo]'`"


def test_the_fingerprint_follows_weights_and_settings_but_not_the_place(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    copied.mkdir()
    for name in ("config.json", "model.safetensors"):
        (copied / name).write_bytes((folder / name).read_bytes())
    first = ObjectExpert(weights=str(folder)).fingerprint()
    assert ObjectExpert(weights=str(copied), batch_size=3).fingerprint() == first
    assert ObjectExpert(weights=str(folder), confidence=0.9).fingerprint() != first
    assert ObjectExpert().fingerprint() != first


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(base.UnknownSetting, match="object has no setting 'treshold'"):
        ObjectExpert(treshold=0.5)


def test_the_lists_of_class_names_are_whole() -> None:
    sizes = {"coco80": 80, "places365": 365, "kinetics400": 400, "persons": 4}
    for name, size in sizes.items():
        assert len(base.labels(name)) == size
        assert all(line == line.strip() and line for line in base.labels(name))


def test_modality_and_samplings() -> None:
    from tagline.experts.objects import PersonExpert

    assert ObjectExpert.modality is Modality.OBJECT
    assert ObjectExpert().needs == PersonExpert().needs  # decoded once for both
    assert isinstance(registry.for_expert("object"), str)
    assert np.isfinite(ObjectExpert().settings.confidence)
