"""Sounds for tests: tones, noise, sound files, and footage that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts.footage import SOUND_RATE, Coverage, Facts, Footage


def silence(seconds: float) -> Any:
    return np.zeros(round(seconds * SOUND_RATE), dtype=np.float32)


def tone(seconds: float, hertz: float = 440.0) -> Any:
    times = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    return (0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def music(seconds: float) -> Any:
    """A chord that swells and fades."""
    chord = sum(tone(seconds, hertz) for hertz in (220.0, 277.2, 329.6, 440.0)) / 4
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 0.5 * np.arange(len(chord)) / SOUND_RATE)
    return (chord * swell).astype(np.float32)


def noise(seconds: float, seed: int = 0) -> Any:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * SOUND_RATE))).astype(np.float32)


def read_sound(path: Path) -> Any:
    """The sound of a file of ours: float32 [S], mono, 16 kHz."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=SOUND_RATE)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)


def footage(sound: Any = None, *, start: float = 0.0, state: str | None = None) -> Footage:
    """Footage without pictures. state: what the coverage says of the sound."""
    facts = Facts(10.0, 64, 36, None, "h264", 0, "", sound is not None)
    coverage = Coverage(sound=state or ("absent" if sound is None else "read"))
    return Footage("a.mp4", facts, {}, sound, sound_start=start, coverage=coverage)


def words_right(said: str, heard: str) -> float:
    """The share of the words said that were heard, in order (by the longest common subsequence)."""
    a, b = said.lower().split(), heard.lower().split()
    row = [0] * (len(b) + 1)
    for word in a:
        before = row[:]
        for at, other in enumerate(b, 1):
            row[at] = before[at - 1] + 1 if word == other else max(before[at], row[at - 1])
    return row[-1] / len(a)


def write_coded(path: Path, codec: str, rate: int) -> Path:
    """A file of two seconds of a tone, without pictures."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(tone(2.0)[None], format="fltp", layout="mono")
        frame.sample_rate = SOUND_RATE
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            part.pts = None
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return path
