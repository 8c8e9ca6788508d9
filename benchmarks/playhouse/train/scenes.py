"""The scene expert's small ViT (transformers)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.playhouse.train.dataset import SCENE_NAMES, TrainingFrame
from tagline.benchmarks.playhouse.train.loop import (
    Log,
    TrainingSchedule,
    WeightAverage,
    adamw,
    device,
    endless_batches,
    optimiser_step,
)

SIDE = 96
BATCH = 64
STEPS = 2500
RATE = 1.5e-3
MEAN = STD = (0.5, 0.5, 0.5)


def as_squares(frames: Sequence[TrainingFrame], side: int) -> npt.NDArray[np.uint8]:
    """All pictures as squares: uint8 [N, side, side, 3]."""
    from PIL import Image

    size, how = (side, side), Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(frame.picture).resize(size, how)) for frame in frames])


def train_scene_model(frames: Sequence[TrainingFrame], course: TrainingSchedule, seed: int, log: Log) -> Any:
    import torch
    from torch.nn import functional as F
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    where = device()
    config = ViTConfig(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        image_size=SIDE,
        patch_size=16,
        id2label=dict(enumerate(SCENE_NAMES)),
        label2id={name: number for number, name in enumerate(SCENE_NAMES)},
    )
    model: Any = ViTForImageClassification(config)
    model = model.to(where).train()
    optim, mean = adamw(model, RATE), WeightAverage(model, reach=200.0)
    pictures, scenes = as_squares(frames, SIDE), np.array([frame.scene for frame in frames])
    order = endless_batches(len(frames), BATCH, rng)
    lately: list[float] = []
    for rate in course:
        chosen = next(order)
        seen = augment(pictures[chosen], rng, MEAN, STD).to(where)
        truth = torch.from_numpy(scenes[chosen]).to(where)
        loss = F.cross_entropy(model(pixel_values=seen).logits, truth, label_smoothing=0.05)
        optimiser_step(optim, loss, model, rate, clip=1.0)
        mean.take(model)
        lately.append(loss.item())
        if course.step % 100 == 99:
            log(f"step {course.step + 1}, {course.share:.0%}, {course.seconds:.0f} s: {np.mean(lately):.3f}")
            lately.clear()
    return mean.model


def augment(
    pictures: npt.NDArray[np.uint8], rng: np.random.Generator, mean: Sequence[float], std: Sequence[float]
) -> Any:
    """Mirrored, cut a little, lighter or darker. uint8 [N, h, w, 3] to normalised float32 [N, 3, h, w]."""
    import torch
    from torch.nn import functional as F

    count = len(pictures)
    theta = np.zeros((count, 2, 3), np.float32)
    size = rng.uniform(0.8, 1.0, (count, 2))
    theta[:, 0, 0] = size[:, 0] * np.where(rng.random(count) < 0.5, -1, 1)
    theta[:, 1, 1] = size[:, 1]
    theta[:, :, 2] = rng.uniform(-1, 1, (count, 2)) * (1 - size)
    flat = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    grid = F.affine_grid(torch.from_numpy(theta), list(flat.shape), align_corners=False)
    light = torch.from_numpy(rng.uniform(0.8, 1.2, (count, 1, 1, 1)).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(0.95, 1.05, (count, 3, 1, 1)).astype(np.float32))
    seen = F.grid_sample(flat, grid, padding_mode="border", align_corners=False) / 255
    seen = (seen * light * tint).clamp(0, 1)
    return (seen - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def predictions(model: Any, frames: Sequence[TrainingFrame]) -> npt.NDArray[np.float32]:
    """Shares of belief: float32 [N, K]."""
    import torch

    where = next(model.parameters()).device
    pictures = torch.from_numpy(as_squares(frames, SIDE)).permute(0, 3, 1, 2)
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            some = (pictures[start : start + BATCH].float() / 255 - 0.5) / 0.5
            found.append(model(pixel_values=some.to(where)).logits.softmax(-1).float().cpu().numpy())
    return np.concatenate(found)
