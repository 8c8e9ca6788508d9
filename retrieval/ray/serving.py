"""Serving a sharded index: each shard on several replicas of Ray Serve; their answers are merged.

A replica that dies costs the questions it had in hand a second try, on another replica. A shard that no
replica can answer for in time makes the question fail, in a sentence: never an answer with a hole in it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tagline.retrieval.index.base import Ids, Vectors
from tagline.retrieval.ray.index_shard import MAX_ROWS, IndexShard, Location, ShardedIndex, merge_top_k
from tagline.tagging.ray import ClusterError

APP = "tagline-index"
SHARD_TIMEOUT = 2.0  # seconds that a piece has for an answer before another replica is asked
TOTAL_TIMEOUT = 60.0  # seconds for all tries: a replica that died is back after ten or so
PAUSE = 0.2  # seconds before a piece that failed is asked again


class Handle(Protocol):
    """What Ray Serve gives to ask a piece by: `handle.search.remote(queries, k).result(timeout_s=2)`."""

    search: Any
    locations: Any


class ShardReplica:
    """A replica: one piece in memory."""

    def __init__(self, folder: str, name: str) -> None:
        base = Path(folder)
        self.shard = IndexShard(base / name, ShardedIndex.read(base))

    def search(self, queries: Vectors, k: int) -> tuple[Ids, Vectors]:
        return self.shard.search(queries, k)

    def locations(self, ids: Ids) -> list[Location]:
        return self.shard.locations(ids)

    def process(self) -> int:
        """The number of the process that answers."""
        import os

        return os.getpid()


def start(folder: Path, *, replicas: int = 2, cpus: float = 0.1) -> None:
    """Put every piece of an index on the cluster that this process has joined; returns when all answer.

    cpus: what a replica claims; after a lost node all replicas must find room on the others.
    """
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # what matters is said by who asks
    head = ShardedIndex.read(folder)
    serve.start(proxy_location="Disabled")  # asked from Python alone: no port is opened
    for name in head.shards:
        deployment = serve.deployment(
            name=name,
            num_replicas=replicas,
            max_ongoing_requests=16,
            health_check_period_s=2,
            ray_actor_options={"num_cpus": cpus},
        )(ShardReplica)
        serve.run(deployment.bind(str(folder.resolve()), name), name=f"{APP}-{name}", route_prefix=None)


def stop(folder: Path) -> None:
    """Take the pieces off the cluster again."""
    from ray import serve

    for name in ShardedIndex.read(folder).shards:
        serve.delete(f"{APP}-{name}")


class ServedIndex:
    """Asks every piece at once and merges what they answer."""

    def __init__(
        self,
        folder: Path,
        fingerprint: str | None = None,
        *,
        handles: Sequence[Handle] | None = None,
        limit: float = SHARD_TIMEOUT,
        patience: float = TOTAL_TIMEOUT,
    ) -> None:
        self.head = ShardedIndex.read(folder, fingerprint)
        self.limit, self.patience = limit, patience
        self.retries = 0  # answers that had to be asked for again
        self.handles = list(handles) if handles is not None else [_handle(n) for n in self.head.shards]

    def __len__(self) -> int:
        return self.head.rows

    def search(self, queries: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The best rows of each query: ids and scores, both [Q, min(k, len)], best first."""
        rows = np.atleast_2d(np.asarray(queries, np.float32))
        if rows.shape[1] != self.head.dimensions:
            raise ValueError(f"queries of {rows.shape[1]} numbers, the index has {self.head.dimensions}")
        width = max(0, min(k, len(self)))
        if not width:
            return np.zeros((len(rows), 0), np.int64), np.zeros((len(rows), 0), np.float32)
        return merge_top_k(
            self._ask_shards("search", dict.fromkeys(range(len(self.handles)), (rows, width))), width
        )

    def locations(self, ids: Ids) -> list[Location]:
        """Of which video and which stretch each of these rows is."""
        flat = np.asarray(ids, np.int64).ravel()
        numbers = sorted({int(n) for n in flat // MAX_ROWS})
        found = self._ask_shards("locations", {n: (flat[flat // MAX_ROWS == n],) for n in numbers})
        by_id = {
            int(i): location
            for n, some in zip(numbers, found, strict=True)
            for i, location in zip(flat[flat // MAX_ROWS == n], some, strict=True)
        }
        return [by_id[int(i)] for i in flat]

    def _ask_shards(self, method: str, arguments: dict[int, tuple[Any, ...]]) -> list[Any]:
        """What each piece answers, all asked at the same time, those that fail again."""
        deadline = time.monotonic() + self.patience
        answers: dict[int, Any] = {}
        why = ""
        while True:
            left = [number for number in arguments if number not in answers]
            pending = {n: getattr(self.handles[n], method).remote(*arguments[n]) for n in left}
            for number, answer in pending.items():
                try:
                    answers[number] = answer.result(timeout_s=self.limit)
                except Exception as error:  # a dead replica, a time limit, a full queue: all alike
                    why = type(error).__name__
                    self.retries += 1
            if len(answers) == len(arguments):
                return [answers[number] for number in arguments]
            if time.monotonic() > deadline:
                silent = [self.head.shards[n] for n in arguments if n not in answers]
                raise ClusterError(
                    f"{len(silent)} of {len(arguments)} pieces of the index do not answer "
                    f"({silent[0]}: {why}); look at the cluster, or serve with more replicas"
                )
            time.sleep(PAUSE)


def _handle(name: str) -> Handle:
    from ray import serve

    try:
        handle: Handle = serve.get_app_handle(f"{APP}-{name}")
    except Exception as error:
        raise ClusterError(
            f"{name} of the index is not being served; run `tagline serve --cluster` first"
        ) from error
    return handle
