"""Hits: a moment that answers a query, the evidence for it, and what a video must have to be one."""

from __future__ import annotations

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
    kind: str  # a modality, "title", or "picture" where the model found the moment
    start: float  # seconds
    end: float
    score: float  # 0..1, how sure the one who said it was


@dataclass(frozen=True, slots=True)
class Hit:
    """A moment that answers a query, and why."""

    video: Video
    start: float
    end: float
    score: float  # 0..1, for the order
    why: tuple[Evidence, ...]
    probability: float | None = None  # that this is what was meant; None: nothing to learn that from


@dataclass(frozen=True, slots=True)
class Filters:
    """Only videos that have every tag of `having` and none of `lacking`, of these days and this length."""

    having: tuple[TagFilter, ...] = ()
    lacking: tuple[TagFilter, ...] = ()
    after: str | None = None  # made on this day or later: 2024, 2024-05, 2024-05-17
    before: str | None = None  # made before this day
    longer: float | None = None  # seconds

    def allow(self, tags: Collection[tuple[Modality, str]]) -> bool:
        return all(_has(tags, wanted) for wanted in self.having) and not any(
            _has(tags, unwanted) for unwanted in self.lacking
        )

    def allow_video(self, video: Video) -> bool:
        """Whether a video is of the wanted days and length; one that does not tell is not."""
        if self.longer is not None and (video.duration is None or video.duration < self.longer):
            return False
        if self.after is None and self.before is None:
            return True
        # As the camera says it, in its own time zone. ISO 8601 sorts as text.
        made = video.created or ""
        return bool(made) and (self.after or "") <= made and (self.before is None or made < self.before)

    @property
    def narrow(self) -> bool:
        """Whether anything is asked of the videos at all."""
        return self != ANY


ANY = Filters()


def _has(tags: Collection[tuple[Modality, str]], tag_filter: TagFilter) -> bool:
    modality, text = tag_filter
    return any((modality is None or modality == of) and normal(text, of) == text_of for of, text_of in tags)
