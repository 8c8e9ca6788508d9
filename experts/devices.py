"""Which device computes, how much it takes at once, and a process made ready for large tensors."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from tagline.experts import extras


def choose_device(requested: str = "auto") -> str:
    """The device to compute on: what was wished for, or the best that this machine has."""
    if requested != "auto":
        return requested
    if extras.first_missing(["torch"]):  # what runs without torch computes on the CPU
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def batch_size(device: str, *, accelerator: int, cpu: int) -> int:
    """How many items one forward pass takes: an accelerator wants many, a CPU what its cache holds."""
    return cpu if device == "cpu" else accelerator


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_bfloat16(device: str, precision: str = "auto") -> bool:
    """Whether to compute in bfloat16. "auto": where the hardware does so natively.

    Transformers and video networks are then two to four times as fast; scores move by about a
    hundredth, so that a finding close to its threshold may fall on the other side of it.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"there is no precision {precision!r}; there are auto, float32, bfloat16")
    if precision != "auto":
        return precision == "bfloat16"
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device == "cpu" and known is not None and bool(known())


@contextmanager
def inference(device: str, autocast: bool = False) -> Iterator[None]:
    """No gradients; with `autocast`, products of float32 models in bfloat16."""
    import torch

    with torch.inference_mode(), torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=autocast):
        yield


def prepare_model(model: Any, device: str, *, bfloat16: bool = False) -> Any:
    """A model ready to look: on its device, frozen, convolutions in the order in which CPUs are quick.

    `bfloat16` turns all its numbers into such, which suits transformers; with batch norms in it a model
    is better left as it is and run under `computing(autocast=True)`. Returns the same model.
    """
    import torch

    keep_freed_memory()
    model = model.eval().requires_grad_(False).to(device)
    if bfloat16:
        model = model.to(torch.bfloat16)
    volumes = any(isinstance(part, torch.nn.Conv3d) for part in model.modules())
    return model.to(memory_format=torch.channels_last_3d if volumes else torch.channels_last)


@cache
def keep_freed_memory() -> None:
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
