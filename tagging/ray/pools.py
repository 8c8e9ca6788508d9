"""Pools: how many actors of each stage, how large their batches are, and what they may claim of a cluster.

Ray queues work for an actor of a lost node until it is back somewhere. If all pools together claim more than
the surviving nodes have, that is never, and the job hangs. So claims are small enough that every actor of
every pool, and one task more, fit on what is left when the largest node is lost.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagline.tagging.ray import ClusterError
from tagline.tagging.ray.connection import Node, left_without_largest

READ = "read"  # the stage that fetches, hashes and decodes
SPARE_CPUS = 1.0  # CPUs that no actor claims: for the tasks that write, and for repeating what was lost
BATCHES = {READ: 4}
BATCH = 8

# CPU seconds for a video of eight seconds: only their ratios matter, and only until a run has measured them.
USUAL_SECONDS = {
    READ: 0.15,
    "object": 0.6,
    "person": 0.6,
    "scene": 1.0,
    "motion": 0.8,
    "speech": 1.3,
    "screen": 3.0,
    "generated": 0.3,
}


@dataclass(frozen=True, slots=True)
class ActorPool:
    """The actors of one stage. cpus, gpus: what each of them claims."""

    name: str
    size: int
    batch: int
    cpus: float
    gpus: float = 0.0


def parse_pools(texts: Sequence[str]) -> dict[str, tuple[int, int | None]]:
    """`NAME=SIZE` or `NAME=SIZExBATCH`, as people type it: name to (size, batch or None)."""
    chosen: dict[str, tuple[int, int | None]] = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        size, times, batch = numbers.partition("x")
        if (
            not name
            or not size.isdecimal()
            or not int(size)
            or (times and not (batch.isdecimal() and int(batch)))
        ):
            raise ClusterError(f"--pool wants NAME=SIZE or NAME=SIZExBATCH, such as speech=4x2, not {text!r}")
        chosen[name] = (int(size), int(batch) if times else None)
    return chosen


def plan_pools(
    experts: Sequence[str],
    nodes: Sequence[Node],
    *,
    device: str = "cpu",
    batch: int = BATCH,
    chosen: Mapping[str, tuple[int, int | None]] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> list[ActorPool]:
    """The pools of a run: that of READ, then one for each expert, in their order.

    device: "cpu", or else experts get GPUs, shared by all of them. seconds: what each stage took for a
    video, where it is known; pools are sized by it.
    """
    chosen = chosen or {}
    stages = [READ, *experts]
    strange = set(chosen) - set(stages)
    if strange:
        raise ClusterError(f"--pool names {min(strange)!r}; the stages are {', '.join(stages)}")
    left = left_without_largest(nodes)
    gpus = 0.0 if device == "cpu" or left.gpus < 1 else left.gpus
    on_gpu = set(experts) if gpus else set()
    cost = {name: spent for name, spent in _costs(stages, seconds or {}).items() if name not in on_gpu}
    sizes = share_out(cost, max(len(cost), math.floor(sum(node.cpus for node in nodes))))
    # A share of a GPU is a real place on it: as many actors as the surviving GPUs have room for.
    sizes |= {name: int(gpus) for name in on_gpu}
    sizes |= {name: size for name, (size, _) in chosen.items()}
    room = max(left.cpus - SPARE_CPUS, left.cpus / 2)
    claim = _floor_claim(min(1.0, room / sum(sizes.values())))
    return [
        ActorPool(
            name,
            sizes[name],
            (chosen[name][1] if name in chosen else None) or BATCHES.get(name, batch),
            claim,
            _floor_claim(1 / len(on_gpu)) if name in on_gpu else 0.0,
        )
        for name in stages
    ]


def _costs(stages: Sequence[str], seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each stage for a video: measured, or the usual in proportion to what was measured."""
    known = [
        seconds[name] / USUAL_SECONDS[name] for name in stages if seconds.get(name) and name in USUAL_SECONDS
    ]
    longer = statistics.median(known) if known else 1.0
    return {name: seconds.get(name) or longer * USUAL_SECONDS.get(name, 1.0) for name in stages}


def share_out(cost: Mapping[str, float], places: int) -> dict[str, int]:
    """`places` shared out by cost, at least one each: always to the stage whose actors have most to do."""
    sizes = dict.fromkeys(cost, 1)
    for _ in range(places - len(sizes)):
        busiest = max(sizes, key=lambda name: cost[name] / sizes[name])
        sizes[busiest] += 1
    return sizes


def _floor_claim(claim: float) -> float:
    """Ray counts in ten-thousandths; rounding up would make the last actor one too many."""
    return max(math.floor(claim * 10_000) / 10_000, 0.0001)
