"""From rows to tensors: which captions share a video's frames, what is masked, how a batch is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from tagline.table.config import ModelConfig
from tagline.table.frame_cache import Frames, FrameSource
from tagline.table.objective import mask_words
from tagline.table.rows import Row
from tagline.table.tokenizer import Tokenizer
from tagline.tagging.ml.sampler import Sample

if TYPE_CHECKING:
    pass


@dataclass(slots=True)
class TrainingData:
    """What a run learns from and what chooses its checkpoint."""

    train: list[Row]
    validation: list[Row]
    frames: FrameSource
    left_out: list[tuple[str, str]] = field(default_factory=list)  # (video, why)


class TableDataset(Dataset[dict[str, Any]]):
    """Frames, tags and texts of one video of a batch, the texts with their words masked for MLM."""

    def __init__(
        self, rows: Sequence[Row], frames: FrameSource, config: ModelConfig, tokenizer: Tokenizer
    ) -> None:
        self.rows, self.frames, self.config = list(rows), frames, config
        self.words = tokenizer.words
        # Once, here: a step should not wait for the tokenizer.
        self.texts = [tokenizer(row.texts, config.text_length).numpy() for row in self.rows]
        self.tags = tokenizer([row.tags for row in self.rows], config.tag_length)

    def __len__(self) -> int:
        return sum(len(row.texts) for row in self.rows)

    def __getitem__(self, entry: Sample) -> dict[str, Any]:
        row, ids = self.rows[entry.row], self.texts[entry.row][list(entry.texts)]
        frames, valid = pad_frames(self.frames.read(row.key), self.config.frames)
        sample = {
            "frames": torch.from_numpy(frames),
            "frame_valid": torch.from_numpy(valid),
            "tags": self.tags[entry.row],
            "tagged": torch.tensor(bool(row.tags)),
            "text": torch.from_numpy(ids),
            "seed": entry.seed,
            "names": row.name,
        }
        if self.config.mlm:
            draws = [np.random.default_rng([entry.seed, entry.row, text]) for text in entry.texts]
            masks = [mask_words(one, self.words, rng) for one, rng in zip(ids, draws, strict=True)]
            for name, parts in zip(("shown", "masked", "words"), zip(*masks, strict=True), strict=True):
                sample[name] = torch.from_numpy(np.stack(parts))
        return sample


def pad_frames(frames: Frames, count: int) -> tuple[Frames, Any]:
    """uint8 [count, 3, S, S] and bool [count]: missing frames repeat the last and are marked."""
    have = min(len(frames), count)
    places = np.minimum(np.arange(count), have - 1)
    return np.ascontiguousarray(frames[places]), np.arange(count) < have


def used_length(ids: torch.Tensor) -> int:
    """How many places the longest of these texts takes, rounded up to four: fewer shapes, fewer kernels."""
    if not len(ids):
        return ids.shape[1]
    return min(-(-(int(ids.argmax(1).max()) + 1) // 4) * 4, ids.shape[1])


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch as `Table.forward` takes it, and `names`, the videos it is made of.

    The texts of a video stand together: text i belongs to row `video_of_text[i]` of the frames.
    """
    batch: dict[str, Any] = {"names": [s["names"] for s in samples], "seed": samples[0]["seed"]}
    for name in ("frames", "frame_valid", "tags", "tagged"):
        batch[name] = torch.stack([s[name] for s in samples])
    for name in ("text", "shown", "masked", "words"):
        if name in samples[0]:
            batch[name] = torch.cat([s[name] for s in samples])
    batch["longest"] = (used_length(batch["text"]), used_length(batch["tags"]))
    counts = torch.tensor([len(s["text"]) for s in samples])
    batch["video_of_text"] = torch.arange(len(samples)).repeat_interleave(counts)
    return batch
