"""What an expert has to show: it is one, it sees what it should, and batches make no difference."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from smoke_alarm import SmokeExpert

from tagline.experts.base import Expert
from tagline.experts.footage import Facts, Footage, View


def footage(expert: SmokeExpert, *colours: tuple[int, int, int]) -> Footage:
    """A video of one frame a second, each of one colour."""
    frames = np.zeros((len(colours), 36, 64, 3), np.uint8)
    frames[:] = np.array(colours, np.uint8).reshape(-1, 1, 1, 3)
    view = View(frames, np.arange(float(len(colours))))
    facts = Facts(
        duration=float(len(colours)),
        width=64,
        height=36,
        fps=Fraction(1),
        codec="h264",
        rotation=0,
        colour="bt709",
        has_sound=False,
    )
    return Footage("x.mp4", facts, {expert.needs[0]: view}, None)


GREY, RED = (120, 120, 120), (255, 0, 0)


def test_it_is_an_expert() -> None:
    assert isinstance(SmokeExpert(), Expert)
    assert SmokeExpert().fingerprint() != SmokeExpert(threshold=0.9).fingerprint()
    with pytest.raises(TypeError):
        SmokeExpert(treshold=0.9)


def test_smoke_has_a_beginning_and_an_end() -> None:
    expert = SmokeExpert()
    [report] = expert([footage(expert, RED, GREY, GREY, GREY, RED)])
    assert [(tag.text, tag.start, tag.end) for tag in report.tags] == [("smoke", 1.0, 3.0)]
    assert report.tags[0].source == "smoke"


def test_a_batch_is_as_good_as_one_by_one() -> None:
    expert = SmokeExpert()
    videos = [footage(expert, GREY), footage(expert, RED, RED), footage(expert, RED, GREY)]
    assert expert(videos) == [expert([video])[0] for video in videos]
    assert [len(report.tags) for report in expert(videos)] == [1, 0, 1]
