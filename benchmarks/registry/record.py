"""Records: every figure of the project is a named measurement, kept with how it came about."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from tagline.benchmarks.registry import repository
from tagline.experts.storage import write_atomic
from tagline.tagging.catalog.location import data_directory

# Name: (the function that measures, one line that says what).
MEASUREMENTS = {
    "startup": (
        "tagline.benchmarks.speed.latency:measure_startup",
        "how fast `tagline --help` and `--version` answer",
    ),
    "decode": (
        "tagline.benchmarks.speed.decode:measure",
        "decoding the wanted frames against decoding them all",
    ),
    "tagging": (
        "tagline.benchmarks.speed.tagging:measure",
        "a tagging run against a plain script with the same models",
    ),
    "suite": (
        "tagline.benchmarks.quality.suite:measure",
        "the tests, plain, shaken and on plain kernels",
    ),
    "cost": (
        "tagline.benchmarks.speed.cost:measure",
        "CPU seconds of decoding and tagging beside another checkout (--set baseline=FOLDER)",
    ),
    "kill9": (
        "tagline.benchmarks.robustness.kill9:measure",
        "kill -9 at random moments: nothing lost, nothing doubled",
    ),
    "cluster-kill": (
        "tagline.benchmarks.robustness.cluster:measure_kill",
        "a node of a Ray cluster and a replica killed at work",
    ),
    "cluster-scaling": (
        "tagline.benchmarks.robustness.cluster:measure_scaling",
        "tagging over one and two slots of a cluster",
    ),
    "scale": (
        "tagline.benchmarks.speed.scale:measure",
        "what 10 million and a billion videos take, and a check of it",
    ),
    "attacks": (
        "tagline.benchmarks.robustness.attacks:measure",
        "everything that tagline attacks itself with; goes on where it ended (--set state=FOLDER)",
    ),
    "fuzz-catalogs": (
        "tagline.benchmarks.robustness.fuzz_catalogs:measure",
        "damaged catalogs, indexes and settings against every command that reads them",
    ),
    "million-tags": (
        "tagline.benchmarks.robustness.million_tags:measure",
        "a million tags over 10,000 videos: the list of tags and the page's first answers",
    ),
    "mutants": ("tagline.benchmarks.robustness.mutants:measure", "mutated files against the decoder"),
    "tagger-table": (
        "tagline.benchmarks.quality.tagger_table:measure",
        "taggers on the user tags of the playhouse",
    ),
    "tagger-ablation": (
        "tagline.benchmarks.quality.tagger_table:ablation",
        "OP-TSG without each of its parts, on the same tags",
    ),
    "msrvtt-words": (
        "tagline.benchmarks.quality.msrvtt_words:measure",
        "taggers on real words: titles and tags of MSR-VTT",
    ),
    "neighbours-table": (
        "tagline.benchmarks.quality.neighbours_table:measure",
        "tags of similar videos, recall and ranking, and the generator with and without retrieval",
    ),
    "one-tagger": (
        "tagline.benchmarks.quality.fused_tags:measure",
        "fused tags against every single source, stated precision against measured",
    ),
    "ranker-scale": (
        "tagline.benchmarks.speed.ranker_scale:measure",
        "200,000 tags, 100,000 videos: the tags of one video",
    ),
    "generator-decoding": (
        "tagline.benchmarks.speed.generator_decoding:measure",
        "speculative decoding against greedy",
    ),
    "real-clips": (
        "tagline.benchmarks.quality.real_clips:measure",
        "real clips with the starter alone, and questions about them (--set clips=FOLDER)",
    ),
    "long-video": (
        "tagline.benchmarks.quality.long_video:measure",
        "a long film with shots and texts at known times (--set minutes=10)",
    ),
    "playhouse-experts": (
        "tagline.benchmarks.quality.experts:measure",
        "the experts with the playhouse's weights on test videos, against the truth",
    ),
    "table-ablation": (
        "tagline.benchmarks.quality.table_ablation:measure",
        "TABLE with one kind of tag after the other",
    ),
    "table-training": (
        "tagline.benchmarks.speed.table_training:measure",
        "training TABLE against the published way",
    ),
    "speed": (
        "tagline.benchmarks.speed.stages:measure",
        "every stage against the plain way and the machine's floor",
    ),
    "speed-gpu": ("tagline.benchmarks.speed.stages:measure_gpu", "the same for what a GPU computes"),
    "index-scale": (
        "tagline.benchmarks.speed.index_scale:measure",
        "an index of a million vectors against an exact one",
    ),
    "search-latency": (
        "tagline.benchmarks.speed.latency:measure",
        "a library of 10,000 videos: from the shell, and in a warm process",
    ),
    "evaluation": (
        "tagline.benchmarks.quality.similarity_matrix:measure_evaluation",
        "all retrieval metrics of a 1000 x 1000 matrix",
    ),
    "search-quality": (
        "tagline.benchmarks.quality.search:measure",
        "the video and the moment found, signal by signal, and when nothing answers",
    ),
    "query-bank": (
        "tagline.benchmarks.quality.similarity_matrix:measure_qb_norm",
        "the gain of QB-Norm with a bank of other queries",
    ),
    "house": (
        "tagline.benchmarks.quality.house:measure",
        "the package as it is laid out and installed",
    ),
    "soak": (
        "tagline.benchmarks.robustness.soak:measure",
        "10,000 different small files tagged, indexed, searched and served for half an hour",
    ),
    "serve-load": (
        "tagline.benchmarks.robustness.serve_load:measure",
        "1,000 requests at once to the page, for a minute",
    ),
}


class UnknownMeasurement(ValueError):
    pass


def results_folder() -> Path:
    """Where records are kept: `TAGLINE_RESULTS`, else the checkout, else the user's data folder."""
    if chosen := os.environ.get("TAGLINE_RESULTS"):
        return Path(chosen)
    root = repository.root()
    return root / "benchmarks" / "results" if root else data_directory() / "results"


def run(name: str, options: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Measure one thing and keep the record."""
    if name not in MEASUREMENTS:
        raise UnknownMeasurement(f"there is no measurement {name!r}; `tagline bench list` names them all")
    module, _, attribute = MEASUREMENTS[name][0].partition(":")
    measured = getattr(import_module(module), attribute)(dict(options or {}))
    record = {
        "name": name,
        "values": measured["values"],
        "configuration": {**measured.get("configuration", {}), "options": _without_paths(options or {})},
        "seeds": measured.get("seeds", []),
        "commit": commit(),
        "hardware": hardware(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if "details" in measured:
        record["details"] = measured["details"]
    write(record)
    return record


def _without_paths(options: Mapping[str, str]) -> dict[str, str]:
    """The options, of paths only the last part: where somebody keeps their files is nobody's business."""
    return {
        key: Path(value).name if Path(value).expanduser().is_absolute() else value
        for key, value in options.items()
    }


def write(record: Mapping[str, Any]) -> Path:
    path = results_folder() / f"{record['name']}.json"
    write_atomic(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return path


def read(name: str) -> dict[str, Any] | None:
    path = results_folder() / f"{name}.json"
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def hardware() -> dict[str, Any]:
    """The machine in the words that matter for a figure."""
    import psutil

    found = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    torch = sys.modules.get("torch")  # only what was measured with torch can have used a GPU
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def commit() -> str | None:
    """The commit that is at work; a trailing + says that the checkout had changes."""
    root = repository.root()
    if root is None:  # whatever git repository it is installed in is another's
        return None
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", ":!benchmarks/results"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")
