"""Things and places: the classifier against timm's, its squares, and what becomes of its classes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tagline.experts.things import Classifier, class_names, cut_squares
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
