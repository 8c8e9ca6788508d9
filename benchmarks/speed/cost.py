"""CPU seconds of decoding and of tagging, beside those of another checkout of this project.

Both work on the same clips, which this one renders, in turn and in processes of their own, so that a busy
machine is as hard on the one as on the other. What counts is all that a command spends, its children too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tagline.benchmarks.registry import repository

FIRST = 20_700_000  # seed of the first clip: of the playhouse's test videos
EXPERTS = "screen"  # what looks and listens by itself in the same way in every checkout
ROUNDS = 3  # how often each clip is decoded

# Run in the other checkout: {rooms} is "tagline." where its rooms lie in that package, else nothing. Older
# ones have their decoder and their command line in other files.
FIRST_OF = """
from importlib import import_module
def first(*names):
    for name in names[:-1]:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            pass
    return import_module(names[-1])
"""
DECODE = (
    FIRST_OF
    + """
import json, resource, sys
from pathlib import Path
decoder = first("{rooms}experts.decode.decoder", "{rooms}experts.decoder")
from {rooms}experts.footage import PerSecond, Sound, Uniform
def spent():
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)
before, pictures = spent(), 0
with decoder.Decoder(jobs=1) as opened:
    for _, footage in opened.read_all((Path(p), (Uniform(12), PerSecond(), Sound())) for p in sys.argv[1:]):
        pictures += sum(len(view.times) for view in footage.views.values())
        footage.close()
print(json.dumps({{"seconds": spent() - before, "work": pictures, "code": decoder.__file__}}))
"""
)
TAG = (
    FIRST_OF
    + """
import json, resource, sys
cli = first("{rooms}retrieval.cli.main", "{rooms}retrieval.cli")
status = 0
sys.argv = ["tagline", "tag", sys.argv[1], "--only", sys.argv[2], "--device", "cpu", "--jobs", "1"]
try:
    cli.main()
except SystemExit as end:
    status = end.code or 0
both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
spent = sum(one.ru_utime + one.ru_stime for one in both)
print(json.dumps({{"seconds": spent, "work": status, "code": cli.__file__}}))
"""
)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout: where its code is imported from, and what its rooms are called."""

    folder: Path
    path: Path
    rooms: str

    @classmethod
    def at(cls, folder: Path) -> Checkout:
        """Raises BadConfig where no code of this project lies."""
        from tagline.tagging.ml.config import BadConfig

        # Where the rooms are installed under one name they also stand at the top, so that comes first.
        for path, rooms in ((folder, "tagline."), (folder / "src", "tagline."), (folder, "")):
            experts = path / rooms.rstrip(".") / "experts"
            if any((experts / decoder).is_file() for decoder in ("decode/decoder.py", "decoder.py")):
                return cls(folder, path, rooms)
        raise BadConfig(f"baseline={folder} is no checkout of tagline; name the folder of one")

    def run(self, program: str, *arguments: str, home: Path) -> tuple[float, Any]:
        """(CPU seconds, how much was done) of a program that runs on this checkout's code."""
        done = subprocess.run(
            [sys.executable, "-c", program.format(rooms=self.rooms), *arguments],
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(self.path), "XDG_CACHE_HOME": str(home / "cache")},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{self.folder}: {done.stderr.strip()[-500:]}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
        if not Path(found["code"]).resolve().is_relative_to(self.path.resolve()):
            raise RuntimeError(f"{self.folder}: it was {found['code']} that ran")
        return found["seconds"], found["work"]


def measure(options: dict[str, str]) -> dict[str, Any]:
    """baseline: the other checkout; runs (5); videos (4); only: experts ("screen").

    Ratios are ours over the baseline's, of medians.
    """
    from tagline.tagging.ml.config import BadConfig

    if "baseline" not in options:
        raise BadConfig("say what to compare with: --set baseline=FOLDER, another checkout of tagline")
    ours = Checkout.at(repository.checkout("what is compared is"))
    baseline = Checkout.at(Path(options["baseline"]).expanduser().resolve())
    runs, videos = int(options.get("runs", 5)), int(options.get("videos", 4))
    experts = options.get("only", EXPERTS)
    with tempfile.TemporaryDirectory() as temporary:
        clips = rendered(Path(temporary) / "clips", videos)
        seconds = {
            "decode": in_turn((ours, baseline), runs, lambda one: decoded(one, clips)),
            "tag": in_turn((ours, baseline), runs, lambda one: tagged(one, clips, experts)),
        }
    values: dict[str, Any] = {}
    for what, (mine, theirs) in seconds.items():
        values[f"{what}_cpu_ratio"] = round(median(mine) / median(theirs), 3)
        values[f"{what}_cpu_seconds"] = round(median(mine), 3)
        values[f"{what}_cpu_seconds_baseline"] = round(median(theirs), 3)
    return {
        "values": values,
        "configuration": {"runs": runs, "videos": videos, "only": experts, "baseline": commit(baseline)},
        "seeds": list(range(FIRST, FIRST + videos)),
        "details": {what: {"ours": mine, "baseline": theirs} for what, (mine, theirs) in seconds.items()},
    }


def in_turn(checkouts: tuple[Checkout, Checkout], runs: int, work: Any) -> tuple[list[float], list[float]]:
    """CPU seconds of each run of both; who begins changes, and both must have done the same.

    One round before them counts for nothing: it fills the disk cache and writes compiled files.
    """
    spent: tuple[list[float], list[float]] = [], []
    for number in range(runs + 1):
        done = {}
        for place in (0, 1) if number % 2 else (1, 0):
            seconds, done[place] = work(checkouts[place])
            if number:
                spent[place].append(round(seconds, 3))
        if done[0] != done[1]:
            raise RuntimeError(f"the two did different things: {done[0]} here, {done[1]} there")
    return spent


def rendered(folder: Path, videos: int) -> list[Path]:
    from tagline.benchmarks.playhouse.render.video import render_video, video_spec

    return [render_video(video_spec(seed), folder) for seed in range(FIRST, FIRST + videos)]


def decoded(checkout: Checkout, clips: list[Path]) -> tuple[float, Any]:
    with tempfile.TemporaryDirectory() as home:
        return checkout.run(DECODE, *map(str, ROUNDS * clips), home=Path(home))


def tagged(checkout: Checkout, clips: list[Path], experts: str) -> tuple[float, Any]:
    """In a folder of its own, where nothing was tagged before."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "videos"
        folder.mkdir()
        for clip in clips:
            shutil.copy(clip, folder)
        return checkout.run(TAG, str(folder), experts, home=Path(home))


def commit(checkout: Checkout) -> str | None:
    """The commit of a checkout, where git knows it."""
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=checkout.folder, capture_output=True, text=True
    )
    return done.stdout.strip() or None
