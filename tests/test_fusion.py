"""Fusion of signals: places with ties, convex fitting, what is absent does no harm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.retrieval.query.fuse import (
    DAMPING,
    SIGNALS,
    FusionWeights,
    feature_table,
    fuse,
    ranks_of,
)
from tagline.retrieval.tune.fit import fit_weights_to

NOTHING = (0.0,) * len(SIGNALS)
EVEN = FusionWeights((1.0,) * len(SIGNALS), NOTHING)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_places_are_those_of_counting(scores: list[int]) -> None:
    given_ = np.array(scores, float)
    for score, place in zip(given_, ranks_of(given_), strict=True):
        assert place == 1 + np.sum(given_ > score) + (np.sum(given_ == score) - 1) / 2


def test_a_table_holds_scores_and_reciprocal_places() -> None:
    found = feature_table({"words": {7: 0.5, 9: 1.0}}, [7, 8, 9])
    assert found[:, 0].tolist() == [0.5, 0.0, 1.0], "a share stays a share, and what holds no word has none"
    top, second = 1.0, (DAMPING + 1) / (DAMPING + 2)
    assert found[:, len(SIGNALS)].tolist() == pytest.approx([second, 0.0, top])
    assert not found[:, 1 : len(SIGNALS)].any(), "signals that were not asked weigh nothing"


def test_the_scale_of_a_model_does_not_matter() -> None:
    scores = {1: 0.21, 2: 0.25, 3: 0.30}
    one = feature_table({"video": scores}, [1, 2, 3])
    other = feature_table({"video": {key: 100 * value - 3 for key, value in scores.items()}}, [1, 2, 3])
    assert np.allclose(one, other)


def test_who_was_not_found_by_a_model_is_its_last() -> None:
    found = feature_table({"span": {1: 0.3, 2: 0.1}}, [1, 2, 3])
    column = SIGNALS.index("span")
    assert found[2, column] == found[1, column] < found[0, column]
    assert found[2, len(SIGNALS) + column] == 0


def queries(seed: int, count: int = 120) -> tuple[list[np.ndarray], list[int]]:
    """Two signals that know something and one that knows nothing."""
    rng = np.random.default_rng(seed)
    tables, right = [], []
    for _ in range(count):
        truth = int(rng.integers(12))
        own = np.arange(12) == truth
        words = np.clip(rng.normal(0.3, 0.15, 12) + 0.3 * own, 0, 1)
        video = rng.normal(0.2, 0.05, 12) + 0.1 * own
        noise = rng.normal(size=12)
        signals = {
            "words": dict(enumerate(words)),
            "video": dict(enumerate(video)),
            "tags": dict(enumerate(noise)),
        }
        tables.append(feature_table(signals, range(12)))
        right.append(truth)
    return tables, right


def first_places(tables: list[np.ndarray], right: list[int], weights: FusionWeights) -> float:
    return float(
        np.mean([fuse(one, weights).argmax() == row for one, row in zip(tables, right, strict=True)])
    )


def test_fitted_weights_beat_each_signal_alone_on_other_queries() -> None:
    weights = fit_weights_to(*queries(1), EVEN)
    tables, right = queries(2, 400)
    fitted = first_places(tables, right, weights)
    for name in ("words", "video", "tags"):
        alone = FusionWeights(tuple(float(name == signal) for signal in SIGNALS), NOTHING)
        assert fitted > first_places(tables, right, alone) + 0.03
    noise = SIGNALS.index("tags")
    assert weights.scores[noise] + weights.places[noise] < 0.3
    assert min(*weights.scores, *weights.places) >= 0


def test_the_answer_does_not_depend_on_the_start() -> None:
    taught = queries(3)
    one, other = fit_weights_to(*taught, EVEN), fit_weights_to(*taught, FusionWeights((5.0,) * 4, (2.0,) * 4))
    assert np.allclose(one.column, other.column, atol=0.02)


def test_queries_without_their_answer_teach_nothing() -> None:
    tables, _ = queries(4, 5)
    assert fit_weights_to(tables, [-1] * 5, EVEN) == EVEN
    assert fit_weights_to([], [], EVEN) == EVEN


def test_weights_are_checked() -> None:
    with pytest.raises(ValueError, match="words, video, span, tags"):
        FusionWeights((1.0,), (1.0,))
