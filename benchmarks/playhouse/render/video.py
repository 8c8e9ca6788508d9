"""A seed becomes a video file: H.264 and AAC in mp4, the same on every machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.playhouse.render import renderer
from tagline.benchmarks.playhouse.render.sound import RATE, sound
from tagline.benchmarks.playhouse.world.scenario import Scenario, scenario, split_of
from tagline.experts.storage import open_atomic
from tagline.experts.weights.registry import PLAYHOUSE_COMMENT


@dataclass(frozen=True, slots=True)
class VideoSpec:
    """One video of a set."""

    seed: int
    split: str

    @property
    def name(self) -> str:
        return f"{self.split}-{self.seed:08d}.mp4"


def video_spec(seed: int) -> VideoSpec:
    return VideoSpec(seed, split_of(seed))


def frames(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """The pictures before compression, for training: uint8 [T, H, W, 3], and their times in seconds [T]."""
    world = scenario(seed)
    times = renderer.times(world)
    drawn = np.empty((len(times), world.height, world.width, 3), np.uint8)
    for number, time in enumerate(times):
        drawn[number] = np.asarray(renderer.picture(world, time, number))
    return drawn, np.array(times)


def render_video(which: VideoSpec, folder: Path, title: str | None = None) -> Path:
    """Write the video, unless it is there already with the mark of its world, and say where it is."""
    path = folder / which.name
    if is_rendered(path):
        return path
    with open_atomic(path, durable=False) as file:
        _encode(scenario(which.seed), Path(file.name), title)
    return path


def is_rendered(path: Path) -> bool:
    """Whether a video is there and carries the mark of its world, which stands near its beginning."""
    try:
        with path.open("rb") as file:
            return PLAYHOUSE_COMMENT.encode() in file.read(256 << 10)
    except FileNotFoundError:
        return False


def _encode(world: Scenario, path: Path, title: str | None) -> None:
    import av

    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.flags |= 0x0400  # bit exact: no version of the muxer in the file
        container.metadata["comment"] = PLAYHOUSE_COMMENT
        if title:
            container.metadata["title"] = title
        video: Any = container.add_stream("libx264", rate=world.fps)
        video.width, video.height, video.pix_fmt = world.width, world.height, "yuv420p"
        video.codec_context.thread_count = 1
        # One thread, and no choice that depends on the processor.
        video.options = {
            "preset": "veryfast",
            "crf": str(world.crf),
            "g": str(2 * world.fps),
            "x264-params": "cpu-independent=1:threads=1",
        }
        heard = sound(world)
        audio: Any = None
        if heard is not None:
            audio = container.add_stream("aac", rate=RATE, layout="mono")
            audio.bit_rate = 64_000
        for number, time in enumerate(renderer.times(world)):
            frame = av.VideoFrame.from_image(renderer.picture(world, time, number))
            frame.pts, frame.time_base = number, Fraction(1, world.fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if heard is not None:
            samples = (heard.astype(np.float32) / 32768)[None, :]
            spoken = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
            spoken.sample_rate, spoken.pts, spoken.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(audio.encode(spoken))
            container.mux(audio.encode(None))


def digest(path: Path) -> dict[str, str]:
    """sha256 of what a decoder makes of the file: of the pictures and of the sound."""
    import av

    pictures, heard = hashlib.sha256(), hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                pictures.update(np.ascontiguousarray(frame.to_ndarray(format="yuv420p")).tobytes())
            elif isinstance(frame, av.AudioFrame):
                whole = np.rint(frame.to_ndarray() * 32767).astype(np.int16)
                heard.update(whole.tobytes())
    return {"pictures": pictures.hexdigest(), "sound": heard.hexdigest()}
