"""Tagging beyond one machine: the panel's own code on a Ray cluster, results as Parquet shards."""

from __future__ import annotations

import os
from importlib.util import find_spec
from secrets import token_hex

LOCAL = "local"  # in place of an address: a cluster of this machine alone, for the time of the command
LOOPBACK = "127.0.0.1"

# Nothing is told to anyone, and no bar is drawn into somebody's pipe.
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}


class ClusterError(Exception):
    """A cluster that cannot be used, or a run on it that ended early. One sentence for people."""


def set_token() -> dict[str, str]:
    """What opens a cluster of this machine alone. To be called before Ray is loaded, which keeps it."""
    os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))
    os.environ["RAY_AUTH_MODE"] = "token"
    return {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}


def require_ray() -> None:
    """Raises ClusterError where Ray is not installed."""
    if find_spec("ray") is None:
        raise ClusterError("--cluster needs Ray; run `pip install 'tagline[cluster]'`")
