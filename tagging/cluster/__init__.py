"""Tagging beyond one machine: the panel's own code on a Ray cluster, results as Parquet shards."""

from __future__ import annotations

from importlib.util import find_spec

# Nothing is told to anyone, and no bar is drawn into somebody's pipe.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}


class ClusterError(Exception):
    """A cluster that cannot be used, or a run on it that ended early. One sentence for people."""


def required() -> None:
    """Raises ClusterError where Ray is not installed."""
    if find_spec("ray") is None:
        raise ClusterError("--cluster needs Ray; run `pip install 'tagline[cluster]'`")
