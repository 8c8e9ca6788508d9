"""Examples for models that learn tags: read from a catalog, split, and drawn in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, Sampler

from tagline.tagging.catalog.uploads import upload_of
from tagline.tagging.ml.config import BadConfig

Frames = npt.NDArray[np.float32]  # [T, D], frame features of one video


@dataclass(frozen=True, slots=True)
class Example:
    """One video: what it is called, what it shows, how people tagged it."""

    name: str  # what people know it by: its path
    key: str  # its content hash
    title: str = ""
    tags: tuple[str, ...] = ()
    frames: Frames | None = field(default=None, compare=False)
    words: str = ""  # what is said in it and written in its pictures
    sound: Frames | None = field(default=None, compare=False)


@dataclass(slots=True)
class Examples:
    """What a run learns from and what chooses its checkpoint."""

    train: list[Example]
    validation: list[Example]
    left_out: list[tuple[str, str]] = field(default_factory=list)  # (video, why)
    frames_by: str = ""  # hash of the towers that made the frame features; "": not known


def hold_out(whole: Sequence[Example], share: float, most: int, seed: int = 0) -> Examples:
    """Split examples into train and validation by a hash of each key, so that a video stays on its side."""
    order = sorted(range(len(whole)), key=lambda i: stable_hash(whole[i].key, seed))
    count = min(most, max(1, round(share * len(whole)))) if len(whole) > 1 else 0
    chosen = set(order[:count])
    kept = [one for i, one in enumerate(whole) if i not in chosen]
    return Examples(kept, [whole[i] for i in sorted(chosen)])


def split_of(catalog: Catalog, video_id: int) -> str:
    """ "test" wins over "val", and that over "train": what was tested on once must not be learned from."""
    splits = {caption.split for caption in catalog.captions(video_id)}
    upload = upload_of(catalog, video_id)
    if upload is not None:
        splits.add(upload.split)
    return "test" if "test" in splits else "val" if "val" in splits else "train"


def read_frames(catalog: Catalog, source: str, wanted: set[int], made_by: str = "") -> dict[int, Frames]:
    """The frame vectors of the wanted videos, in the order of their times."""
    vectors = catalog.vectors.read(source, fingerprint=made_by or None)
    found: dict[int, Frames] = {}
    edges = np.flatnonzero(np.diff(vectors.ids, prepend=-1))
    for start, end in zip(edges, [*edges[1:], len(vectors.ids)], strict=True):
        video_id = int(vectors.ids[start])
        if video_id in wanted:
            found[video_id] = vectors.values[start:end]
    return found


def tag_table(examples: Sequence[Example], least: int = 1) -> tuple[list[str], list[int]]:
    """The tags to learn, the most frequent first, and how many videos have each."""
    counts = Counter(tag for one in examples for tag in set(one.tags))
    tags = sorted((tag for tag in counts if counts[tag] >= least), key=lambda tag: (-counts[tag], tag))
    return tags, [counts[tag] for tag in tags]


class Sample(NamedTuple):
    """An example in a batch, with the seed of all chance that it meets there."""

    example: int
    seed: int


class ExampleBatchSampler(Sampler[list[Sample]]):
    """Every example once in an epoch, in an order that follows from (seed, epoch) alone.

    batch: examples over all ranks; each rank gets its slice of the same global batch. Examples that make
    no full batch at the end of an epoch wait for the next one, where the order is another.
    """

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.count, self.seed, self.rank, self.epoch = count, seed, rank, 0
        self.each = min(batch, count) // ranks
        if not self.each:
            raise BadConfig(f"{count} videos in batches of {batch} are too few for {ranks} processes")
        self.batch = self.each * ranks

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.batch

    def __iter__(self) -> Iterator[list[Sample]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        for number in range(len(self)):
            start = number * self.batch + self.rank * self.each
            own = order[start : start + self.each].tolist()
            yield [Sample(i, stable_hash(f"{self.epoch}:{i}", self.seed) >> 1) for i in own]


class ExampleDataset(Dataset[tuple[Example, int]]):
    """Examples by turn."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, turn: Sample) -> tuple[Example, int]:
        return self.examples[turn.example], turn.seed


def stable_hash(key: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode("utf-8", "replace")).digest()[:8], "big")


LEARNED_FROM = frozenset({"", "train"})  # splits whose tags may be passed on to other videos
