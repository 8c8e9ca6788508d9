"""The detectors of things and of persons: one small YOLO learns both, then its last layer is parted.

ultralytics builds the network and its loss; the loop is our own, because its trainer reads pictures
from files and scales them anew each time, which two cores feel.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from tagline.benchmarks.playhouse.train import dataset
from tagline.benchmarks.playhouse.train.dataset import TrainingFrame
from tagline.benchmarks.playhouse.train.loop import (
    Log,
    TrainingSchedule,
    WeightAverage,
    adamw,
    autocast,
    device,
    optimiser_step,
)

BATCH = 16
STEPS = 10_000
RATE = 2e-3
THRESHOLD = 0.4  # of the detector experts


@dataclass(frozen=True, slots=True)
class InputSize:
    """How large pictures are shown. A processor's kernels are made for each shape anew, so there are few."""

    longer: int  # pixels of the longer side, before pictures are made larger and smaller at random
    wide: tuple[int, int]  # height and width of a batch of wide pictures
    other: tuple[int, int]  # … and of all others
    imgsz: int  # when it works


WHOLE_VIEW = InputSize(256, (160, 256), (224, 224), 320)
# What tells a boy from a man is a few pixels at that size: persons are learned a second time, closer.
CLOSE_VIEW = InputSize(320, (192, 320), (288, 288), 384)
CLOSE_STEPS, CLOSE_RATE = 5000, 1e-3

# YOLOv8 with narrow layers; boxes of a picture this small need no sixteen steps to tell an edge.
YAML: dict[str, Any] = {
    "nc": len(dataset.DETECTOR_CLASSES),
    "reg_max": 8,
    "scales": {"t": [0.33, 0.16, 1024]},
    "scale": "t",
    "backbone": [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 3, "C2f", [128, True]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 6, "C2f", [256, True]],
        [-1, 1, "Conv", [512, 3, 2]],
        [-1, 6, "C2f", [512, True]],
        [-1, 1, "Conv", [1024, 3, 2]],
        [-1, 3, "C2f", [1024, True]],
        [-1, 1, "SPPF", [1024, 5]],
    ],
    "head": [
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 6], 1, "Concat", [1]],
        [-1, 3, "C2f", [512]],
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 3, "C2f", [256]],
        [-1, 1, "Conv", [256, 3, 2]],
        [[-1, 12], 1, "Concat", [1]],
        [-1, 3, "C2f", [512]],
        [-1, 1, "Conv", [512, 3, 2]],
        [[-1, 9], 1, "Concat", [1]],
        [-1, 3, "C2f", [1024]],
        [[15, 18, 21], 1, "Detect", ["nc"]],
    ],
}


def train_detector(
    crowds: Sequence[TrainingFrame],
    frames: Sequence[TrainingFrame],
    course: TrainingSchedule,
    seed: int,
    log: Log,
    sight: InputSize = WHOLE_VIEW,
    start: Any = None,
) -> Any:
    """A DetectionModel that knows all THINGS; `start` is one to go on from, which may know others."""
    import torch
    from ultralytics.utils.loss import v8DetectionLoss

    from tagline.experts.vision.yolo import build_yolo

    torch.manual_seed(seed)
    where = device()
    model = start or build_yolo(YAML, len(dataset.DETECTOR_CLASSES))
    model = model.to(where, memory_format=torch.channels_last).train()
    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    measure = v8DetectionLoss(model)
    optim, mean = adamw(model, course.rate, 0.02), WeightAverage(model)
    rng = np.random.default_rng(seed)
    many, few = _batches(crowds, sight, rng), _batches(frames, sight, rng)
    lately: list[float] = []
    for rate in course:
        # At the end as many of what videos are really like as of what teaches most.
        usual = rng.random() < (0.2 if course.share < 0.6 else 0.5)
        pictures, boxes = next(few if usual else many)
        pictures = pictures.to(where, memory_format=torch.channels_last)
        with autocast(where):
            found = model(pictures)
        found = {key: _whole(value) for key, value in found.items()}
        loss, _ = measure(found, {key: value.to(where) for key, value in boxes.items()})
        optimiser_step(optim, loss.sum() / len(pictures), model, rate)
        mean.take(model)
        lately.append(loss.sum().item() / len(pictures))
        if course.step % 100 == 99:
            log(f"step {course.step + 1}, {course.share:.0%}, {course.seconds:.0f} s: {np.mean(lately):.3f}")
            lately.clear()
    return mean.model


def _whole(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_whole(inner) for inner in value]
    return value.float()


def only_classes(frames: Sequence[TrainingFrame], kinds: Sequence[int]) -> list[TrainingFrame]:
    """The frames with boxes of these classes alone, numbered anew in their order."""
    number = {kind: place for place, kind in enumerate(kinds)}
    frames_kept = []
    for frame in frames:
        boxes = frame.boxes[np.isin(frame.boxes[:, 0], kinds)].copy()
        boxes[:, 0] = [number[int(kind)] for kind in boxes[:, 0]]
        frames_kept.append(replace(frame, boxes=boxes))
    return frames_kept


def _batches(
    frames: Sequence[TrainingFrame], sight: InputSize, rng: np.random.Generator
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Batches of pictures of one shape. What each shape has of the frames it has of the batches."""
    import torch

    shapes: dict[tuple[int, ...], list[TrainingFrame]] = defaultdict(list)
    for frame in frames:
        shapes[frame.picture.shape[:2]].append(frame)
    kinds = list(shapes)
    odds = np.array([len(shapes[kind]) for kind in kinds], float)
    while True:
        members = shapes[kinds[rng.choice(len(kinds), p=odds / odds.sum())]]
        picked = [members[i] for i in rng.integers(0, len(members), BATCH)]
        stacked = torch.from_numpy(np.stack([frame.picture for frame in picked])).permute(0, 3, 1, 2)
        yield _augment(stacked, [frame.boxes for frame in picked], sight, rng)


def _augment(
    pictures: Any, boxes: Sequence[Any], sight: InputSize, rng: np.random.Generator
) -> tuple[Any, dict[str, Any]]:
    """Larger or smaller, moved, mirrored, lighter or darker. pictures: uint8 [N, 3, h, w]."""
    import torch
    from torch.nn import functional as F

    height, width = pictures.shape[2:]
    shrink = sight.longer / max(height, width)
    rows, columns = sight.wide if width > 1.5 * height else sight.other
    count = len(pictures)
    scale = np.exp(rng.uniform(np.log(0.75), np.log(1.35), count))
    # What the canvas shows, in units of half the picture: middle and half size.
    half = np.stack([columns / (width * shrink) / scale, rows / (height * shrink) / scale], 1)
    room = np.abs(1 - half) + 0.08
    middle = rng.uniform(-room, room)
    flip = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = flip * half[:, 0], half[:, 1], middle
    grid = F.affine_grid(torch.from_numpy(theta), [count, 3, rows, columns], align_corners=False)
    light = torch.from_numpy(rng.uniform(0.75, 1.25, (count, 1, 1, 1)).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(0.93, 1.07, (count, 3, 1, 1)).astype(np.float32))
    # Around the picture is the grey that a detector sees there when it works.
    seen = F.grid_sample(pictures.float() - 114, grid, align_corners=False) + 114
    seen = (seen / 255 * light * tint).clamp(0, 1)

    found: dict[str, list[Any]] = {"batch_idx": [], "cls": [], "bboxes": []}
    for number, rows_of in enumerate(boxes):
        if not len(rows_of):
            continue
        x = ((rows_of[:, 1] * 2 - 1) - middle[number, 0]) / half[number, 0] * flip[number]
        y = ((rows_of[:, 2] * 2 - 1) - middle[number, 1]) / half[number, 1]
        w, h = rows_of[:, 3] * 2 / half[number, 0] / 2, rows_of[:, 4] * 2 / half[number, 1] / 2
        edges = np.stack([x - w, y - h, x + w, y + h], 1)
        cut = edges.clip(-1, 1)
        area = (cut[:, 2] - cut[:, 0]) * (cut[:, 3] - cut[:, 1])
        kept = area > 0.4 * 4 * w * h
        cut = (cut[kept] + 1) / 2
        found["bboxes"].append(np.concatenate([(cut[:, :2] + cut[:, 2:]) / 2, cut[:, 2:] - cut[:, :2]], 1))
        found["cls"].append(rows_of[kept, :1])
        found["batch_idx"].append(np.full(int(kept.sum()), number))
    empty = {"batch_idx": (0,), "cls": (0, 1), "bboxes": (0, 4)}
    joined = {
        key: torch.from_numpy(np.concatenate([np.zeros(empty[key]), *parts]).astype(np.float32))
        for key, parts in found.items()
    }
    return seen, joined


def split_classes(model: Any, keep: Sequence[int], shifts: Sequence[float] | None = None) -> Any:
    """The detector of some of the classes: the rows of the last layer that belong to them.

    `shifts` are added to what the last layer says of each class, so that the experts' threshold is the
    one that was best on validation videos.
    """
    import torch

    from tagline.experts.vision.yolo import build_yolo

    own = build_yolo({**YAML, "nc": len(keep)}, len(keep))
    last = re.compile(r"model\.\d+\.cv3\.\d\.2\.(weight|bias)")  # of the head, for each of its scales
    state = {
        name: value[list(keep)] if last.fullmatch(name) else value
        for name, value in model.state_dict().items()
    }
    for name in state if shifts is not None else ():
        if last.fullmatch(name) and name.endswith("bias"):
            state[name] = state[name] + torch.tensor(shifts).to(state[name])
    own.load_state_dict(state)
    return own.eval()
