"""Joining a Ray cluster: a sentence where that cannot be, and what its nodes can carry."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tagline.tagging.ray import LOCAL, LOOPBACK, RAY_ENVIRONMENT, ClusterError, require_ray, set_token

CONNECT_TIMEOUT = 5.0  # seconds to wait for somebody to answer at all


@dataclass(frozen=True, slots=True)
class Node:
    """What one machine of a cluster lends."""

    cpus: float
    gpus: float = 0.0


@contextmanager
def connected(address: str) -> Iterator[list[Node]]:
    """A connection to the cluster at `address`, and its nodes. One that is there already is used and kept.

    address: HOST:PORT, ray://HOST:PORT, "auto" for the cluster that this machine belongs to, LOCAL, or
    LOCAL:PORT for one that cluster.local has started.
    """
    require_ray()
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address.startswith(LOCAL):
        set_token()
    import ray

    if ray.is_initialized():
        yield nodes()
        return
    with ExitStack() as stack:
        if address == LOCAL:
            from tagline.tagging.ray.local import local_cluster

            address = stack.enter_context(local_cluster([os.cpu_count() or 1])).address
        stack.callback(ray.shutdown)
        _connect(address)
        yield nodes()


def _connect(address: str) -> None:
    import ray

    try:
        _check_reachable(address)
        if address.startswith(f"{LOCAL}:"):
            _connect_on_loopback(address)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises plain ones, too
        why = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
        raise ClusterError(
            f"no Ray cluster can be joined at {address} ({why[0][:160] if why else type(error).__name__}); "
            f"start one with `ray start --head`, or use this machine alone with --cluster {LOCAL}"
        ) from error


def _check_reachable(address: str) -> None:
    """Raises OSError where nobody listens: Ray would try for minutes before it says so."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection(
            (LOOPBACK if host == LOCAL else host.strip("[]"), int(port)), CONNECT_TIMEOUT
        ).close()


def _connect_on_loopback(address: str) -> None:
    """Ray takes 127.0.0.1 for a slip and puts the network card's address: a cluster of ours is not there."""
    import ray
    from ray._private import services

    real, services.resolve_ip_for_localhost = services.resolve_ip_for_localhost, lambda host: host
    try:
        ray.init(
            address=f"{LOOPBACK}:{address.rpartition(':')[2]}",
            _node_ip_address=LOOPBACK,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    finally:
        services.resolve_ip_for_localhost = real


def nodes() -> list[Node]:
    """The nodes that are alive."""
    import ray

    return [
        Node(float(node["Resources"].get("CPU", 0.0)), float(node["Resources"].get("GPU", 0.0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


def left_without_largest(of: Iterable[Node]) -> Node:
    """What is left when the largest node is lost; of a single node, itself."""
    listed = list(of)
    whole = Node(sum(node.cpus for node in listed), sum(node.gpus for node in listed))
    if len(listed) < 2:
        return whole
    return Node(
        whole.cpus - max(node.cpus for node in listed), whole.gpus - max(node.gpus for node in listed)
    )
