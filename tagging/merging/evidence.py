"""Who says what of a video, and since when: all findings of one tag together, whatever their modality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tagline.experts.tags import HUMAN_SOURCE, Tag
from tagline.tagging.uploads import UPLOADER
from tagline.tagging.vocabulary import normal

NEIGHBOURS = "neighbours"  # the expert whose tags come from other videos
PEOPLE = frozenset({HUMAN_SOURCE, UPLOADER})  # what these say is the truth that the others are measured by


@dataclass(frozen=True, slots=True)
class SourceScore:
    """One source's word for a tag: its best score and where."""

    source: str
    score: float  # 0..1, as the source counts
    start: float  # seconds
    end: float
    neighbour_hashes: tuple[str, ...] = ()  # contents of the videos that it comes from


@dataclass(slots=True)
class TagCandidate:
    """A tag that at least one source names for a video."""

    normal_form: str  # normal form: what makes two tags one
    text: str
    scores: dict[str, SourceScore] = field(default_factory=dict)  # by source

    @property
    def span(self) -> tuple[float, float]:
        """From the first to the last second of the surest piece that knows when, else of all."""
        timed = [p for p in self.scores.values() if not p.neighbour_hashes] or list(self.scores.values())
        best = max(timed, key=lambda piece: (piece.score, piece.source))
        return best.start, best.end


def gather_candidates(
    tags: Iterable[Tag], carried: Mapping[str, Iterable[str]] | None = None
) -> dict[str, TagCandidate]:
    """Candidates by normal form from what experts say of a video; what people say is left out.

    carried: for a tag's text, the contents of the neighbours that it comes from.
    """
    found: dict[str, TagCandidate] = {}
    for tag in tags:
        if tag.source in PEOPLE:
            continue
        form = normal(tag.text)
        candidate = found.setdefault(form, TagCandidate(form, tag.text))
        before = candidate.scores.get(tag.source)
        if before is None or tag.score > before.score:
            near = tuple((carried or {}).get(tag.text, ())) if tag.source == NEIGHBOURS else ()
            candidate.scores[tag.source] = SourceScore(tag.source, tag.score, tag.start, tag.end, near)
    return found


def neighbour_hashes(facts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Which videos' contents carry each tag, as the expert "neighbours" keeps them in its report."""
    by_tag = facts.get("neighbours")
    if not isinstance(by_tag, Mapping):
        return {}
    return {str(text): tuple(map(str, why.get("videos", ()))) for text, why in by_tag.items()}
