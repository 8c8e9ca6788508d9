"""Which tags a video is compared with in training: any others, and the hard ones that are two hops away.

Two hops: from a tag to the videos that have it, and from these to their other tags. A tag that keeps the
company of a video's own tags, and is not one of them, is easily mistaken for one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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

    def around(self, tag: int) -> Numbers:
        """Every tag that some video has together with this one, itself included."""
        own = [self.tags[video] for video in self.videos[tag].tolist()]
        return np.unique(np.concatenate(own)) if own else np.zeros(0, np.int64)

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
