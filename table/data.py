"""From catalog rows to tensors: which tags a model reads of a video, which captions share its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from tagline.experts.tags import Tag
from tagline.table.config import ModelConfig, TagChoice
from tagline.table.frame_cache import Frames, FrameSource
from tagline.table.objective import mask_words
from tagline.table.tokenizer import Tokenizer
from tagline.tagging.ml.sampler import Sample
from tagline.tagging.ml.splits import hold_out, split_of, stable_hash

if TYPE_CHECKING:
    from tagline.tagging.catalog.records import Caption, Video
    from tagline.tagging.catalog.write import Catalog


@dataclass(frozen=True, slots=True)
class Row:
    """One video of a training or test set, as the model reads it."""

    name: str  # what people know it by: its path
    key: str  # of its frames
    texts: tuple[str, ...]
    tags: str  # "" : it has none
    path: Path | None = None


@dataclass(slots=True)
class TrainingData:
    """What a run learns from and what chooses its checkpoint."""

    train: list[Row]
    validation: list[Row]
    frames: FrameSource
    left_out: list[tuple[str, str]] = field(default_factory=list)  # (video, why)


# -- from the catalog --------------------------------------------------------------------------------


def tag_text(tags: Iterable[Tag], choice: TagChoice) -> str:
    """The tags that the model reads, as one text: modality by modality, the surest first, with commas.

    A tag that several spans have is named once, with its best score.
    """
    best: dict[str, dict[str, float]] = {modality: {} for modality in choice.modalities}
    for tag in tags:
        if tag.modality in best and tag.score >= choice.min_score:
            scores = best[tag.modality]
            scores[tag.text] = max(tag.score, scores.get(tag.text, 0.0))
    texts: list[str] = []
    for scores in best.values():
        surest = sorted(scores, key=lambda text: (-scores[text], text))
        texts += surest[: choice.most]
    return ", ".join(dict.fromkeys(texts))


def rows(catalog: Catalog, choice: TagChoice, split: str, protocol: str = "single") -> list[Row]:
    """The videos of a split that have captions of it.

    A video is of one split as a whole, "train" where nothing is said; its captions of another split are in
    none. A caption without a split is learned from with its video, and tested on where it has no other.

    protocol: "single", each caption is a text; "paragraph", all captions of a video, in the order of
    their times, are one text (DiDeMo).
    """
    found = []
    for video in catalog.videos():
        every = catalog.captions(video.id)
        named = any(c.split == split for c in every)
        wanted = (split,) if named and split != "train" else (split, "")
        captions = [c for c in every if c.split in wanted and c.text]
        if captions and video.paths and (split_of(catalog, video.id) or "train") == split:
            tags = tag_text(catalog.tags(video.id), choice)
            path = Path(video.paths[0])
            found.append(Row(str(path), frame_key(video, path), texts_of(captions, protocol), tags, path))
    return found


def texts_of(captions: Sequence[Caption], protocol: str) -> tuple[str, ...]:
    if protocol == "single":
        return tuple(caption.text for caption in captions)
    ordered = sorted(captions, key=lambda c: (c.start is None, c.start or 0.0, c.end or 0.0))
    return (" ".join(caption.text for caption in ordered),)


def frame_key(video: Video, path: Path) -> str:
    """What the frames of a video are kept under: its content.

    An imported data set may know its videos by name only; then size and time stand for the content.
    """
    is_hash = len(video.hash) == 64 and set(video.hash) <= set("0123456789abcdef")
    if is_hash or not path.exists():
        return video.hash
    facts = path.stat()
    return f"{video.hash}:{facts.st_size}:{facts.st_mtime_ns}"


def split_validation(
    whole: Sequence[Row], share: float, most: int, seed: int = 0
) -> tuple[list[Row], list[Row]]:
    """Split training videos into (train, validation).

    Of a validation video one text asks, chosen by its key as well: as in a test with one text to a video.
    """
    training, held = hold_out(whole, share, most, seed)
    return training, [one_text(row, seed) for row in held]


def one_text(row: Row, seed: int = 0) -> Row:
    return replace(row, texts=(row.texts[stable_hash(row.key, seed + 1) % len(row.texts)],))


# -- samples -----------------------------------------------------------------------------------------


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
