"""How fast the command line answers, in seconds and as a multiple of a bare interpreter's start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any


def measure_startup(options: dict[str, str]) -> dict[str, Any]:
    """Median wall seconds of `--help`, `--version` and an empty interpreter, taken in turn."""
    runs = int(options.get("runs", "15"))
    commands = {
        "bare": [sys.executable, "-c", ""],
        "help": [sys.executable, "-m", "tagline.retrieval.cli", "--help"],
        "version": [sys.executable, "-m", "tagline.retrieval.cli", "--version"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, command in commands.items():
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken[name].append(time.perf_counter() - begun)
    # The first round fills the disk cache and the .pyc files.
    medians = {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
    return {
        "values": {
            "help_seconds": round(medians["help"], 4),
            "version_seconds": round(medians["version"], 4),
            "help_times_bare": round(medians["help"] / medians["bare"], 2),
        },
        "configuration": {"runs": runs},
    }
