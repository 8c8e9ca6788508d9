"""The bank of spoken sentences: what can be said, by whom, with the time of each word."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE = 16_000
BANK = Path(__file__).parent / "voices.zip"
TEST_ONLY = 3  # the fourth sentence of each topic is spoken in test videos only


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence as one voice says it. Words are (text, start, end) in seconds from its beginning."""

    file: str
    topic: str
    which: int
    voice: str
    text: str
    seconds: float
    words: tuple[tuple[str, float, float], ...]


@cache
def lines() -> tuple[Line, ...]:
    with zipfile.ZipFile(BANK) as archive:
        rows = json.loads(archive.read("index.json"))
    return tuple(Line(**{**row, "words": tuple(tuple(word) for word in row["words"])}) for row in rows)


@cache
def about(topic: str, test: bool) -> tuple[Line, ...]:
    """Every recording about a topic that a video of this split may use."""
    return tuple(line for line in lines() if line.topic == topic and (test or line.which != TEST_ONLY))


def sound(line: Line) -> npt.NDArray[np.int16]:
    """int16 [S], mono, 16 kHz."""
    with zipfile.ZipFile(BANK) as archive:
        return from_opus(archive.read(line.file))


def from_opus(content: bytes) -> npt.NDArray[np.int16]:
    import av

    pieces = []
    with av.open(io.BytesIO(content), "r", format="ogg") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            pieces += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        pieces += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(pieces)
