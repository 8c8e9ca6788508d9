"""What every training has in common: how long it goes on, its learning rate, a mean of its weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Log = Callable[[str], None]  # a line for whoever watches


@dataclass
class TrainingSchedule:
    """So many steps, or so many minutes if those are over sooner; the learning rate knows how far it is.

    A rise over the first part, then a cosine down to nearly nothing.
    """

    steps: int
    rate: float  # the highest
    minutes: float = math.inf
    rise: float = 0.04  # share of the course
    began: float = field(default_factory=time.monotonic)
    step: int = 0

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        spent = (time.monotonic() - self.began) / 60
        return min(max(self.step / self.steps, spent / self.minutes), 1.0)

    def __iter__(self) -> Iterator[float]:
        """The learning rate of each step to come."""
        while self.share < 1.0:
            share = self.share
            fall = 0.5 * (1 + math.cos(math.pi * share))
            yield self.rate * min(share / self.rise + 0.02, 1.0) * (0.01 + 0.99 * fall)
            self.step += 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class WeightAverage:
    """A running mean of a model's weights: less noisy than any of them."""

    def __init__(self, model: Any, reach: float = 400.0) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.reach, self.taken = reach, 0

    def take(self, model: Any) -> None:
        import torch

        self.taken += 1
        keep = min(self.taken / (self.taken + 10), 1 - 1 / self.reach)  # short while young
        with torch.no_grad():
            for own, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
                if own.is_floating_point():
                    own.lerp_(new.to(own.dtype), 1 - keep)
                else:
                    own.copy_(new)


def adamw(model: Any, rate: float, decay: float = 0.05) -> Any:
    """AdamW; what is no matrix is not pulled to zero."""
    import torch

    wide = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    flat = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": wide, "weight_decay": decay}, {"params": flat, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def optimiser_step(optim: Any, loss: Any, model: Any, rate: float, clip: float = 10.0) -> None:
    """One step down."""
    import torch

    for group in optim.param_groups:
        group["lr"] = rate
    optim.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optim.step()


def endless_batches(count: int, size: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Batches of numbers below `count`, shuffled anew each time all were there."""
    waiting = np.empty(0, np.int64)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(count)])
        yield waiting[:size]
        waiting = waiting[size:]


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def autocast(where: str) -> Any:
    """Half of the bits in matrix products, on processors that are faster so."""
    import torch

    return torch.autocast(where.partition(":")[0], torch.bfloat16)
