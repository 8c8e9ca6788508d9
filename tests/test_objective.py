"""The three losses and the hard negatives against plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tagline.table import objective
from tagline.table.objective import draw_negatives


def test_contrastive_is_equations_1_to_3() -> None:
    """One text to a video: the paper's sums, written out."""
    s = np.random.default_rng(0).normal(size=(5, 5)) * 3  # s[i, j]: text i, video j
    t2v = -np.mean([math.log(math.exp(s[i, i]) / sum(math.exp(s[i, j]) for j in range(5))) for i in range(5)])
    v2t = -np.mean([math.log(math.exp(s[i, i]) / sum(math.exp(s[j, i]) for j in range(5))) for i in range(5)])
    found = objective.contrastive(torch.tensor(s), torch.arange(5))
    assert found.item() == pytest.approx((t2v + v2t) / 2, rel=1e-10)


def test_contrastive_with_several_texts_treats_them_all_as_right() -> None:
    of = [0, 0, 1, 2, 2, 2]
    s = np.random.default_rng(1).normal(size=(6, 3)) * 2
    t2v = -np.mean([math.log(math.exp(s[i, of[i]]) / np.exp(s[i]).sum()) for i in range(6)])
    v2t = []
    for i in range(6):
        mine = math.exp(s[i, of[i]])
        wrong = sum(math.exp(s[j, of[i]]) for j in range(6) if of[j] != of[i])
        v2t.append(-math.log(mine / (mine + wrong)))
    found = objective.contrastive(torch.tensor(s), torch.tensor(of))
    assert found.item() == pytest.approx((t2v + np.mean(v2t)) / 2, rel=1e-10)


def test_contrastive_of_a_single_video_is_nothing_and_has_a_gradient() -> None:
    s = torch.randn(3, 1, requires_grad=True)
    loss = objective.contrastive(s, torch.zeros(3, dtype=torch.long))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert s.grad is not None
    assert torch.isfinite(s.grad).all()


def test_matching_and_masked_words_are_equations_4_and_5() -> None:
    rng = np.random.default_rng(2)
    logits, right = rng.normal(size=(4, 2)), [1, 0, 1, 0]
    wanted = [-math.log(math.exp(x[y]) / np.exp(x).sum()) for x, y in zip(logits, right, strict=True)]
    found = objective.matching(torch.tensor(logits), torch.tensor(right, dtype=torch.bool))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10)

    logits, words = rng.normal(size=(3, 7)), [6, 0, 3]
    wanted = [-math.log(math.exp(x[y]) / np.exp(x).sum()) for x, y in zip(logits, words, strict=True)]
    found = objective.masked_words(torch.tensor(logits), torch.tensor(words))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10)
    assert objective.masked_words(torch.empty(0, 7), torch.empty(0, dtype=torch.long)).shape == (0,)


def ids(*texts: int) -> torch.Tensor:
    return torch.tensor(texts)[:, None].expand(-1, 4).contiguous()


def test_negatives_are_drawn_by_a_softmax_over_the_batch() -> None:
    logits = torch.tensor([[5.0, 1.0, 0.0], [0.5, 4.0, 1.5], [1.0, -1.0, 3.0]])
    of, draws = torch.arange(3), 4000
    found = [draw_negatives(logits, of, ids(1, 2, 3), seed) for seed in range(0, 2 * draws, 2)]
    videos = np.array([f.video.tolist() for f in found])
    texts = np.array([f.text.tolist() for f in found])
    for i in range(3):
        others = [j for j in range(3) if j != i]
        for drawn, row in ((videos[:, i], logits[i]), (texts[:, i], logits[:, i])):
            chance = np.exp(row[others].numpy())
            share = [(drawn == j).mean() for j in others]
            assert (drawn != i).all()
            np.testing.assert_allclose(share, chance / chance.sum(), atol=0.03)


def test_a_negative_is_never_right() -> None:
    """Not the pair itself, not another text of the video, not a text that says the same elsewhere."""
    of = torch.tensor([0, 0, 1, 2, 2, 3])
    words = ids(1, 2, 3, 4, 1, 5)  # texts 0 and 4 say the same of videos 0 and 2
    logits = torch.zeros(6, 4)
    logits[0, 2] = logits[4, 0] = logits[1, 0] = 50  # the tempting ones
    for seed in range(300):
        found = draw_negatives(logits, of, words, seed)
        assert found.has_text.all()
        assert found.has_video.all()
        for text, (negative, video) in enumerate(zip(found.text.tolist(), found.video.tolist(), strict=True)):
            assert of[negative] != of[text]
            assert video != of[text]
            true_of = {of[other].item() for other in range(6) if (words[other] == words[text]).all()}
            assert video not in true_of
            mine = of[text].item()
            true_texts = {tuple(words[other].tolist()) for other in range(6) if of[other] == mine}
            assert tuple(words[negative].tolist()) not in true_texts


def test_a_batch_of_one_video_has_no_negatives() -> None:
    found = draw_negatives(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long), ids(1, 2, 3), 0)
    assert not found.has_text.any()
    assert not found.has_video.any()


def test_the_seed_alone_decides_the_draw() -> None:
    logits = torch.randn(30, 30)
    first, again, other = (
        draw_negatives(logits, torch.arange(30), ids(*range(30)), seed) for seed in (4, 4, 6)
    )
    assert torch.equal(first.video, again.video)
    assert torch.equal(first.text, again.text)
    assert not torch.equal(first.video, other.video)
