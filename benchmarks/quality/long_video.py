"""A long film, made here: shots and texts at known times, and what tagging makes of them.

Some shots stand still, in some a disc moves, and with `clips` some are cut from real ones. A text stands for
two seconds in every twelve, over whatever there is, and comes back once, much later.
"""

from __future__ import annotations

import random
import string
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.quality.real_clips import in_a_process

Picture = npt.NDArray[np.uint8]  # [H, W, 3]
WIDTH, HEIGHT, RATE = 640, 360, 10  # pixels, pictures a second
PERIOD, STANDS = 12.0, 2.0  # seconds from one text to the next, and how long each is there
NEAR = 1.0  # seconds around a text in which a tag of it may lie
ALIKE = 0.8  # share of equal letters, at least, of a text and its tag
BEYOND = 1.0  # seconds by which a tag may go on after its text without having bridged what nobody saw


@dataclass(frozen=True, slots=True)
class Shot:
    """start, end: seconds; kind: "still", "moving" or "real"."""

    start: float
    end: float
    kind: str


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text and when it stands, in seconds."""

    text: str
    start: float
    end: float


def measure(options: dict[str, str]) -> dict[str, Any]:
    """minutes=10; seed=0; only=screen (experts, by comma); clips=FOLDER of real ones to mix in."""
    minutes, seed = float(options.get("minutes", 10)), int(options.get("seed", 0))
    only = options.get("only", "screen").split(",")
    clips = sorted(Path(options["clips"]).expanduser().iterdir()) if "clips" in options else []
    shots, texts = script(minutes * 60, seed, bool(clips))
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "films" / "long.mp4"
        file.parent.mkdir()
        shoot(file, shots, texts, seed, clips)
        made = in_a_process(Path(temporary) / "library", [file.parent], only)
        tags, looks = read_back(Path(temporary) / "library")
        seen = look_times(file)
    values = {
        **judged(tags, texts),
        "shots_seen": round(share_seen(shots, seen), 4),
        "peak_mb": round(made["peak_mb"]),
        "seconds_per_minute": round(made["cpu"] / made["minutes"], 2),
        "minutes": round(made["minutes"], 2),
    }
    counts = {"shots": len(shots), "texts": len(texts), "clips": len(clips)}
    return {
        "values": values,
        "configuration": {**counts, "experts": only},
        "seeds": [seed],
        "details": {"looks": looks},
    }


# -- the film --------------------------------------------------------------------------------------------


def script(seconds: float, seed: int, real: bool = False) -> tuple[list[Shot], list[ShownText]]:
    """The shots, one after another, and the texts: each twice, in the two halves of the film."""
    chance = random.Random(seed)
    kinds = ["still", "moving", "real"] if real else ["still", "moving"]
    shots, at = [], 0.0
    while at < seconds:
        length = chance.choice((1.5, 3.0, 5.0, 8.0, 20.0))
        end = seconds if at + length + 1 > seconds else at + length
        shots.append(Shot(at, end, chance.choice(kinds)))
        at = end
    slots = int(seconds // PERIOD)
    words = [_words(chance) for _ in range(-(-slots // 2))]
    texts = []
    for slot in range(slots):
        start = round(slot * PERIOD + chance.uniform(1, PERIOD - STANDS - 1), 1)
        texts.append(ShownText(words[slot % len(words)], start, start + STANDS))
    return shots, texts


def _words(chance: random.Random) -> str:
    letters = [c for c in string.ascii_uppercase if c not in "IOQ"]  # nobody tells these from 1 and 0
    return " ".join("".join(chance.choices(letters, k=6)) for _ in range(2))


def shoot(
    file: Path, shots: Sequence[Shot], texts: Sequence[ShownText], seed: int, clips: Sequence[Path]
) -> None:
    """Write the film, H.264."""
    import av

    with av.open(str(file), "w") as container:
        encoding = {"preset": "ultrafast", "crf": "23", "g": "50"}
        stream: Any = container.add_stream("libx264", rate=RATE, options=encoding)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, picture in enumerate(_pictures(shots, seed, clips)):
            at = number / RATE
            text = next((one.text for one in texts if one.start <= at + 1e-6 < one.end), "")
            frame = av.VideoFrame.from_ndarray(_written(picture, text), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _pictures(shots: Sequence[Shot], seed: int, clips: Sequence[Path]) -> Iterator[Picture]:
    for number, shot in enumerate(shots):
        count = round(shot.end * RATE) - round(shot.start * RATE)
        chance = random.Random(f"{seed} {number}")
        if shot.kind == "real" and (taken := _from_clip(chance.choice(list(clips)), count)):
            yield from (taken[i % len(taken)] for i in range(count))
            continue
        ground = _ground(chance)
        for i in range(count):
            yield _with_disc(ground, i) if shot.kind == "moving" else ground


def _ground(chance: random.Random) -> Picture:
    """A colour and some boxes on it."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), tuple(chance.randrange(20, 150) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = chance.randrange(WIDTH - 120), chance.randrange(HEIGHT - 80)
        colour = tuple(chance.randrange(20, 200) for _ in range(3))
        pen.rectangle((x, y, x + chance.randrange(40, 120), y + chance.randrange(30, 80)), colour)
    return np.asarray(image)


def _with_disc(ground: Picture, number: int) -> Picture:
    from PIL import Image, ImageDraw

    image = Image.fromarray(ground)
    x = number * 16 % WIDTH
    ImageDraw.Draw(image).ellipse((x, 60, x + 60, 120), (230, 120, 40))
    return np.asarray(image)


def _from_clip(clip: Path, count: int) -> list[Any]:
    """Up to so many pictures of a real clip; none where it cannot be read."""
    import av

    found: list[Any] = []
    with suppress(av.FFmpegError, IndexError), av.open(str(clip)) as container:
        for frame in container.decode(container.streams.video[0]):
            found.append(frame.to_ndarray(format="rgb24", width=WIDTH, height=HEIGHT))
            if len(found) == count:
                break
    return found


def _written(picture: Picture, text: str) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    if not text:
        return picture
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    pen.rectangle((120, 260, 520, 320), (10, 10, 10))
    pen.text((140, 268), text, (245, 245, 245), ImageFont.load_default(36))
    return np.asarray(image)


# -- what became of it -----------------------------------------------------------------------------------

Found = tuple[str, float, float]  # text, start, end


def read_back(home: Path) -> tuple[list[Found], dict[str, str]]:
    """The tags of text on the screen, and how often each expert looked."""
    from tagline import open as open_library
    from tagline.experts.tags import Modality

    with closing(open_library(home)) as library:
        report = library.show(next(iter(library.videos())))
    read = [(tag.text, tag.start, tag.end) for tag in report.tags if tag.modality == Modality.SCREEN]
    return read, dict(report.looks())


def look_times(file: Path) -> list[float]:
    """When the usual sampling looks at the film, in seconds."""
    from tagline.experts.decode.decoder import Decoder
    from tagline.experts.footage import Changes

    sampling = Changes(1.0, side=64)
    with Decoder(jobs=1) as decoder:
        footage = decoder.read(file, (sampling,))
    times: list[float] = footage.view(sampling).times.tolist()
    footage.close()
    return times


def share_seen(shots: Sequence[Shot], times: Sequence[float]) -> float:
    """The share of shots in which at least one look falls."""
    seen = sum(any(shot.start - 0.01 <= at < shot.end for at in times) for shot in shots)
    return seen / len(shots)


def judged(tags: Sequence[Found], texts: Sequence[ShownText]) -> dict[str, Any]:
    """How many texts were read and when, and how many tags go on where their text was not."""
    errors = []
    for shown in texts:
        near = [
            max(abs(start - shown.start), abs(end - shown.end))
            for text, start, end in tags
            if alike(text, shown.text) and start < shown.end + NEAR and end > shown.start - NEAR
        ]
        if near:
            errors.append(min(near))
    bridged = sum(_bridges(tag, [one for one in texts if alike(tag[0], one.text)]) for tag in tags)
    return {
        "text_time_error_p95": round(float(np.quantile(errors, 0.95)), 3) if errors else None,
        "text_recall": round(len(errors) / len(texts), 4),
        "bridged_gaps": bridged,
    }


def _bridges(tag: Found, texts: Sequence[ShownText]) -> bool:
    _, start, end = tag
    within = [one for one in texts if one.start < end and one.end > start]
    apart = any(later.start - sooner.end > BEYOND for sooner, later in pairwise(within))
    return apart or (bool(within) and end - within[-1].end > BEYOND)


def alike(one: str, other: str) -> bool:
    """Whether two texts are the same but for what a reader takes wrongly, blanks apart."""
    a, b = ("".join(text.upper().split()) for text in (one, other))
    return SequenceMatcher(None, a, b, autojunk=False).ratio() >= ALIKE
