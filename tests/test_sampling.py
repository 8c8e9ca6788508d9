"""Which pictures a sampling asks for: checked against the plainest way to say it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.experts.decode.sampling import Timeline, lost, shots_of, ticks_of
from tagline.experts.footage import PerSecond, PerShot, Sampling, Sound, Uniform, Windows

BASE = Fraction(1, 90_000)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    gaps = draw(st.lists(st.integers(1, 20_000), max_size=60))
    first = draw(st.integers(-5_000, 500_000))
    pts = np.cumsum([first, *gaps])
    return Timeline(pts, int(pts[-1]) + draw(st.integers(1, 20_000)), BASE)


samplings = st.one_of(
    st.builds(Uniform, st.integers(1, 20)),
    st.builds(PerSecond, st.sampled_from([0.1, 0.5, 1.0, 3.0, 29.97]), st.integers(1, 60)),
    st.builds(Windows, st.integers(1, 4), st.integers(1, 9), st.sampled_from([0.04, 1 / 30, 0.2, 5.0])),
    st.builds(PerShot, st.integers(1, 3), st.integers(3, 60)),
)


def shown_at(line: Timeline, tick: int) -> int:
    """The oracle: the last picture whose time has come."""
    return max((p for p in line.pts.tolist() if p <= tick), default=int(line.pts[0]))


@given(timelines(), st.integers(-100_000, 2_000_000))
def test_what_is_shown_is_the_latest_picture_not_after(line: Timeline, tick: int) -> None:
    assert line.pts[line.shown(tick)] == shown_at(line, tick)


@given(timelines(), samplings)
def test_ticks_ascend_within_windows_and_lie_in_the_video(line: Timeline, sampling: Sampling) -> None:
    ticks = ticks_of(sampling, line)
    assert ticks
    assert min(ticks) >= line.first
    if not isinstance(sampling, Windows):
        assert ticks == sorted(ticks)
        assert max(ticks) < line.end


@given(timelines(), st.integers(1, 20))
def test_uniform_is_the_midpoints_of_equal_parts(line: Timeline, count: int) -> None:
    ticks = ticks_of(Uniform(count), line)
    exact = [line.first + Fraction(2 * i + 1, 2 * count) * line.length for i in range(count)]
    assert all(0 <= e - t < 1 for e, t in zip(exact, ticks, strict=True))


def test_one_picture_a_second_until_there_would_be_too_many() -> None:
    line = Timeline(np.arange(0, 90_000 * 10, 3_600), 90_000 * 10, BASE)
    assert ticks_of(PerSecond(), line) == [90_000 * i for i in range(10)]
    assert ticks_of(PerSecond(most=9), line) == ticks_of(Uniform(9), line)
    assert len(ticks_of(PerSecond(rate=0.3), line)) == 3
    one = Timeline(np.array([7]), 8, BASE)
    assert ticks_of(PerSecond(), one) == [7]


def test_windows_keep_their_step_and_lie_inside() -> None:
    line = Timeline(np.arange(0, 90_000 * 10, 3_600), 90_000 * 10, BASE)
    ticks = np.array(ticks_of(Windows(3, 8, 0.2), line)).reshape(3, 8)
    assert (np.diff(ticks, axis=1) == 18_000).all()
    assert ticks.min() >= 0
    assert ticks.max() <= line.pts[-1]
    middles = (ticks[:, 0] + ticks[:, -1]) / 2 / 90_000
    assert middles == pytest.approx([10 / 6, 5, 50 / 6])


def test_a_window_longer_than_the_video_gives_its_last_picture_again() -> None:
    line = Timeline(np.arange(0, 90_000, 9_000), 90_000, BASE)
    shown = [line.shown(tick) for tick in ticks_of(Windows(1, 16, 0.1), line)]
    assert shown == [*range(10), *[9] * 6]


def test_shots_share_out_what_there_is_room_for() -> None:
    line = Timeline(np.arange(0, 1000, 10), 1000, BASE)
    assert ticks_of(PerShot(), line, [0, 200, 600]) == [100, 400, 800]
    assert ticks_of(PerShot(count=2), line, [0, 400]) == [100, 300, 550, 850]
    assert len(ticks_of(PerShot(most=5), line, list(range(0, 1000, 50)))) == 5
    assert ticks_of(Sound(), line) == []


def pictures(*scenes: tuple[int, int], noise: int = 3) -> np.ndarray:
    """Small pictures: (how many, how bright) scenes after one another."""
    rng = np.random.default_rng(0)
    levels = np.concatenate([np.full(count, level) for count, level in scenes])
    grain = rng.integers(-noise, noise + 1, (len(levels), 24, 42, 3))
    return np.clip(levels[:, None, None, None] + grain, 0, 255).astype(np.uint8)


def test_a_cut_is_found_where_it_is() -> None:
    seen = pictures((9, 40), (5, 160), (12, 90))
    assert shots_of(range(0, 260, 10), seen) == [0, 90, 140]


def test_neither_fades_nor_pans_nor_grain_are_cuts() -> None:
    fade = np.concatenate([pictures((1, level)) for level in range(0, 250, 12)])
    assert shots_of(range(len(fade)), fade) == [0]
    rng = np.random.default_rng(1)
    pan = np.stack([np.roll(rng.integers(0, 256, (24, 42, 3)), 4 * i, axis=1) for i in range(20)])
    assert shots_of(range(20), pan.astype(np.uint8)) == [0]
    assert shots_of(range(30), pictures((30, 128), noise=12)) == [0]
    assert shots_of([5], pictures((1, 9))) == [5]


def test_a_lost_picture_is_told_from_a_late_one() -> None:
    line = Timeline(np.array([0, 10, 20, 30, 40, 90]), 100, BASE)
    assert not lost(line, 35, 30)
    assert not lost(line, 35, 20)  # one picture missing: the one before stands still
    assert lost(line, 45, 20)
    assert lost(line, 95, 40)
    assert not lost(line, 80, 40)  # nothing is missing: that picture stays long
    assert lost(line, 5, None)
