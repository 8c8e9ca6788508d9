"""Clips of the photographs that installed packages carry."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tagline.benchmarks.fixtures.photographs import make_clips, photographs


def test_each_photograph_becomes_a_clip_once(tmp_path: Path) -> None:
    if not list(photographs()):
        pytest.skip("no package with photographs is installed")
    made = make_clips(tmp_path)
    assert len(made) == len({clip.name for clip in made}) == len(list(photographs()))
    times = [clip.stat().st_mtime_ns for clip in made]
    assert make_clips(tmp_path) == made
    assert [clip.stat().st_mtime_ns for clip in made] == times
    with av.open(str(made[0])) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert len(frames) == 40
    assert frames[0].shape[0] == 360
    assert abs(frames[0].astype(int) - frames[-1]).mean() > 5, "the camera moves"
