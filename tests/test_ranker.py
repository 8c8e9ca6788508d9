"""The ranker: NextVLAD, negatives and losses against their formulas; new tags; a world to be learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tagger_world import world

from tagline.experts.weights import check
from tagline.tagging.ranker import train as training
from tagline.tagging.ranker.config import RankerConfig
from tagline.tagging.ranker.data import TwoHopGraph, draw_negatives
from tagline.tagging.ranker.model import NextVLAD, contrastive_loss
from tagline.tagging.ranker.ranking import TagIndex, TrainedRanker


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_nextvlad_is_the_papers_sum() -> None:
    """Equations 3 to 6 of the paper, with loops over frames, groups and clusters."""
    torch.manual_seed(0)
    vlad = NextVLAD(6, 5, clusters=3, groups=2, widen=2).eval()
    x = torch.randn(2, 4, 6)
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    parameters = {name: value.detach().numpy() for name, value in vlad.named_parameters()}
    for row in range(2):
        total = np.zeros((3, 6))
        for frame in x[row][mask[row]].numpy():
            wide = parameters["widen.weight"] @ frame + parameters["widen.bias"]
            gates = sigmoid(parameters["gate.weight"] @ wide + parameters["gate.bias"])
            raw = (parameters["assign.weight"] @ wide + parameters["assign.bias"]).reshape(2, 3)
            for group in range(2):
                share = np.exp(raw[group]) / np.exp(raw[group]).sum()
                part = wide.reshape(2, 6)[group]
                for cluster in range(3):
                    away = part - parameters["centres"][cluster]
                    total[cluster] += gates[group] * share[cluster] * away
        wanted = total / np.linalg.norm(total, axis=1, keepdims=True)
        found = vlad.describe(x, mask)[row].detach().numpy()
        assert np.allclose(found, wanted, atol=1e-5)


def test_nextvlad_sees_no_order_no_padding_and_survives_nothing() -> None:
    torch.manual_seed(1)
    vlad = NextVLAD(4, 3).eval()
    x = torch.randn(1, 5, 4)
    whole = vlad(x, torch.ones(1, 5, dtype=torch.bool))
    turned = vlad(x[:, [3, 0, 4, 1, 2]], torch.ones(1, 5, dtype=torch.bool))
    assert torch.allclose(whole, turned, atol=1e-6)
    padded = torch.cat([x, torch.full((1, 3, 4), float("nan"))], dim=1)
    mask = torch.tensor([[True] * 5 + [False] * 3])
    assert torch.allclose(vlad(padded, mask), whole, atol=1e-6)
    assert not vlad(x, torch.zeros(1, 5, dtype=torch.bool)).any()
    assert torch.isfinite(vlad(torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.bool))).all()
    with pytest.raises(ValueError, match="cannot be cut"):
        NextVLAD(3, 2, groups=4, widen=1)


TAGS = [[0, 1], [1, 2], [2, 3], [4], []]  # a chain: 0-1-2-3, and 4 alone


def test_two_hops_reach_the_company_of_a_tag_and_no_farther() -> None:
    graph = TwoHopGraph(TAGS, 6)
    rng = np.random.default_rng(0)
    # Video 0 has 0 and 1; two hops from them lie 0, 1 and 2; its own are no negatives.
    assert graph.hard(0, 5, rng).tolist() == [2]
    assert sorted(graph.hard(1, 5, rng).tolist()) == [0, 3]
    assert graph.hard(3, 5, rng).tolist() == []
    assert graph.hard(4, 5, rng).tolist() == []


def test_hard_negatives_come_as_often_as_they_keep_company() -> None:
    graph = TwoHopGraph([[0, 1]] * 9 + [[0, 2]] + [[0]], 3)
    rng = np.random.default_rng(0)
    first = [graph.hard(10, 1, rng).tolist() for _ in range(600)]
    ones = sum(own == [1] for own in first)
    assert 0.8 < ones / sum(len(own) for own in first) < 0.98  # nine of ten of its company


@pytest.mark.parametrize("hard", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("number", [1, 4, 40, 400])
def test_negatives_are_others_each_once(hard: float, number: int) -> None:
    rng = np.random.default_rng(3)
    tags = [rng.choice(60, rng.integers(1, 6), replace=False).tolist() for _ in range(40)]
    graph = TwoHopGraph(tags, 60)
    for video, own in enumerate(tags):
        found = draw_negatives(graph, video, number, rng, hard=hard).tolist()
        assert len(found) == len(set(found)) == min(number, 60 - len(own))
        assert not set(found) & set(own)
        assert set(found) <= set(range(60))


def test_contrast_is_cross_entropy_against_the_videos_own_negatives() -> None:
    rng = np.random.default_rng(0)
    video, tags = rng.normal(size=(2, 5)), rng.normal(size=(7, 5))
    video /= np.linalg.norm(video, axis=1, keepdims=True)
    tags /= np.linalg.norm(tags, axis=1, keepdims=True)
    owners, right = [0, 0, 1], [1, 2, 3]
    negatives = np.array([[0, 4, 6], [5, -1, -1]])
    losses = []
    for owner, own in zip(owners, right, strict=True):
        scores = 3.0 * tags @ video[owner]
        against = [scores[n] for n in negatives[owner] if n >= 0]
        losses.append(-np.log(np.exp(scores[own]) / np.exp([scores[own], *against]).sum()))
    found = contrastive_loss(
        torch.tensor(video), torch.tensor(tags), torch.tensor(3.0), torch.tensor(owners), torch.tensor(right),
        torch.tensor(negatives),
    )  # fmt: skip
    assert float(found) == pytest.approx(np.mean(losses))
    none = torch.zeros(0, dtype=torch.long)
    assert (
        float(contrastive_loss(torch.tensor(video), torch.tensor(tags), torch.tensor(3.0), none, none, none))
        == 0
    )


SMALL = RankerConfig(
    width=32, clusters=4, groups=2, text_width=32, text_layers=1, heads=2, dropout=0.0, negatives=6,
    language="letters", vocabulary=200, epochs=2, batch=16, lr=5e-3,
)  # fmt: skip


@pytest.fixture(scope="module")
def ranker() -> TrainedRanker:
    rows = world(80)
    return training.train(SMALL, rows[:60], rows[60:70], say=str)


@pytest.mark.parametrize("objective", ["contrast", "classify"])
def test_either_objective_learns_a_few_videos_by_heart(objective: str) -> None:
    """Trained on them alone, over and over: their own tags are ranked above all others."""
    rows = world(8)
    settings = replace(SMALL, objective=objective, epochs=60, batch=8)
    ranking = training.train(settings, rows, rows, say=str)
    ranked = ranking.rank(rows) if objective == "contrast" else ranking.classify(rows)
    for own, one in zip(ranked, rows, strict=True):
        assert {tag for tag, _ in own[: len(one.tags)]} == set(one.tags)


def test_what_is_ranked_is_ordered_and_what_it_is_sure_of_is_said(ranker: TrainedRanker) -> None:
    test = world(80)[70:]
    ranked = ranker.rank(test)
    for own in ranked:
        scores = [score for _, score in own]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
    said = ranker.select(ranked)
    for own, every in zip(said, ranked, strict=True):
        assert [tag for tag, _ in own] == [tag for tag, _ in every[: len(own)]]
    only = ranker.rank(test, [["dog", "rome", "never heard of"]] * len(test))
    assert all({tag for tag, _ in own} == {"dog", "rome"} for own in only)
    full = [dict(own) for own in ranked]
    for own, every in zip(only, full, strict=True):
        assert all(every[tag] == pytest.approx(score, abs=1e-6) for tag, score in own)


def test_the_same_seed_gives_the_same_ranker_and_a_saved_one_ranks_alike(
    ranker: TrainedRanker, tmp_path: Path
) -> None:
    test = world(80)[70:]
    ranker.save(tmp_path / "r")
    again = TrainedRanker.load(tmp_path / "r")
    assert again.rank(test) == ranker.rank(test)
    assert again.select(again.rank(test)) == ranker.select(ranker.rank(test))
    assert again.results == ranker.results
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / "config.json").write_text('{"kind": "else"}')
    with pytest.raises(check.UnsafeWeights, match="is no ranker"):
        TrainedRanker.load(tmp_path / "no")


def test_a_new_tag_is_ranked_without_training(ranker: TrainedRanker) -> None:
    before = ranker.rank(world(80)[70:])
    weights = [value.clone() for value in ranker.model.parameters()]
    ranker.add_tags(["red cars", "red car", "dog"])
    after = ranker.rank(world(80)[70:])
    assert len(ranker.tag_index()) == len(ranker.tags) + 1
    assert all("red cars" in dict(own) for own in after)
    scores = {tag: np.array([dict(own)[tag] for own in after]) for tag in [*ranker.tags, "red cars"]}
    for tag in ranker.tags:
        assert scores[tag] == pytest.approx(np.array([dict(own)[tag] for own in before]), abs=1e-5)
    # It is spelt almost like "red car", so over all videos no other tag fares so alike.
    far = {tag: np.abs(scores[tag] - scores["red cars"]).mean() for tag in ranker.tags}
    assert min(far, key=far.__getitem__) == "red car"
    assert all(torch.equal(a, b) for a, b in zip(weights, ranker.model.parameters(), strict=True))
    ranker.index = None


def test_the_tag_index_keeps_names_and_vectors_together() -> None:
    index = TagIndex(["a", "b"], np.eye(3, dtype=np.float32)[:2])
    index.add(["b", "c"], np.eye(3, dtype=np.float32)[[0, 2]])
    assert index.tags == ["a", "b", "c"]
    asked = np.array([[0.0, 0.6, 0.8]], np.float32)
    assert [tag for tag, _ in index.nearest_tags(asked, 9)[0]] == ["c", "b", "a"]
    assert index.rank_candidates(asked[0], ["b", "b", "x", "a"]) == [("b", pytest.approx(0.6)), ("a", 0.0)]
    with pytest.raises(ValueError, match="2 tags but 1"):
        TagIndex(["a", "b"], np.zeros((1, 3), np.float32))
