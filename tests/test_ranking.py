"""Ranks against an obvious oracle: ties, NaN, empties, odd sizes, half precision, several texts."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.table.ranking import DualSoftmax, Matrix, Product, evaluate, intervals, metrics, paired, ranks


def oracle(row: list[float], right: int) -> float:
    """Sort the candidates, worst last, and give those with equal scores the middle of their places."""
    if math.isnan(row[right]):
        return len(row)
    # A candidate without a number is below even minus infinity.
    ordered = sorted(((-math.inf, 0) if math.isnan(x) else (x, 1) for x in row), reverse=True)
    places = [place for place, key in enumerate(ordered, start=1) if key == (row[right], 1)]
    return sum(places) / len(places)


SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0, math.inf, -math.inf, math.nan])


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 7), st.integers(1, 9), st.integers(1, 4))
def test_ranks_equal_sorting(data: st.DataObject, queries: int, candidates: int, block: int) -> None:
    row = st.lists(SCORES, min_size=candidates, max_size=candidates)
    scores = data.draw(st.lists(row, min_size=queries, max_size=queries))
    right = data.draw(st.lists(st.integers(0, candidates - 1), min_size=queries, max_size=queries))
    found = ranks(np.array(scores), right, block=block)
    assert found.tolist() == [oracle(r, i) for r, i in zip(scores, right, strict=True)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 17, 130])
def test_blocks_and_types_do_not_matter(dtype: type, size: int) -> None:
    rng = np.random.default_rng(size)
    scores = rng.integers(-8, 8, (size, size)).astype(dtype) / 8  # exact in half precision, full of ties
    right = rng.permutation(size)
    wanted = [oracle(row, i) for row, i in zip(scores.tolist(), right, strict=True)]
    assert ranks(scores, right).tolist() == wanted
    assert ranks(scores, right, block=5).tolist() == wanted


def test_bfloat16_tensors_are_taken() -> None:
    torch = pytest.importorskip("torch")
    assert ranks(torch.eye(3, dtype=torch.bfloat16), [0, 1, 2]).tolist() == [1, 1, 1]


def test_half_right_and_half_nan_is_fifty_percent_not_a_hundred() -> None:
    scores = np.eye(100)
    scores[50:] = np.nan
    found = evaluate(scores, resamples=0)
    assert found.t2v.r1 == 50.0
    assert found.t2v.queries == 100
    assert found.t2v.mnr == (50 * 1 + 50 * 100) / 100


def test_a_model_that_knows_nothing_scores_nothing() -> None:
    found = evaluate(np.zeros((100, 100)), resamples=0)
    assert (found.t2v.r1, found.t2v.r5, found.t2v.r10) == (0, 0, 0)
    assert found.t2v.mdr == found.t2v.mnr == 50.5
    assert found.t2v.tied == 100


def test_infinitely_bad_is_still_better_than_no_number() -> None:
    assert ranks(np.array([[-np.inf, np.nan, np.nan]]), [0]).tolist() == [1]
    assert ranks(np.array([[-np.inf, np.nan, np.nan]]), [2]).tolist() == [3]


def test_no_queries_give_no_figures_and_valid_json() -> None:
    found = evaluate(np.empty((0, 5)), [], resamples=10)
    assert found.t2v.queries == found.v2t.queries == 0
    assert math.isnan(found.t2v.r1)
    assert found.t2v.as_dict()["r1"] is None


def test_wrong_shapes_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="say whose each text is"):
        evaluate(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="2 queries but 1 right answers"):
        ranks(np.zeros((2, 2)), [0])
    with pytest.raises(ValueError, match="outside the 2 candidates"):
        ranks(np.zeros((2, 2)), [0, 2])


def test_vectors_and_their_matrix_agree() -> None:
    rng = np.random.default_rng(3)
    texts, videos = rng.normal(size=(37, 8)), rng.normal(size=(23, 8))
    of = rng.integers(0, 23, 37)
    a = evaluate(Product(texts, videos), of, temperature=10, resamples=20)
    b = evaluate(texts.astype(np.float32) @ videos.astype(np.float32).T, of, temperature=10, resamples=20)
    assert a.as_dict() == b.as_dict()


def test_several_texts_to_a_video_follow_the_msvd_protocol() -> None:
    """Every text asks for its video; a video asks for its group, which scores as its best text."""
    rng = np.random.default_rng(0)
    of = np.array([0, 2, 2, 0, 3, 2, 3])  # video 1 has no text
    scores = rng.normal(size=(7, 4))
    found = evaluate(scores, of, resamples=0)
    assert found.t2v_ranks.tolist() == [oracle(row.tolist(), v) for row, v in zip(scores, of, strict=True)]
    asking = [0, 2, 3]
    best = [[max(scores[t, v] for t in range(7) if of[t] == group) for group in asking] for v in asking]
    assert found.v2t_ranks.tolist() == [oracle(row, i) for i, row in enumerate(best)]


def test_dual_softmax_is_camoes() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(9, 6)) / 3
    prior = np.exp(20 * scores) / np.exp(20 * scores).sum(axis=0)  # over the queries, per candidate
    revised = DualSoftmax(Matrix(scores), temperature=20)
    np.testing.assert_allclose(revised.rows(0, 9), scores * prior, rtol=1e-9)
    np.testing.assert_allclose(revised.rows(3, 5), (scores * prior)[3:5], rtol=1e-9)
    back = np.exp(20 * scores.T) / np.exp(20 * scores.T).sum(axis=0)
    np.testing.assert_allclose(revised.transposed().rows(0, 6), scores.T * back, rtol=1e-9)


def test_dual_softmax_stands_beside_the_plain_figures_and_survives_nan() -> None:
    scores = np.random.default_rng(2).normal(size=(20, 20)) + 2 * np.eye(20)
    scores[4] = np.nan
    found = evaluate(scores, temperature=100, resamples=0)
    assert found.dual is not None
    assert found.t2v == evaluate(scores, resamples=0).t2v
    assert found.dual.t2v_ranks[4] == 20
    # A video without a number is last on its way back, and no text is dragged down by it.
    assert np.isfinite(found.dual.v2t_ranks).all()


def test_dual_softmax_frees_the_queries_that_a_hub_has_caught() -> None:
    scores = 0.2 + 0.1 * np.eye(50)
    scores[:, 0] = 0.35  # a video that is near to everything
    found = evaluate(scores, temperature=100, resamples=0)
    assert found.t2v.r1 == pytest.approx(2.0)
    assert found.dual is not None
    assert found.dual.t2v.r1 > 90


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Worlds of 200 queries with a true R@1 of 30 %: 95 % intervals should miss it in about 5 % of them."""
    rng = np.random.default_rng(5)
    held = 0
    for world in range(200):
        places = np.where(rng.random(200) < 0.3, 1.0, 20.0)
        found = intervals(places, resamples=200, seed=world)["r1"]
        held += found.low <= 30 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_captions_of_one_video_widen_the_interval() -> None:
    places = np.repeat(np.where(np.random.default_rng(0).random(50) < 0.5, 1.0, 9.0), 20)
    alone = intervals(places)["r1"]
    together = intervals(places, np.repeat(np.arange(50), 20))["r1"]
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_intervals_are_the_same_every_time() -> None:
    places = np.arange(1.0, 40.0)
    assert intervals(places, seed=7) == intervals(places, seed=7)
    assert intervals(np.empty(0)) == {}


def test_paired_runs() -> None:
    rng = np.random.default_rng(0)
    first = np.where(rng.random(500) < 0.3, 1.0, 5.0)
    better = np.where(rng.random(500) < 0.2, 1.0, first)
    same = paired(first, first)
    assert (same.value, same.p) == (0, 1)
    found = paired(first, better)
    assert found.value == pytest.approx(metrics(better).r1 - metrics(first).r1)
    assert 0 < found.low < found.value < found.high
    assert found.p < 0.01
    with pytest.raises(ValueError, match="same ones"):
        paired(first, better[:-1])


def test_the_paired_test_is_wrong_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    small = [
        paired(*np.where(rng.random((2, 80)) < 0.4, 1.0, 5.0), resamples=199, seed=i).p for i in range(150)
    ]
    assert np.mean(np.array(small) <= 0.05) < 0.11


def test_the_published_figures_of_a_real_matrix() -> None:
    folder = os.environ.get("TAGLINE_TEST_DATA")
    path = Path(folder or "", "matrices", "msrvtt_titles_matrix.npy")
    if not folder or not path.is_file():
        pytest.skip("TAGLINE_TEST_DATA names no folder with the real matrix")
    found = evaluate(np.load(path), resamples=0)

    def figures(way: str) -> list[float]:
        m = getattr(found, way)
        return [round(x, 3) for x in (m.r1, m.r5, m.r10, m.mdr, m.mnr)]

    assert figures("t2v") == [29.7, 55.8, 66.6, 4, 26.743]
    assert figures("v2t") == [28.4, 54.9, 66.8, 4, 27.093]


def test_the_measurement_gives_its_fixed_keys() -> None:
    from tagline.benchmarks.quality.similarity_matrix import measure_evaluation

    begun = time.perf_counter()
    found = measure_evaluation({"runs": "1"})
    assert 0 < found["values"]["seconds"] <= time.perf_counter() - begun
    ways = {f"{way}_{f}" for way in ("t2v", "v2t") for f in ("r1", "r5", "r10", "mdr", "mnr", "r1_dual")}
    assert set(found["values"]) == {"seconds", *ways}
