"""soak: thousands of different small files tagged, indexed, searched and served. Does memory grow?"""

from __future__ import annotations

import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

import tagline
from tagline.benchmarks.fixtures import stub_experts
from tagline.benchmarks.fixtures.synthetic_videos import VideoRecipe, make
from tagline.benchmarks.robustness import serve_load
from tagline.benchmarks.robustness.mutants import memory_used
from tagline.experts.panel import Panel
from tagline.experts.tags import Embedding
from tagline.retrieval.embed.search_model import APPEARANCE, CHOICE, SearchModel
from tagline.retrieval.index.base import Level
from tagline.retrieval.index.update import update
from tagline.tagging.catalog.lock import only_writer
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run

DIFFERENT = 8  # pictures; all files differ in their bytes
SLICES = 60  # of the files: each is tagged, indexed and searched before the next one comes
FINGERPRINT = "f" * 64
DIMENSIONS = 64
QUERIES = ("red", "a green picture that is moving", "loud", "still", "dog on the beach", "blu")
ASKING = 4  # people who ask the page, one thing after the other


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """files=10000 for minutes=30 (or as long as they take), drawn with seed=0. `slices`: 60."""
    files, minutes = int(options.get("files", 10_000)), float(options.get("minutes", 30))
    seed, slices = int(options.get("seed", 0)), int(options.get("slices", SLICES))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tagline-soak-") as scratch:
        soaked = Soak(Path(scratch), files, slices, seed)
        soaked.next_slice()
        with serve_load.serving(soaked.folder) as (process, port):
            served: list[Any] = []
            asking = threading.Thread(
                target=lambda: served.append(
                    asyncio.run(serve_load.ask_for(process.pid, port, ASKING, 60 * minutes))
                )
            )
            asking.start()
            soaked.go_on(begun + 60 * minutes)
            asking.join()
            ended = process.poll() is not None
    tally, of_server = served[0]
    return {
        "values": {
            "files": soaked.tagged,
            "minutes": round((time.monotonic() - begun) / 60, 1),
            "memory_growth": round(growth(soaked.memory), 4),
            "server_memory_growth": round(growth(of_server), 4),
            "searches": soaked.searches,
            "answers": tally.answers,
            "errors": tally.errors + int(ended),
            "indexed": soaked.indexed,
        },
        "configuration": {
            "files": files,
            "minutes": minutes,
            "slices": slices,
            "asking": ASKING,
            "grows": "mean of the last quarter of the time over that of the second quarter, less 1",
        },
        "seeds": [seed],
        "details": {"memory_mb": thinned(soaked.memory), "server_memory_mb": thinned(of_server)},
    }


def growth(memory: list[int]) -> float:
    """How much more the last quarter takes than the second one, as a share; the first is for warming up."""
    quarter = max(len(memory) // 4, 1)
    return fmean(memory[-quarter:]) / fmean(memory[quarter : 2 * quarter] or memory) - 1.0


def thinned(memory: list[int]) -> list[float]:
    """Some twenty of the figures, in megabytes."""
    return [round(size / 2**20, 1) for size in memory[:: max(len(memory) // 20, 1)]]


class Soak:
    """A library that grows slice by slice."""

    def __init__(self, scratch: Path, files: int, slices: int, seed: int) -> None:
        self.folder, self.files, self.slices = scratch / "library", files, slices
        self.draw, self.rng = random.Random(seed), np.random.default_rng(seed)
        self.folder.mkdir()
        self.pictures = []
        for number in range(DIFFERENT):
            path = scratch / "picture.mp4"
            make(VideoRecipe(64, 48, 1, sound=number % 2 == 0, options={"g": "20"}, seed=number), path)
            self.pictures.append(path.read_bytes())
        self.made = self.tagged = self.indexed = self.searches = self.done = 0
        self.memory: list[int] = []  # bytes of this process and its children
        with Catalog.open(self.folder) as catalog:
            catalog.set_meta(CHOICE, SearchModel(APPEARANCE, "stand-in", FINGERPRINT).as_json())

    def go_on(self, until: float) -> None:
        """All files, then searches as long as there is time."""
        while self.made < self.files:
            left, slices = max(until - time.monotonic(), 0.0), max(self.slices - self.done, 1)
            end = time.monotonic() + left / slices
            self.next_slice()
            self.search(end)
        self.search(until)

    def next_slice(self) -> None:
        """Make some more files, tag and index them."""
        more = min(-(-self.files // self.slices), self.files - self.made)
        for number in range(self.made, self.made + more):
            # What lies behind the end of the last box is not read.
            content = self.pictures[number % DIFFERENT] + b"\0\0\0\x0cfree" + number.to_bytes(4, "big")
            (self.folder / f"{number:05d}.mp4").write_bytes(content)
        self.made += more
        with Catalog.open(self.folder) as catalog, only_writer(catalog):
            experts: list[Any] = [expert() for expert in stub_experts.EXPERTS]
            planned = plan(catalog, [self.folder], experts)
            self.tagged += run(planned, Panel(planned.experts, jobs=2)).progress.tagged
            done = catalog.vectors.embedded_videos(FINGERPRINT)
            for video in [video.id for video in catalog.videos() if video.id not in done]:
                whole, *spans = (self._embedding(float(place)) for place in range(3))
                catalog.vectors.put_embeddings(video, FINGERPRINT, "", whole, spans)
            self.indexed = update(catalog, Level.VIDEO, FINGERPRINT).rows
            update(catalog, Level.SPAN, FINGERPRINT)
        self.done += 1
        self.memory.append(memory_used())

    def search(self, until: float) -> None:
        """Ask at least once what people ask."""
        with tagline.open(self.folder) as library:
            while True:
                library.search(self.draw.choice(QUERIES))
                video = self.draw.randrange(self.tagged) + 1
                library.similar(video)
                library.show(video)
                library.tags()
                self.searches += 1
                self.memory.append(memory_used())
                if time.monotonic() > until:
                    return
                time.sleep(0.5)

    def _embedding(self, start: float) -> Embedding:
        values = self.rng.standard_normal(DIMENSIONS).astype(np.float32)
        return Embedding(start, start + 1.0, values / np.linalg.norm(values))
