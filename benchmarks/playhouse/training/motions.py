"""The motion expert's X3D (pytorchvideo), small enough for two cores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.playhouse.training import material
from benchmarks.playhouse.training.loop import Course, Mean, Tell, descend, device, endless, optimiser
from benchmarks.playhouse.training.material import DEEDS, Windows

ARCH = "x3d_s"
ARGUMENTS: dict[str, Any] = {
    "model_num_class": len(DEEDS),
    "input_clip_length": material.LENGTH,
    "input_crop_size": material.SIDE,
    "width_factor": 1.0,
    "depth_factor": 0.6,
    "bottleneck_factor": 1.5,
    "head_dim_out": 512,
    "dropout_rate": 0.1,
}
MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
BATCH = 16
STEPS = 6000
RATE = 4e-3


def learn(windows: Windows, course: Course, seed: int, tell: Tell) -> Any:
    import torch

    from experts.motion import build_motion

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    where = device()
    model: Any = build_motion(ARCH, ARGUMENTS).to(where).train()
    optim, mean = optimiser(model, RATE), Mean(model, reach=200.0)
    order = endless(len(windows.pictures), BATCH, rng)
    mirrored = [DEEDS.index(_mirror(deed)) for deed in DEEDS]
    lately: list[float] = []
    for rate in course:
        chosen = next(order)
        shares = windows.shares[chosen]
        flip = rng.random(BATCH) < 0.5
        shares = np.where(flip[:, None], shares[:, mirrored], shares)
        # Where nothing moves, any motion is as unlikely as the other: none passes the expert's threshold.
        nothing = shares.sum(1, keepdims=True) == 0
        shares = np.where(nothing, 1 / len(DEEDS), shares).astype(np.float32)
        pictures = _varied(windows.pictures[chosen], flip, rng).to(where)
        answers = model(pictures)  # [N, K], shares already
        loss = -(torch.from_numpy(shares).to(where) * answers.clamp_min(1e-7).log()).sum(1).mean()
        descend(optim, loss, model, rate, clip=5.0)
        mean.take(model)
        lately.append(loss.item())
        if course.step % 50 == 49:
            tell(f"step {course.step + 1}, {course.share:.0%}, {course.seconds:.0f} s: {np.mean(lately):.3f}")
            lately.clear()
    return mean.model


def _mirror(deed: str) -> str:
    swapped = {"left": "right", "right": "left"}
    return " ".join(swapped.get(word, word) for word in deed.split())


def _varied(pictures: npt.NDArray[np.uint8], flip: Any, rng: np.random.Generator) -> Any:
    """Mirrored, moved and scaled a little, lighter or darker: the same for all frames of a window.

    pictures: uint8 [N, T, h, w, 3]; returns float32 [N, 3, T, h, w], normalised.
    """
    import torch
    from torch.nn import functional as F

    count, length = pictures.shape[:2]
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = rng.uniform(0.85, 1.1, count) * np.where(flip, -1, 1)
    theta[:, 1, 1] = rng.uniform(0.85, 1.1, count)
    theta[:, :, 2] = rng.uniform(-0.1, 0.1, (count, 2))
    flat = torch.from_numpy(pictures).flatten(0, 1).permute(0, 3, 1, 2).float()
    grid = F.affine_grid(torch.from_numpy(theta), [count, 3, *flat.shape[2:]], align_corners=False)
    grid = grid.repeat_interleave(length, 0)
    seen = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    seen = seen.view(count, length, *seen.shape[1:]).transpose(1, 2) / 255
    light = torch.from_numpy(rng.uniform(0.75, 1.25, (count, 1, 1, 1, 1)).astype(np.float32))
    seen = (seen * light).clamp(0, 1)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1, 1) for values in (MEAN, STD))
    return ((seen - mean) / std).contiguous()


def answers(model: Any, windows: Windows) -> npt.NDArray[np.float32]:
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
