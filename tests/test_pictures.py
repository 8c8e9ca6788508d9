"""From frames to batches and back: nothing is lost or mixed, and pictures are prepared as PIL would."""

from __future__ import annotations

import numpy as np
import pytest
import seeing
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms._presets import VideoClassification

from tagline.experts.tags import Modality, Sighting, Tag
from tagline.experts.vision.frames import Preparation, as_tensor, batched, end_with_video, frame_spans


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 12))
def test_every_item_goes_through_once_in_full_batches_and_comes_back_in_place(
    counts: list[int], size: int
) -> None:
    numbers = iter(range(sum(counts)))
    pieces = [torch.tensor([[next(numbers)] for _ in range(count)]).view(count, 1) for count in counts]
    seen: list[int] = []

    def model(batch: torch.Tensor) -> list[int]:
        seen.append(len(batch))
        return [int(item) * 10 for item in batch]

    results = batched(model, pieces, size)
    assert results == [[int(item) * 10 for item in piece] for piece in pieces]
    assert all(number == size for number in seen[:-1])
    assert sum(seen) == sum(counts)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (47, 61)])
def test_frames_are_scaled_as_pil_scales_them(shape: tuple[int, int], interpolation: str) -> None:
    how = getattr(Image.Resampling, interpolation.upper())
    frame = seeing.frames(1, shape)[0]
    stretched = Preparation((40, 40), interpolation=interpolation).fit(frame[None])[0]
    expected = np.asarray(Image.fromarray(frame).resize((40, 40), how))
    assert np.abs(stretched.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1


def test_the_middle_is_cut_out() -> None:
    frame = np.zeros((1, 100, 200, 3), np.uint8)
    frame[:, :, 50:150] = 255
    fitted = Preparation((100, 100), 100).fit(frame)
    assert fitted.shape == (1, 3, 100, 100)
    assert (fitted == 255).all()


def test_stretch_then_cut_as_torchvision_presets_do() -> None:
    preset = VideoClassification(crop_size=(112, 112), resize_size=(128, 171))
    frames = np.random.default_rng(0).integers(0, 256, (2, 270, 480, 3), np.uint8)  # smoothing would show
    wanted = preset(as_tensor(frames).contiguous()).transpose(0, 1)  # [3, T, ...] to [T, 3, ...]
    ours = Preparation((112, 112), (128, 171), tuple(preset.mean), tuple(preset.std), antialias=False)
    found = ours.normalise(ours.fit(frames), "cpu")
    one = 1 / 255 / min(preset.std)  # they may round a pixel to the other side
    torch.testing.assert_close(found, wanted, rtol=0, atol=1.01 * one)


def test_normalising_gives_the_stated_mean_and_spread() -> None:
    preparation = Preparation((4, 4), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    values = preparation.normalise(torch.full((2, 3, 4, 4), 255, dtype=torch.uint8), "cpu")
    torch.testing.assert_close(values[0, :, 0, 0], torch.tensor([1.0, 3.0, 1.0]))


def test_a_preparation_survives_json() -> None:
    for preparation in (
        Preparation((4, 5)),
        Preparation((4, 4), 7, antialias=False),
        Preparation((4, 4), (6, 8)),
    ):
        assert Preparation.of(preparation.as_json()) == preparation


def test_read_only_frames_are_taken_without_a_copy() -> None:
    frames = seeing.frames(2, (8, 8))
    assert as_tensor(frames).data_ptr() == frames.ctypes.data


def test_one_missed_frame_does_not_cut_a_span_and_two_do() -> None:
    times = np.arange(12.0)
    seen = [Sighting("dog", 0.5 + time / 100, time) for time in (0.0, 1.0, 3.0, 6.0, 7.0)]
    tags = frame_spans(seen, times, 7.5, Modality.OBJECT, "object", min_frames=2)
    assert [(tag.start, tag.end, tag.best) for tag in tags] == [(0.0, 4.0, 3.0), (6.0, 7.5, 7.0)]


def test_a_video_of_one_frame_can_have_tags() -> None:
    tags = frame_spans(
        [Sighting("dog", 0.5, 0.0)], np.zeros(1), None, Modality.OBJECT, "object", min_frames=2
    )
    assert [tag.text for tag in tags] == ["dog"]


def test_a_tag_never_ends_before_it_starts() -> None:
    assert end_with_video(Tag("dog", Modality.OBJECT, 1.0, 5.0, 6.0, "object"), 4.0).end == 5.0
