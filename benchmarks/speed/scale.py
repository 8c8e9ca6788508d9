"""scale: what tagging and searching very many videos takes, from measured costs of one; and a check of it.

`plan` is arithmetic, `simulate` plays the same run through with random lengths, queues and lost nodes. The
measurement takes the costs of one video from the records of other measurements where these hold them, and
says of each cost where it comes from.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

HOUR = 3600.0
STAGES_ON_GPU = ("object", "person", "scene", "motion", "speech")


@dataclass(frozen=True, slots=True)
class Costs:
    """What one video of `seconds` costs. CPU seconds are of one core, GPU seconds of one accelerator."""

    seconds: float = 60.0  # length of a video
    bytes: float = 7.5e6  # of its file: 1 Mbit/s
    read: float = 1.0  # CPU seconds: fetch, hash, decode
    cpu: Mapping[str, float] = field(default_factory=dict)  # expert: CPU seconds
    gpu: Mapping[str, float] = field(default_factory=dict)  # expert: GPU seconds; then it takes no CPU above
    other: float = 0.1  # CPU seconds: serialising between stages, Parquet
    rows_bytes: float = 20e3  # of tags, transcripts, sightings in Parquet
    vectors: int = 12  # spans, each a vector
    dimensions: int = 512


@dataclass(frozen=True, slots=True)
class Prices:
    """Unit prices in dollars, as clouds list them; yours will differ, so they are stated."""

    cpu_hour: float = 0.04
    gpu_hour: float = 2.00
    disk_gb_month: float = 0.08  # of a disk that an index is served from
    bucket_gb_month: float = 0.023
    memory_gb_hour: float = 0.005
    puts_million: float = 5.0  # writes of objects
    out_gb: float = 0.0  # bytes that leave the bucket: none inside one region


@dataclass(frozen=True, slots=True)
class Machines:
    """What a cluster is made of."""

    nodes: int = 50
    cpus: int = 32  # of a node
    gpus: int = 1  # of a node
    memory_gb: float = 128.0
    mtbf_hours: float = 1000.0  # between losses of one node: spot machines are lost more often
    in_hand: int = 256  # videos that are lost with a node and done again


@dataclass(frozen=True, slots=True)
class IndexLayout:
    """How the index is cut and asked."""

    code_bytes: int = 128  # of a row in IVF-PQ; and 8 of its id
    shard_rows: int = 20_000_000  # of one piece: about 3 GB of memory
    replicas: int = 2
    widen: int = 10  # rows read from disk for each result
    shard_seconds: float = 0.02  # of CPU, for one query in one piece
    add_seconds: float = 100e-6  # of CPU, for a row that is added


def plan(
    videos: int, costs: Costs, machines: Machines, index: IndexLayout, prices: Prices
) -> dict[str, float]:
    """Hours, bytes and dollars for a library of so many videos, all of it arithmetic."""
    cpu = videos * (costs.read + costs.other + sum(costs.cpu.values())) / HOUR
    gpu = videos * sum(costs.gpu.values()) / HOUR
    wall = max(cpu / (machines.nodes * machines.cpus), gpu / max(machines.nodes * machines.gpus, 1e-9))
    lost = machines.nodes * wall / machines.mtbf_hours
    again = min(lost * machines.in_hand / videos, 1.0)
    rows = videos * costs.vectors
    shards = max(1, math.ceil(rows / index.shard_rows))
    vectors = rows * costs.dimensions * 2  # float16
    memory = rows * (index.code_bytes + 8) * index.replicas
    parts = math.ceil(videos / 1024)
    found = {
        "videos": videos,
        "hours_of_video": videos * costs.seconds / HOUR,
        "cpu_hours": cpu * (1 + again),
        "gpu_hours": gpu * (1 + again),
        "wall_days": wall * (1 + again) / 24,
        "nodes_lost": lost,
        "done_again_share": again,
        "bytes_read": videos * costs.bytes,
        "parquet_bytes": videos * costs.rows_bytes + rows * costs.dimensions * 4,
        "objects": parts * 8,
        "vectors": rows,
        "index_disk_bytes": (vectors + rows * (index.code_bytes + 8 + 32)) * index.replicas,
        "index_memory_bytes": memory,
        "index_cpu_hours": rows * index.add_seconds / HOUR,
        "pieces": shards,
        "serving_nodes": math.ceil(memory / (machines.memory_gb * 0.75e9)),
        "answers_merged": shards,
        "disk_reads_a_query": shards * index.widen * 10,
        "cpu_seconds_a_query": shards * index.shard_seconds,
        # What one process holds that plans a run: hash, experts and fingerprints of every video done.
        "driver_bytes": videos * 1_000.0,
    }
    found |= _dollars(found, prices)
    return found


def _dollars(found: Mapping[str, float], prices: Prices) -> dict[str, float]:
    tagging = (
        found["cpu_hours"] * prices.cpu_hour
        + found["gpu_hours"] * prices.gpu_hour
        + found["objects"] / 1e6 * prices.puts_million
        + found["bytes_read"] / 1e9 * prices.out_gb
    )
    keeping = found["parquet_bytes"] / 1e9 * prices.bucket_gb_month
    serving = (
        found["index_disk_bytes"] / 1e9 * prices.disk_gb_month
        + found["index_memory_bytes"] / 1e9 * prices.memory_gb_hour * 730
    )
    return {
        "dollars_tagging": tagging,
        "dollars_indexing": found["index_cpu_hours"] * prices.cpu_hour,
        "dollars_keeping_a_month": keeping,
        "dollars_serving_a_month": serving,
    }


def simulate(
    videos: int, costs: Costs, machines: Machines, *, seed: int = 0, spread: float = 0.5
) -> dict[str, float]:
    """Play a run through: videos of random lengths, two kinds of places, nodes that are lost and come back.

    Every video needs its CPU seconds on a core and then its GPU seconds on an accelerator; `spread` is the
    standard deviation of the logarithm of its length. Returns the same keys as `plan` for what it covers.
    """
    draw = np.random.default_rng(seed)
    length = np.exp(spread * draw.standard_normal(videos) - spread**2 / 2)  # mean 1
    cpu_each = costs.read + costs.other + sum(costs.cpu.values())
    gpu_each = sum(costs.gpu.values())
    cores = [(0.0, n % machines.nodes) for n in range(machines.nodes * machines.cpus)]
    cards = [(0.0, n % machines.nodes) for n in range(machines.nodes * machines.gpus)]
    heapq.heapify(cores)
    heapq.heapify(cards)
    losses = _losses(draw, machines, videos * max(cpu_each, gpu_each) / HOUR)
    waiting = list(range(videos - 1, -1, -1))
    in_hand: dict[int, list[int]] = {node: [] for node in range(machines.nodes)}
    spent_cpu = spent_gpu = end = 0.0
    lost = again = 0
    while waiting:
        video = waiting.pop()
        free, node = heapq.heappop(cores)
        while losses and losses[0][0] <= free:
            _, gone = losses.pop(0)
            lost += 1
            redo, in_hand[gone] = in_hand[gone], []
            again += len(redo)
            waiting += redo
        done = free + cpu_each * length[video]
        spent_cpu += cpu_each * length[video]
        heapq.heappush(cores, (done, node))
        if gpu_each:
            card_free, card_node = heapq.heappop(cards)
            done = max(done, card_free) + gpu_each * length[video]
            spent_gpu += gpu_each * length[video]
            heapq.heappush(cards, (done, card_node))
        in_hand[node] = [*in_hand[node], video][-machines.in_hand :]
        end = max(end, done)
    return {
        "cpu_hours": spent_cpu / HOUR,
        "gpu_hours": spent_gpu / HOUR,
        "wall_days": end / HOUR / 24,
        "nodes_lost": float(lost),
        "done_again_share": again / videos,
    }


def _losses(draw: np.random.Generator, machines: Machines, hours: float) -> list[tuple[float, int]]:
    """(second, node) of every loss, in order. A lost node is back at once: another takes its place."""
    found: list[tuple[float, int]] = []
    for node in range(machines.nodes):
        time = draw.exponential(machines.mtbf_hours)
        while time < hours:
            found.append((time * HOUR, node))
            time += draw.exponential(machines.mtbf_hours)
    return sorted(found)


def measured(seconds: float = 60.0) -> tuple[Costs, dict[str, str]]:
    """Costs of a video of this length, and for each where it comes from.

    The record `tagging` holds the CPU seconds of a whole run with full-size models, and how its time went to
    the stages: each is charged its share. Frames are taken by the second, so costs grow with the length.
    """
    from tagline.benchmarks.registry import record as records

    costs, sources = Costs(seconds=seconds, bytes=seconds * 125e3, cpu=dict(ON_CPU)), dict(FROM)
    record = records.read("tagging") or {}
    ours, how = record.get("details", {}).get("ours", {}), record.get("configuration", {})
    if ours.get("stages") and how.get("videos") and how.get("seconds_each"):
        each = ours["cpu"] / sum(ours["stages"].values()) / how["videos"] * seconds / how["seconds_each"]
        stages = {name: spent * each for name, spent in ours["stages"].items()}
        stages.pop("decoding", None)  # there, it is what the models waited for
        costs = replace(costs, cpu=stages)
        sources |= dict.fromkeys(stages, f"record `tagging`, commit {record.get('commit')}")
    return replace(costs, read=READ * seconds / 60 + costs.bytes / HASHED), sources


# CPU seconds of one core for a video of a minute where there is no record.
ON_CPU = {"object": 5.0, "person": 5.0, "scene": 8.0, "motion": 3.5, "speech": 6.0, "screen": 4.5}
READ = 2.0  # CPU seconds to decode a frame a second of a minute at 720p
HASHED = 1e9  # bytes a second, sha256 on one core with instructions for it
STATED = ("read", "other", "bytes", "rows_bytes", "vectors", "dimensions", "gpu")
FROM = dict.fromkeys([*ON_CPU, *STATED], "stated, not measured")


def on_gpu(costs: Costs, faster: float = 30.0) -> Costs:
    """The same with the experts that have one on an accelerator, `faster` times a core (stated)."""
    gpu = {name: costs.cpu[name] / faster for name in STAGES_ON_GPU if name in costs.cpu}
    return replace(costs, cpu={n: s for n, s in costs.cpu.items() if n not in gpu}, gpu=gpu)


def breaks_first(found: Mapping[str, float], machines: Machines) -> list[str]:
    """What does not hold at this size, the worst first, in sentences."""
    limits = (
        (found["driver_bytes"] / (machines.memory_gb * 0.5e9), "who plans a run holds all that is done"),
        (found["objects"] / 1e6, "listing the parts of the shards at the start of a run"),
        (found["pieces"] / 200, "every query goes to every piece: route by cell, not by part"),
        (found["index_memory_bytes"] / 1e12, "codes in memory: fewer bytes a row, or lists on disk"),
        (found["bytes_read"] / 1e15, "bytes that have to be read: a region's bandwidth to its buckets"),
    )
    over = sorted((share, line) for share, line in limits if share > 1)
    return [f"{line} ({share:.1f} times what is comfortable)" for share, line in reversed(over)]


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """Options: seconds (of a video), nodes. 10 million and 1 billion videos, and the simulation's check."""
    seconds = float(options.get("seconds", 60))
    machines = Machines(nodes=int(options.get("nodes", 50)))
    costs, sources = measured(seconds)
    accelerated, index, prices = on_gpu(costs), IndexLayout(), Prices()
    small, large = 10_000_000, 1_000_000_000
    plans = {
        "10m cpu": plan(small, costs, replace(machines, gpus=0), index, prices),
        "10m gpu": plan(small, accelerated, machines, index, prices),
        "1b gpu": plan(large, accelerated, replace(machines, nodes=20 * machines.nodes), index, prices),
    }
    # The same ratios, small enough to play through: few nodes, and losses that come sooner.
    tiny = replace(machines, nodes=4, cpus=8, mtbf_hours=2.0, in_hand=32)
    lines = plan(20_000, accelerated, tiny, index, prices)
    played = [simulate(20_000, accelerated, tiny, seed=seed) for seed in range(5)]
    errors = {
        key: abs(float(np.mean([one[key] for one in played])) / lines[key] - 1)
        for key in ("cpu_hours", "gpu_hours", "wall_days")
    }
    return {
        "values": {
            **{f"{name}: {key}": _short(value) for name, one in plans.items() for key, value in one.items()},
            "simulation_worst_error": round(max(errors.values()), 3),
        },
        "configuration": {
            "costs": asdict(costs),
            "sources": sources,
            "machines": asdict(machines),
            "index": asdict(index),
            "prices": asdict(prices),
        },
        "seeds": list(range(5)),
        "details": {
            "errors": errors,
            "breaks_first": {name: breaks_first(one, machines) for name, one in plans.items()},
        },
    }


def _short(value: float) -> float:
    """Three digits: more would say more than is known."""
    if not value:
        return 0.0
    digits = 2 - math.floor(math.log10(abs(value)))
    return round(value, digits)
