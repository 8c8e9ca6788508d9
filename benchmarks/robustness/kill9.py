"""kill9: a run killed with SIGKILL at random moments; the next must finish with nothing lost or doubled."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tagline.benchmarks.fixtures import stub_experts
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.write import Catalog

EXIT_CODES = (0, 3)  # exit codes: some of the videos cannot be read
RUN_TIMEOUT = 120.0  # seconds for one run


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """trials=100 kills of a run over videos=60, at moments drawn with seed=0."""
    trials, count, seed = (int(options.get(key, default)) for key, default in _DEFAULTS.items())
    with tempfile.TemporaryDirectory(prefix="tagline-kill9-") as scratch:
        bench = KillRuns(Path(scratch), count)
        undisturbed = Counter(bench.finish("undisturbed"))
        begun, length = bench.timing
        draw = random.Random(seed)
        outcomes = [bench.trial(number, draw, undisturbed, length) for number in range(trials)]
    stages = sorted(outcome["written"] for outcome in outcomes)
    return {
        "values": {
            "trials": len(outcomes),
            "lost": sum(outcome["lost"] for outcome in outcomes),
            "doubled": sum(outcome["doubled"] for outcome in outcomes),
            "damaged": sum(outcome["damaged"] for outcome in outcomes),
            "rows": undisturbed.total(),
            "files_written_at_kill": [
                stages[int(share * (len(stages) - 1))] for share in (0, 0.25, 0.5, 0.75, 1)
            ],
            "run_seconds": round(length, 3),
        },
        "configuration": {
            "videos": count,
            "experts": [expert.name for expert in stub_experts.EXPERTS],
            "moment": "after a uniform share of the files, and up to a twentieth of a run later",
            "seconds_before": round(begun, 3),
        },
        "seeds": [seed],
        "details": {"wrong": [outcome["wrong"] for outcome in outcomes if outcome["wrong"]][:10]},
    }


_DEFAULTS = {"trials": "100", "videos": "60", "seed": "0"}


class KillRuns:
    """A folder of videos, and runs of `tagline tag` over it, each with a catalog of its own."""

    def __init__(self, scratch: Path, count: int) -> None:
        self.scratch = scratch
        self.videos = scratch / "videos"
        self.count = count
        make_videos(self.videos, count)
        names = ", ".join(f'"{expert.name}"' for expert in stub_experts.EXPERTS)
        self.config = scratch / "light.toml"
        self.config.write_text(f'[tag]\nexperts = [{names}]\ndevice = "cpu"\nbatch = 4\n', encoding="utf-8")
        self.packages = stub_experts.install(scratch / "packages")
        self.timing = (0.0, 0.0)  # seconds until the catalog was there, and from then to the end

    def library(self, name: str) -> Path:
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)
        return folder / "catalog.sqlite"

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A run that has not ended yet."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tagline", "tag", str(self.videos)),
                *(
                    "--library",
                    str(self.library(name)),
                    "--config",
                    str(self.config),
                    "--jobs",
                    "2",
                    "--json",
                ),
            ],
            env={**os.environ, "PYTHONPATH": str(self.packages)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self.scratch,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def finish(self, name: str) -> list[str]:
        """A run to its end; the catalog's rows."""
        start = time.perf_counter()
        with self.running(name) as process:
            self._opened(name, process)
            opened = time.perf_counter()
            _, stderr = process.communicate(timeout=RUN_TIMEOUT)
            if process.returncode not in EXIT_CODES:
                raise RuntimeError(
                    f"a run ended with {process.returncode}: {stderr.decode(errors='replace')}"
                )
        self.timing = (opened - start, time.perf_counter() - opened)
        return self.rows(name)

    def rows(self, name: str) -> list[str]:
        with Catalog.open(self.library(name)) as catalog:
            return list(dump_lines(catalog))

    def trial(
        self, number: int, draw: random.Random, undisturbed: Counter[str], length: float
    ) -> dict[str, Any]:
        """Kill a run at a random moment, run again, compare. If all was done before the kill, draw again."""
        while True:
            name = f"trial {number} {draw.random()}"
            share, more = draw.random(), draw.uniform(0, length / 20)
            with self.running(name) as process:
                while self.written(name) < share * self.count and process.poll() is None:
                    time.sleep(0.002)
                time.sleep(more)
                process.kill()
            if self.written(name) < self.count:
                break
        with Catalog.open(self.library(name)) as catalog:
            damaged = bool(catalog.check_integrity())
            before = Counter(dump_lines(catalog))
        written = self.written(name)
        final = Counter(self.finish(name))
        wrong = [f"lost {row}" for row in undisturbed - final] + [
            f"doubled {row}" for row in final - undisturbed
        ]
        return {
            "wrong": wrong[:4],
            "lost": (undisturbed - final).total() + (before - final).total(),
            "doubled": (final - undisturbed).total(),
            "damaged": int(damaged),
            "written": written,
        }

    def written(self, name: str) -> int:
        """How many files the catalog of a run knows so far."""
        file = self.library(name)
        if not file.exists():
            return 0
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                return int(connection.execute("SELECT count(*) FROM path").fetchone()[0])
        except sqlite3.Error:  # its tables are being made
            return 0

    def _opened(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until the catalog's file is there."""
        while not self.library(name).exists() and process.poll() is None:
            time.sleep(0.002)


def make_videos(folder: Path, count: int) -> None:
    """Small videos of three containers, some with sound, each fifteenth unreadable, each twelfth a copy."""
    folder.mkdir(parents=True)
    for number in range(count):
        path = folder / f"video {number:03d}{('.mp4', '.mkv', '.avi')[number % 3]}"
        if number % 15 == 7:
            path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes([number]) * 64)
        elif number % 12 == 11:
            before = next(folder.glob(f"video {number - 1:03d}.*"))
            path.with_suffix(before.suffix).write_bytes(before.read_bytes())
        else:
            make_video(path, number)


def make_video(path: Path, seed: int) -> None:
    """One second of a coloured square on a coloured ground, with a tone in every second one."""
    import av

    rng = np.random.default_rng(seed)
    ground, square = rng.integers(0, 256, (2, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound: Any = container.add_stream("mp2", rate=16_000, layout="mono") if seed % 2 else None
        for number in range(10):
            picture = np.broadcast_to(ground, (48, 64, 3)).copy()
            picture[10:30, 5 * number : 5 * number + 12] = square
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        if sound is not None:
            wave = (8000 * np.sin(np.arange(16_000) * (0.05 + seed / 500))).astype(np.int16)
            for start in range(0, len(wave) - 1151, 1152):
                frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1152], "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
