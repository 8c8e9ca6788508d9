"""When search says nothing: against the obvious formulas and a world whose probabilities are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.retrieval.query.calibration import (
    balanced_threshold,
    fit_logistic,
    refusal_threshold,
)


def world(seed: int, count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, outcomes, and the true probabilities."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(0.3, 0.1, count), rng.normal(5, 3, count)])
    p = 1 / (1 + np.exp(-(12 * (x[:, 0] - 0.3) + 0.5 * (x[:, 1] - 5))))
    return x, rng.random(count) < p, p


def test_platt_finds_the_curve_that_made_the_outcomes() -> None:
    x, y, _ = world(1)
    curve = fit_logistic(x, y, ridge=0.0)
    assert curve.weights == pytest.approx((12, 0.5), rel=0.15)
    other, _, p = world(2)
    assert np.abs(curve(other) - p).mean() < 0.03


def test_platt_stays_calm_where_everything_is_clear() -> None:
    x = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    curve = fit_logistic(x, np.array([False] * 3 + [True] * 3))
    found = curve(x)
    assert np.all(np.diff(found) > 0)
    assert found[0] > 1e-3
    assert found[-1] < 1 - 1e-3
    with pytest.raises(ValueError, match="both outcomes"):
        fit_logistic(x, np.ones(6, bool))


def test_a_feature_that_never_changes_weighs_nothing() -> None:
    x, y, _ = world(3, 500)
    still = np.column_stack([x, np.full(len(x), 7.0)])
    assert fit_logistic(still, y)(still) == pytest.approx(fit_logistic(x, y)(x), abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 0.5))
def test_the_line_refuses_no_more_than_it_may(scores: list[float], share: float) -> None:
    given_ = np.array(scores)
    assert np.mean(given_ < refusal_threshold(given_, share)) <= share


def test_a_line_between_two_kinds_leaves_room_on_both_sides() -> None:
    strangers, answerable = np.array([0.01, 0.02, 0.03, 0.1]), np.array([0.9, 0.95, 0.97, 0.99])
    assert balanced_threshold(strangers, answerable, 0.0, 0.0) == pytest.approx(0.5)
    mixed = np.array([0.05, 0.5, 0.9])
    assert balanced_threshold(mixed, mixed, 0.0, 0.0) == 0.05, "who has an answer goes first"
    assert balanced_threshold(strangers[:0], answerable, 0.1, 0.0) == 0.9


def test_no_line_without_examples() -> None:
    assert refusal_threshold(np.array([])) == float("-inf")
