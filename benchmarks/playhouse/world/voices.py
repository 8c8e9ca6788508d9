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
RECORDINGS = Path(__file__).parent / "voices.zip"
TEST_ONLY = 3  # the fourth sentence of each topic is spoken in test videos only


@dataclass(frozen=True, slots=True)
class Recording:
    """One sentence as one voice says it. Words are (text, start, end) in seconds from its beginning."""

    file: str
    topic: str
    which: int
    voice: str
    text: str
    seconds: float
    words: tuple[tuple[str, float, float], ...]


@cache
def recordings() -> tuple[Recording, ...]:
    with zipfile.ZipFile(RECORDINGS) as archive:
        rows = json.loads(archive.read("index.json"))
    return tuple(Recording(**{**row, "words": tuple(tuple(word) for word in row["words"])}) for row in rows)


@cache
def recordings_about(topic: str, test: bool) -> tuple[Recording, ...]:
    """Every recording about a topic that a video of this split may use."""
    return tuple(line for line in recordings() if line.topic == topic and (test or line.which != TEST_ONLY))


def recording_sound(recording: Recording) -> npt.NDArray[np.int16]:
    """int16 [S], mono, 16 kHz."""
    with zipfile.ZipFile(RECORDINGS) as archive:
        return from_opus(archive.read(recording.file))


def from_opus(content: bytes) -> npt.NDArray[np.int16]:
    import av

    pieces = []
    with av.open(io.BytesIO(content), "r", format="ogg") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            pieces += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        pieces += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(pieces)
