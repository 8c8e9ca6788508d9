"""A Ray cluster of this machine alone: a head and further nodes, each a process group of its own.

For `--cluster local`, for tests and for measurements that kill a node. Everything listens on the loopback
only, lies in a temporary folder of its own, and is gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tagline.tagging.ray import LOCAL, LOOPBACK, RAY_ENVIRONMENT, ClusterError, require_ray, set_token

# `ray start`, but a node that is told to be on the loopback stays there: Ray would take the network card.
PROGRAM = """
from ray._private import services
from ray.scripts.scripts import main
services.resolve_ip_for_localhost = lambda host: host
main()
"""
STORE = 256 << 20  # bytes of shared memory of a node
TRIES = 3
PATIENCE = 240.0  # seconds for a node to come up on a busy machine
AGENTS = ("dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export", "runtime-env-agent")


@dataclass(slots=True)
class LocalCluster:
    """A running cluster. nodes: the head first."""

    address: str
    folder: Path
    environment: Mapping[str, str]
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add(self, cpus: int, *more: str) -> None:
        """Start a node; returns when it has joined. On a busy machine Ray may give up: it is tried again."""
        for attempt in range(TRIES):
            log = self.folder / f"node{len(self.nodes)}.log"
            node = self._start(cpus, more, log)
            deadline = time.monotonic() + PATIENCE
            while node.poll() is None and time.monotonic() < deadline:
                if b"Ray runtime started" in log.read_bytes():
                    self.nodes.append(node)
                    return
                time.sleep(0.1)
            _kill(node)
            if attempt == TRIES - 1:
                raise ClusterError(f"Ray did not start on this machine: {_last_line(log)}")

    def _start(self, cpus: int, more: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        # With ports given, a node does not wait for its helpers to say which they chose.
        ports = [f"--{name}-port={port}" for name, port in zip(AGENTS, free_ports(len(AGENTS)), strict=True)]
        size = (f"--num-cpus={cpus}", "--num-gpus=0", f"--object-store-memory={STORE}")
        quiet = ("--block", "--disable-usage-stats", "--include-log-monitor=false")
        with log.open("wb") as out:
            return subprocess.Popen(
                [
                    *(sys.executable, "-c", PROGRAM, "start", f"--node-ip-address={LOOPBACK}"),
                    *(*quiet, *size, *ports, *more),
                ],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env=dict(self.environment),
                start_new_session=True,
            )

    def kill(self, number: int) -> None:
        """kill -9 of a node and all its processes, as if its plug were pulled."""
        _kill(self.nodes[number])


@contextmanager
def local_cluster(
    cpus: Sequence[int], *, environment: Mapping[str, str] | None = None
) -> Iterator[LocalCluster]:
    """A cluster of this machine with a node for each number of CPUs, the head first."""
    require_ray()
    folder = Path(tempfile.mkdtemp(prefix="tl-"))  # short: the names of sockets may not be long
    port, unused = free_ports(2)
    # Ports of the loopback are open to everyone on this machine; a job on them needs the secret.
    cluster = LocalCluster(
        f"{LOCAL}:{port}", folder, {**os.environ, **set_token(), **RAY_ENVIRONMENT, **(environment or {})}
    )
    try:
        cluster.add(
            cpus[0],
            "--head",
            f"--port={port}",
            f"--ray-client-server-port={unused}",
            "--include-dashboard=false",
            f"--temp-dir={folder}",
        )
        for more in cpus[1:]:
            cluster.add(more, f"--address={LOOPBACK}:{port}")
        yield cluster
    finally:
        for node in reversed(cluster.nodes):
            _kill(node)
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]


def _kill(node: subprocess.Popen[bytes]) -> None:
    """A node and all that it has started: they are one process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        node.wait(30)


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"
