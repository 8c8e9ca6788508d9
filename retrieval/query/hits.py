"""Hits: a moment that answers a query, the evidence for it, and what a video must have to be one."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from tagline.experts.tags import Modality
from tagline.tagging.catalog.records import Video
from tagline.tagging.vocabulary import normal

TagFilter = tuple[Modality | None, str]  # a tag, of this modality or of any


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something of a video that holds words of the query, or stands near it."""

    text: str
    kind: str  # a modality, "title", "name" (of a file), or "picture" where the model found the moment
    start: float  # seconds
    end: float
    score: float  # 0..1, how sure the one who said it was


@dataclass(frozen=True, slots=True)
class Hit:
    """A moment that answers a query, and why."""

    video: Video
    start: float
    end: float
    score: float  # 0..1, how surely this moment holds what was asked
    why: tuple[Evidence, ...]
    probability: float | None = None  # that this is what was meant; None: nothing to learn that from
    posterior: float = 0.0  # its share of the fusion among the candidates of this one query


@dataclass(frozen=True, slots=True)
class Filters:
    """Only videos that have every tag of `having` and none of `lacking`, of these days and this length, and
    only hits that rest on one of these kinds of evidence."""

    having: tuple[TagFilter, ...] = ()
    lacking: tuple[TagFilter, ...] = ()
    after: str | None = None  # made on this day or later: 2024, 2024-05, 2024-05-17
    before: str | None = None  # made before this day
    longer: float | None = None  # seconds, this long at least
    shorter: float | None = None  # seconds, and not as long as this
    kinds: frozenset[str] = frozenset()  # of evidence, such as speech; none: any

    def allow(self, tags: Collection[tuple[Modality, str]]) -> bool:
        return all(_has(tags, wanted) for wanted in self.having) and not any(
            _has(tags, unwanted) for unwanted in self.lacking
        )

    def allow_video(self, video: Video) -> bool:
        """Whether a video is of the wanted days and length; one that does not tell is not."""
        return self.allow_days(video) and self.allow_length(video)

    def allow_length(self, video: Video) -> bool:
        if self.longer is None and self.shorter is None:
            return True
        seconds = video.duration
        return seconds is not None and (self.longer or 0.0) <= seconds < (self.shorter or math.inf)

    def allow_days(self, video: Video) -> bool:
        if self.after is None and self.before is None:
            return True
        # As the camera says it, in its own time zone. ISO 8601 sorts as text.
        made = video.created or ""
        return bool(made) and (self.after or "") <= made and (self.before is None or made < self.before)

    def allow_kinds(self, kinds: Collection[str]) -> bool:
        return not self.kinds or not self.kinds.isdisjoint(kinds)

    @property
    def narrow(self) -> bool:
        """Whether anything is asked of the videos at all."""
        return self != ANY


ANY = Filters()


def _has(tags: Collection[tuple[Modality, str]], tag_filter: TagFilter) -> bool:
    modality, text = tag_filter
    return any((modality is None or modality == of) and normal(text, of) == text_of for of, text_of in tags)
