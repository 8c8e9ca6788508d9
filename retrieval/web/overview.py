"""Overview: every video in a few words each, kept in memory for browsing, counting and comparing."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tagline.experts.tags import Modality, Tag
from tagline.tagging.catalog import Catalog
from tagline.tagging.records import Video

FRESH = 3.0  # seconds for which an overview is good while a run changes the catalog all the time
SHARE = 0.1  # of the time at most is spent on renewing it

Key = tuple[Modality, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A tag as a video holds it: its best span."""

    score: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One video. tags: in the order in which they matter, the surest first."""

    video: Video
    tags: Mapping[Key, Held]

    @property
    def year(self) -> str | None:
        return self.video.created[:4] if self.video.created else None


class Library:
    """All entries at one moment, and what is computed from them once."""

    def __init__(self, entries: Iterable[Entry], state: object) -> None:
        self.entries = {entry.video.id: entry for entry in entries}
        self.state = state
        self.videos_with: Counter[Key] = Counter()
        self.having: dict[Key, list[int]] = defaultdict(list)
        for number, entry in self.entries.items():
            self.videos_with.update(entry.tags.keys())
            for key in entry.tags:
                self.having[key].append(number)

    def rarity(self, key: Key) -> float:
        """How much a tag tells: more, the fewer videos have it."""
        return math.log(1 + len(self.entries) / max(self.videos_with[key], 1))

    def similar(self, number: int) -> list[tuple[int, float, list[Key]]]:
        """Other videos by the tags that they share: (id, cosine 0..1, shared tags, the weightiest first)."""
        mine = self.entries.get(number)
        if mine is None:
            return []
        shared: dict[int, list[tuple[float, Key]]] = defaultdict(list)
        for key, held in mine.tags.items():
            weight = self.rarity(key) ** 2 * held.score
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

    def _length(self, entry: Entry) -> float:
        return math.sqrt(sum((self.rarity(key) * held.score) ** 2 for key, held in entry.tags.items()))


class Overview:
    """Makes the library's overview when it is asked for and the catalog has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library: Library | None = None
        self._good_until = 0.0
        self._decided = 0  # counts up when something is decided here
        self._seen = -1

    def of(self, catalog: Catalog) -> Library:
        """The library as it is, or was a moment ago."""
        with self._lock:
            library = self._library
            now = time.monotonic()
            decided = self._decided
            if library is not None and self._seen == decided and now < self._good_until:
                return library
            state = _state(catalog)
            if library is not None and state == library.state:
                self._seen, self._good_until = decided, now + FRESH / 3
                return library
            library = Library((_entry(*pair) for pair in catalog.all_tags()), state)
            took = time.monotonic() - now
            self._library, self._seen = library, decided
            self._good_until = now + max(FRESH, took / SHARE)
            return library

    def renew(self) -> None:
        """Something was decided here: the next who asks must see it."""
        self._decided += 1


def _entry(video: Video, tags: Iterable[Tag]) -> Entry:
    best: dict[Key, Held] = {}
    for tag in sorted(tags, key=lambda tag: -tag.score):
        best.setdefault((tag.modality, tag.text), Held(tag.score, tag.start, tag.end))
    return Entry(video, best)


def _state(catalog: Catalog) -> object:
    """Differs whenever videos, looks or verdicts do."""
    ask = catalog.connection.execute
    tags = ask("SELECT count(*), max(id) FROM tag").fetchone()
    newest = ask("SELECT count(*), max(at) FROM run").fetchone()
    judged = ask("SELECT count(*), max(id) FROM verdict").fetchone()
    videos = ask("SELECT count(*), max(id) FROM video").fetchone()
    files = ask("SELECT count(*), sum(gone), max(id) FROM path").fetchone()
    return tags, newest, judged, videos, files
