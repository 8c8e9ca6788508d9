"""Decode: CPU seconds of the decoder, against decoding a whole file with OpenCV or PyAV; and are they exact?

Every figure is taken in a process of its own, the rivals in turn, several times; the median counts.
All of them end with the wanted pictures, and these alone, in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tagline.benchmarks.fixtures.synthetic_videos import VideoRecipe, cached

# A keyframe at a cut, or after 250 pictures at the latest; between two P-frames always three B-frames,
# two of which no other picture refers to.
ORDINARY = {"preset": "veryfast", "g": "250", "bf": "3", "x264-params": "b-adapt=0", "crf": "23"}
HD = VideoRecipe(1280, 720, 60, cut=4, options=ORDINARY)
FULL_HD = VideoRecipe(1920, 1080, 300, cut=4, options=ORDINARY)
UNCUT = VideoRecipe(1280, 720, 60, options=ORDINARY)  # a keyframe every ten seconds only
# x264 placing B-frames where it sees fit: on noisy pictures it sees fit seldom, and little can be skipped.
ADAPTIVE = VideoRecipe(1280, 720, 60, cut=4, options={"preset": "veryfast", "g": "250", "crf": "23"})
OTHERS = (
    VideoRecipe(
        640, 360, 60, codec="libx265", options={"preset": "veryfast", "x265-params": "log-level=none"}
    ),
    VideoRecipe(640, 360, 60, codec="libvpx-vp9", suffix=".webm", options={"cpu-used": "8"}),
    VideoRecipe(640, 360, 60, codec="libsvtav1", suffix=".mkv", options={"preset": "12"}),
    VideoRecipe(640, 360, 60, codec="mpeg4", suffix=".avi", options={"b": "2000000"}),
)
FRAMES = 12


def measure(options: dict[str, str]) -> dict[str, Any]:
    """`runs`: how often each is measured (3). Keys as the record promises them."""
    runs = int(options.get("runs", 3))
    hd, full = cached(HD), cached(FULL_HD)
    second: dict[str, float] = {}
    exact = True
    for path in (hd, *map(cached, OTHERS)):
        second[path.name] = _ratio(path, "ours_1fps", "pyav_1fps", runs)
        exact &= _alone("exact", path)["exact"]
    exact &= _alone("exact", full)["exact"]
    return {
        "values": {
            "cpu_ratio_720p_60s": _ratio(hd, "ours_12", "opencv", runs),
            "cpu_ratio_1080p_300s": _ratio(full, "ours_12", "opencv", runs),
            "cpu_ratio_720p_60s_without_cuts": _ratio(cached(UNCUT), "ours_12", "opencv", runs),
            "cpu_ratio_720p_60s_adaptive_b_frames": _ratio(cached(ADAPTIVE), "ours_12", "opencv", runs),
            "cpu_ratio_1fps": max(second.values()),
            "exact": exact,
        },
        "configuration": {
            "frames": FRAMES,
            "runs": runs,
            "cpu_ratio_1fps_by_file": second,
            "bytes": {path.name: path.stat().st_size for path in (hd, full)},
            "against": "OpenCV: grab() all, retrieve() what is wanted; PyAV: one thread, likewise",
        },
        "seeds": [0],
    }


def _ratio(path: Path, ours: str, baseline: str, runs: int) -> float:
    seconds: dict[str, list[float]] = {ours: [], baseline: []}
    for _ in range(runs):
        for name, spent in seconds.items():
            spent.append(_alone(name, path)["cpu_seconds"])
    return round(median(seconds[ours]) / median(seconds[baseline]), 4)


def _alone(name: str, path: Path) -> dict[str, Any]:
    """Run one contender in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "tagline.benchmarks.speed.decode", name, str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return dict(json.loads(done.stdout))


def _spent() -> float:
    """CPU seconds of this process and its children, running ones included."""
    import psutil

    me = psutil.Process()
    if sys.platform == "linux":  # each process has a clock of its own, in nanoseconds
        pids = (me.pid, *(child.pid for child in me.children(recursive=True)))
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)
    return sum(sum(process.cpu_times()[:2]) for process in (me, *me.children(recursive=True)))


def _timed(work: Callable[[], None]) -> dict[str, Any]:
    before = _spent()
    work()
    return {"cpu_seconds": _spent() - before}


def _ours(path: Path, per_second: bool) -> dict[str, Any]:
    from tagline.experts.decode.decoder import Decoder
    from tagline.experts.footage import PerSecond, Sampling, Uniform, Unreadable

    sampling: Sampling = PerSecond() if per_second else Uniform(FRAMES)
    with Decoder(jobs=1) as decoder:
        try:  # the child is started before the clock: it serves many files
            decoder.read(Path(__file__), (sampling,))
        except Unreadable:
            return _timed(lambda: decoder.read(path, (sampling,)).close())
    raise AssertionError("this file is no video")


def _opencv(path: Path) -> dict[str, Any]:
    import cv2

    def work() -> None:
        video = cv2.VideoCapture(str(path))
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = {(2 * i + 1) * total // (2 * FRAMES) for i in range(FRAMES)}
        number, kept = 0, []
        while video.grab():
            if number in wanted:
                kept.append(video.retrieve()[1])
            number += 1
        assert len(kept) == FRAMES, f"OpenCV gave {len(kept)} pictures of {path}"

    return _timed(work)


def _pyav_each_second(path: Path) -> dict[str, Any]:
    import av

    def work() -> None:
        due, kept = 0.0, []
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                if frame.time >= due:
                    kept.append(frame.to_ndarray(format="rgb24"))
                    due += 1.0

    return _timed(work)


def _exact(path: Path) -> dict[str, Any]:
    """Whether both samplings give what a plain decode of everything gives, bit for bit."""
    import av

    from tagline.experts.decode.decoder import Decoder
    from tagline.experts.footage import PerSecond, Uniform

    samplings = Uniform(FRAMES), PerSecond()
    with Decoder(jobs=1) as decoder:
        footage = decoder.read(path, samplings)
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    end = times[0] + (footage.facts.duration or 0)
    midpoints = times[0] + (np.arange(FRAMES) + 0.5) * (end - times[0]) / FRAMES
    shown = np.searchsorted(np.array(times), midpoints + 1e-9, side="right") - 1
    same = np.allclose(footage.views[samplings[0]].times, np.array(times)[shown], atol=1e-6)
    due = {
        round(t, 6): f
        for view in footage.views.values()
        for t, f in zip(view.times, view.frames, strict=True)
    }
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            ours = due.pop(round(frame.time, 6), None)
            same = same and (ours is None or np.array_equal(ours, frame.to_ndarray(format="rgb24")))
    return {"exact": bool(same and not due)}


CONTENDERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "ours_12": lambda path: _ours(path, per_second=False),
    "ours_1fps": lambda path: _ours(path, per_second=True),
    "opencv": _opencv,
    "pyav_1fps": _pyav_each_second,
    "exact": _exact,
}

if __name__ == "__main__":
    print(json.dumps(CONTENDERS[sys.argv[1]](Path(sys.argv[2]))))
