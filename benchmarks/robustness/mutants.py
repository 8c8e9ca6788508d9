"""Mutants: thousands of broken files through one decoder. Does anything hang, die or grow?"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tagline.benchmarks.fixtures.synthetic_videos import VideoRecipe, make
from tagline.experts.attacks.mutate import mutate

RECIPES = (
    VideoRecipe(160, 96, 2, suffix=".mp4", sound=True, options={"g": "20", "bf": "2"}),
    VideoRecipe(160, 96, 2, suffix=".mkv", sound=True, options={"g": "20", "bf": "2"}),
    VideoRecipe(160, 96, 2, codec="libvpx-vp9", suffix=".webm", options={"cpu-used": "8", "g": "20"}),
    VideoRecipe(160, 96, 2, codec="mpeg4", suffix=".avi", sound=True, options={"g": "20"}),
    VideoRecipe(160, 96, 2, codec="mpeg2video", suffix=".ts", sound=True, options={"g": "12", "bf": "2"}),
)
LIMIT = 20.0  # seconds a file
BATCH = 50


@dataclass(slots=True)
class DecodeTally:
    outcomes: Counter[str]
    memory: list[int]  # bytes of this process and its children, after each file
    dead: int = 0
    late: int = 0


def measure(options: dict[str, str]) -> dict[str, Any]:
    """`count`: how many files (2000); `seed`: of the mutations (0); `jobs`: decoding processes (2)."""
    count, seed = int(options.get("count", 2000)), int(options.get("seed", 0))
    jobs = int(options.get("jobs", 2))
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        begun = time.perf_counter()
        tally, replaced = _run(Path(folder), count, seed, jobs)
        seconds = time.perf_counter() - begun
    hung = sum(number for reason, number in tally.outcomes.items() if "took longer" in reason)
    return {
        "values": {
            "files": count,
            "hangs": hung + tally.late,
            "dead_batches": tally.dead,
            "memory_growth": round(growth(tally.memory), 4),
            "seconds": round(seconds, 1),
        },
        "configuration": {
            "containers": [recipe.suffix for recipe in RECIPES],
            "seconds_per_file": LIMIT,
            "batch": BATCH,
            "jobs": jobs,
            "children_replaced": replaced,
            "read": tally.outcomes["read"],
            "read_in_part": tally.outcomes["read in part"],
            "reasons": dict(tally.outcomes.most_common(20)),
        },
        "seeds": [seed],
    }


def growth(memory: list[int]) -> float:
    """How much more memory the second half takes than the first, after a tenth to warm up, as a share.

    Means of halves, because children grow a little and are replaced every few hundred files.
    """
    tenth, half = len(memory) // 10, len(memory) // 2
    return fmean(memory[half:]) / fmean(memory[tenth:half] or memory) - 1.0


def _run(folder: Path, count: int, seed: int, jobs: int) -> tuple[DecodeTally, int]:
    from tagline.experts.decode.decoder import Decoder
    from tagline.experts.decode.limits import Limits

    originals: list[tuple[str, bytes]] = []
    for recipe in RECIPES:
        path = folder / f"original{recipe.suffix}"
        make(recipe, path)
        originals.append((recipe.suffix, path.read_bytes()))
    tally = DecodeTally(Counter(), [])
    with Decoder(jobs=jobs, limits=Limits(seconds=LIMIT)) as decoder:
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            try:
                _batch(decoder, folder, originals, numbers, seed, tally)
            except Exception as error:  # whatever it is, it cost a whole batch: that is the finding
                tally.dead += 1
                tally.outcomes[f"dead batch: {type(error).__name__}"] += 1
        return tally, decoder.replaced


def _batch(
    decoder: Any,
    folder: Path,
    originals: list[tuple[str, bytes]],
    numbers: range,
    seed: int,
    tally: DecodeTally,
) -> None:
    from tagline.experts.footage import PerSecond, Sampling, Sound, Uniform, Unreadable, Windows

    samplings: tuple[Sampling, ...] = (Uniform(4, side=64), PerSecond(), Windows(1, 4, 0.1), Sound())

    def orders() -> Iterator[tuple[Path, tuple[Sampling, ...]]]:
        for number in numbers:
            suffix, content = originals[number % len(originals)]
            path = folder / f"{number}{suffix}"
            path.write_bytes(mutate(content, random.Random(f"{seed} {number}")))
            yield path, samplings

    answered, since = 0, time.monotonic()
    for path, result in decoder.read_all(orders()):
        answered += 1
        tally.late += time.monotonic() - since > LIMIT + 10
        since = time.monotonic()
        if isinstance(result, Unreadable):
            tally.outcomes[str(result).split(" (")[0]] += 1
        else:
            tally.outcomes["read" if result.coverage.complete else "read in part"] += 1
            result.close()
        path.unlink()
        tally.memory.append(_memory())
    if answered != len(numbers):
        raise RuntimeError("not every file was answered for")


def _memory() -> int:
    """Bytes resident in this process and its children."""
    import psutil

    me, total = psutil.Process(), 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:  # it has just been replaced
            continue
    return total
