"""Calibration against trying everything, counting by hand, scikit-learn, and scores whose error is known."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from tagline.tagging.ml.calibration import (
    Calibration,
    best_f1_threshold,
    best_threshold,
    calibration_from_json,
    fit_calibration,
    reliability,
)

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def by_hand(pairs: list[tuple[float, bool]], bins: int) -> float:
    """Guo et al. 2017, equation 5, tag by tag."""
    total = 0.0
    for number in range(bins):
        own = [(s, r) for s, r in pairs if min(int(s * bins), bins - 1) == number]
        if own:
            gap = abs(sum(s for s, _ in own) / len(own) - sum(r for _, r in own) / len(own))
            total += len(own) / len(pairs) * gap
    return total


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.integers(1, 20))
def test_the_error_is_what_counting_gives(pairs: list[tuple[float, bool]], bins: int) -> None:
    found = reliability([s for s, _ in pairs], [r for _, r in pairs], bins)
    assert found.ece == pytest.approx(by_hand(pairs, bins), abs=1e-12)
    assert 0 <= found.ece <= 1
    assert sum(one.count for one in found.bins) == len(pairs)


def test_bins_and_brier_score_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(500)  # none on an edge, where the two libraries differ
    right = rng.random(500) < scores**2
    found = reliability(scores.tolist(), right.tolist())
    seen, said = calibration_curve(right, scores, n_bins=10)
    assert [one.precision for one in found.bins] == pytest.approx(seen)
    assert [one.mean_score for one in found.bins] == pytest.approx(said)
    assert found.brier == pytest.approx(brier_score_loss(right, scores))


def test_scores_with_a_known_error() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(20_000)
    honest = reliability(scores.tolist(), (rng.random(20_000) < scores).tolist())
    assert honest.ece < 0.015
    sure = reliability([0.95] * 1000, [True] * 600 + [False] * 400)
    assert sure.ece == pytest.approx(0.35)
    assert reliability([1.0, 0.0], [True, False]).ece == 0.0


def test_what_is_no_score_is_refused() -> None:
    assert reliability([], []).bins == ()
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliability([1.2], [True])
    with pytest.raises(ValueError, match="no number"):
        reliability([float("nan")], [True])
    with pytest.raises(ValueError, match="2 scores but 1"):
        reliability([0.1, 0.2], [True])


# A line fitted to outcomes

LEVELS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12)


def best_staircase(values: list[float], weights: list[float]) -> list[float]:
    """The best line that never falls, by trying every way to cut the values into stairs."""
    best, least = values, np.inf
    for cuts in itertools.product([0, 1], repeat=len(values) - 1):
        stairs = np.cumsum([0, *cuts])
        means = [
            np.average(np.array(values)[stairs == s], weights=np.array(weights)[stairs == s]) for s in stairs
        ]
        cost = sum(w * (m - v) ** 2 for m, v, w in zip(means, values, weights, strict=True))
        if np.all(np.diff(means) >= -1e-12) and cost < least - 1e-12:
            best, least = [float(m) for m in means], cost
    return best


@settings(deadline=None, max_examples=100)
@given(LEVELS)
def test_steps_are_the_best_line_that_never_falls_with_equal_scores_together(
    pairs: list[tuple[int, bool]],
) -> None:
    scores, right = [level / 4 for level, _ in pairs], [hit for _, hit in pairs]
    found = fit_calibration(scores, right, groups=None)
    levels = sorted(set(scores))
    own = [[hit for score, hit in zip(scores, right, strict=True) if score == level] for level in levels]
    best = np.array(best_staircase([float(np.mean(one)) for one in own], [float(len(one)) for one in own]))
    values = found.apply(levels)
    inside = (best > 1e-9) & (best < 1 - 1e-9)
    assert values[inside] == pytest.approx(best[inside])
    assert np.all(np.diff(values) >= 0)
    assert 0 < values.min() <= values.max() < 1, "nothing is certain"


def test_the_ends_are_pulled_in_by_one_case() -> None:
    found = fit_calibration([0.1, 0.2, 0.3, 0.8, 0.9], [False, False, False, True, True], groups=None)
    assert found.apply([0.1, 0.3, 0.8, 0.9]) == pytest.approx([0.125, 0.125, 2.5 / 3, 2.5 / 3])
    assert found(0.55) == pytest.approx((0.125 + 2.5 / 3) / 2), "stairs are joined by straight lines"


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(20, 170))
def test_groups_are_the_best_line_through_their_precisions(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(count)
    right = rng.random(count) < scores
    found = fit_calibration(scores, right)
    groups = np.array_split(np.argsort(scores), max(1, count // 20))
    shares = [(float(right[own].sum()) + 0.5) / (len(own) + 1) for own in groups]
    assert found.scores == pytest.approx([scores[own].mean() for own in groups])
    assert found.precisions == pytest.approx(best_staircase(shares, [float(len(own)) for own in groups]))


def test_calibration_rises_and_says_how_often_a_score_is_right() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(4000)
    right = rng.random(4000) < scores**2  # too sure of itself
    grid = np.linspace(0, 1, 101)
    for groups in (20, None):
        values = fit_calibration(scores, right, groups=groups).apply(grid)
        assert (np.diff(values) >= 0).all()
        assert 0 <= min(values) <= max(values) <= 1
        assert np.abs(values - grid**2)[5:95].max() < 0.12
        told = fit_calibration(scores[:2000], right[:2000], groups=groups).apply(scores[2000:])
        assert (
            reliability(told, right[2000:]).ece < 0.05 < 0.15 < reliability(scores[2000:], right[2000:]).ece
        )


def test_equal_scores_are_one_point_in_whatever_order_they_come() -> None:
    for right in ([True] * 200 + [False] * 200, [False] * 200 + [True] * 200):
        assert fit_calibration([0.7] * 400, right)(0.7) == pytest.approx(0.5)
    mixed = fit_calibration([0.2] * 30 + [0.7] * 30, [False] * 30 + [False] * 15 + [True] * 15)
    assert mixed(0.7) == pytest.approx(0.5)


def test_little_or_nothing_leaves_scores_as_they_are() -> None:
    for groups in (20, None):
        assert fit_calibration([], [], groups=groups) == Calibration()
    assert fit_calibration([0.5] * 19, [True] * 19) == Calibration()
    assert Calibration()(0.3) == pytest.approx(0.3)
    assert Calibration().apply([[-1.0, 2.0]]).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("groups", [20, None])
def test_no_number_is_refused(groups: int | None) -> None:
    with pytest.raises(ValueError, match="no number"):
        fit_calibration([0.5, float("nan")] * 20, [True] * 40, groups=groups)
    with pytest.raises(ValueError, match="40 scores but 39"):
        fit_calibration([0.5] * 40, [True] * 39, groups=groups)


@pytest.mark.parametrize(
    "points",
    [((), ()), ((0.0, 1.0), (0.5,)), ((0.5, 0.5), (0, 1)), ((0, 1), (1, 0)), ((0, float("nan")), (0, 1))],
)
def test_a_line_that_does_not_rise_is_refused(points: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="calibration"):
        Calibration(*points)


def test_a_line_is_read_as_it_was_written() -> None:
    line = Calibration((0.2, 0.8), (0.1, 0.9))
    assert calibration_from_json(json.loads(json.dumps(asdict(line)))) == line
    for wrong in ({}, {"scores": [0, 1]}, {"at": [0, 1], "value": [0, 1]}):
        with pytest.raises(ValueError, match="scores and precisions"):
            calibration_from_json(wrong)


# Where to cut

VIDEOS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5)), st.sets(st.sampled_from("abcdxy"))
    ),
    max_size=6,
)


def f1_at(least: float, videos: list[tuple[dict[str, float], set[str]]]) -> float:
    """Example-based F1, video by video."""
    precisions, recalls = [], []
    for scores, truth in videos:
        said = {tag for tag, score in scores.items() if score >= least}
        precisions.append(len(said & truth) / len(said) if said else 0.0)
        recalls.append(len(said & truth) / len(truth))
    p, r = np.mean(precisions), np.mean(recalls)
    return float(2 * p * r / (p + r)) if p + r else 0.0


@settings(deadline=None, max_examples=200)
@given(VIDEOS)
def test_the_threshold_is_the_lowest_of_the_best(drawn: list[tuple[dict[str, int], set[str]]]) -> None:
    videos = [({tag: level / 5 for tag, level in scores.items()}, truth) for scores, truth in drawn]
    tagged = [(scores, truth) for scores, truth in videos if truth]
    levels = sorted({score for scores, _ in tagged for score in scores.values()})
    f1 = [f1_at(level, tagged) for level in levels]
    wanted = next((level for level, one in zip(levels, f1, strict=True) if one > max(f1) - 1e-9), 0.5)
    assert best_threshold(videos) == pytest.approx(wanted)


def test_the_threshold_of_many_scores_is_the_best_of_all() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random((30, 8)) < 0.3
    truth[:, 0] |= ~truth.any(1)
    scores = np.clip(0.35 * truth + 0.5 * rng.random((30, 8)), 0, 1)
    rows = np.repeat(np.arange(30), 8)
    chosen = best_f1_threshold(rows, scores.ravel(), truth.ravel(), truth.sum(1))
    videos = [
        (dict(zip("abcdefgh", own.tolist())), {tag for tag, is_true in zip("abcdefgh", true) if is_true})
        for own, true in zip(scores, truth, strict=True)
    ]
    assert f1_at(chosen, videos) == pytest.approx(max(f1_at(s, videos) for s in scores.ravel().tolist()))
    assert best_threshold(videos) == chosen


def test_no_threshold_without_scores_or_of_no_number() -> None:
    assert best_threshold([]) == best_threshold([({}, {"a"})]) == best_threshold([({"a": 0.9}, set())]) == 0.5
    with pytest.raises(ValueError, match="no number"):
        best_threshold([({"a": float("nan")}, {"a"})])
