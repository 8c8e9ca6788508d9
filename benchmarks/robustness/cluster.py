"""cluster-kill and cluster-scaling: a real Ray cluster of several nodes on this machine; what it loses."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagline.benchmarks.fixtures import stub_experts
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.ray import importer
from tagline.tagging.ray.local import LocalCluster, local_cluster
from tagline.tagging.ray.shards import ShardStore

EXIT_CODES = (0, 3)  # exit codes: a video may be unreadable
RUN_TIMEOUT = 3600.0  # seconds for a run
STUBS = "light"
REAL_EXPERTS = "scene,speech"  # with the playhouse's weights


def measure_kill(options: Mapping[str, str]) -> dict[str, Any]:
    """Options: videos, experts (`light`, or names, which then use the playhouse's weights), cpus of a node.

    A folder of rendered videos may be given (folder=), so that they need not be rendered for each try.
    Two nodes tag; once half of the videos are written, the second is killed with SIGKILL. Then a served
    index loses a replica under load (questions, of which a number are asked at once).
    """
    from tagline.benchmarks.robustness.cluster_serving import killed_replica

    count, cpus = int(options.get("videos", 200)), int(options.get("cpus", 2))
    with tempfile.TemporaryDirectory(prefix="tlk-") as scratch:
        bench = ClusterRuns(Path(scratch), count, options.get("experts", STUBS), options.get("folder"))
        wanted, alone = bench.one_machine()
        with bench.cluster([cpus, cpus]) as cluster:
            found, seconds, written = bench.kill_half_way(cluster)
        served = killed_replica(Path(scratch) / "serving", int(options.get("questions", 300)))
    lost, doubled = wanted - found, found - wanted
    return {
        "values": {
            "equal": found == wanted,
            "lost": lost.total(),
            "doubled": doubled.total(),
            "rows": wanted.total(),
            "written_at_kill": written,
            "seconds": round(seconds, 1),
            "seconds_one_machine": round(alone, 1),
            **served["values"],
        },
        "configuration": {
            "videos": count,
            "nodes": 2,
            "cpus": cpus,
            "experts": bench.names,
            **served["about"],
        },
        "seeds": [bench.first],
        "details": {"lost": list(lost)[:10], "doubled": list(doubled)[:10], "serving": served["details"]},
    }


def measure_scaling(options: Mapping[str, str]) -> dict[str, Any]:
    """Options: videos, experts, folder (as for cluster-kill). The same videos over one slot and over two.

    A slot is a node with one CPU, bound to a core of its own. Who asks, and Ray's head, share the first.

    share_outside: of the CPU time of all nodes and of who asked, what was neither decoding nor models; the
    start of Ray's workers and of their libraries is in it, so it shrinks with the number of videos.
    """
    count = int(options.get("videos", 60))
    rates, shares, total = {}, {}, {}
    with tempfile.TemporaryDirectory(prefix="tls-") as scratch:
        bench = ClusterRuns(Path(scratch), count, options.get("experts", REAL_EXPERTS), options.get("folder"))
        for slots in (1, 2):
            # The head works too: its one CPU is slot one, the second node is slot two.
            with bench.cluster([1] * slots) as cluster:
                _pin(cluster)
                bench.run(cluster, f"warm{slots}", bench.few)  # so that Ray's own actors are there
                with _Meter(cluster) as meter:
                    result = bench.run(cluster, f"slots{slots}", bench.folder)
            rates[slots] = result["seen"] / result["seconds"]
            total[slots] = meter.used
            shares[slots] = 1 - sum(result["work_cpu_seconds"].values()) / meter.used
    return {
        "values": {
            "ratio": round(rates[2] / rates[1], 2),
            "videos_per_minute_1": round(60 * rates[1], 1),
            "videos_per_minute_2": round(60 * rates[2], 1),
            "share_outside_1": round(shares[1], 3),
            "share_outside_2": round(shares[2], 3),
            "cpu_seconds_1": round(total[1], 1),
            "cpu_seconds_2": round(total[2], 1),
        },
        "configuration": {"videos": count, "experts": bench.names, "cpus_of_a_slot": 1},
        "seeds": [bench.first],
    }


def _pin(cluster: LocalCluster) -> None:
    """Give each node a core of its own: whatever its processes start stays there, too."""
    import psutil

    cores = sorted(os.sched_getaffinity(0))
    for number, node in enumerate(cluster.nodes):
        top = psutil.Process(node.pid)
        for process in (top, *top.children(recursive=True)):
            for thread in process.threads():
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(thread.id, {cores[number % len(cores)]})


class _Meter:
    """The CPU seconds that a cluster's processes and this one's children use while it is open."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.used = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        first, last = self._now(), dict[int, float]()
        while not self._over.wait(0.5):
            last |= self._now()  # workers end with the job: what they had used by then is kept
        last |= self._now()
        self.used = sum(spent - first.get(process, 0.0) for process, spent in last.items())

    def _now(self) -> dict[int, float]:
        import psutil

        found = {}
        roots = [psutil.Process(), *(psutil.Process(node.pid) for node in self.cluster.nodes)]
        for process in {p for root in roots for p in root.children(recursive=True)}:
            with contextlib.suppress(psutil.Error):
                used = process.cpu_times()
                found[process.pid] = used.user + used.system
        return found


class ClusterRuns:
    """Videos of the playhouse, and runs over them: on this machine alone, and on clusters of it."""

    def __init__(self, scratch: Path, count: int, experts: str, folder: str | None = None) -> None:
        self.scratch, self.count = scratch, count
        self.stubs = experts == STUBS
        self.names = [e.name for e in stub_experts.EXPERTS] if self.stubs else experts.split(",")
        self.first, self.folder = _videos(
            scratch / "videos", count, Path(folder) if folder else scratch / "rendered"
        )
        self.few = scratch / "few"
        self.few.mkdir()
        for video in sorted(self.folder.glob("*.mp4"))[:2]:
            (self.few / video.name).write_bytes(video.read_bytes())
        names = ", ".join(f'"{name}"' for name in self.names)
        self.config = scratch / "cluster.toml"
        self.config.write_text(f'[tag]\nexperts = [{names}]\ndevice = "cpu"\nbatch = 4\n', encoding="utf-8")
        path = str(stub_experts.install(scratch / "packages"))
        self.environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}

    @contextlib.contextmanager
    def cluster(self, cpus: Sequence[int]) -> Iterator[LocalCluster]:
        with local_cluster(cpus, environment=self.environment) as cluster:
            yield cluster

    def one_machine(self) -> tuple[Counter[str], float]:
        """The rows of a catalog that `tagline tag` made, and the seconds that took."""
        library = self._library("one")
        begun = time.monotonic()
        process = self._tagline(self.folder, "--library", str(library))
        self._ended(process)
        return self._rows(library), time.monotonic() - begun

    def run(self, cluster: LocalCluster, name: str, folder: Path) -> dict[str, Any]:
        """A run on a cluster to its end; what it tells."""
        out = self.scratch / name
        process = self._tagline(folder, "--cluster", cluster.address, "--shards", str(out))
        result: dict[str, Any] = json.loads(self._ended(process))
        return result

    def kill_half_way(self, cluster: LocalCluster) -> tuple[Counter[str], float, int]:
        """Kill the last node once half is written: the rows brought in, seconds, videos written by then."""
        out = self.scratch / "killed"
        begun = time.monotonic()
        process = self._tagline(self.folder, "--cluster", cluster.address, "--shards", str(out))
        while (written := self._written(out)) < self.count / 2 and process.poll() is None:
            time.sleep(0.2)
        if process.poll() is not None:
            raise RuntimeError(f"the run ended before it could be disturbed: {self._ended(process)[-500:]}")
        cluster.kill(len(cluster.nodes) - 1)
        self._ended(process)
        seconds = time.monotonic() - begun
        library = self._library("killed library")
        with Catalog.open(library) as catalog:
            for _ in importer.import_shards(catalog, str(out)):
                pass
        return self._rows(library), seconds, written

    def _written(self, out: Path) -> int:
        store = ShardStore(str(out))
        if not (out / "shards.json").exists():
            return 0
        parts = store.parts()
        return int(store.dataset("videos", parts).count_rows()) if parts else 0

    def _library(self, name: str) -> Path:
        (self.scratch / name).mkdir(exist_ok=True)
        return self.scratch / name / "catalog.sqlite"

    def _rows(self, library: Path) -> Counter[str]:
        with Catalog.open(library) as catalog:
            return Counter(dump_lines(catalog))

    def _tagline(self, folder: Path, *more: str) -> subprocess.Popen[bytes]:
        weights = () if self.stubs else ("--weights", "playhouse")
        return subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "tagline",
                    "tag",
                    str(folder),
                    "--config",
                    str(self.config),
                ),
                *("--json", *weights, *more),
            ],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.scratch,
        )

    def _ended(self, process: subprocess.Popen[bytes]) -> str:
        try:
            stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
        except BaseException:
            process.kill()
            raise
        if process.returncode not in EXIT_CODES:
            raise RuntimeError(
                f"a run ended with {process.returncode}: {stderr.decode(errors='replace')[-2000:]}"
            )
        return stdout.decode()


def _videos(folder: Path, count: int, rendered: Path) -> tuple[int, Path]:
    """Test videos of the playhouse, past the seeds of every named set: the first seed and the folder.

    rendered: where they are made, unless they are there already.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from tagline.benchmarks.playhouse.render.video import render_video, video_spec
    from tagline.benchmarks.playhouse.world.scenario import SPLIT_BASES

    first = SPLIT_BASES["test"] + 500_000
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        specs = map(video_spec, range(first, first + count))
        made = list(pool.map(render_video, specs, [rendered] * count, chunksize=4))
    folder.mkdir(parents=True)
    for path in made:
        (folder / path.name).write_bytes(path.read_bytes())
    return first, folder
