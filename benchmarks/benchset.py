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
    from tagline.experts.appearance import Towers
    from tagline.experts.footage import Sampling

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Known:
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


def read(options: Mapping[str, str]) -> dict[str, list[Known]]:
    """The videos of each split by their seeds; videos=N takes N for training, of the others in proportion.

    Raises BadConfig with the command to run where the set is not there.
    """
    from tagline.benchmarks.playhouse.render import Spec
    from tagline.benchmarks.playhouse.sets import TRUTH
    from tagline.benchmarks.playhouse.truth import from_json

    folder = home(options)
    command = f"run `tagline bench playhouse render bench {folder}`"
    if not (folder / TRUTH).is_file():
        raise BadConfig(f"{folder} holds no videos; {command}")
    rows = json.loads((folder / TRUTH).read_text(encoding="utf-8"))["videos"]
    found: dict[str, list[Known]] = {split: [] for split in SPLITS}
    for row in sorted(rows, key=lambda row: int(row["seed"])):
        path = folder / Spec(row["seed"], row["split"]).name
        if path.is_file():
            found[row["split"]].append(Known(path, from_json(row)))
    found = fewer(found, options)
    empty = [split for split in SPLITS if not found[split]]
    if empty:
        raise BadConfig(f"{folder} has no {empty[0]} videos; {command}")
    return found


def fewer(videos: dict[str, list[Known]], options: Mapping[str, str]) -> dict[str, list[Known]]:
    """videos=N: the first N for training, of the others in proportion."""
    most = options.get("videos")
    if most is None:
        return videos
    if not most.isdecimal():
        raise BadConfig(f"videos must be a number, not {most!r}")
    share = int(most) / max(len(videos["train"]), 1)
    return {split: own[: max(2, round(share * len(own)))] for split, own in videos.items()}


def clip(options: Mapping[str, str]) -> Towers:
    """The frozen CLIP: that of the playhouse, or towers=FOLDER."""
    from tagline.experts.appearance import towers

    return towers(options.get("towers"), "cpu", collection="playhouse")


def vectors(
    videos: Sequence[Known], sampling: Sampling, eyes: Towers, say: Callable[[str], None]
) -> dict[str, Array]:
    """The frame vectors of each video by its name: float32 [T, D], each of length 1."""
    from tagline.experts.decoder import Decoder
    from tagline.experts.footage import Unreadable

    paths = {one.name: array_path("vectors", _about(one.path, sampling, eyes)) for one in videos}
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


def _about(path: Path, sampling: Sampling, eyes: Towers) -> list[Any]:
    return [path.name, path.stat().st_size, repr(sampling), eyes.fingerprint]
