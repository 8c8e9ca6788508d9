"""Examples to the tensors that the ranker reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from tagline.tagging.generator.data import Example
from tagline.tagging.generator.words import TagTokenizer
from tagline.tagging.neighbours.views import video_text
from tagline.tagging.ranker.config import RankerConfig
from tagline.tagging.ranker.model import RankerBatch


class RankerCollator:
    """Makes `Clips` of examples, in the widths that the ranker was built for."""

    def __init__(self, config: RankerConfig, words: TagTokenizer, frame_width: int, sound_width: int) -> None:
        self.config, self.words = config, words
        self.frame_width, self.sound_width = frame_width, sound_width

    def __call__(self, examples: Sequence[Example]) -> RankerBatch:
        texts = [self.words.title(video_text(one), self.config.text_words) for one in examples]
        text = torch.full((len(texts), max(map(len, texts))), self.words.pad)
        mask = torch.zeros_like(text, dtype=torch.bool)
        for row, ids in enumerate(texts):
            text[row, : len(ids)] = torch.tensor(ids)
            mask[row, : len(ids)] = True
        frames = pad_vectors([one.frames for one in examples], self.frame_width, self.config.frames)
        sound = pad_vectors([one.sound for one in examples], self.sound_width, self.config.sounds)
        return RankerBatch(*frames, *sound, text, mask)


def pad_vectors(
    parts: Sequence[npt.NDArray[np.float32] | None], width: int, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of several videos side by side: float [B, T, width] and bool [B, T], at most `most`, spread."""
    chosen = []
    for part in parts:
        if part is None or not len(part) or part.shape[1] != width:
            chosen.append(np.zeros((0, width), np.float32))
        elif len(part) > most:
            chosen.append(part[[(2 * i + 1) * len(part) // (2 * most) for i in range(most)]])
        else:
            chosen.append(part)
    longest = max(map(len, chosen), default=0)
    rows = torch.zeros(len(parts), longest, width)
    mask = torch.zeros(len(parts), longest, dtype=torch.bool)
    for row, part in enumerate(chosen):
        rows[row, : len(part)] = torch.from_numpy(np.ascontiguousarray(part, np.float32))
        mask[row, : len(part)] = True
    return rows, mask


def width_of(parts: Sequence[npt.NDArray[np.float32] | None]) -> int:
    """How long the vectors are; 0 where there are none."""
    return next((part.shape[1] for part in parts if part is not None and len(part)), 0)
