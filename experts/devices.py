"""Which device computes, how much it takes at once, and a process made ready for large tensors."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


def pick(wish: str = "auto") -> str:
    """The device to compute on: what was wished for, or the best that this machine has."""
    if wish != "auto":
        return wish
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def at_once(device: str, *, accelerator: int, cpu: int) -> int:
    """How many items one forward pass takes: an accelerator wants many, a CPU what its cache holds."""
    return cpu if device == "cpu" else accelerator


@contextmanager
def computing(device: str, precision: str = "auto") -> Iterator[None]:
    """No gradients, and the arithmetic of `precision`.

    "float32" everywhere by default: scores then agree between devices and batch sizes to rounding.
    "bfloat16" makes transformers two to three times as fast on hardware that has it, and moves scores
    by about a hundredth, so that findings near a threshold may differ.
    """
    import torch

    low = precision == "bfloat16"
    with torch.inference_mode(), torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=low):
        yield


def settle(model: Any, device: str) -> Any:
    """A model ready to look: on its device, frozen, convolutions in the order in which CPUs are quick.

    Returns the same model.
    """
    import torch

    ready()
    model = model.eval().requires_grad_(False).to(device)
    volumes = any(isinstance(part, torch.nn.Conv3d) for part in model.modules())
    return model.to(memory_format=torch.channels_last_3d if volumes else torch.channels_last)


@cache
def ready() -> None:
    """Let the C library keep the memory of freed tensors instead of handing it back at once.

    Each forward pass asks for the same hundreds of megabytes. By default glibc maps them anew every
    time, and the kernel clears every page again: on two cores that was half of the time of an X3D.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    most_maps, trim_above = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    adjust(most_maps, 0)
    adjust(trim_above, 1 << 30)
