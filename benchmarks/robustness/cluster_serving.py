"""The serving half of cluster-kill: a served index loses a replica under load, and no answer."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

DIMENSIONS, PARTS, EACH = 64, 8, 1000
REPLICAS = 2
CONCURRENT = 4


def killed_replica(folder: Path, questions: int) -> Mapping[str, Any]:
    """Two pieces with two replicas each; one of these is killed with -9 after a third of the questions."""
    from tagline.retrieval.ray import build, serving
    from tagline.tagging.ray.connection import connected
    from tagline.tagging.ray.local import local_cluster

    folder.mkdir(parents=True)
    queries = write_shards(folder / "shards", questions)
    with local_cluster([4], environment={"RAY_worker_niceness": "0"}) as cluster, connected(cluster.address):
        out = folder / "index"
        build.build_sharded_index(
            str(folder / "shards"), out, "scene", cluster.address, rows_per_shard=PARTS * EACH // 2
        )
        serving.start(out, replicas=REPLICAS)
        served = serving.ServedIndex(out)
        calm, before = _ask_all(served, queries)
        again = served.retries
        answers, seconds = _ask_all(served, queries, killing=len(queries) // 3)
        serving.stop(out)
    wrong = sum(
        answer is not None and not np.array_equal(answer, truth)
        for answer, truth in zip(answers, calm, strict=True)
    )
    return {
        "values": {
            "served_wrong": wrong,
            "served_lost": sum(answer is None for answer in answers),
            "served_retries": served.retries - again,
            "served_p50_ms": round(1000 * float(np.median(seconds)), 1),
            "served_worst_ms": round(1000 * max(seconds), 1),
            "served_calm_worst_ms": round(1000 * max(before), 1),
        },
        "about": {"questions": len(queries), "vectors": PARTS * EACH, "pieces": 2, "replicas": REPLICAS},
        "details": {"calm_p50_ms": round(1000 * float(np.median(before)), 1)},
    }


def _ask_all(served: Any, queries: Any, killing: int | None = None) -> tuple[list[Any], list[float]]:
    """Every question, several at a time: ids (None: no answer) and seconds. killing: then a replica dies."""
    handle = served.handles[0]
    process = handle.process.remote().result() if killing is not None else 0
    done = threading.Semaphore(0)

    def ask(query: Any) -> tuple[Any, float]:
        begun = time.perf_counter()
        try:
            ids = served.search(query, 10)[0]
        except Exception:
            ids = None
        done.release()
        return ids, time.perf_counter() - begun

    with ThreadPoolExecutor(CONCURRENT) as pool:
        running = [pool.submit(ask, query) for query in queries]
        if killing is not None:
            for _ in range(killing):
                done.acquire()
            os.kill(process, signal.SIGKILL)
        found = [one.result() for one in running]
    return [ids for ids, _ in found], [seconds for _, seconds in found]


def write_shards(out: Path, questions: int) -> Any:
    """Shards with clustered vectors; returns questions of the same kind, float32 [Q, D]."""
    from tagline.tagging.ml.ann import unit
    from tagline.tagging.ray.shards import ShardStore

    draw = np.random.default_rng(0)
    centres = draw.standard_normal((50, DIMENSIONS))
    store = ShardStore(str(out))
    store.create()
    for part in range(PARTS):
        rows = unit(centres[draw.integers(0, 50, EACH)] + 0.5 * draw.standard_normal((EACH, DIMENSIONS)))
        keys = [{"hash": f"{part}-{n}", "expert": "scene", "fingerprint": "f"} for n in range(EACH)]
        looks = [{**key, "modality": "scene", "version": "1", "at": "2026"} for key in keys]
        spans = {"start": 0.0, "end": 1.0}
        found = [{**key, **spans, "values": row} for key, row in zip(keys, rows, strict=True)]
        store.write(f"{part:032d}", {"looks": looks, "vectors": found})
    return unit(
        centres[draw.integers(0, 50, questions)] + 0.5 * draw.standard_normal((questions, DIMENSIONS))
    )
