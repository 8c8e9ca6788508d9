"""`speed` and `speed-gpu`: all stages in one record, with the growth of index and search."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tagline.benchmarks.speed import floors
from tagline.benchmarks.speed.parts import ON_GPU, PARTS, Machine, StageTiming

WIDTH = 512
QUERIES = 20


def grow(options: Mapping[str, str], machine: Machine) -> tuple[list[StageTiming], list[dict[str, Any]]]:
    """Parts at the largest size, and a row of seconds for each: sizes=1000,10000,100000."""
    sizes = [int(part) for part in options.get("sizes", "1000,10000,100000").split(",")]
    rows = [_measure_size(size, machine) for size in sizes]
    last = rows[-1]
    measured_on = f"{last['vectors']:,} vectors of {WIDTH}"
    floor = last["vectors"] * WIDTH * 4 / machine.bytes
    search = StageTiming(
        "search", last["search"], last["plain_search"], "NumPy: all products, then argsort",
        floor, "reading all vectors from memory once", f"one query, {measured_on}",
    )  # fmt: skip
    index = StageTiming(
        "index", last["build"], last["plain_build"], "NumPy: stack the vectors and save them",
        floor, "reading all vectors from memory once", measured_on,
    )  # fmt: skip
    return [index, search], rows


def _measure_size(size: int, machine: Machine) -> dict[str, Any]:
    from tagline.retrieval.index.faiss_index import FaissIndex

    rng = np.random.default_rng(size)
    vectors = _clustered(rng, size)
    queries = _clustered(rng, QUERIES)
    ids = np.arange(size, dtype=np.int64)

    def pages() -> Iterator[tuple[Any, Any]]:
        for first in range(0, size, 4096):
            yield ids[first : first + 4096], vectors[first : first + 4096]

    with tempfile.TemporaryDirectory() as folder:

        def build() -> Any:
            made = FaissIndex.build("f", WIDTH, size, pages, queries)
            made.save(Path(folder) / "x.index")
            return made

        def plainly() -> None:
            np.save(Path(folder) / "x.npy", np.vstack([page for _, page in pages()]))

        building = floors.seconds(build, runs=1, warm=False)
        index = build()
        plain_build = floors.seconds(plainly, runs=1)
    searching = [floors.seconds(lambda q=q: index.search(q[None], 10), runs=3) for q in queries]  # type: ignore[misc]
    plain = [floors.seconds(lambda q=q: np.argsort(-(vectors @ q))[:10], runs=1) for q in queries[:5]]  # type: ignore[misc]
    return {
        "vectors": size,
        "build": building,
        "plain_build": plain_build,
        "search": float(np.median(searching)),
        "plain_search": float(np.median(plain)),
        "floor": size * WIDTH * 4 / machine.bytes,
        "exact": bool(index.exact),
        "recall": index.recall,
    }


def _clustered(rng: np.random.Generator, count: int) -> Any:
    """Unit vectors around some centres, float32 [count, WIDTH]: real ones are not spread evenly either."""
    centres = np.random.default_rng(0).normal(size=(64, WIDTH))
    made = centres[rng.integers(0, 64, count)] + 0.7 * rng.normal(size=(count, WIDTH))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Seconds by number of vectors, both axes logarithmic."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, lines) in enumerate(
        (
            ("One query", (("search", "ours"), ("plain_search", "NumPy"), ("floor", "memory read once"))),
            ("Building", (("build", "ours"), ("plain_build", "NumPy saves"), ("floor", "memory read once"))),
        ),
        start=1,
    ):
        axes = figure.add_subplot(1, 2, place)
        for key, label in lines:
            style = {"linestyle": ":", "color": "grey"} if key == "floor" else {"marker": "o"}
            axes.plot([row["vectors"] for row in rows], [row[key] for row in rows], label=label, **style)  # type: ignore[arg-type]
        axes.set(
            title=title, xlabel=f"vectors of {WIDTH} numbers", ylabel="seconds", xscale="log", yscale="log"
        )
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


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
