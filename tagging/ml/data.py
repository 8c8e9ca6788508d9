"""Examples for models that learn tags: read from a catalog, and given to a trainer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagline.tagging.ml.sampler import Sample, mixed_seed

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog

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


class ExampleDataset:
    """Examples of a batch, each with a seed of its own for all chance that it meets there."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, sample: Sample) -> tuple[Example, int]:
        return self.examples[sample.row], mixed_seed(sample.seed, sample.row)
