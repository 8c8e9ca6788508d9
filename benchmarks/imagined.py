"""The videos of the playhouse's set `bench` as taggers see them, without their files.

A tagger reads one picture a second, the sound, the title and the tags. To draw these takes minutes; to
render all videos takes an hour. Nothing here was compressed, which a CLIP hardly sees. What was made once is
kept, under all that it depends on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tagline.benchmarks import kept
from tagline.benchmarks.benchset import PlayhouseVideo, limit
from tagline.benchmarks.kept import Array, array_path, put_array
from tagline.tagging.configuring import BadConfig

if TYPE_CHECKING:
    from tagline.experts.appearance import ClipEncoder

PLAYHOUSE = "tagline.benchmarks.playhouse"


def read_drawn_set(options: Mapping[str, str]) -> dict[str, list[PlayhouseVideo]]:
    """The videos of each split by their seeds; set=NAME of another set, videos=N as in `benchset.read`."""
    from tagline.benchmarks.playhouse.sets import SET_SIZES, videos
    from tagline.benchmarks.playhouse.truth import from_json, to_json, truth

    name = options.get("set", "bench")
    if name not in SET_SIZES:
        raise BadConfig(f"there is no set {name!r}; choose from {', '.join(SET_SIZES)}")
    if "folder" in options:
        raise BadConfig("no folder is read, the pictures are drawn; leave it out, or choose with set=NAME")
    specs = videos(name)
    about = {"set": name, "code": kept.code_fingerprint(PLAYHOUSE)}
    rows = kept.cached_figures("truths", about, lambda: {s.name: to_json(truth(s.seed)) for s in specs})
    found: dict[str, list[PlayhouseVideo]] = {}
    for spec in specs:
        found.setdefault(spec.split, []).append(PlayhouseVideo(Path(spec.name), from_json(rows[spec.name])))
    return limit(found, options)


def drawn_frame_vectors(
    videos: Sequence[PlayhouseVideo], eyes: ClipEncoder, say: Callable[[str], None] = lambda _: None
) -> dict[str, Array]:
    """One vector a second of each video by its name: float32 [T, D], each of length 1."""

    def encode(pictures: Array) -> Array:
        return eyes.encode_frames(pictures)

    return _computed("drawn", [eyes.fingerprint], videos, draw_frames, encode, say)


def drawn_sound_vectors(videos: Sequence[PlayhouseVideo]) -> dict[str, Array]:
    """The sound vectors of each video by its name."""
    from tagline.experts.hearing.soundprint import describe_sound

    return _computed("heard", ["soundprint 1"], videos, render_sound, describe_sound, lambda _: None)


def _computed(
    name: str,
    about: list[Any],
    videos: Sequence[PlayhouseVideo],
    make: Callable[[int], Any],
    encode: Callable[[Any], Array],
    say: Callable[[str], None],
) -> dict[str, Array]:
    """Whatever `encode` makes of what other processes `make` of the seeds, kept by the video's name."""
    import multiprocessing

    about = [*about, kept.code_fingerprint(PLAYHOUSE)]
    paths = {one.name: array_path(name, [one.name, *about]) for one in videos}
    missing = [one for one in videos if not paths[one.name].is_file()]
    if missing:
        jobs = os.cpu_count() or 1
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            results = pool.map(make, [one.truth.seed for one in missing])
            for done, (one, found) in enumerate(zip(missing, results, strict=True), start=1):
                put_array(paths[one.name], encode(found))
                if done % 200 == 0:
                    say(f"{done} of {len(missing)} videos are {name}")
    return {key: np.load(path, allow_pickle=False) for key, path in paths.items()}


def draw_frames(seed: int) -> Array:
    """One picture a second, from the first on: uint8 [T, H, W, 3]."""
    from tagline.benchmarks.playhouse import stage
    from tagline.benchmarks.playhouse.scenario import scenario

    world = scenario(seed)
    times = stage.times(world)
    numbers = range(0, len(times), round(world.fps))
    return np.stack([np.asarray(stage.picture(world, times[n], n)) for n in numbers])


def render_sound(seed: int) -> Array | None:
    """The sound: float32 [S] at 16 kHz, -1..1."""
    from tagline.benchmarks.playhouse.scenario import scenario
    from tagline.benchmarks.playhouse.sound import sound

    found = sound(scenario(seed))
    return None if found is None else found.astype(np.float32) / 32768
