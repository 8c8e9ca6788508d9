"""serve-load: many requests at once for a while. Does anything fail, or the server's memory grow?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote

from tagline.benchmarks.fixtures.synthetic_videos import VideoRecipe, make
from tagline.experts.footage import Coverage
from tagline.experts.tags import Modality, Report, Tag, Word
from tagline.retrieval.web.server import more_files
from tagline.tagging.catalog.records import Look, Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.walk import content_hash

VIDEOS = 60
QUERIES = (
    "dog",
    "red car on the beach",
    "someone talks about space",
    "a cat - dog",
    "nothing of the kind",
    "",
)
START_TIMEOUT = 60.0  # seconds for one answer
SETTLED = 0.25  # of the time, after which memory should not grow any more
TOKEN = "only for this measurement"


@dataclass
class LoadTally:
    """What came back. Only 429 is no error among what is refused."""

    codes: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # of answers, a sample
    answers: int = 0

    def put(self, code: int, seconds: float) -> None:
        self.codes[code] += 1
        if code < 400:
            self.answers += 1
            if len(self.seconds) < 20_000:
                self.seconds.append(seconds)
            else:  # every answer has the same chance to be in the sample
                place = random.randrange(self.answers)
                if place < len(self.seconds):
                    self.seconds[place] = seconds

    @property
    def errors(self) -> int:
        return self.failures.total() + sum(n for code, n in self.codes.items() if code >= 400 and code != 429)


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """`concurrent`: requests under way at any time (1000); `seconds`: for how long (60)."""
    concurrent, seconds = int(options.get("concurrent", 1000)), float(options.get("seconds", 60))
    more_files()
    with tempfile.TemporaryDirectory(prefix="serve-load") as scratch:
        fill(Path(scratch))
        with serving(Path(scratch)) as (process, port):
            tally, memory = asyncio.run(ask_for(process.pid, port, concurrent, seconds))
            ended = process.poll() is not None
    settled = memory[int(SETTLED * len(memory)) :]
    tenth = max(len(settled) // 10, 1)
    growth = fmean(settled[-tenth:]) / fmean(settled[:tenth]) if settled else float("nan")
    waits = sorted(tally.seconds) or [float("nan")]
    return {
        "values": {
            "errors": tally.errors + int(ended),
            "memory_growth_ratio": round(growth, 3),
            "answers": tally.answers,
            "turned_away": tally.codes[429],
            "p50_seconds": round(waits[len(waits) // 2], 4),
            "p99_seconds": round(waits[int(len(waits) * 0.99)], 4),
        },
        "configuration": {"concurrent": concurrent, "seconds": seconds, "videos": VIDEOS, "queries": QUERIES},
        "seeds": [0],
        "details": {
            "codes": {str(code): count for code, count in sorted(tally.codes.items())},
            "failures": dict(tally.failures.most_common(10)),
            "memory_mb": [round(size / 2**20, 1) for size in memory[:: max(len(memory) // 20, 1)]],
        },
    }


def fill(folder: Path, videos: int = VIDEOS) -> None:
    """A library of small real videos with tags, as a run would leave it."""
    draw = random.Random(0)
    words = "dog cat car beach kitchen guitar tree boat child robot".split()
    with Catalog.open(folder) as catalog:
        for number in range(videos):
            path = folder / f"video {number:03d}.mp4"
            if number < 4:
                make(VideoRecipe(160, 96, 3, sound=number % 2 == 0, options={"g": "20"}, seed=number), path)
            else:  # the same pictures, another content: what lies behind the end of the last box is not read
                source = folder / f"video {number % 4:03d}.mp4"
                path.write_bytes(source.read_bytes() + b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
            facts = path.stat()
            tags = [
                Tag(w, Modality.OBJECT, draw.random(), 0.5, 2.0, "object", 1.0) for w in draw.sample(words, 4)
            ]
            spoken = [
                Word(w, i * 0.3, i * 0.3 + 0.2, 0.9)
                for i, w in enumerate("we talk about space today".split())
            ]
            looks = [
                Look("object", Modality.OBJECT, "1", "0" * 64, Report(tags=tags), coverage=Coverage(3, 3)),
                Look(
                    "speech",
                    Modality.SPEECH,
                    "1",
                    "0" * 64,
                    Report(words=spoken),
                    coverage=Coverage(0, 0, "read"),
                ),
            ]
            place = Place(str(path), facts.st_size, facts.st_mtime_ns)
            catalog.save(content_hash(str(path)), place, facts=_facts(), looks=looks)


def _facts() -> Any:
    from fractions import Fraction

    from tagline.experts.footage import Facts

    return Facts(3.0, 160, 96, Fraction(25), "h264", 0, "bt709", True)


@contextlib.contextmanager
def serving(folder: Path, terminal: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`tagline serve` as a person starts it. terminal: a file that takes what it says of faults."""
    command = [
        sys.executable,
        "-m",
        "tagline",
        "serve",
        "--library",
        str(folder),
        "--port",
        "0",
    ]
    with contextlib.ExitStack() as held:
        faults = None if terminal is None else held.enter_context(terminal.open("wb"))
        process = held.enter_context(
            subprocess.Popen([*command, "--token", TOKEN], stdout=subprocess.PIPE, stderr=faults, text=True)
        )
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)/", process.stdout.readline())
            if found is None:
                raise RuntimeError("`tagline serve` did not start")
            yield process, int(found[1])
        finally:
            process.terminate()


async def ask_for(pid: int, port: int, concurrent: int, seconds: float) -> tuple[LoadTally, list[int]]:
    """Keep so many requests under way; the bytes that the server held, twice a second."""
    import psutil

    tally, memory = LoadTally(), []
    ids = [hit["id"] for hit in (await _json(port, "/api/search?k=100"))["hits"]]
    end = time.monotonic() + seconds
    askers = [asyncio.create_task(_ask(port, ids, random.Random(i), end, tally)) for i in range(concurrent)]
    server = psutil.Process(pid)
    while time.monotonic() < end:
        memory.append(server.memory_info().rss)
        await asyncio.sleep(0.5)
    await asyncio.gather(*askers)
    return tally, memory


async def _ask(port: int, ids: Sequence[str], draw: random.Random, end: float, tally: LoadTally) -> None:
    """One after the other over one connection, as long as there is time."""
    line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                if line is None:
                    line = await asyncio.open_connection("127.0.0.1", port)
                code, _, stays = await _get(*line, port, _address(ids, draw))
            tally.put(code, time.monotonic() - begun)
            if not stays:
                line[1].close()
                line = None
            if code == 429:
                await asyncio.sleep(draw.uniform(0.2, 1.0))
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            tally.failures[type(error).__name__] += 1
            if line is not None:
                line[1].close()
            line = None
    if line is not None:
        line[1].close()


def _address(ids: Sequence[str], draw: random.Random) -> str:
    """What a page full of people asks for."""
    chosen = draw.choice(ids)
    kinds = ["search"] * 6 + ["video", "video", "strip", "media", "similar", "review", "progress", "page"]
    return {
        "search": f"/api/search?q={quote(draw.choice(QUERIES))}",
        "video": f"/api/videos/{chosen}",
        "strip": f"/strips/{chosen}",
        "media": f"/media/{chosen}",
        "similar": f"/api/videos/{chosen}/similar",
        "review": "/api/review",
        "progress": "/api/progress",
        "page": "/",
    }[draw.choice(kinds)]


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, address: str
) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection stays open."""
    writer.write(f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = re.search(r"content-length: (\d+)", head)
    if length is None:
        raise ValueError("an answer without a length")
    body = await reader.readexactly(int(length[1]))
    return int(head.split()[1]), body, "connection: close" not in head


async def _json(port: int, address: str) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _, body, _ = await _get(reader, writer, port, address)
    writer.close()
    return json.loads(body)
