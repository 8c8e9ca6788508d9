"""What the experts learn from: frames and windows of train and val seeds, drawn once and kept.

Experts see decoded H.264, so every picture here has been through an encoder and a decoder, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.playhouse.draw.appearance import PERSONS
from tagline.benchmarks.playhouse.draw.inventory import OBJECTS, OUTDOOR_ONLY, SCENES
from tagline.benchmarks.playhouse.draw.motions import MOTIONS
from tagline.benchmarks.playhouse.render import renderer
from tagline.benchmarks.playhouse.truth import captions as language
from tagline.benchmarks.playhouse.truth.sets import VERSION
from tagline.benchmarks.playhouse.world.characters import in_test_only
from tagline.benchmarks.playhouse.world.scenario import SPLIT_BASES, Prop, Scenario, Shot, scenario
from tagline.benchmarks.playhouse.world.scenario import _crowd as people
from tagline.benchmarks.playhouse.world.scenario import _prop as prop
from tagline.experts.storage import cache_home, open_atomic

DETECTOR_CLASSES = (*OBJECTS, *PERSONS)  # what a detector is asked for, persons last
SCENE_NAMES = tuple(SCENES)
MOTION_NAMES = tuple(MOTIONS)
VISIBLE = 0.3  # share of a thing that must show before a detector is asked for it
LONGER = 320  # pixels of the longer side of the frames
SIDE = 80  # pixels of either side of the windows' frames
LENGTH, STEP = 8, 0.25  # frames of a window, seconds between them
SHARD = 250  # seeds of one file

# Sentences about what one picture can show. What is said or written is nobody's to see in it.
VISUAL_FOCUS = frozenset(("motion", "full", "scene", "object", "clothes", "pair"))

Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrainingFrame:
    """One picture, uint8 [h, w, 3], and what is in it."""

    picture: Pictures
    boxes: npt.NDArray[np.float32]  # [n, 5]: number in THINGS, middle x, middle y, width, height in shares
    scene: int  # number in PLACES
    texts: tuple[str, ...]  # sentences that people would write about this moment


@dataclass(frozen=True, slots=True)
class MotionWindows:
    """pictures: uint8 [N, LENGTH, SIDE, SIDE, 3]; shares: float32 [N, K], of the motions seen; rows
    without any motion are all zeros. middles: float32 [N, 2], x and y of somebody who moves, in shares of
    the picture; NaN where nobody does."""

    pictures: Pictures
    shares: npt.NDArray[np.float32]
    middles: npt.NDArray[np.float32]


def frames(split: str, seeds: int, jobs: int | None = None) -> list[TrainingFrame]:
    """A frame of every shot of the first so many seeds of a split."""
    return list(_read_frames(_shards("frames", split, seeds, _draw_frames, jobs)))


def crowded_frames(split: str, seeds: int, jobs: int | None = None) -> list[TrainingFrame]:
    """A frame of each seed with many more persons and things than a video has: a detector learns from
    each of them, so it learns sooner. Who never meets in training videos never meets here."""
    return list(_read_frames(_shards("crowds", split, seeds, _draw_crowds, jobs)))


def windows(split: str, seeds: int, jobs: int | None = None) -> MotionWindows:
    """Two windows of every one of the first so many seeds of a split."""
    shards = []
    for path in _shards("windows", split, seeds, _draw_windows, jobs):
        with np.load(path, allow_pickle=False) as shard:
            shards.append((shard["pictures"], shard["shares"], shard["middles"]))
    return MotionWindows(*map(np.concatenate, zip(*shards, strict=True)))


def folder() -> Path:
    return cache_home() / "playhouse" / f"material-{VERSION}"


def _shards(
    kind: str,
    split: str,
    seeds: int,
    draw: Callable[[Sequence[int], Path], None],
    jobs: int | None,
) -> list[Path]:
    """The files of these seeds, whole shards of them; those that are missing are made on all cores."""
    if split == "test":
        raise ValueError("nothing is trained or chosen on test seeds")
    begins = range(0, seeds, SHARD)
    paths = [folder() / f"{kind}-{split}-{begin:06d}.npz" for begin in begins]
    missing = [(path, begin) for path, begin in zip(paths, begins, strict=True) if not path.exists()]
    if missing:
        folder().mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
            first = SPLIT_BASES[split]
            work = [
                pool.submit(draw, range(first + begin, first + begin + SHARD), path)
                for path, begin in missing
            ]
            for job in work:
                job.result()
    return paths


def _read_frames(paths: Iterable[Path]) -> Iterator[TrainingFrame]:
    for path in paths:
        with np.load(path, allow_pickle=False) as shard:
            groups = {key: shard[key] for key in shard.files}
        for row in json.loads(groups.pop("labels").tobytes().decode()):
            picture = groups[row["group"]][row["at"]]
            boxes = np.array(row["boxes"], np.float32).reshape(-1, 5)
            yield TrainingFrame(picture, boxes, row["scene"], tuple(row["texts"]))


class _FrameWriter:
    """Frames on their way into a file: pictures of one shape together, labels as text."""

    def __init__(self) -> None:
        self.groups: dict[str, list[Pictures]] = {}
        self.labels: list[dict[str, Any]] = []

    def add(
        self, world: Scenario, shot: Shot, rng: Random, captions: Sequence[language.WrittenCaption]
    ) -> None:
        """The picture at a random moment of a shot of the world."""
        number = round(rng.uniform(shot.start, shot.end) * world.fps - 0.5)
        time = min(max(number / world.fps, shot.start), shot.end - 1e-6)
        drawn = np.asarray(renderer.picture(world, time, number))
        picture = _fitted(next(compressed([drawn], world, rng)), LONGER)
        name = f"pictures-{picture.shape[0]}x{picture.shape[1]}"
        group = self.groups.setdefault(name, [])
        texts = [c.text for c in captions if c.focus in VISUAL_FOCUS and c.start <= time < c.end]
        self.labels.append(
            {
                "group": name,
                "at": len(group),
                "boxes": _boxes(world, time),
                "scene": SCENE_NAMES.index(shot.scene),
                "texts": list(dict.fromkeys(texts)),
            }
        )
        group.append(picture)

    def save(self, path: Path) -> None:
        labels = np.frombuffer(json.dumps(self.labels).encode(), np.uint8)
        _save(path, labels=labels, **{name: np.stack(group) for name, group in self.groups.items()})


def _draw_frames(seeds: Sequence[int], path: Path) -> None:
    made = _FrameWriter()
    for seed in seeds:
        world, rng = scenario(seed), Random(f"frames {seed}")
        captions = language.captions(seed)
        for shot in world.shots:
            made.add(world, shot, rng, captions)
    made.save(path)


def _draw_crowds(seeds: Sequence[int], path: Path) -> None:
    made = _FrameWriter()
    for seed in seeds:
        rng = Random(f"crowd {seed}")
        world = scenario(seed)
        shot = _crowded(world.shots[0], rng)
        made.add(replace(world, width=400, height=224, shots=(shot,)), shot, rng, ())
    made.save(path)


def _crowded(shot: Shot, rng: Random) -> Shot:
    """The shot with up to four persons and eight things, rare ones as often as common ones."""
    crowd = [actor for _ in range(3) for actor in people(rng, False, False, shot.scene, None)][:4]
    props: list[Prop] = []
    taken = [actor.x for actor in crowd]
    for name in rng.sample(OBJECTS, 12):
        unfit = name in OUTDOOR_ONLY and SCENES[shot.scene].indoors
        if unfit or any(in_test_only("person object", actor.kind, name) for actor in crowd):
            continue
        places = [rng.uniform(0.06, 0.94) for _ in range(5)]
        taken.append(max(places, key=lambda x: min((abs(x - other) for other in taken), default=1.0)))
        props.append(prop(rng, name, shot.scene, False, taken[-1]))
    return replace(shot, actors=tuple(crowd), props=tuple(props[:8]))


def _boxes(world: Scenario, time: float) -> list[list[float]]:
    return [
        [
            DETECTOR_CLASSES.index(box.name),
            *(round(v, 4) for v in (box.x + box.width / 2, box.y + box.height / 2, box.width, box.height)),
        ]
        for box in renderer.boxes(world, time)
        if box.visible >= VISIBLE
    ]


def _draw_windows(seeds: Sequence[int], path: Path) -> None:
    pictures, shares, middles = [], [], []
    for seed in seeds:
        world, rng = _halved(scenario(seed)), Random(f"windows {seed}")
        room = world.duration - LENGTH * STEP
        for part in (0, 0.5):
            start = rng.uniform(part * room, (part + 0.5) * room)
            numbers = [int((start + i * STEP) * world.fps) for i in range(LENGTH)]
            drawn = [np.asarray(renderer.picture(world, number / world.fps, number)) for number in numbers]
            seen = [_squeezed(picture) for picture in compressed(drawn, world, rng)]
            share, middle = motion_shares(world, [number / world.fps for number in numbers[1::2]])
            pictures.append(np.stack(seen))
            shares.append(share)
            middles.append(middle)
    _save(path, pictures=np.stack(pictures), shares=np.stack(shares), middles=np.stack(middles))


def _halved(world: Scenario) -> Scenario:
    """The same video with half as many pixels either way: more than a window's frames keep of it."""
    return replace(world, width=world.width // 2, height=world.height // 2)


def motion_shares(
    world: Scenario, times: Sequence[float]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """How much of what moves at these times is each motion, float32 [K] that sums to 1, or zeros; and
    about where the first who moves is, float32 [2], or NaN."""
    found = np.zeros(len(MOTION_NAMES), np.float32)
    places: list[tuple[float, float]] = []
    for time in times:
        seen = {box.name: box for box in renderer.boxes(world, time) if box.person and box.visible >= VISIBLE}
        movers = [a for a in world.shot_at(time).actors if a.kind in seen and a.motion in MOTION_NAMES]
        for actor in movers:
            found[MOTION_NAMES.index(actor.motion)] += 1
        for box in [seen[actor.kind] for actor in movers[:1]]:
            places.append((box.x + box.width / 2, box.y + box.height / 2))
    middle = np.mean(places, 0) if places else np.full(2, np.nan)
    return found / max(float(found.sum()), 1.0), middle.astype(np.float32)


def compressed(pictures: Iterable[Pictures], world: Scenario, rng: Random) -> Iterator[Pictures]:
    """The pictures after H.264 at about the strength of their video."""
    import av

    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = world.width, world.height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 10), Fraction(10)
    encoder.thread_count = 1
    # Most frames of a video are worse than its key frames, which is all that a single picture is.
    crf = world.crf + rng.randint(0, 4)
    encoder.options = {"preset": "veryfast", "crf": str(crf), "x264-params": "threads=1"}
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for picture in pictures:
        packets += encoder.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
    for packet in [*packets, *encoder.encode(None), None]:
        for frame in decoder.decode(packet):
            yield frame.to_ndarray(format="rgb24")


def _fitted(picture: Pictures, longer: int) -> Pictures:
    """Scaled so that the longer side has so many pixels."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = longer / max(height, width)
    size = round(width * scale), round(height * scale)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def _squeezed(picture: Pictures) -> Pictures:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _save(path: Path, **arrays: Any) -> None:
    with open_atomic(path, durable=False) as file:
        np.savez(file, **arrays)
