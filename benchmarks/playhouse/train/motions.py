"""The motion expert's X3D (pytorchvideo), small enough for two cores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.playhouse.train import dataset
from tagline.benchmarks.playhouse.train.dataset import MOTION_NAMES, MotionWindows
from tagline.benchmarks.playhouse.train.loop import (
    Log,
    TrainingSchedule,
    WeightAverage,
    adamw,
    device,
    endless_batches,
    optimiser_step,
)

ARCH = "x3d_s"
ARGUMENTS: dict[str, Any] = {
    "model_num_class": len(MOTION_NAMES),
    "input_clip_length": dataset.LENGTH,
    "input_crop_size": dataset.SIDE,
    "width_factor": 1.0,
    "depth_factor": 0.6,
    "bottleneck_factor": 1.5,
    "head_dim_out": 512,
    "dropout_rate": 0.1,
}
MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
BATCH = 24
STEPS = 7500
RATE = 3e-3
# Height and width of what is shown around somebody who moves, growing to the whole frame: who is to be
# learned about fills the picture first. On whole frames alone nothing was learned for thousands of steps.
WHOLE = (dataset.SIDE, dataset.SIDE)
CROP_SIZES = ((48, 64), (48, 64), (48, 64), (56, 64), (64, 72), (72, 80), WHOLE, WHOLE, WHOLE, WHOLE)
ONE_MOTION_SHARE = 0.3  # share of the course in which only windows with one kind of motion are shown


def train_motion_model(windows: MotionWindows, course: TrainingSchedule, seed: int, log: Log) -> Any:
    import torch

    from tagline.experts.motion import build_motion

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    where = device()
    model: Any = build_motion(ARCH, ARGUMENTS)
    _temporal_filters(model.blocks[0].conv.conv_xy.weight)
    head = model.blocks[-1]
    made = head.pool.pool, head.activation
    # While it learns, pictures have several sizes, and the loss wants logits.
    head.pool.pool, head.activation = torch.nn.AdaptiveAvgPool3d(1), None
    model = model.to(where, memory_format=torch.channels_last_3d).train()
    optim, mean = adamw(model, RATE, 0.02), WeightAverage(model, reach=150.0)
    plain = np.flatnonzero(windows.shares.max(1) > 0.99)
    few, every = endless_batches(len(plain), BATCH, rng), endless_batches(len(windows.pictures), BATCH, rng)
    mirrored = [MOTION_NAMES.index(_mirror(deed)) for deed in MOTION_NAMES]
    lately: list[float] = []
    for rate in course:
        chosen = plain[next(few)] if course.share < ONE_MOTION_SHARE else next(every)
        shares = windows.shares[chosen]
        flip = rng.random(BATCH) < 0.5
        shares = np.where(flip[:, None], shares[:, mirrored], shares)
        # Where nothing moves, any motion is as unlikely as the other: none passes the expert's threshold.
        nothing = shares.sum(1, keepdims=True) == 0
        shares = np.where(nothing, 1 / len(MOTION_NAMES), shares).astype(np.float32)
        stage = min(int(course.share * len(CROP_SIZES)), len(CROP_SIZES) - 1)
        shown = CROP_SIZES[max(stage - int(rng.integers(2)), 0)]  # some of the stage before
        pictures = _augment(windows.pictures[chosen], windows.middles[chosen], shown, flip, rng)
        answers = model(pictures.to(where, memory_format=torch.channels_last_3d))  # [N, K]
        loss = -(torch.from_numpy(shares).to(where) * answers.log_softmax(1)).sum(1).mean()
        optimiser_step(optim, loss, model, rate, clip=5.0)
        mean.take(model)
        lately.append(loss.item())
        if course.step % 50 == 49:
            log(f"step {course.step + 1}, {course.share:.0%}, {course.seconds:.0f} s: {np.mean(lately):.3f}")
            lately.clear()
    mean.model.blocks[-1].pool.pool, mean.model.blocks[-1].activation = made
    return mean.model


def _temporal_filters(over_time: Any) -> None:
    """Begin with filters over time of which three in four see only what changes. [C, 1, 5, 1, 1]"""
    import torch

    kinds = ((0, 0, 1, 0, 0), (0, -1, 0, 1, 0), (0, -1, 1, 0, 0), (0, 0.5, -1, 0.5, 0))
    count = len(over_time)
    with torch.no_grad():
        filters = torch.tensor(kinds, dtype=torch.float32)[torch.arange(count) % len(kinds)]
        over_time[:, 0, :, 0, 0] = filters + 0.05 * torch.randn(count, 5)


def _mirror(deed: str) -> str:
    swapped = {"left": "right", "right": "left"}
    return " ".join(swapped.get(word, word) for word in deed.split())


def _augment(
    pictures: npt.NDArray[np.uint8],
    middles: npt.NDArray[np.float32],
    shown: tuple[int, int],
    flip: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Any:
    """A part of about `shown` pixels around who moves: mirrored, moved and scaled a little, lighter or
    darker, the same for all frames of a window.

    pictures: uint8 [N, T, h, w, 3]; returns float32 [N, 3, T, *shown], normalised.
    """
    import torch
    from torch.nn import functional as F

    (count, length), (height, width) = pictures.shape[:2], shown
    zoom = np.exp(rng.uniform(-0.22, 0.15, (count, 1)) + rng.uniform(-0.06, 0.06, (count, 2)))
    half = np.array([width, height]) / dataset.SIDE * zoom
    room = np.maximum(1 - half, 0) + 0.04
    middle = np.clip(np.nan_to_num(middles * 2 - 1) + rng.uniform(-0.3, 0.3, (count, 2)) * half, -room, room)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = half[:, 0] * np.where(flip, -1, 1), half[:, 1]
    theta[:, :, 2] = middle
    flat = torch.from_numpy(pictures).flatten(0, 1).permute(0, 3, 1, 2).float()
    grid = F.affine_grid(torch.from_numpy(theta), [count, 3, height, width], align_corners=False)
    grid = grid.repeat_interleave(length, 0)
    seen = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    seen = seen.view(count, length, *seen.shape[1:]).transpose(1, 2) / 255
    light = torch.from_numpy(rng.uniform(0.75, 1.25, (count, 1, 1, 1, 1)).astype(np.float32))
    seen = (seen * light).clamp(0, 1)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1, 1) for values in (MEAN, STD))
    return (seen - mean) / std


def predictions(model: Any, windows: MotionWindows) -> npt.NDArray[np.float32]:
    """What the model says of windows as they are: float32 [N, K]."""
    import torch

    mean, std = (torch.tensor(values).view(1, 3, 1, 1, 1) for values in (MEAN, STD))
    found = []
    where = next(model.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(windows.pictures), BATCH):
            some = torch.from_numpy(windows.pictures[start : start + BATCH]).permute(0, 4, 1, 2, 3)
            found.append(model(((some.float() / 255 - mean) / std).to(where)).float().cpu().numpy())
    return np.concatenate(found)
