"""One batch over several processes: tensors gathered with their gradients, means over all ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """This process's rank and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


class _Gather(torch.autograd.Function):
    """Every rank's rows, in rank order. The gradient of a row goes back to the rank that it came from."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        rank, count = world()
        context.rows = slice(rank * len(x), (rank + 1) * len(x))
        parts = [torch.empty_like(x) for _ in range(count)]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        # Every rank computes the loss of the whole batch, and DDP takes the mean over ranks afterwards:
        # the sum here and that mean together give each row its gradient exactly once.
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total[context.rows]


def gather(x: Tensor) -> Tensor:
    """[B, ...] on each rank to [world · B, ...] on all, with gradients. Ranks must have equal shapes."""
    if world()[1] == 1:
        return x
    if not x.is_floating_point():
        as_bytes = x.to(torch.int64)
        parts = [torch.empty_like(as_bytes) for _ in range(world()[1])]
        dist.all_gather(parts, as_bytes.contiguous())
        return torch.cat(parts).to(x.dtype)
    found: Tensor = _Gather.apply(x)
    return found


def mean_of_all(total: Tensor, count: Tensor | int) -> Tensor:
    """This rank's share of a mean whose terms lie on all ranks: the ranks' results have the true mean.

    total: sum of the terms here, with its graph; count: how many there are here. Nothing anywhere: 0.
    """
    ranks = world()[1]
    counted = torch.as_tensor(count, dtype=torch.float32, device=total.device)
    if ranks > 1:
        counted = counted.clone()
        dist.all_reduce(counted)
    return total * ranks / counted.clamp(min=1)
