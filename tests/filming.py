"""Films small real videos for the tests, and decodes them the plain way, as an oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tagline.experts.footage import PerSecond, PerShot, Sampling, Uniform, Windows

# One of each kind of sampling of pictures.
ALL: tuple[Sampling, ...] = (Uniform(7), PerSecond(4.0), Windows(2, 5, 0.1), PerShot())
BASE = Fraction(1, 12_800)


@dataclass(frozen=True)
class Film:
    """How a video is made. stamps: ticks of 1/12800 s of its pictures; empty: 25 a second."""

    codec: str = "libx264"
    suffix: str = ".mp4"
    width: int = 96
    height: int = 64
    count: int = 60
    format: str = "yuv420p"
    stamps: Sequence[int] = ()
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    rotation: int = 0
    sound: str = ""
    sound_from: float = 0.0  # seconds
    sound_gap: tuple[float, float] | None = None  # seconds: nothing is sent between them
    scenes: int = 1
    colour: tuple[int, int] | None = None  # primaries, transfer curve


def shoot(path: Path, film: Film) -> Path:
    path = path.with_suffix(film.suffix)
    with av.open(str(path), "w", options=dict(film.container)) as container:
        container.metadata.update(film.metadata)
        stream: Any = container.add_stream(film.codec, rate=25, options=dict(film.options))
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, film.format
        if film.codec not in ("mpeg4", "mpeg1video", "mpeg2video"):
            stream.codec_context.time_base = BASE
        if film.colour:
            stream.codec_context.color_primaries, stream.codec_context.color_trc = film.colour
        if film.rotation:
            stream.set_display_rotation(film.rotation)
        sound: Any = container.add_stream(film.sound, rate=48_000) if film.sound else None
        waiting = list(_beeps(film)) if sound is not None else []
        for number in range(film.count):
            frame = av.VideoFrame.from_ndarray(picture(film, number), format="rgb24")
            frame = frame.reformat(format=film.format)
            stamp = film.stamps[number] if film.stamps else number * 512
            frame.pts, frame.time_base = stamp, BASE
            container.mux(stream.encode(frame))
            while waiting and waiting[0].pts * Fraction(1, 48_000) <= stamp * BASE:
                container.mux(sound.encode(waiting.pop(0)))
        for packet in waiting:
            container.mux(sound.encode(packet))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))
    return path


def picture(film: Film, number: int) -> np.ndarray[Any, Any]:
    """A brighter top left corner, a moving bar, and grain; the colours change with the scene."""
    rng = np.random.default_rng(number)
    scene = number * film.scenes // film.count
    colour = np.array([(40, 90, 160), (220, 200, 60), (30, 170, 40), (200, 30, 90)][scene % 4])
    image = np.broadcast_to(colour, (film.height, film.width, 3)).astype(np.int16)
    image = image + rng.integers(-6, 7, image.shape)
    image[: film.height // 3, : film.width // 3] += 60
    left = number * 3 % film.width
    image[film.height // 2 :, left : left + film.width // 6] = (250, 250, 250)
    return np.clip(image, 0, 255).astype(np.uint8)


def _beeps(film: Film) -> Any:
    """Sound with a short beep at every full half second of the film's clock."""
    seconds = film.count / 25
    for first in range(round(film.sound_from * 48_000), round(seconds * 48_000), 1024):
        at = np.arange(first, first + 1024) / 48_000
        if film.sound_gap and film.sound_gap[0] <= at[0] < film.sound_gap[1]:
            continue
        wave = np.where(at % 0.5 < 0.02, 0.8 * np.sin(2 * np.pi * 1000 * at), 0.0).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
        if film.sound == "libopus" or film.sound.startswith("pcm"):
            packed = np.stack([wave, wave], axis=1).reshape(1, -1)
            values = packed if film.sound == "libopus" else (packed * 32767).astype(np.int16)
            kind = "flt" if film.sound == "libopus" else "s16"
            frame = av.AudioFrame.from_ndarray(values, format=kind, layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
        yield frame


def plain(path: Path) -> tuple[list[Fraction], list[np.ndarray[Any, Any]]]:
    """The oracle: every picture of the first picture stream, upright, in order, with its raw time.

    Where timestamps run backward (B-frames in AVI), the n-th picture has the n-th smallest time.
    """
    times: list[Fraction] = []
    frames: list[np.ndarray[Any, Any]] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in decoded:
                assert frame.pts is not None
                times.append(frame.pts * Fraction(stream.time_base or 1))
                turns = round((frame.rotation or 0) / 90)
                frames.append(np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns)))
    return sorted(times), frames
