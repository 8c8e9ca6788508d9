"""The rendered playhouse as the tables of TABLE read it: videos, truth, frame vectors.

Frames are decoded once and encoded once by a frozen CLIP; the vectors are kept under the towers'
fingerprint, what was sampled, and the file's name and size.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tagline.benchmarks.kept import Array, array_path, put_array
from tagline.experts.stock.digest import cache_home
from tagline.tagging.configuring import BadConfig

if TYPE_CHECKING:
    from tagline.benchmarks.playhouse.truth import Truth
    from tagline.experts.appearance import ClipEncoder
    from tagline.experts.footage import Sampling

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class PlayhouseVideo:
    """One video and what is true of it."""

    path: Path
    truth: Truth

    @property
    def name(self) -> str:
        return self.path.name


def home(options: Mapping[str, str]) -> Path:
    """folder=DIR, where the set was rendered."""
    given = options.get("folder")
    return Path(given).expanduser() if given else cache_home() / "playhouse" / "bench"


def read_set(options: Mapping[str, str]) -> dict[str, list[PlayhouseVideo]]:
    """The videos of each split by their seeds; videos=N takes N for training, of the others in proportion.

    Raises BadConfig with the command to run where the set is not there.
    """
    from tagline.benchmarks.playhouse.render import VideoSpec
    from tagline.benchmarks.playhouse.sets import TRUTH
    from tagline.benchmarks.playhouse.truth import from_json

    folder = home(options)
    command = f"run `tagline bench playhouse render bench {folder}`"
    if not (folder / TRUTH).is_file():
        raise BadConfig(f"{folder} holds no videos; {command}")
    rows = json.loads((folder / TRUTH).read_text(encoding="utf-8"))["videos"]
    found: dict[str, list[PlayhouseVideo]] = {split: [] for split in SPLITS}
    for row in sorted(rows, key=lambda row: int(row["seed"])):
        path = folder / VideoSpec(row["seed"], row["split"]).name
        if path.is_file():
            found[row["split"]].append(PlayhouseVideo(path, from_json(row)))
    found = limit(found, options)
    empty = [split for split in SPLITS if not found[split]]
    if empty:
        raise BadConfig(f"{folder} has no {empty[0]} videos; {command}")
    return found


def limit(
    videos: dict[str, list[PlayhouseVideo]], options: Mapping[str, str]
) -> dict[str, list[PlayhouseVideo]]:
    """videos=N: the first N for training, of the others in proportion."""
    most = options.get("videos")
    if most is None:
        return videos
    if not most.isdecimal():
        raise BadConfig(f"videos must be a number, not {most!r}")
    share = int(most) / max(len(videos["train"]), 1)
    return {split: own[: max(2, round(share * len(own)))] for split, own in videos.items()}


def clip_towers(options: Mapping[str, str]) -> ClipEncoder:
    """The frozen CLIP: that of the playhouse, or towers=FOLDER."""
    from tagline.experts.appearance import clip_encoder

    return clip_encoder(options.get("towers"), "cpu", collection="playhouse")


def frame_vectors(
    videos: Sequence[PlayhouseVideo], sampling: Sampling, eyes: ClipEncoder, say: Callable[[str], None]
) -> dict[str, Array]:
    """The frame vectors of each video by its name: float32 [T, D], each of length 1."""
    from tagline.experts.decoder import Decoder
    from tagline.experts.footage import Unreadable

    paths = {one.name: array_path("vectors", _depends_on(one.path, sampling, eyes)) for one in videos}
    missing = [one for one in videos if not paths[one.name].is_file()]
    with Decoder() as decoder:
        results = decoder.read_all((one.path, (sampling,)) for one in missing)
        for done, (one, (_, footage)) in enumerate(zip(missing, results, strict=True), start=1):
            if isinstance(footage, Unreadable):
                raise RuntimeError(f"{one.path}: {footage}")
            try:
                put_array(paths[one.name], eyes.encode_frames(footage.view(sampling).frames))
            finally:
                footage.close()
            if done % 200 == 0:
                say(f"frames of {done} of {len(missing)} videos are encoded")
    return {name: np.load(path, allow_pickle=False) for name, path in paths.items()}


def _depends_on(path: Path, sampling: Sampling, eyes: ClipEncoder) -> list[Any]:
    return [path.name, path.stat().st_size, repr(sampling), eyes.fingerprint]
