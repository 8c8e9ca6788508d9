"""Dropout on a CPU: as many values are lost and as much is left as is said, and attention stays attention."""

from __future__ import annotations

import pytest
import torch

from tagline.tagging.generator import layers
from tagline.tagging.generator.layers import Attention, Dropout, cheap_dropout


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_a_share_is_lost_and_the_mean_stays(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(301, 997, requires_grad=True)
    found = cheap_dropout(x, p)
    assert float((found.detach() == 0).float().mean()) == pytest.approx(p, abs=0.005)
    assert float(found.detach().mean()) == pytest.approx(1.0, abs=0.005)
    found.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, found.detach())  # what is lost learns nothing, what is left more


def test_the_same_seed_loses_the_same_and_neighbours_are_independent() -> None:
    torch.manual_seed(3)
    first = cheap_dropout(torch.ones(64, 4096), 0.25)
    torch.manual_seed(3)
    assert torch.equal(first, cheap_dropout(torch.ones(64, 4096), 0.25))
    lost = (first == 0).double()
    for shift in (1, 2, 4, 8):
        both = float((lost[:, shift:] * lost[:, :-shift]).mean())
        assert both == pytest.approx(0.25**2, abs=0.003)


def test_nothing_is_lost_when_nothing_is_learned() -> None:
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_attention_in_training_is_attention_but_for_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "cheap_dropout", lambda x, p: x)
    torch.manual_seed(0)
    attention = Attention(8, 2, 0.1)
    x, memory = torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])[:, None, None]
    for where in (None, mask):
        learning = attention.train()(x, *attention.keys_values(memory), where)
        assert torch.allclose(learning, attention.eval()(x, *attention.keys_values(memory), where), atol=1e-6)
