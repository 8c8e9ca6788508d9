"""`startup` and `search-latency`: how long the command line and a search take, cold and warm.

The library is synthetic, but its catalog is a real one: tags, speech, a vector for each video and for four
spans of it, made by the playhouse's own CLIP from what the video shows by its tags. The search is the real
one, with the command line, the index and QB-Norm. Cold means a new process; the files it reads are in
the machine's memory, as they are on any second search. Warm is a process that has read the videos' evidence,
as `tagline serve` does by itself once it answers.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tagline.experts.footage import Facts
from tagline.experts.tags import Embedding, Modality, Report, Tag, Word
from tagline.tagging.ml.ann import unit

if TYPE_CHECKING:
    from tagline.retrieval.embed.search_model import VideoEmbedder
    from tagline.tagging.catalog.write import Catalog


VIDEOS = 10_000
SPANS = 4
THINGS = """
    apple ball bench bicycle bird boat book bottle box bus cake camera car cat chair clock cow cup dog
    door drum elephant flag flower fork giraffe glove guitar hat horse house kite knife ladder lamp
    laptop mirror phone piano pizza plate robot rocket sheep shoe sofa spoon stone table train tree
    truck umbrella vase violin wagon wheel
""".split()
SCENES = "airport beach bridge cave city desert farm forest garden harbour kitchen meadow museum".split()
ACTIONS = "climbing dancing driving falling jumping kicking painting running sitting spinning waving".split()
PERSONS = "baby boy girl man teacher woman".split()
TOPICS = "cooking history hotel music news physics science space sports travel volcano weather winter".split()


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """Make the library, then search it from the shell and in this process."""
    count, runs = int(options.get("videos", VIDEOS)), int(options.get("runs", "15"))
    with tempfile.TemporaryDirectory() as folder:
        made = _library(Path(folder), count, tuned=options.get("learn", "1") != "0")
        queries = _queries(3 * runs + 10)
        cold, cold_busy = _cold(Path(folder), queries[: runs + 2])
        warming, warm, warm_busy, answered = _warm(Path(folder), queries)
    return {
        "values": {
            "cold_seconds": round(statistics.median(cold), 3),
            "cold_seconds_worst": round(max(cold), 3),
            "warm_up_seconds": round(warming, 2),
            "warm_ms": round(1000 * statistics.median(warm), 2),
            "warm_ms_p99": round(1000 * float(np.quantile(warm, 0.99)), 2),
        },
        "configuration": {
            "videos": count,
            "spans": SPANS * count,
            "runs": runs,
            "model": "playhouse-clip",
            "answered": round(answered, 3),
        },
        "seeds": [0],
        "details": {
            **made,
            # On a busy machine these say more: seconds of the processor, not of the clock on the wall.
            "cold_cpu_seconds": round(statistics.median(cold_busy), 3),
            "warm_cpu_ms": round(1000 * statistics.median(warm_busy), 2),
            "cores": os.cpu_count(),
        },
    }


def _library(folder: Path, count: int, *, tuned: bool) -> dict[str, float]:
    """Fill a catalog, embed by hand, build the indexes; seconds that each took."""
    from tagline.retrieval.embed.embedders import load
    from tagline.retrieval.embed.query_encoder import open_encoder
    from tagline.retrieval.embed.search_model import APPEARANCE, CHOICE
    from tagline.retrieval.index.base import Level
    from tagline.retrieval.index.update import update
    from tagline.retrieval.tune.tune import tune
    from tagline.tagging.catalog.write import Catalog

    seconds: dict[str, float] = {}
    begun = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal begun
        seconds[name], begun = round(time.perf_counter() - begun, 1), time.perf_counter()

    with Catalog.open(folder) as catalog:
        model = load(APPEARANCE, "playhouse-clip")
        catalog.set_meta(CHOICE, model.choice.as_json())
        for first in range(0, count, 500):
            _some(catalog, model, range(first, min(first + 500, count)), folder)
        lap("library_seconds")
        for level in Level:
            update(catalog, level, model.choice.fingerprint)
        lap("index_seconds")
        open_encoder(catalog)  # writes the reader into the cache
        if tuned:
            tune(catalog)
            lap("learn_seconds")
    return seconds


def _some(catalog: Catalog, model: VideoEmbedder, numbers: range, folder: Path) -> None:
    """Videos with these numbers, in one transaction."""
    from tagline.tagging.catalog.records import Look, Place

    stories = [SyntheticVideo(number) for number in numbers]
    parts = model.texts([text for story in stories for text in story.parts]).reshape(len(stories), SPANS, -1)
    with catalog.transaction():
        for story, vectors in zip(stories, parts, strict=True):
            place = Place(str(folder / f"video-{story.number:05d}.mp4"), 1000 + story.number, 1)
            looks = [
                Look(str(modality), modality, "1", "synthetic", report)
                for modality, report in story.reports().items()
            ]
            facts = Facts(story.seconds, 64, 48, None, "h264", 0, "", True)
            video = catalog.save(f"{story.number:064x}", place, facts=facts, looks=looks)
            noise = np.random.default_rng([1, story.number]).standard_normal(vectors.shape)
            near = vectors + 0.4 * noise / np.sqrt(vectors.shape[1])
            step = story.seconds / SPANS
            spans = [Embedding(i * step, (i + 1) * step, unit(one)) for i, one in enumerate(near)]
            whole = Embedding(0.0, story.seconds, unit(near.mean(axis=0)))
            catalog.vectors.put_embeddings(video, model.choice.fingerprint, "", whole, spans)


class SyntheticVideo:
    """What a synthetic video is said to show and say."""

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng([0, number])
        self.number, self.seconds = number, float(rng.uniform(10, 60))
        self.things = [str(thing) for thing in rng.choice(THINGS, 3, replace=False)]
        self.scene, self.person = str(rng.choice(SCENES)), str(rng.choice(PERSONS))
        self.doing, self.topic = str(rng.choice(ACTIONS)), str(rng.choice(TOPICS))

    @property
    def parts(self) -> list[str]:
        """A sentence for each span."""
        return [
            f"a {self.person} is {self.doing} at the {self.scene}",
            f"a {self.things[0]} at the {self.scene}",
            f"a {self.person} with a {self.things[1]}",
            f"a {self.things[2]} next to a {self.things[0]}",
        ]

    def reports(self) -> dict[Modality, Report]:
        step = self.seconds / SPANS
        words = {
            Modality.OBJECT: [(t, i * step, (i + 2) * step) for i, t in enumerate(self.things)],
            Modality.PERSON: [(self.person, 0.0, 2 * step)],
            Modality.SCENE: [(self.scene, 0.0, self.seconds)],
            Modality.MOTION: [(self.doing, 0.0, step)],
            Modality.SPEECH: [(self.topic, step, 2 * step)],
        }
        found = {
            modality: Report(tags=[Tag(text, modality, 0.8, a, b, str(modality)) for text, a, b in some])
            for modality, some in words.items()
        }
        spoken = f"today we speak about {self.topic} and nothing else".split()
        found[Modality.SPEECH].words = [
            Word(word, i * 0.4, i * 0.4 + 0.4, 0.9) for i, word in enumerate(spoken)
        ]
        return found


def _queries(count: int) -> list[str]:
    rng = np.random.default_rng(5)
    forms = (
        "a {0} is {1} at the {2}",
        "{3} in the {2}",
        "a {0} with a {3}",
        "somebody talks about {4} next to a {3}",
    )
    return [
        forms[number % len(forms)].format(*map(rng.choice, (PERSONS, ACTIONS, SCENES, THINGS, TOPICS)))
        for number in range(count)
    ]


def _cold(folder: Path, queries: list[str]) -> tuple[list[float], list[float]]:
    """Wall and processor seconds of `tagline search`, a new process each time.

    The first two only bring the files into the machine's memory.
    """
    walls, busy = [], []
    for query in queries:
        command = [
            sys.executable,
            "-m",
            "tagline",
            "search",
            query,
            "--library",
            str(folder),
            "--json",
        ]
        begun, before = time.perf_counter(), _children()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        walls.append(time.perf_counter() - begun)
        busy.append(_children() - before)
        if done.returncode not in (0, 4):  # 4: nothing found
            raise RuntimeError(f"tagline search ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        json.loads(done.stdout)
    return walls[2:], busy[2:]


def _children() -> float:
    """Processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _warm(folder: Path, queries: list[str]) -> tuple[float, list[float], list[float], float]:
    """Seconds to warm up as `tagline serve` does; wall and processor seconds of each search in this process
    after ten others; the share answered.
    """
    from tagline.retrieval.query.candidates import searcher_of
    from tagline.retrieval.query.search import search
    from tagline.tagging.catalog.write import Catalog

    walls: list[float] = []
    busy: list[float] = []
    answered = 0
    with Catalog.open(folder) as catalog:
        begun = time.perf_counter()
        searcher_of(catalog).warm(catalog)
        warming = time.perf_counter() - begun
        for query in queries:
            begun, before = time.perf_counter(), time.process_time()
            answered += bool(search(catalog, query))
            walls.append(time.perf_counter() - begun)
            busy.append(time.process_time() - before)
    return warming, walls[10:], busy[10:], answered / max(len(queries), 1)


def measure_startup(options: dict[str, str]) -> dict[str, Any]:
    """Median wall seconds of `--help`, `--version` and an empty interpreter, taken in turn."""
    runs = int(options.get("runs", "15"))
    commands = {
        "bare": [sys.executable, "-c", ""],
        "help": [sys.executable, "-m", "tagline", "--help"],
        "version": [sys.executable, "-m", "tagline", "--version"],
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
