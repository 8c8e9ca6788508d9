"""`speed` and `speed-gpu`: all stages in one record, with the growth of index and search."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tagline.benchmarks.speed import floors
from tagline.benchmarks.speed.growth import grow
from tagline.benchmarks.speed.parts import ON_GPU, PARTS, Machine, StageTiming


class NoGpu(RuntimeError):
    """There is no GPU to measure."""


def measure(options: dict[str, str]) -> dict[str, Any]:
    """parts=decode,growth,...; videos, runs, frames, batch, titles, lessons and sizes make it smaller."""
    return _measure(options, "cpu", tuple(PARTS))


def measure_gpu(options: dict[str, str]) -> dict[str, Any]:
    """What a GPU computes: training step, generating, embedding."""
    import torch

    if not torch.cuda.is_available():
        raise NoGpu("there is no GPU here that torch can use; without --gpu the processor is measured")
    return _measure(options, "cuda", ON_GPU)


def _measure(options: dict[str, str], device: str, known: tuple[str, ...]) -> dict[str, Any]:
    import torch

    growing = ("growth",) if device == "cpu" else ()
    wanted = options.get("parts", ",".join((*known, *growing))).split(",")
    for name in wanted:
        if name not in (*known, *growing):
            raise ValueError(f"there is no part {name!r}; there are {', '.join((*known, *growing))}")
    machine = Machine(device, floors.matrix_rate(device), floors.bandwidth(device))
    parts: list[StageTiming] = []
    rows: list[dict[str, Any]] = []
    for name in wanted:
        if name == "growth":
            more, rows = grow(options, machine)
        else:
            more = PARTS[name](options, machine)
        parts += more
    values: dict[str, Any] = {
        "gflops": round(machine.operations / floors.GIGA, 1),
        "memory_gb_per_second": round(machine.bytes / floors.GIGA, 1),
    }
    for part in parts:
        values |= {key: value for key, value in part.values().items() if value is not None}
    return {
        "values": values,
        "configuration": {"device": device, "threads": torch.get_num_threads(), "parts": wanted},
        "seeds": [0],
        "details": {"parts": [asdict(part) for part in parts], "growth": rows},
    }
