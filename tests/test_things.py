"""Things and places: the classifier against timm's, its squares, and what becomes of its classes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import seeing

from tagline.experts import things
from tagline.experts.footage import View
from tagline.experts.tags import Modality
from tagline.experts.things import (
    Classifier,
    ThingsExpert,
    ThingsSettings,
    all_labels,
    class_entries,
    class_names,
    cut_squares,
)
from tagline.experts.vision import efficientnet, onnx
from tagline.experts.weights import registry

ROOT = Path(__file__).parents[1]


def weights() -> Path:
    try:
        return registry.find("efficientnet-lite2").path
    except registry.WeightsMissing as error:
        pytest.skip(str(error))


def random_squares(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 260, 260, 3), dtype=np.uint8)


def test_a_graph_written_by_hand_runs_in_onnx_runtime():
    import onnxruntime

    graph = onnx.Graph("twice")
    doubled = graph.add("Mul", "x", graph.constant("two", np.float32([2, 2])))
    model = graph.model({"x": (onnx.FLOAT, ("N", 2))}, {doubled: (onnx.FLOAT, ("N", 2))})
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(session.run(None, {"x": values})[0], 2 * values)


def test_tensors_of_another_network_are_refused_in_a_sentence():
    with pytest.raises(efficientnet.WrongTensors, match="not the tensors of EfficientNet-Lite2"):
        efficientnet.efficientnet_lite2({"a": np.ones((3, 3), np.float32)}, ["a"])


def test_outputs_are_those_of_timm():
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    from safetensors.numpy import load_file

    folder = weights()
    tensors = load_file(folder / "model.safetensors")
    order = json.loads((folder / "config.json").read_text())["order"]
    model = timm.create_model("tf_efficientnet_lite2").eval()
    names = list(model.state_dict())
    model.load_state_dict(
        {name: torch.from_numpy(np.array(tensors[theirs])) for name, theirs in zip(names, order, strict=True)}
    )
    squares = random_squares(3)
    with torch.no_grad():
        pictures = torch.from_numpy(squares).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        expected = model(pictures).softmax(-1).numpy()
    np.testing.assert_allclose(Classifier(folder)._classify(squares), expected, atol=1e-4)


def test_the_squares_cover_a_wide_frame_from_end_to_end():
    ramp = np.broadcast_to(np.arange(584, dtype=np.float32) / 584 * 255, (292, 584))
    frame = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    left, middle, right = cut_squares(frame, "three")
    assert left[0, 0, 0] == 0
    assert right[0, -1, 0] == frame[0, -1, 0]
    np.testing.assert_array_equal(middle, cut_squares(frame, "centre")[0])
    tall = cut_squares(frame.transpose(1, 0, 2), "three")
    np.testing.assert_array_equal(tall[0].transpose(1, 0, 2), left)


@pytest.mark.parametrize("shape", [(40, 60), (1, 1), (1080, 1920), (900, 30)])
def test_squares_of_any_frame_have_the_classifiers_size(shape):
    frame = np.zeros((*shape, 3), np.uint8)
    assert [square.shape for square in cut_squares(frame, "three")] == [(260, 260, 3)] * 3


def test_probabilities_are_means_over_the_squares_and_need_no_torch():
    folder = weights()
    frames = np.random.default_rng(0).integers(0, 256, (2, 300, 500, 3), dtype=np.uint8)
    classifier = Classifier(folder)
    found = classifier.probabilities(frames)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-4)
    alone = classifier._classify(np.stack(cut_squares(frames[1], "three")))
    np.testing.assert_allclose(found[1], alone.mean(0), atol=1e-5)
    assert classifier.probabilities(frames[:0]).shape == (0, 1000)
    assert Classifier(folder, views="centre").identity != classifier.identity
    program = (
        "import sys, numpy; from pathlib import Path; from tagline.experts.things import Classifier; "
        f"Classifier(Path({str(folder)!r})).probabilities(numpy.zeros((1, 99, 99, 3), numpy.uint8)); "
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_there_are_a_thousand_names_and_no_two_alike():
    names = class_names()
    assert len(names) == 1000 == len(set(names))
    assert (names[0], names[207], names[292], names[978]) == (
        "tench",
        "golden retriever",
        "tiger",
        "seashore",
    )


def test_every_class_and_kind_has_one_modality_and_a_known_doubt():
    for label in all_labels():
        assert {class_entries()[number].modality for number in label.classes} == {label.modality}
        assert label.doubt in ("", *things.DOUBTS)
    texts = [label.text for label in all_labels()]
    assert len(texts) == len(set(texts))
    by_text = {label.text: label for label in all_labels()}
    assert set(range(151, 269)) <= set(by_text["dog"].classes)
    assert by_text["cat"].classes == (281, 282, 283, 284, 285)
    assert by_text["seashore"].modality == Modality.SCENE
    assert by_text["restaurant"].modality == Modality.SCENE
    assert by_text["web site"].doubt == "flat"
    assert by_text["golden retriever"].fine
    assert not by_text["dog"].fine
    assert not by_text["candle"].fine


def spans(*frames: dict[int, float], **settings: float):
    """Tags of frames one second apart, in which these classes have these probabilities."""
    probabilities = np.full((len(frames), 1000), 1e-5, np.float32)
    for row, classes in zip(probabilities, frames, strict=True):
        row[list(classes)] = list(classes.values())
    view = View(np.zeros((len(frames), 1, 1, 3), np.uint8), np.arange(len(frames), dtype=np.float64))
    scores = things.label_scores(probabilities[:, None])
    tags, sightings = things.spans_of(scores, view, float(len(frames)), ThingsSettings(**settings))
    assert {(one.text, one.time) for one in sightings} >= {(tag.text, tag.best) for tag in tags}
    return [(tag.text, tag.modality.value, tag.start, tag.end) for tag in tags]


def test_a_dog_is_certain_where_its_breed_is_not():
    both = {207: 0.45, 208: 0.45}
    assert spans(both, both) == [("animal", "object", 0, 2), ("dog", "object", 0, 2)]
    sure = {207: 0.9}
    assert ("golden retriever", "object", 0, 1) in spans(sure)


def test_places_are_scenes_and_carry_their_kind():
    assert spans({582: 0.9}) == [("grocery store", "scene", 0, 1), ("shop", "scene", 0, 1)]


def test_one_frame_must_be_sure_and_two_must_agree():
    assert spans({562: 0.5}, {}, {}) == []
    assert spans({562: 0.5}, {562: 0.5}, {}) == [("fountain", "scene", 0, 2)]
    assert spans({562: 0.75}, {}, {}) == [("fountain", "scene", 0, 1)]
    far = [{562: 0.5}, *[{}] * 6, {562: 0.5}]
    assert spans(*far) == []  # two spans of one frame each do not agree with one another


def test_a_span_goes_on_while_its_thing_is_still_likely():
    assert spans({}, {562: 0.3}, {562: 0.6}, {562: 0.6}, {562: 0.25}, {}) == [("fountain", "scene", 1, 5)]


def test_what_a_classifier_says_of_anything_needs_more():
    assert spans({916: 0.6}, {916: 0.6}) == []
    assert spans({916: 0.9}, {916: 0.9}) == [("web site", "object", 0, 2)]


def test_a_thing_may_be_in_one_square_alone():
    found = np.full((1, 3, 1000), 1e-6, np.float32)
    found[0, 2, 562] = 0.9
    column = [label.text for label in all_labels()].index("fountain")
    assert things.label_scores(found)[0, column] == pytest.approx((0.3 + 0.9) / 2, abs=2e-3)


def test_a_blind_guess_says_nothing_however_many_classes_a_kind_has():
    even = dict.fromkeys(range(1000), 0.001)
    assert spans(even, even, confidence=0.05) == []


class ByBrightness:
    """A classifier by heart: a bright frame is a seashore, any other a candle."""

    identity = "by brightness"

    def by_square(self, frames):
        found = np.zeros((len(frames), 3, 1000), np.float32)
        bright = frames.mean(axis=(1, 2, 3)) > 100
        found[bright, :, 978], found[~bright, :, 470] = 0.9, 0.9
        return found


def one_video(expert: ThingsExpert, *levels: int):
    footage = seeing.footage([expert], count=len(levels))
    noise = np.random.default_rng(0).integers(-20, 20, (len(levels), 90, 160, 3))
    frames = (np.array(levels)[:, None, None, None] + noise).astype(np.uint8)
    footage.views = {expert.sampling: View(frames, np.arange(len(levels), dtype=np.float64))}
    return footage


def test_the_expert_says_objects_and_scenes_and_hands_its_probabilities_on():
    expert = ThingsExpert()
    expert.classifier = ByBrightness()
    report = expert([one_video(expert, 30, 30, 200, 200)])[0]
    said = {(tag.text, tag.modality.value, tag.start, tag.end) for tag in report.tags}
    assert {("candle", "object", 0, 2), ("seashore", "scene", 2, 4)} <= said
    assert [vector.values.shape for vector in report.vectors] == [(1000,)] * 4
    assert [(vector.start, vector.end) for vector in report.vectors] == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_black_frame_shows_nothing():
    expert = ThingsExpert()
    expert.classifier = ByBrightness()
    footage = one_video(expert, 30)
    footage.views[expert.sampling].frames[:] = 2
    report = expert([footage])[0]
    assert (report.tags, report.vectors) == ([], [])


def test_a_video_without_frames_is_a_note():
    expert = ThingsExpert()
    expert.classifier = ByBrightness()
    footage = seeing.footage([expert], count=0)
    footage.views = {expert.sampling: View(np.zeros((0, 90, 160, 3), np.uint8), np.zeros(0))}
    assert expert([footage])[0].notes == ["no frame for the things expert"]


def test_missing_weights_are_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path))
    said = ThingsExpert().missing()
    assert said
    assert "tagline models pull" in said


def test_threads_change_no_fingerprint_but_views_do():
    assert ThingsExpert(threads=3).fingerprint() == ThingsExpert().fingerprint()
    assert ThingsExpert(views="centre").fingerprint() != ThingsExpert().fingerprint()


def test_the_catalog_takes_tags_of_both_modalities(tmp_path):
    from tagline.experts.tags import Report, Tag
    from tagline.tagging.catalog.records import checked

    tags = [Tag(text, Modality(text), 0.9, 0, 1, "things") for text in ("object", "scene", "speech")]
    kept = checked(Report(tags=tags), Modality.OBJECT, ThingsExpert.also)
    assert [tag.text for tag in kept.tags] == ["object", "scene"]
    assert kept.notes == ["left out: tags that were not of the sense object or scene (1)"]


PHOTOGRAPHS = {
    "sklearn/datasets/images/china.jpg": {"building"},
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg": set(),
}


@pytest.mark.parametrize("path", PHOTOGRAPHS)
def test_photographs_of_installed_packages(path):
    from importlib.util import find_spec

    from PIL import Image

    spec = find_spec(path.partition("/")[0])
    if spec is None or spec.origin is None:
        pytest.skip(f"{path} is not installed")
    place = Path(spec.origin).parents[1] / path
    if not place.is_file():
        pytest.skip(f"{path} is not installed")
    found = Classifier(weights()).by_square(np.asarray(Image.open(place).convert("RGB"))[None])
    view = View(np.zeros((2, 1, 1, 3), np.uint8), np.arange(2.0))
    scores = things.label_scores(np.repeat(found, 2, axis=0))
    tags, _ = things.spans_of(scores, view, 2.0, ThingsSettings())
    assert {tag.text for tag in tags} == PHOTOGRAPHS[path]


def test_experts_without_torch_do_not_ask_torch_for_a_device(monkeypatch):
    from types import SimpleNamespace

    from tagline.experts import devices
    from tagline.experts.faces import FacesExpert
    from tagline.experts.scene import SceneExpert
    from tagline.tagging.library import _device

    monkeypatch.setattr(devices, "choose_device", lambda wish: "asked")
    light = [ThingsExpert(), FacesExpert()]
    assert _device(SimpleNamespace(experts=light, looks={"x": 1}), "auto") == "cpu"
    assert _device(SimpleNamespace(experts=[*light, SceneExpert()], looks={"x": 1}), "auto") == "asked"
