"""Overview: every video in a few words each, kept in memory for browsing, counting and comparing.

The tags are columns of numbers (catalog/effective.py), so that a million of them are read and counted in a
moment; those of one video become a mapping when somebody looks at that video.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tagline.experts.tags import Modality
from tagline.retrieval.query.hits import Filters, TagFilter
from tagline.tagging.catalog.effective import PACKED, Key, Packed
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.vocabulary import normal

FRESH = 3.0  # seconds for which an overview is good while a run changes the catalog all the time
MAX_TIME_SHARE = 0.1  # of the time at most is spent on renewing it

Ints = npt.NDArray[np.int64]
MODALITIES = tuple(Modality)


@dataclass(frozen=True, slots=True)
class BestSpan:
    """A tag as a video holds it: its best span."""

    score: float
    start: float
    end: float


@dataclass(frozen=True)
class VideoEntry:
    """One video. tags: in the order in which they matter, the surest first."""

    video: Video
    read: Callable[[], Mapping[Key, BestSpan]] = dict

    @cached_property
    def tags(self) -> Mapping[Key, BestSpan]:
        return self.read()

    @property
    def year(self) -> str | None:
        return self.video.created[:4] if self.video.created else None


class Overview:
    """All videos with their tags at one moment.

    terms: each text and modality that is a tag; tags: those of all videos, one video after the other.
    """

    def __init__(
        self, videos: Iterable[Video], terms: list[Key], ids: Ints, counts: Ints, tags: Packed, state: object
    ) -> None:
        self.terms, self.state = terms, state
        self.entries = {
            video.id: VideoEntry(video, lambda number=video.id: self._mapping(number))  # type: ignore[misc]
            for video in videos
        }
        # Tags may be there of a video that has no place any more or none that can be one.
        shown = np.isin(ids, np.array([*self.entries], np.int64))
        tags, ids, counts = tags[np.repeat(shown, counts)], ids[shown], counts[shown]
        self._tags = tags
        self._term = tags["term"].astype(np.int64)
        self._owner = np.repeat(np.arange(len(ids)), counts)  # of each tag the place of its video
        self._ids = ids
        self._ends = np.cumsum(counts)
        self._place = {int(number): place for place, number in enumerate(ids.tolist())}
        self.uses = np.bincount(self._term, minlength=len(terms))  # videos with each term
        bits = np.array([1 << MODALITIES.index(modality) for modality, _ in terms] or [0], np.int64)
        self._senses = np.zeros(len(ids), np.int64)
        np.bitwise_or.at(self._senses, self._owner, bits[self._term])

    @classmethod
    def of(cls, catalog: Catalog, state: object) -> Overview:
        """The library as its catalog has it."""
        terms, numbers = catalog.effective.terms()
        pages = list(catalog.effective.pages(numbers))
        none = np.zeros(0, np.int64)
        return cls(
            catalog.videos(),
            terms,
            np.concatenate([none, *(page.ids for page in pages)]),
            np.concatenate([none, *(page.counts for page in pages)]),
            np.concatenate([np.zeros(0, PACKED), *(page.tags for page in pages)]),
            state,
        )

    def modalities(self, number: int) -> frozenset[str]:
        """The kinds of tags that a video has."""
        place = self._place.get(number)
        return frozenset() if place is None else _modalities_of(int(self._senses[place]))

    def videos_with(self, key: Key) -> int:
        place = self._term_place.get(key)
        return 0 if place is None else int(self.uses[place])

    def count_tags(self, numbers: Iterable[int]) -> list[tuple[Key, int]]:
        """How many of these videos have each tag that one of them has."""
        wanted = np.zeros(len(self._ids), bool)
        wanted[[self._place[number] for number in numbers if number in self._place]] = True
        found = np.bincount(self._term[wanted[self._owner]], minlength=len(self.terms))
        return [(self.terms[place], int(found[place])) for place in np.flatnonzero(found).tolist()]

    def allowed(self, filters: Filters) -> set[int] | None:
        """The videos that have every tag that is wanted and none of the unwanted; None: all videos."""
        if not (filters.having or filters.lacking):
            return None
        found = np.ones(len(self._ids), bool)
        for wanted in filters.having:
            found &= self._having(wanted)
        for unwanted in filters.lacking:
            found &= ~self._having(unwanted)
        allowed = set(self._ids[found].tolist())
        return allowed if filters.having else allowed | (self.entries.keys() - self._place.keys())

    def matching(self, wanted: TagFilter) -> list[int]:
        """The places of the terms that a filter means."""
        modality, text = wanted
        return [
            place
            for place, (of, text_of) in enumerate(self.terms)
            if modality in (None, of) and normal(text, of) == normal(text_of, of)
        ]

    def first_spans(self, wanted: Iterable[TagFilter]) -> dict[int, tuple[float, float]]:
        """video: the first of its best spans of the tags that these filters mean."""
        places = [place for one in wanted for place in self.matching(one)]
        rows = np.flatnonzero(np.isin(self._term, places))
        rows = rows[np.lexsort((self._tags["end"][rows], self._tags["start"][rows], self._owner[rows]))]
        _, first = np.unique(self._owner[rows], return_index=True)
        rows = rows[first]
        ids = self._ids[self._owner[rows]].tolist()
        starts, ends = self._tags["start"][rows].tolist(), self._tags["end"][rows].tolist()
        return dict(zip(ids, zip(starts, ends, strict=True), strict=True))

    def _having(self, wanted: TagFilter) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(self._ids), bool)
        found[self._owner[np.isin(self._term, self.matching(wanted))]] = True
        return found

    def similar(self, number: int) -> list[tuple[int, float]]:
        """Other videos by the tags that they share: (id, cosine 0..1), the most alike first."""
        place = self._place.get(number)
        if place is None or not len(self._tags):
            return []
        mine = self._rows(place)
        own = np.zeros(len(self.terms))
        own[self._term[mine]] = self._weights[mine]
        shared = own[self._term] * self._weights
        products = np.bincount(self._owner, shared, minlength=len(self._ids))
        products[place] = 0.0
        cosines = products / np.maximum(self._lengths * self._lengths[place], 1e-12)
        order = np.lexsort((self._ids, -cosines))
        return [
            (int(self._ids[other]), min(float(cosines[other]), 1.0)) for other in order if products[other] > 0
        ]

    def shared(self, number: int, other: int) -> list[Key]:
        """The tags that two videos share, the weightiest first."""
        places = self._place.get(number), self._place.get(other)
        if places[0] is None or places[1] is None:
            return []
        weights = [
            dict(zip(self._term[rows].tolist(), self._weights[rows].tolist(), strict=True))
            for rows in map(self._rows, places)  # type: ignore[arg-type]
        ]
        both = weights[0].keys() & weights[1].keys()
        return [
            self.terms[t] for t in sorted(both, key=lambda t: (-weights[0][t] * weights[1][t], self.terms[t]))
        ]

    def by_score(self, modality: Modality) -> tuple[Ints, Ints]:
        """Videos' ids and terms' places of all tags of a modality, those of which nobody is sure first."""
        of = np.array([sense == modality for sense, _ in self.terms] or [False])
        rows = np.flatnonzero(of[self._term]) if len(self._term) else np.zeros(0, np.int64)
        rows = rows[np.lexsort((rows, self._tags["score"][rows]))]
        return self._ids[self._owner[rows]], self._term[rows]

    @cached_property
    def _term_place(self) -> dict[Key, int]:
        return {key: place for place, key in enumerate(self.terms)}

    @cached_property
    def _weights(self) -> npt.NDArray[np.float64]:
        """How much each tag says of its video: more, the surer it is and the fewer videos have it."""
        idf = np.log(1 + len(self.entries) / np.maximum(self.uses, 1))
        return np.asarray(idf[self._term] * self._tags["score"])

    @cached_property
    def _lengths(self) -> npt.NDArray[np.float64]:
        return np.sqrt(np.bincount(self._owner, self._weights**2, minlength=len(self._ids)))

    def _rows(self, place: int) -> slice:
        return slice(int(self._ends[place - 1]) if place else 0, int(self._ends[place]))

    def _mapping(self, number: int) -> Mapping[Key, BestSpan]:
        place = self._place.get(number)
        rows = self._tags[self._rows(place)] if place is not None else self._tags[:0]
        return {self.terms[term]: BestSpan(score, start, end) for term, _, score, start, end in rows.tolist()}


_MODALITIES_OF: dict[int, frozenset[str]] = {}


def _modalities_of(bits: int) -> frozenset[str]:
    if bits not in _MODALITIES_OF:
        _MODALITIES_OF[bits] = frozenset(
            modality.value for place, modality in enumerate(MODALITIES) if bits & 1 << place
        )
    return _MODALITIES_OF[bits]


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
            overview = Overview.of(catalog, state)
            took = time.monotonic() - now
            self._overview, self._seen = overview, decided
            self._good_until = now + max(FRESH, took / MAX_TIME_SHARE)
            return overview

    def renew(self) -> None:
        """Something was decided here: the next who asks must see it."""
        self._verdicts += 1
