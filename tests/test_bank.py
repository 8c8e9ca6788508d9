"""The query bank: each formula against the obvious one, and hubs really lose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.benchmarks.quality import similarity_matrix
from tagline.retrieval.query.qb_norm import (
    PLAIN,
    QB_NORM_METHODS,
    QBNorm,
    hubness,
    normalise,
    probe_potentials,
)
from tagline.retrieval.tune.fit import fit_qb_norm, hubness_leaving_one_out


def scores(seed: int, queries: int, candidates: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.2, 0.05, (queries, candidates))


def world(seed: int, hubs: float = 0.1, queries: int = 200) -> np.ndarray:
    """Square; the diagonal is right; some candidates are near to whatever is asked."""
    rng = np.random.default_rng(seed)
    hub = np.where(rng.random(queries) < 0.1, hubs, 0.0)
    return rng.normal(0.1, 0.03, (queries, queries)) + hub + 0.11 * np.eye(queries)


def first_places(found: np.ndarray, right: np.ndarray) -> float:
    return float(np.mean(found.argmax(axis=1) == right))


@given(st.integers(0, 50), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_the_inverted_softmax_ranks_as_its_definition(seed: int, queries: int, candidates: int) -> None:
    live, bank = scores(seed, 4, candidates), scores(seed + 1000, queries, candidates)
    found = normalise(live, bank, QBNorm("inverted", temperature=30.0, damping=1.0))
    by_definition = np.exp(30 * live) / np.exp(30 * bank).sum(axis=0)
    assert np.allclose(np.exp(30 * found), by_definition)


def test_qb_norm_touches_only_queries_whose_best_candidate_is_a_hub() -> None:
    live, bank = scores(1, 60, 20), scores(2, 8, 20)
    found = normalise(live, bank, QBNorm("dynamic"))
    hubs = set(bank.argmax(axis=1))
    whole = normalise(live, bank, QBNorm("inverted"))
    for row, (before, after) in enumerate(zip(live, found, strict=True)):
        assert np.array_equal(after, whole[row] if before.argmax() in hubs else before)


def test_local_is_the_mean_of_the_nearest() -> None:
    bank = scores(3, 9, 5)
    expected = [np.mean(sorted(column)[-4:]) for column in bank.T]
    assert np.allclose(hubness(bank, QBNorm("local", neighbours=4)), expected)


def test_standard_has_mean_0_and_spread_1_over_the_bank() -> None:
    bank = scores(4, 30, 5)
    found = normalise(bank, bank, QBNorm("standard"))
    assert np.allclose(found.mean(axis=0), 0)
    assert np.allclose(found.std(axis=0), 1)


@pytest.mark.parametrize("setting", [QBNorm("inverted"), QBNorm("local", neighbours=3)])
@pytest.mark.parametrize("queries", [2, 3, 7])
def test_leaving_oneself_out_is_the_bank_without_that_query(setting: QBNorm, queries: int) -> None:
    bank = scores(5, queries, 4)
    bank[0, 0] = 30.0  # outweighs all: a subtraction would lose the others
    found = hubness_leaving_one_out(bank, setting)
    for row in range(queries):
        assert np.allclose(found[row], hubness(np.delete(bank, row, axis=0), setting))


def test_balanced_votes_are_shared_out() -> None:
    """A query that is near to everything says nothing of any candidate."""
    bank = scores(6, 40, 10)
    loud = np.vstack([bank, np.full((1, 10), 5.0)])
    setting = QBNorm("balanced", temperature=30.0)
    order = np.argsort(hubness(bank, setting))
    assert np.array_equal(order, np.argsort(hubness(loud, setting)))
    inverted = hubness(loud, QBNorm("inverted", temperature=30.0))
    assert np.ptp(inverted) < 1e-6, "which drowns the inverted softmax"


@pytest.mark.parametrize("method", ["inverted", "balanced", "local"])
def test_a_library_can_be_gone_through_page_by_page(method: str) -> None:
    bank, setting = scores(15, 20, 30), QBNorm(method, temperature=30.0)
    given = probe_potentials(bank, setting)
    pages = [hubness(bank[:, first : first + 7], setting, given) for first in range(0, 30, 7)]
    assert np.allclose(np.concatenate(pages), hubness(bank, setting))


@pytest.mark.parametrize("method", [m for m in QB_NORM_METHODS if m != "plain"])
def test_nothing_changes_if_all_scores_move_or_the_bank_is_reordered(method: str) -> None:
    live, bank = scores(7, 5, 6), scores(8, 12, 6)
    setting = QBNorm(method)
    order = np.argsort(normalise(live, bank, setting), axis=1)
    assert np.array_equal(order, np.argsort(normalise(live + 0.3, bank + 0.3, setting), axis=1))
    assert np.array_equal(order, np.argsort(normalise(live, bank[::-1], setting), axis=1))


def test_an_empty_bank_changes_nothing() -> None:
    live = scores(9, 3, 4)
    for method in QB_NORM_METHODS:
        assert np.array_equal(normalise(live, np.zeros((0, 4)), QBNorm(method)), live)
    with pytest.raises(ValueError, match="4 candidates of the live queries but 5"):
        normalise(live, scores(9, 3, 5), QBNorm())


def test_hubs_lose_and_live_queries_gain() -> None:
    whole = world(10)
    bank, live = whole[:100], whole[100:]
    right = np.arange(100, 200)
    setting = fit_qb_norm(bank, np.arange(100))
    assert setting.method != "plain"
    plain = first_places(live, right)
    assert first_places(normalise(live, bank, setting), right) > plain + 0.1


def test_where_there_are_no_hubs_little_is_taken_off() -> None:
    whole = world(11, hubs=0.0)
    right = np.arange(100, 200)
    setting = fit_qb_norm(whole[:100], np.arange(100))
    after = normalise(whole[100:], whole[:100], setting)
    assert first_places(after, right) >= first_places(whole[100:], right) - 0.03


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (5, 1)])
def test_too_small_a_bank_leaves_scores_as_they_are(shape: tuple[int, int]) -> None:
    assert fit_qb_norm(scores(12, *shape), np.zeros(shape[0], int)) == PLAIN
    assert fit_qb_norm(np.ones((5, 5)), np.arange(5)) == PLAIN


def test_the_measurement_never_looks_at_the_live_half(tmp_path: object) -> None:
    whole = world(13, queries=60)
    bank, live = np.arange(30), np.arange(30, 60)
    fixed = {"inverted": QBNorm()}
    found, setting = similarity_matrix.one_half(whole, bank, live, fixed)
    turned = whole.copy()
    turned[30:] = turned[30:, ::-1]
    again, same = similarity_matrix.one_half(turned, bank, live, fixed)
    assert setting == same
    assert found["plain"] != again["plain"]


def test_the_measurement_reads_any_square_matrix(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "m.npy"
    np.save(path, world(14, queries=80).astype(np.float32))
    measured = similarity_matrix.measure_qb_norm({"matrix": str(path), "halves": "3"})
    assert measured["values"]["gain"] > 5
    assert {"plain_r1", "gain_dynamic", "gain_balanced", "gain_strangers"} <= measured["values"].keys()
    assert measured == similarity_matrix.measure_qb_norm({"matrix": str(path), "halves": "3"})
    np.save(path, np.zeros((3, 4)))
    with pytest.raises(ValueError, match="square"):
        similarity_matrix.measure_qb_norm({"matrix": str(path)})
