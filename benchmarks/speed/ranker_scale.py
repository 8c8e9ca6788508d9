"""`ranker-scale`: hundreds of thousands of tags and videos, and the tags of one video in milliseconds.

Synthetic embeddings with the shape of real ones: videos and tags lie around topics, a video is a mixture of
its tags, and each video has tags from a long tail. One query is a whole answer: the recall channels find
similar videos and take their tags, the tag index finds tags that fit by themselves, and the ranker's cosine
orders the union. Exact means the same with every video and every tag compared.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from tagline.tagging.ml import ann
from tagline.tagging.ml.ann import Numbers, VectorIndex, Vectors, recall, unit

CHANNELS = ("text", "video", "audio", "multimodal")
NEIGHBOURS = 10  # videos in each channel
DIRECT = 100  # tags that the index finds by themselves
BEST = 10  # tags of the answer


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """tags=200000 videos=100000 width=256 queries=200 threads=2 seed=0."""
    threads = int(options.get("threads", "2"))
    with ann.threads(threads):
        return _measure(options, threads)


def _measure(options: Mapping[str, str], threads: int) -> dict[str, Any]:
    tags, videos = int(options.get("tags", "200000")), int(options.get("videos", "100000"))
    width, queries = int(options.get("width", "256")), int(options.get("queries", "200"))
    seed = int(options.get("seed", "0"))
    world = TaggedWorld(tags, videos, width, queries, seed)
    begun = time.perf_counter()
    fast = TwoStageSearch(world, exact=False)
    building = time.perf_counter() - begun
    fast.answer(0)
    seconds, found, candidates = [], [], []
    for number in range(queries):
        start = time.perf_counter()
        best, considered = fast.answer(number)
        seconds.append(time.perf_counter() - start)
        found.append(best)
        candidates.append(considered)
    slow = TwoStageSearch(world, exact=True)
    begun = time.perf_counter()
    wanted = [slow.answer(number)[0] for number in range(queries)]
    exact_ms = 1000 * (time.perf_counter() - begun) / queries
    adding = _adding(fast, width)
    return {
        "values": {
            "p50_ms": round(1000 * float(np.quantile(seconds, 0.5)), 2),
            "p95_ms": round(1000 * float(np.quantile(seconds, 0.95)), 2),
            "recall": round(recall(np.stack(found), np.stack(wanted)), 4),
            "exact_ms": round(exact_ms, 1),
            "add_tag_ms": round(adding, 2),
            "build_seconds": round(building, 1),
        },
        "configuration": {"tags": tags, "videos": videos, "width": width, "queries": queries,
                          "threads": threads, "channels": list(CHANNELS)},
        "seeds": [seed],
        "details": {"candidates": float(np.mean(candidates)),
                    "tags_of_neighbours_alone": world.tags_a_video},
    }  # fmt: skip


class TaggedWorld:
    """Tags around topics with a long tail, videos as mixtures of their tags, as each channel sees them."""

    def __init__(self, tags: int, videos: int, width: int, queries: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        topics = max(10, tags // 200)
        centres = unit(rng.normal(size=(topics, width)))
        self.topic_of = rng.integers(0, topics, tags)
        self.tags: Vectors = unit(centres[self.topic_of] + 0.8 * unit(rng.normal(size=(tags, width))))
        order = np.argsort(self.topic_of, kind="stable")
        edges = np.searchsorted(self.topic_of[order], np.arange(topics + 1))
        about = rng.integers(0, topics, videos + queries)
        self.tags_a_video = 5
        # The tags of a video are of its topic; low numbers of a topic are its common tags.
        place = rng.random((videos + queries, self.tags_a_video)) ** 2
        size = np.maximum(edges[about + 1] - edges[about], 1)
        own = order[np.minimum(edges[about, None] + (place * size[:, None]).astype(int), tags - 1)]
        self.own: Numbers = own[:videos]
        mixed = unit(self.tags[own].mean(1))
        self.views: dict[str, Vectors] = {}
        self.asking: dict[str, Vectors] = {}
        for channel, noise in zip(CHANNELS, (0.6, 0.5, 1.2, 0.4), strict=True):
            rows = unit(mixed + noise * unit(rng.normal(size=mixed.shape)))
            self.views[channel], self.asking[channel] = rows[:videos], rows[videos:]


class TwoStageSearch:
    """Recall and ranking over the world, with indexes or by comparing everything."""

    def __init__(self, world: TaggedWorld, *, exact: bool) -> None:
        self.world, self.exact = world, exact
        # An index costs its building; where everything is compared there is none.
        most = {"exact": len(world.tags) + len(world.own)} if exact else {}
        self.channels = {
            name: VectorIndex(rows, queries=world.asking[name], **most) for name, rows in world.views.items()
        }
        self.tags = VectorIndex(world.tags, queries=world.asking["multimodal"], **most)

    def answer(self, number: int) -> tuple[Numbers, int]:
        """The best tags of one asking video, and how many candidates there were."""
        candidates = []
        for name, index in self.channels.items():
            _, near = index.search(self.world.asking[name][number][None], NEIGHBOURS)
            candidates.append(self.world.own[near[0]].ravel())
        video = self.world.asking["multimodal"][number]
        candidates.append(self.tags.search(video[None], DIRECT)[1][0])
        every = np.unique(np.concatenate(candidates))
        every = every[every >= 0]
        fit = self.tags.vectors[every] @ video
        return every[np.argsort(-fit, kind="stable")[:BEST]], len(every)


def _adding(searcher: TwoStageSearch, width: int) -> float:
    """Milliseconds until a new tag is among what is searched, and found for a video that it fits."""
    new = unit(np.random.default_rng(1).normal(size=(1, width)))
    begun = time.perf_counter()
    searcher.tags.add(new)
    spent = time.perf_counter() - begun
    found = searcher.tags.search(new, 1)[1][0, 0]
    assert found == len(searcher.tags) - 1, "a new tag was not found"
    return 1000 * spent
