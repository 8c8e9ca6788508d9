"""What a machine can do at most, products of matrices and bytes moved, and what a step needs of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

GIGA = 1e9


def seconds(work: Callable[[], object], device: str = "cpu", runs: int = 3, warm: bool = True) -> float:
    """Median wall seconds of so many runs, after one that does not count."""
    if warm:
        work()
    taken = []
    for _ in range(runs):
        settle(device)
        begun = time.perf_counter()
        work()
        settle(device)
        taken.append(time.perf_counter() - begun)
    return median(taken)


def settle(device: str) -> None:
    """Wait until a GPU has done what it was told to."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def matrix_rate(device: str = "cpu", size: int = 1024, runs: int = 5) -> float:
    """Operations a second in a product of two square matrices: float32, and bfloat16 on a GPU."""
    import torch

    kind = torch.bfloat16 if device.startswith("cuda") else torch.float32
    size = 8192 if device.startswith("cuda") else size
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    return 2.0 * size**3 / seconds(lambda: a @ b, device, runs)


def bandwidth(device: str = "cpu", megabytes: int = 256, runs: int = 5) -> float:
    """Bytes a second that are read when numbers far larger than any cache are added up."""
    import torch

    numbers = torch.ones(megabytes << 18, device=device)  # float32
    return numbers.nbytes / seconds(numbers.sum, device, runs)


def operations(work: Callable[[], object]) -> int:
    """Floating point operations of the matrix products and convolutions that torch does in a step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counted:
        work()
    return int(counted.get_total_flops())


def weight_bytes(model: Any) -> int:
    """Bytes of a model's weights: what a step that reads each once has to move."""
    return sum(p.numel() * p.element_size() for p in model.parameters())
