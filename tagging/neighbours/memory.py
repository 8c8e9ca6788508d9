"""A memory of tagged videos and the retrieval systems over it. It grows with every tag, without training.

Each video is known by several views, vectors of one kind each. A source asks with one view and answers
with another, so that a title finds videos and a video finds titles. A view that a video lacks is a row of
zeros: nothing is found by it, and it finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tagline.tagging.ml.ann import NO_ROW, Numbers, VectorIndex, Vectors, unit
from tagline.tagging.neighbours.voting import Proposal, consensus, normalise, shares

Views = Mapping[str, Vectors]  # of N videos: the name of a view and its vectors, [N, D] each

FRAMES = "frames"  # mean of CLIP's frame vectors
TITLE = "title"  # sentence embedding of the title
TITLE_IN_CLIP = "named"  # the title in CLIP's text tower, comparable with FRAMES
TEXT = "text"  # sentence embedding of title, speech and texts on the screen
SOUND = "sound"
ALL = "all"  # those of FRAMES, TEXT and SOUND that are there, side by side
PARTS = (FRAMES, TEXT, SOUND)

SCORE_PAIRS = 20_000  # of videos, from which the usual score of a source is known


class RetrievalSystem(NamedTuple):
    """A retrieval system: which view asks, which one answers."""

    name: str
    query_view: str
    result_view: str


OPEN_TAG = (
    RetrievalSystem("video to video", FRAMES, FRAMES),
    RetrievalSystem("title to title", TITLE, TITLE),
    RetrievalSystem("video to title", FRAMES, TITLE_IN_CLIP),
    RetrievalSystem("title to video", TITLE_IN_CLIP, FRAMES),
)
RECALL = (
    RetrievalSystem("text", TEXT, TEXT),
    RetrievalSystem("video", FRAMES, FRAMES),
    RetrievalSystem("audio", SOUND, SOUND),
    RetrievalSystem("multimodal", ALL, ALL),
)


@dataclass(frozen=True, slots=True)
class TaggedVideo:
    """One video of a memory: its content, what people say of it, and what they say it is not."""

    key: str
    tags: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


class Memory:
    """Tagged videos that can be asked for tags of videos like them."""

    def __init__(self, videos: Sequence[TaggedVideo], views: Views, *, sharpness: float = 1.0) -> None:
        """views: vectors of the same videos, in the same order; one that is not here makes no source."""
        self.videos = list(videos)
        self.sharpness = sharpness
        self.centres = {name: _centre(rows) for name, rows in views.items() if rows.shape[1]}
        self.views = self.fit(views)
        self._same: dict[str, list[int]] = {}
        for number, video in enumerate(self.videos):
            self._same.setdefault(video.key, []).append(number)
        self._indexes: dict[str, tuple[VectorIndex, Numbers]] = {}
        self._usual: dict[RetrievalSystem, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self.videos)

    def fit(self, views: Views) -> dict[str, Vectors]:
        """Any videos' views as this memory compares them: centred, of length 1, with ALL beside them.

        What all videos of a library have in common says nothing of which are alike, and between pictures
        and texts it is most of the distance.
        """
        fitted = {}
        for name, centre in self.centres.items():
            if name in views:
                rows = np.asarray(views[name], np.float32)
                there = np.linalg.norm(rows, axis=1, keepdims=True) > 1e-9
                fitted[name] = unit((rows - centre) * there)
        parts = [fitted[name] for name in PARTS if name in fitted]
        if parts:
            fitted[ALL] = unit(np.concatenate(parts, axis=1))
        return fitted

    def retrieval_systems(self, systems: Iterable[RetrievalSystem] = OPEN_TAG) -> list[RetrievalSystem]:
        """Those of the sources for which this memory has the views."""
        return [
            source
            for source in systems
            if source.query_view in self.views and source.result_view in self.views
        ]

    def nearest(
        self, source: RetrievalSystem, views: Views, keys: Sequence[str], count: int
    ) -> tuple[npt.NDArray[np.float64], Numbers]:
        """The nearest videos of each asking one in one source: weights [B, count] and numbers [B, count].

        views: of the asking videos, as `fit` gives them; keys: their contents, because no video is its own
        neighbour, under whatever name. Where there is no neighbour the weight is 0 and the number NONE.
        """
        asked = views[source.query_view]
        index, rows = self._index(source.result_view)
        spare = max((len(self._same.get(key, ())) for key in keys), default=0)
        scores, places = index.search(asked, count + spare)
        found = np.where(places == NO_ROW, NO_ROW, rows[np.maximum(places, 0)] if len(rows) else NO_ROW)
        weights = np.zeros((len(asked), count))
        numbers = np.full((len(asked), count), NO_ROW, np.int64)
        blind = np.linalg.norm(asked, axis=1) < 0.5
        for row, key in enumerate(keys):
            own = set(self._same.get(key, ()))
            kept = [i for i, n in enumerate(found[row].tolist()) if n != NO_ROW and n not in own][:count]
            if blind[row] or not kept:
                continue
            numbers[row, : len(kept)] = found[row, kept]
            weights[row, : len(kept)] = normalise(
                scores[row, kept], *self.usual_score(source), self.sharpness
            )
        return weights, numbers

    def propose(
        self,
        views: Views,
        keys: Sequence[str],
        *,
        count: int = 5,
        systems: Iterable[RetrievalSystem] = OPEN_TAG,
    ) -> list[list[Proposal]]:
        """The tags of similar videos, by consensus of all sources, for each asking video, best first.

        count: neighbours in each source.
        """
        sources = self.retrieval_systems(systems)
        nearest = {source: self.nearest(source, views, keys, count) for source in sources}
        return [
            self._vote({s: (w[row], n[row]) for s, (w, n) in nearest.items()}) for row in range(len(keys))
        ]

    def _vote(
        self, nearest: Mapping[RetrievalSystem, tuple[npt.NDArray[np.float64], Numbers]]
    ) -> list[Proposal]:
        """The proposals for one video from its neighbours by source."""
        votes: dict[str, dict[str, float]] = {}
        carried: dict[str, dict[int, float]] = {}  # tag: which videos carry it, with what weight
        for source, (weights, numbers) in nearest.items():
            there = numbers != NO_ROW
            if not there.any():
                continue  # this source has no opinion
            some = [self.videos[n] for n in numbers[there].tolist()]
            votes[source.name] = shares(weights[there], [v.tags for v in some], [v.rejected for v in some])
            for number, weight, video in zip(numbers[there].tolist(), weights[there], some, strict=True):
                for tag in video.tags:
                    held = carried.setdefault(tag, {})
                    held[number] = held.get(number, 0.0) + float(weight)
        scored = consensus(votes)
        return [
            Proposal(
                tag,
                scored[tag],
                tuple(name for name, own in votes.items() if tag in own),
                tuple(sorted(carried[tag], key=lambda n: (-carried[tag][n], n))),
            )
            for tag in sorted(scored, key=lambda tag: (-scored[tag], tag))
        ]

    def usual_score(self, source: RetrievalSystem) -> tuple[float, float]:
        """Mean and spread of the scores that a source gives to any two different videos of the memory."""
        if source not in self._usual:
            rng = np.random.default_rng(0)
            asks, answers = self.views[source.query_view], self.views[source.result_view]
            a, b = (rng.integers(0, max(len(self), 1), SCORE_PAIRS) for _ in range(2))
            a, b = (x[a != b] for x in (a, b)) if len(self) else (a[:0], b[:0])
            there = (np.abs(asks[a]).sum(1) > 0) & (np.abs(answers[b]).sum(1) > 0)
            scores = np.einsum("nd,nd->n", asks[a][there], answers[b][there])
            self._usual[source] = (float(scores.mean()), float(scores.std())) if len(scores) else (0.0, 1.0)
        return self._usual[source]

    def _index(self, view: str) -> tuple[VectorIndex, Numbers]:
        """The rows of a view that are there, to be searched, and their numbers in the memory."""
        if view not in self._indexes:
            rows = np.flatnonzero(np.linalg.norm(self.views[view], axis=1) > 0.5)
            self._indexes[view] = VectorIndex(self.views[view][rows]), rows
        return self._indexes[view]


def _centre(rows: Vectors) -> Vectors:
    """The mean of the rows that are there, [1, D]; zeros for a memory of fewer than two."""
    there = np.linalg.norm(rows, axis=1) > 1e-9
    if there.sum() < 2:
        return np.zeros((1, rows.shape[1]), np.float32)
    mean: Vectors = rows[there].mean(0, keepdims=True)
    return mean
