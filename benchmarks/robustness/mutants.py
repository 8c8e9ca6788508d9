"""Mutants: thousands of broken files through the locked-in children. Does anything hang, die or grow?

Videos of ten containers, with and without subtitles inside, and subtitle files go through the decoder,
pictures through the child that reads them.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from tagline.benchmarks.fixtures.synthetic_videos import VideoRecipe, make
from tagline.experts.attacks.mutate import mutate

RECIPES = (
    VideoRecipe(160, 96, 2, suffix=".mp4", sound=True, options={"g": "20", "bf": "2"}),
    VideoRecipe(160, 96, 2, suffix=".mkv", sound=True, options={"g": "20", "bf": "2"}),
    VideoRecipe(160, 96, 2, codec="libvpx-vp9", suffix=".webm", options={"cpu-used": "8", "g": "20"}),
    VideoRecipe(160, 96, 2, codec="mpeg4", suffix=".avi", sound=True, options={"g": "20"}),
    VideoRecipe(160, 96, 2, codec="mpeg2video", suffix=".ts", sound=True, options={"g": "12", "bf": "2"}),
    VideoRecipe(160, 96, 2, codec="flv", suffix=".flv", sound=True, options={"g": "20"}),
    VideoRecipe(160, 96, 2, codec="wmv2", suffix=".wmv", options={"g": "20"}),
    VideoRecipe(160, 96, 2, codec="mpeg2video", suffix=".mxf", options={"g": "12"}),
    VideoRecipe(160, 96, 2, codec="mpeg2video", suffix=".mpg", options={"g": "12", "bf": "2"}),
    VideoRecipe(160, 96, 2, codec="libvpx", suffix=".ogv", options={"cpu-used": "8", "g": "20"}),
)
PICTURES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}
SUBTITLES = {
    ".srt": "1\n00:00:00,000 --> 00:00:01,500\n<i>hello</i>\n\n2\n00:00:02,000 --> 00:00:03,000\nworld\n",
    ".vtt": "WEBVTT\n\n00:00.000 --> 00:01.500 line:0\n<v Anna>hello\n\n00:02.000 --> 00:03.000\nworld\n",
    ".ass": "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    "Dialogue: 0,0:00:00.00,0:00:01.50,Default,hello {\\b1}world\n",
}
LIMIT = 20.0  # seconds a file
BATCH = 50


@dataclass(slots=True)
class MutantTally:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)  # bytes of this process and its children, after each file
    dead: int = 0
    late: int = 0
    replaced: int = 0  # children of the decoder

    @property
    def hangs(self) -> int:
        return self.late + sum(n for reason, n in self.outcomes.items() if "took longer" in reason)


def measure(options: dict[str, str]) -> dict[str, Any]:
    """`count`: how many files (2000); `seed`: of the mutations (0); `jobs`: decoding processes (2)."""
    count, seed = int(options.get("count", 2000)), int(options.get("seed", 0))
    jobs = int(options.get("jobs", 2))
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        originals = make_originals(Path(folder))
        begun = time.perf_counter()
        tally = run(Path(folder), originals, range(count), seed, jobs)
        seconds = time.perf_counter() - begun
    return {
        "values": {
            "files": count,
            "hangs": tally.hangs,
            "dead_batches": tally.dead,
            "memory_growth": round(growth(tally.memory), 4),
            "seconds": round(seconds, 1),
        },
        "configuration": {
            "files_of": [suffix for suffix, _ in originals],
            "seconds_per_file": LIMIT,
            "batch": BATCH,
            "jobs": jobs,
            "children_replaced": tally.replaced,
            "read": tally.outcomes["read"],
            "read_in_part": tally.outcomes["read in part"],
            "reasons": dict(tally.outcomes.most_common(20)),
        },
        "seeds": [seed],
    }


def growth(memory: list[int]) -> float:
    """How much more memory the second half takes than the first, after a tenth to warm up, as a share.

    Means of halves, because children grow a little and are replaced every few hundred files.
    """
    tenth, half = len(memory) // 10, len(memory) // 2
    return fmean(memory[half:]) / fmean(memory[tenth:half] or memory) - 1.0


# ---- what is broken


def make_originals(folder: Path) -> list[tuple[str, bytes]]:
    """(ending, content) of one whole file of every kind."""
    for recipe in RECIPES:
        make(recipe, folder / f"original{recipe.suffix}")
    _make_subtitled(folder / "subtitled.mkv")
    _make_pictures(folder)
    for suffix, text in SUBTITLES.items():
        (folder / f"original{suffix}").write_text(text, encoding="utf-8")
    return [(path.suffix, path.read_bytes()) for path in sorted(folder.iterdir())]


def _make_subtitled(path: Path) -> None:
    """A video with subtitles within."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        texts: Any = container.add_stream("ass")
        for number in range(20):
            packet = av.Packet(b"%d,0,Default,,0,0,0,,hello" % number)
            packet.stream, packet.time_base = texts, Fraction(1, 1000)
            packet.pts = packet.dts = 100 * number
            packet.duration = 90
            container.mux(packet)
            picture = np.full((48, 64, 3), 10 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _make_pictures(folder: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    for form, suffix in PICTURES.items():
        more = {} if form != "GIF" else {"save_all": True, "append_images": [Image.new("RGB", (128, 96))] * 3}
        Image.fromarray(pixels).save(folder / f"picture{suffix}", form, exif=exif, **more)


# ---- how it is read


def run(
    folder: Path, originals: list[tuple[str, bytes]], numbers: range, seed: int, jobs: int
) -> MutantTally:
    """Break these numbers' files and let the children read them."""
    from tagline.experts.decode.decoder import Decoder
    from tagline.experts.decode.limits import Limits

    tally = MutantTally()
    with Decoder(jobs=jobs, limits=Limits(seconds=LIMIT)) as decoder:
        for first in numbers[::BATCH]:
            paths = list(_broken(folder, originals, range(first, min(first + BATCH, numbers.stop)), seed))
            videos = [path for path in paths if path.suffix not in PICTURES.values() or path.suffix == ".gif"]
            pictures = [path for path in paths if path.suffix in PICTURES.values()]
            try:
                _decode(decoder, videos, tally)
                _read_pictures(pictures, tally)
            except Exception as error:  # whatever it is, it cost a whole batch: that is the finding
                tally.dead += 1
                tally.outcomes[f"dead batch: {type(error).__name__}: {error}"] += 1
            for path in paths:
                path.unlink()
        tally.replaced = decoder.replaced
    return tally


def _broken(folder: Path, originals: list[tuple[str, bytes]], numbers: range, seed: int) -> Iterator[Path]:
    for number in numbers:
        suffix, content = originals[number % len(originals)]
        path = folder / f"{number}{suffix}"
        path.write_bytes(mutate(content, random.Random(f"{seed} {number}")))
        yield path


def _decode(decoder: Any, paths: list[Path], tally: MutantTally) -> None:
    from tagline.experts.footage import PerSecond, Sampling, Sound, Uniform, Unreadable, Windows

    samplings: tuple[Sampling, ...] = (Uniform(4, side=64), PerSecond(), Windows(1, 4, 0.1), Sound())
    answered, since = 0, time.monotonic()
    for _, result in decoder.read_all((path, samplings) for path in paths):
        answered += 1
        tally.late += time.monotonic() - since > LIMIT + 10
        since = time.monotonic()
        if isinstance(result, Unreadable):
            tally.outcomes[str(result).split(" (")[0]] += 1
        else:
            tally.outcomes["read" if result.coverage.complete else "read in part"] += 1
            result.close()
        tally.memory.append(memory_used())
    if answered != len(paths):
        raise RuntimeError("not every file was answered for")


def _read_pictures(paths: list[Path], tally: MutantTally) -> None:
    """The first as a query's picture is read, in a child of its own; the others in one child, one by one."""
    from tagline.experts.decode import still
    from tagline.experts.decode.child import Child
    from tagline.experts.decode.opening import opened
    from tagline.experts.footage import Unreadable

    child: Child | None = None
    for place, path in enumerate(paths):
        begun = time.monotonic()
        try:
            if not place:
                still.read_picture(path)
            else:
                file = opened(path)
                child = child or Child(Path(still.__file__), still.LIMITS.memory)
                still.ask(child, file)
            tally.outcomes["read"] += 1
        except Unreadable as reason:
            tally.outcomes[str(reason).split(" (")[0]] += 1
            if place and child is not None and child.process.poll() is not None:
                child.kill()
                child = None
        tally.late += time.monotonic() - begun > LIMIT + 10
    if child is not None:
        child.kill()


def memory_used() -> int:
    """Bytes resident in this process and its children."""
    import psutil

    me, total = psutil.Process(), 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:  # it has just been replaced
            continue
    return total
