"""The tests of a checkout, run in every mode in which they have to pass, with times and counts.

    plain       as `make test` runs them
    shaken-N    TAGLINE_SHAKE=N: the last bits of every vector are others, see tests/shaking.py
    default     ATEN_CPU_CAPABILITY=default: torch without the vector instructions of this processor

One mode after another, so that nothing else takes the processor's time: run it on a quiet machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tagline.benchmarks.registry import repository

SEEDS = (1, 2, 3)
MODES: dict[str, dict[str, str]] = {
    "plain": {},
    **{f"shaken-{seed}": {"TAGLINE_SHAKE": str(seed)} for seed in SEEDS},
    "default": {"ATEN_CPU_CAPABILITY": "default"},
}
SLOWEST = 25
ENDED = (0, 1)  # pytest's codes for a run that came to its end: all passed, some failed


def measure(options: dict[str, str]) -> dict[str, Any]:
    """modes=plain,default: only these; folder: of the checkout (this one); workers: processes (2)."""
    from tagline.benchmarks.quality.taggers import check_names

    given = options.get("folder")
    folder = Path(given).expanduser() if given else repository.checkout("the tests are")
    workers = int(options.get("workers", 2))
    modes = options.get("modes", ",".join(MODES)).split(",")
    check_names("modes", modes, MODES)
    found = {mode: run(folder, MODES[mode], workers) for mode in modes}
    values: dict[str, Any] = {}
    if "plain" in found:
        values["suite_seconds"] = found["plain"]["seconds"]
    values["green"] = all(not one["failed"] for one in found.values())
    for mode, one in found.items():
        values |= {f"{mode}_{key}": one[key] for key in ("seconds", "passed", "skipped", "failed")}
    return {
        "values": values,
        "configuration": {"workers": workers, "modes": {mode: MODES[mode] for mode in modes}},
        "seeds": [seed for seed in SEEDS if f"shaken-{seed}" in modes],
        "details": {mode: {key: one[key] for key in ("failures", "slowest")} for mode, one in found.items()},
    }


def run(folder: Path, mode: Mapping[str, str], workers: int) -> dict[str, Any]:
    """All tests of a checkout in one mode: seconds by the clock, and what `read` finds in the report."""
    from tagline.tagging.ml.config import BadConfig

    changed = {name for environment in MODES.values() for name in environment}
    plain = {name: value for name, value in os.environ.items() if name not in changed}
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}"]
        if workers > 1:
            command += ["-n", str(workers)]
        begun = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            env={**plain, **mode},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        seconds = time.perf_counter() - begun
        if done.returncode not in ENDED or not report.is_file():
            last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
            raise BadConfig(f"the tests of {folder} did not run: {last}")
        return {"seconds": round(seconds, 1), **read(report)}


def read(report: Path) -> dict[str, Any]:
    """A report in JUnit's form: how many passed, were skipped and failed, which, and what took longest."""
    failures, skipped, taken = [], 0, []
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        taken.append((float(case.get("time", 0)), name))
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(name)
        elif case.find("skipped") is not None:
            skipped += 1
    names = sorted(set(failures))  # one that also fails when it is cleared up stands there twice
    every = len({name for _, name in taken})
    return {
        "passed": every - skipped - len(names),
        "skipped": skipped,
        "failed": len(names),
        "failures": names,
        "slowest": [[round(time, 2), name] for time, name in sorted(taken, reverse=True)[:SLOWEST]],
    }
