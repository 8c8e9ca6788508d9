"""The ranker's data: examples as padded tensors, and negative tags, hard ones two hops away in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from tagline.experts.footage import evenly
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.tokenizer import TagTokenizer
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
            chosen.append(part[evenly(most, len(part))])
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


Numbers = npt.NDArray[np.int64]


class TwoHopGraph:
    """The graph of videos and their tags, by number."""

    def __init__(self, tags: Sequence[Sequence[int]], count: int) -> None:
        """tags: the tags of each training video; count: how many tags there are."""
        self.tags = [np.unique(np.asarray(own, np.int64)) for own in tags]
        videos: list[list[int]] = [[] for _ in range(count)]
        for video, own in enumerate(self.tags):
            for tag in own.tolist():
                videos[tag].append(video)
        self.videos = [np.asarray(own, np.int64) for own in videos]
        self.count = count

    def hard(self, video: int, most: int, rng: np.random.Generator) -> Numbers:
        """At most `most` tags two hops from this video's tags, none of them its own.

        Walked at random, so that a tag counts by how often it keeps such company: a tag of the video, a
        video that has it, a tag of that one.
        """
        own = self.tags[video]
        found: dict[int, None] = {}
        if not len(own):
            return np.zeros(0, np.int64)
        for tag in rng.choice(own, 4 * most).tolist():
            other = self.videos[tag][rng.integers(len(self.videos[tag]))]
            far = int(self.tags[other][rng.integers(len(self.tags[other]))])
            if far not in own:
                found.setdefault(far)
            if len(found) == most:
                break
        return np.fromiter(found, np.int64, len(found))


def draw_negatives(
    graph: TwoHopGraph, video: int, number: int, rng: np.random.Generator, *, hard: float = 0.0
) -> Numbers:
    """The `number` negatives of a training video: a share `hard` of them by two hops, the rest any tags.

    Never one of its own tags, and each once; fewer where there are not so many tags.
    """
    own = graph.tags[video]
    chosen = graph.hard(video, round(hard * number), rng) if hard > 0 else np.zeros(0, np.int64)
    taken = np.concatenate([own, chosen])
    missing = number - len(chosen)
    if graph.count - len(taken) <= 2 * missing:
        rest = np.setdiff1d(np.arange(graph.count), taken)
        more = rng.permutation(rest)[:missing]
    else:
        more = np.setdiff1d(rng.integers(0, graph.count, 2 * missing + len(taken)), taken)
        more = rng.permutation(more)[:missing]
    return np.concatenate([chosen, more]).astype(np.int64)
