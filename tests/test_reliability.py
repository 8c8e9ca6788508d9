"""Calibration: the expected error against counting by hand, scikit-learn, and scores whose error is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from tagline.tagging.ml.calibration import reliability

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
    with pytest.raises(ValueError, match="2 scores but 1"):
        reliability([0.1, 0.2], [True])
