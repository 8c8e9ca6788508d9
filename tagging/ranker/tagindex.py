"""The tag side as an index: hundreds of thousands of tags, searched in milliseconds, new ones at any time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tagline.tagging.nearest import NO_ROW, VectorIndex, Vectors


class TagIndex:
    """Tags and their vectors in the space of the ranker."""

    def __init__(self, tags: Sequence[str], vectors: Vectors, *, queries: Vectors | None = None) -> None:
        """vectors: [K, D], each of length 1; queries: videos like those that will ask."""
        if len(tags) != len(vectors):
            raise ValueError(f"{len(tags)} tags but {len(vectors)} vectors")
        self.tags = list(tags)
        self.number = {tag: i for i, tag in enumerate(self.tags)}
        self.nearest = VectorIndex(vectors, queries=queries)

    def __len__(self) -> int:
        return len(self.tags)

    def add(self, tags: Sequence[str], vectors: Vectors) -> None:
        """New tags are ranked from now on. One that is known already keeps its place."""
        new = [i for i, tag in enumerate(tags) if tag not in self.number]
        for i in new:
            self.number[tags[i]] = len(self.tags)
            self.tags.append(tags[i])
        if new:
            self.nearest.add(vectors[new])

    def nearest_tags(self, videos: Vectors, count: int) -> list[list[tuple[str, float]]]:
        """The `count` tags that fit each video best, with their cosines."""
        scores, numbers = self.nearest.search(videos, count)
        return [
            [(self.tags[n], float(s)) for s, n in zip(own, places, strict=True) if n != NO_ROW]
            for own, places in zip(scores.tolist(), numbers.tolist(), strict=True)
        ]

    def rank_candidates(self, video: Vectors, candidates: Sequence[str]) -> list[tuple[str, float]]:
        """Candidates by how well they fit one video [D], best first; unknown ones are left out."""
        known = [tag for tag in dict.fromkeys(candidates) if tag in self.number]
        if not known:
            return []
        scores = self.nearest.vectors[[self.number[tag] for tag in known]] @ np.asarray(video, np.float32)
        order = np.argsort(-scores, kind="stable")
        return [(known[i], float(scores[i])) for i in order.tolist()]
