"""The published way to train CLIP4Clip, written plainly: what TABLE's training is measured against.

As in the published code (ArrowLuo/CLIP4Clip): the data set's items are (video, caption) pairs. For every
pair the video is opened anew with OpenCV, sought once a second and decoded there, each frame is resized,
cropped and normalised with PIL and torchvision's arithmetic; the text is tokenized. Both are padded to their
full number, and every frame of every pair, padding too, goes through the visual tower. The loss takes every
other text of the batch for wrong, also those of the same video. One thing differs: padding repeats the last
frame, where the published code has zeros, which the batch norms of our tower would feel.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from tagline.table.config import TableConfig
    from tagline.table.model import Table
    from tagline.table.rows import Row
    from tagline.table.tokenizer import Tokenizer


class Pairs(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """(frames float [N, 3, S, S], mask bool [N], words int [M]) of each caption."""

    def __init__(self, rows: Sequence[Row], tokenizer: Tokenizer, config: TableConfig, side: int) -> None:
        self.pairs = [(row.path, text) for row in rows for text in row.texts]
        self.tokenizer, self.config, self.side = tokenizer, config.model, side

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        path, text = self.pairs[number]
        pictures = [self._transform(picture) for picture in _read(str(path))]
        most = self.config.frames
        if len(pictures) > most:  # slice_framepos 2: evenly spread
            places = np.linspace(0, len(pictures) - 1, num=most, dtype=int)
            pictures = [pictures[i] for i in places]
        frames = torch.stack([*pictures, *pictures[-1:] * (most - len(pictures))])
        mask = torch.arange(most) < len(pictures)
        return frames, mask, self.tokenizer([text], self.config.text_length)[0]

    def _transform(self, picture: Any) -> Tensor:
        """Resize (bicubic), centre crop, to [0, 1], normalise."""
        from PIL import Image

        image = Image.fromarray(picture)
        scale = self.side / min(image.size)
        size = (max(self.side, round(image.width * scale)), max(self.side, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - self.side) // 2, (size[1] - self.side) // 2
        cut = np.asarray(image.crop((left, top, left + self.side, top + self.side)).convert("RGB"))
        pixels = torch.from_numpy(cut.copy()).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(x).view(3, 1, 1) for x in (self.config.mean, self.config.std))
        return (pixels - mean) / std


def _read(path: str) -> list[Any]:
    """One picture a second, sought one by one: uint8 [H, W, 3], RGB, each."""
    import cv2

    video = cv2.VideoCapture(path)
    fps = max(round(video.get(cv2.CAP_PROP_FPS)), 1)
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    pictures = []
    for second in range(max((count + fps - 1) // fps, 1)):
        video.set(cv2.CAP_PROP_POS_FRAMES, second * fps)
        there, picture = video.read()
        if not there:
            break
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    video.release()
    if not pictures:
        raise RuntimeError(f"{path} gave no picture")
    return pictures


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """What the plain way came to."""

    seconds: float  # of training alone
    captions: int
    captions_a_second: float


def train(
    model: Table,
    config: TableConfig,
    rows: Sequence[Row],
    tokenizer: Tokenizer,
    captions: int,
    *,
    workers: int = 0,
    say: Callable[[str], None] = print,
) -> TrainingSpeed:
    """Train on so many captions: one step a batch, AdamW, warm-up and cosine, as the other side does."""
    settings = config.train
    steps = max(1, captions // settings.batch)
    torch.manual_seed(settings.seed)
    pairs = Pairs(rows, tokenizer, config, model.image_size)
    loader = DataLoader(
        pairs, settings.batch, shuffle=True, drop_last=len(pairs) >= settings.batch, num_workers=workers
    )
    groups = model.parameter_groups()
    optimizer = torch.optim.AdamW(
        [
            {"params": groups["towers"], "lr": settings.lr_towers},
            {"params": groups["fusion"], "lr": settings.lr_fusion},
        ],
        betas=(0.9, 0.98),
        eps=1e-6,
        weight_decay=settings.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _schedule(steps, settings.warmup))
    model.train()
    begun, done = time.perf_counter(), 0
    for step, (frames, mask, words) in enumerate(_endless(loader)):
        loss = _loss(model, frames, mask, words)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        done += len(words)
        if step % 10 == 0:
            say(f"plain: step {step + 1}/{steps}  loss {loss.item():.3f}")
        if step + 1 == steps:
            break
    seconds = time.perf_counter() - begun
    return TrainingSpeed(seconds, done, done / seconds)


def _loss(model: Table, frames: Tensor, mask: Tensor, words: Tensor) -> Tensor:
    """Contrastive both ways; every other pair of the batch is wrong."""
    batch, count = frames.shape[:2]
    seen = model.visual(frames.flatten(0, 1)).view(batch, count, -1)
    videos = model.encode_videos(seen, mask).vectors
    logits = model.logit_scale.exp() * model.encode_texts(words) @ videos.T
    right = torch.arange(batch)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def _schedule(steps: int, warmup: float) -> Callable[[int], float]:
    """Linear warm-up, then half a cosine, as shares of the rate."""
    first = max(1, math.ceil(warmup * steps))

    def share(step: int) -> float:
        if step < first:
            return step / first
        return 0.5 * (1 + math.cos(math.pi * (step - first) / max(1, steps - first)))

    return share
