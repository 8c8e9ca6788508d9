"""On a real Ray cluster of this machine: tagging, an index served, training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Not importorskip: the cluster's secret must be known before Ray is loaded.
if find_spec("ray") is None:
    pytest.skip("a cluster needs tagline[cluster]", allow_module_level=True)

from tagline.benchmarks.fixtures import stub_experts
from tagline.benchmarks.robustness import cluster_serving, kill9
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.ray import importer
from tagline.tagging.ray.local import LocalCluster, local_cluster

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray's own
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two CPUs, every process on them with the light experts on its path."""
    packages = stub_experts.install(tmp_path_factory.mktemp("packages"))
    path = os.pathsep.join([str(HERE.parent), str(HERE), str(packages)])
    with local_cluster([2], environment={"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}) as local:
        yield local


def tagline(cluster: LocalCluster, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tagline", *words],
        env=dict(cluster.environment),
        capture_output=True,
        text=True,
        timeout=280,
    )


def rows(library: Path) -> list[str]:
    with Catalog.open(library) as catalog:
        return list(dump_lines(catalog))


def test_a_folder_tagged_on_a_cluster_equals_one_machine(cluster: LocalCluster, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    kill9.make_videos(videos, 16)
    names = ", ".join(f'"{expert.name}"' for expert in stub_experts.EXPERTS)
    config = tmp_path / "light.toml"
    config.write_text(f'[tag]\nexperts = [{names}]\ndevice = "cpu"\n')
    how = ("--config", str(config), "--json")
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
    alone = tagline(cluster, "tag", str(videos), "--library", str(tmp_path / "one" / "catalog.sqlite"), *how)
    assert alone.returncode == 3, alone.stderr
    out = tmp_path / "shards"
    many = tagline(cluster, "tag", str(videos), "--cluster", cluster.address, "--shards", str(out), *how)
    assert many.returncode == 3, many.stderr
    with Catalog.open(tmp_path / "many" / "catalog.sqlite") as catalog:
        for _ in importer.import_shards(catalog, str(out)):
            pass
    assert rows(tmp_path / "many" / "catalog.sqlite") == rows(tmp_path / "one" / "catalog.sqlite")
    again = tagline(cluster, "tag", str(videos), "--cluster", cluster.address, "--shards", str(out), *how)
    assert (again.returncode, '"seen": 0' in again.stdout) == (0, True), again.stdout + again.stderr


def test_a_served_index_loses_a_replica_and_no_answer(cluster: LocalCluster, tmp_path: Path) -> None:
    from tagline.retrieval.ray import build, serving
    from tagline.tagging.ray.connection import connected

    asked = cluster_serving.write_shards(tmp_path / "shards", 12)
    with connected(cluster.address):
        head = build.build_sharded_index(
            str(tmp_path / "shards"), tmp_path / "index", "scene", cluster.address, rows_per_shard=4000
        )
        assert (len(head.shards), head.rows) == (2, 8000)
        serving.start(tmp_path / "index", replicas=2)
        served = serving.ServedIndex(tmp_path / "index", limit=10.0)
        calm = [served.search(query, 10) for query in asked]
        handle: Any = served.handles[0]
        os.kill(handle.process.remote().result(), signal.SIGKILL)
        hurt = [served.search(query, 10) for query in asked]
        serving.stop(tmp_path / "index")
    for before, after in zip(calm, hurt, strict=True):
        assert np.array_equal(before[0], after[0])
        assert np.array_equal(before[1], after[1])


def test_training_on_a_cluster_is_training_here(cluster: LocalCluster, tmp_path: Path) -> None:
    import table_world

    from tagline.table.ray import on_cluster

    whole = table_world.losses(table_world.run(tmp_path / "here", {"epochs": 1}).history)
    told = on_cluster(
        cluster.address, table_world.Work(str(tmp_path / "there")), tmp_path / "there", workers=2
    )
    found = {int(step): entry for step, entry in told["losses"].items()}
    assert set(found) == set(whole)
    for step, entry in whole.items():
        assert found[step] == pytest.approx(entry, rel=2e-3, abs=2e-3), step
