"""The motion expert: windows of frames through pytorchvideo's and torchvision's models, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeing
import torch

from tagline.experts.base import labels
from tagline.experts.footage import View
from tagline.experts.motion import (
    ARCHITECTURES,
    MotionConfig,
    MotionExpert,
    VideoClassifier,
    Window,
    build_motion,
    read_motion_config,
    save_motion,
)
from tagline.experts.vision.frames import Preparation
from tagline.experts.weights import registry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeing.motion(tmp_path_factory.mktemp("x3d"))


@pytest.fixture(scope="module")
def expert(folder: Path) -> MotionExpert:
    made = MotionExpert(weights=str(folder), confidence=0.1, precision="float32")
    made.load("cpu")
    return made


def test_a_batch_of_videos_is_told_as_one_by_one(expert: MotionExpert) -> None:
    videos = seeing.videos([expert])
    together = expert(videos)
    assert sum(len(report.tags) for report in together) > 3
    for video, report in zip(videos, together, strict=True):
        seeing.same(report, expert([video])[0])
        for tag in report.tags:
            assert 0 <= tag.start <= (tag.best or 0) <= tag.end <= (video.facts.duration or 0)
    assert together[-1].notes == ["no frame for the motion expert"]


def test_low_precision_moves_scores_little(folder: Path, expert: MotionExpert) -> None:
    low = MotionExpert(weights=str(folder), precision="bfloat16")
    low.load("cpu")
    windows = expert.classifier.fit(seeing.footage([expert]).windows(expert.sampling))
    moved = np.abs(expert.classifier(windows) - low.classifier(windows))
    assert 0 < moved.mean() < 0.03


def test_it_asks_for_the_windows_its_model_was_trained_on(expert: MotionExpert) -> None:
    assert (expert.sampling.length, expert.sampling.step, expert.sampling.side) == (4, 0.2, 64)
    usual = MotionExpert().sampling
    assert (usual.length, usual.step, usual.side) == (16, 5 / 30, 256)


def test_scores_are_those_of_the_model_itself(expert: MotionExpert, folder: Path) -> None:
    from safetensors.torch import load_file

    model = build_motion("x3d_xs", seeing.SMALL_X3D).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    frames = seeing.frames(4, (64, 64))
    window = View(frames, np.arange(4.0))
    plain = (torch.from_numpy(frames.copy()).float() / 255 - 0.485) / 0.229
    for channel, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        plain[..., channel] = (torch.from_numpy(frames[..., channel].copy()).float() / 255 - mean) / std
    with torch.no_grad():
        theirs = model(plain.permute(3, 0, 1, 2)[None]).numpy()
    np.testing.assert_allclose(expert.classifier(expert.classifier.fit([window])), theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("arch", "arguments", "side", "length"),
    [
        ("s3d", {"num_classes": 5}, 224, 14),
        ("r3d_18", {"num_classes": 5}, 32, 4),
        ("slowfast_r50", {"model_num_class": 5, "head_pool_kernel_sizes": [[2, 2, 2], [8, 2, 2]]}, 64, 8),
    ],
)
def test_other_architectures_go_the_same_way(
    arch: str, arguments: dict[str, Any], side: int, length: int, tmp_path: Path
) -> None:
    model = build_motion(arch, arguments)
    saved = save_motion(
        model,
        tmp_path,
        arch,
        arguments=arguments,
        labels=seeing.MOTIONS[:5],
        preparation=Preparation((side, side), side, antialias=False),
        window=Window(length, 0.1),
        half=True,
    )
    expert = MotionExpert(weights=str(saved), confidence=0.0, windows=2)
    expert.load("cpu")
    report = expert([seeing.footage([expert], shape=(side, side))])[0]
    assert {tag.text for tag in report.tags} <= set(seeing.MOTIONS[:5])
    assert report.tags
    again = read_motion_config(Path(saved))
    assert again.window == Window(length, 0.1)


def test_slowfast_sees_one_frame_in_four_the_slow_way() -> None:
    plan = replace(MotionConfig.published("slowfast_r50"), labels=("a",))
    watcher = VideoClassifier(torch.nn.Identity(), plan, "cpu")
    pictures = torch.arange(32.0).view(1, 1, 32, 1, 1)
    slow, fast = watcher.pathways(pictures)
    assert fast.shape[2] == 32
    assert slow.flatten().tolist() == [0, 4, 8, 13, 17, 22, 26, 31]  # evenly, first and last among them


def test_logits_and_shares_give_the_same_scores() -> None:
    plan = replace(MotionConfig.published("s3d"), labels=("a", "b", "c"))
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])

    def answering(values: torch.Tensor) -> VideoClassifier:
        model = torch.nn.Module()
        model.forward = lambda pictures: values  # type: ignore[method-assign]
        return VideoClassifier(model, plan, "cpu", "float32")

    nothing = torch.zeros(2, 3, 2, 4, 4, dtype=torch.uint8)
    np.testing.assert_allclose(
        answering(logits)(nothing), answering(logits.softmax(dim=1))(nothing), atol=1e-6
    )
    with pytest.raises(ValueError, match="3 labels"):
        answering(torch.zeros(2, 4))(nothing)


def test_kinetics_is_in_the_order_of_torchvisions_weights() -> None:
    from torchvision.models.video import S3D_Weights

    theirs = [name.split(" (")[0] for name in S3D_Weights.KINETICS400_V1.meta["categories"]]
    assert labels("kinetics400") == theirs


def test_torchvision_models_are_prepared_as_its_presets_do() -> None:
    from torchvision.models.video import S3D_Weights

    frames = seeing.frames(3, (90, 160))
    preparation = ARCHITECTURES["s3d"].preparation
    ours = preparation.normalise(preparation.fit(frames), "cpu")
    theirs = S3D_Weights.KINETICS400_V1.transforms()(torch.from_numpy(frames.copy()).permute(0, 3, 1, 2))
    # One step of 255 apart at most: both round, in another order.
    torch.testing.assert_close(ours.transpose(0, 1), theirs, atol=0.02, rtol=0)


def test_a_converted_public_checkpoint_needs_its_name_only(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"name": "x3d-m"}')
    assert read_motion_config(tmp_path) == MotionConfig.published("x3d_m")


@pytest.mark.parametrize(
    "config",
    [
        {"arch": "x3d_q"},
        {"arch": "x3d_s", "arguments": {"norm": "os.system"}},
        {"arch": "x3d_s", "arguments": {"pretrained": True}},
        {"arch": "x3d_s", "window": {"length": 4}},
        {},
    ],
)
def test_a_folder_that_is_no_motion_model_is_refused_in_a_sentence(
    config: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(registry.WeightsMissing, match="describes no motion model"):
        read_motion_config(tmp_path)


def test_absence_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path))
    said = MotionExpert().missing() or ""
    assert said.startswith("not run: weights x3d-m")
    assert "tagline models pull motion" in said
