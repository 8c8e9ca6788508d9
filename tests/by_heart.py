"""Learning that needs no luck: a few videos, the same ones step after step, until they are known by heart.

What a network says of videos that it never saw hangs on the last bits of every step, so no test asserts it.
A few videos are another matter: whatever the processor, the loss on them goes to nearly nothing, unless
what the network is shown does not belong to what it is to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch

from tagline.tagging.generator.predict import predict_all
from tagline.tagging.ml.data import Example


def learn_by_heart(
    modules: Sequence[torch.nn.Module], loss_of: Callable[[int], torch.Tensor], steps: int, lr: float
) -> tuple[float, float]:
    """Ever smaller steps of AdamW on the loss of step 0, 1, 2, ...: the first loss and the last."""
    parameters = list(chain.from_iterable(module.parameters() for module in modules))
    optimizer = torch.optim.AdamW(parameters, lr=lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    losses = []
    for step in range(steps):
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses[0], losses[-1]


def assert_learns_by_heart(model: Any, make: Any, rows: Sequence[Example]) -> None:
    """A few videos are learned by heart: the loss falls to a tenth, and their own tags are what it says."""

    def loss(step: int) -> torch.Tensor:
        batch = make([(one, 100 * step + i) for i, one in enumerate(rows)])["batch"]
        found: torch.Tensor = model.train()(batch)["loss"]
        return found

    first, last = learn_by_heart([model], loss, steps=80, lr=6e-3)
    assert last < 0.1 * first
    for said, one in zip(predict_all(model, make, rows), rows, strict=True):
        assert {tag for tag, score in said if score > 0.5} == set(one.tags)
