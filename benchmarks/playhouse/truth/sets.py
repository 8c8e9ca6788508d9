"""Sets of videos by name, rendered on all cores, with the truth beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagline.benchmarks.playhouse.render.video import VideoSpec, is_rendered, render_video
from tagline.benchmarks.playhouse.truth.truth import Truth, from_json, to_json, truth
from tagline.benchmarks.playhouse.world.scenario import SPLIT_BASES

# Raise this when the same seed no longer makes the same video: folders of another version are refused.
VERSION = 2
TRUTH = "truth.json"

# Per split: how many, and how far from the split's base the seeds begin. `bench` holds `tiny`;
# `demo` shares no seed with what anybody trains on or is measured on.
SET_SIZES: dict[str, dict[str, tuple[int, int]]] = {
    "tiny": {"train": (4, 0), "val": (2, 0), "test": (2, 0)},
    "demo": {"test": (36, 500_000)},
    "bench": {"train": (2000, 0), "val": (200, 0), "test": (500, 0)},
    "large": {"train": (18_000, 0), "val": (500, 0), "test": (1500, 0)},
}
OWN_SEEDS = 1_000_000  # seeds of your own begin this far on, see `videos`

Progress = Callable[[int, int], None]  # done, of all


class OtherSet(Exception):
    """The folder holds something else than this version's videos of this set."""


@dataclass(frozen=True, slots=True)
class RenderedSet:
    """A folder of videos and what is true of them."""

    folder: Path
    specs: tuple[VideoSpec, ...]

    def path(self, spec: VideoSpec) -> Path:
        return self.folder / spec.name

    def truths(self) -> dict[int, Truth]:
        """By seed."""
        rows = json.loads((self.folder / TRUTH).read_text(encoding="utf-8"))["videos"]
        return {row["seed"]: from_json(row) for row in rows}


def videos(name: str, seed: int = 0) -> list[VideoSpec]:
    """The videos of a set. Another `seed` gives a set of the same size that shares no video with seed 0.

    Training, validation and test seeds never meet, whatever the set and the seed.
    """
    if name not in SET_SIZES:
        raise ValueError(f"there is no set {name!r}; choose from {', '.join(SET_SIZES)}")
    if not 0 <= seed < 150:
        raise ValueError(f"the seed of a set must be from 0 to 149, not {seed}")
    shift = OWN_SEEDS + seed * 50_000 if seed else 0
    return [
        VideoSpec(SPLIT_BASES[split] + shift + start + number, split)
        for split, (count, start) in SET_SIZES[name].items()
        for number in range(count)
    ]


def render_set(
    name: str,
    folder: Path,
    jobs: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> RenderedSet:
    """Render what is missing of the set into the folder and write truth.json; all cores unless told."""
    specs = videos(name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    truths = _read_truth(folder, name, seed)
    missing = [spec for spec in specs if spec.seed not in truths or not is_rendered(folder / spec.name)]
    done = len(specs) - len(missing)
    if progress:
        progress(done, len(specs))
    for row in _make(missing, folder, jobs):
        truths[row["seed"]] = row
        done += 1
        if progress:
            progress(done, len(specs))
        if done % 200 == 0:  # so that an interrupted run keeps its truth as well as its videos
            _write(folder, name, seed, truths)
    if missing or not (folder / TRUTH).exists():
        _write(folder, name, seed, {spec.seed: truths[spec.seed] for spec in specs})
    return RenderedSet(folder, tuple(specs))


def _make(missing: list[VideoSpec], folder: Path, jobs: int | None) -> Iterable[dict[str, Any]]:
    jobs = min(jobs or os.cpu_count() or 1, max(len(missing), 1))
    if jobs == 1:
        for spec in missing:
            yield _one(spec, folder)
        return
    # Fresh processes rather than forks: FFmpeg may already have threads in this one.
    import multiprocessing

    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        work = [pool.submit(_one, spec, folder) for spec in missing]
        for future in as_completed(work):
            yield future.result()


def _one(spec: VideoSpec, folder: Path) -> dict[str, Any]:
    known = truth(spec.seed)
    render_video(spec, folder, known.title)
    return to_json(known)


def _read_truth(folder: Path, name: str, seed: int) -> dict[int, dict[str, Any]]:
    """What the folder already holds."""
    path = folder / TRUTH
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stored = (content["version"], content["set"], content["seed"])
    except (ValueError, KeyError, TypeError):
        raise OtherSet(f"{path} is not a playhouse's truth; choose another folder") from None
    if stored != (VERSION, name, seed):
        raise OtherSet(
            f"{folder} holds version {stored[0]} of the set {stored[1]!r}, seed {stored[2]}, not version "
            f"{VERSION} of {name!r}, seed {seed}; choose another folder or delete it"
        )
    return {row["seed"]: row for row in content["videos"]}


def _write(folder: Path, name: str, seed: int, known: dict[int, dict[str, Any]]) -> None:
    rows = [known[key] for key in sorted(known)]
    part = folder / (TRUTH + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump({"version": VERSION, "set": name, "seed": seed, "videos": rows}, file, ensure_ascii=False)
    part.replace(folder / TRUTH)
