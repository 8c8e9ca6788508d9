"""Overview: every video in a few words each, kept in memory for browsing, counting and comparing."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tagline.experts.tags import Modality, Tag
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog

FRESH = 3.0  # seconds for which an overview is good while a run changes the catalog all the time
MAX_TIME_SHARE = 0.1  # of the time at most is spent on renewing it

Key = tuple[Modality, str]


@dataclass(frozen=True, slots=True)
class BestSpan:
    """A tag as a video holds it: its best span."""

    score: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class VideoEntry:
    """One video. tags: in the order in which they matter, the surest first."""

    video: Video
    tags: Mapping[Key, BestSpan]

    @property
    def year(self) -> str | None:
        return self.video.created[:4] if self.video.created else None


class Overview:
    """All entries at one moment, and what is computed from them once."""

    def __init__(self, entries: Iterable[VideoEntry], state: object) -> None:
        self.entries = {entry.video.id: entry for entry in entries}
        self.state = state
        self.videos_with: Counter[Key] = Counter()
        self.having: dict[Key, list[int]] = defaultdict(list)
        for number, entry in self.entries.items():
            self.videos_with.update(entry.tags.keys())
            for key in entry.tags:
                self.having[key].append(number)

    def idf(self, key: Key) -> float:
        """How much a tag tells: more, the fewer videos have it."""
        return math.log(1 + len(self.entries) / max(self.videos_with[key], 1))

    def similar(self, number: int) -> list[tuple[int, float, list[Key]]]:
        """Other videos by the tags that they share: (id, cosine 0..1, shared tags, the weightiest first)."""
        mine = self.entries.get(number)
        if mine is None:
            return []
        shared: dict[int, list[tuple[float, Key]]] = defaultdict(list)
        for key, best in mine.tags.items():
            weight = self.idf(key) ** 2 * best.score
            for other in self.having[key]:
                if other != number:
                    product = weight * self.entries[other].tags[key].score
                    shared[other].append((product, key))
        own = self._length(mine)
        found = [
            (other, sum(p for p, _ in parts) / (own * self._length(self.entries[other]) or 1.0), parts)
            for other, parts in shared.items()
        ]
        found.sort(key=lambda one: (-one[1], one[0]))
        return [(o, min(s, 1.0), [k for _, k in sorted(p, key=lambda x: -x[0])]) for o, s, p in found]

    def _length(self, entry: VideoEntry) -> float:
        return math.sqrt(sum((self.idf(key) * best.score) ** 2 for key, best in entry.tags.items()))


class OverviewCache:
    """Makes the library's overview when it is asked for and the catalog has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._overview: Overview | None = None
        self._good_until = 0.0
        self._verdicts = 0  # counts up when something is decided here
        self._seen = -1

    def of(self, catalog: Catalog) -> Overview:
        """The library as it is, or was a moment ago."""
        with self._lock:
            overview = self._overview
            now = time.monotonic()
            decided = self._verdicts
            if overview is not None and self._seen == decided and now < self._good_until:
                return overview
            state = catalog.change_token()
            if overview is not None and state == overview.state:
                self._seen, self._good_until = decided, now + FRESH / 3
                return overview
            overview = Overview((_entry(*pair) for pair in catalog.all_tags()), state)
            took = time.monotonic() - now
            self._overview, self._seen = overview, decided
            self._good_until = now + max(FRESH, took / MAX_TIME_SHARE)
            return overview

    def renew(self) -> None:
        """Something was decided here: the next who asks must see it."""
        self._verdicts += 1


def _entry(video: Video, tags: Iterable[Tag]) -> VideoEntry:
    best: dict[Key, BestSpan] = {}
    for tag in sorted(tags, key=lambda tag: -tag.score):
        best.setdefault((tag.modality, tag.text), BestSpan(tag.score, tag.start, tag.end))
    return VideoEntry(video, best)
