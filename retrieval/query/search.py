"""Search: from a sentence to the moments that answer it, best first, and why; or to nothing at all.

`search` is all that most callers need. What is looked at is in candidates.py, how it is weighed in fuse.py,
how sure that is in calibration.py, and what was learnt about the library in params.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import numpy.typing as npt

from tagline.retrieval.query.calibration import falling, noisy_or
from tagline.retrieval.query.candidates import Candidate, Candidates, Searcher, posterior, searcher_of
from tagline.retrieval.query.fuse import feature_table, fuse
from tagline.retrieval.query.hits import ANY, Evidence, Filters, Hit
from tagline.retrieval.query.params import SearchParams, defaults
from tagline.retrieval.query.parse import parse, parse_steps
from tagline.retrieval.query.sequence import in_order
from tagline.retrieval.query.spelling import understood
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.coverage import LibraryCoverage, library_coverage

TEXT_KINDS = frozenset({"speech", "screen"})
EMPTY = LibraryCoverage()
ENOUGH_LEXICAL_SCORE = 0.35  # a moment of which the words know so much is better than the model's


@dataclass(frozen=True, slots=True)
class Answer(Sequence[Hit]):
    """The hits that answer a query, as a sequence; where nothing answers it is empty."""

    hits: list[Hit]  # what was nearest, whether it answers or not
    answered: bool
    answerable: float | None  # that the library has an answer; None: nothing to tell by
    notices: tuple[str, ...] = ()  # what of the search itself could not be used, and why
    coverage: LibraryCoverage = EMPTY  # who did not look, at how many videos, and why

    @property
    def nearest(self) -> list[Hit]:
        """What was found but is not near enough to answer; empty where something answers."""
        return [] if self.answered else self.hits

    def __len__(self) -> int:
        return len(self.hits) if self.answered else 0

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits if self.answered else ())

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> list[Hit]: ...

    def __getitem__(self, place: int | slice) -> Hit | list[Hit]:
        return (self.hits if self.answered else [])[place]


def search(catalog: Catalog, query: str, count: int = 10, filters: Filters = ANY) -> list[Hit]:
    """The best moments, best first, at most one a video; none if the library has no answer.

    Equal scores come in the order of ids.
    """
    return list(answer(catalog, query, count, filters))


def answer(
    catalog: Catalog,
    query: str,
    count: int = 10,
    filters: Filters = ANY,
    searcher: Searcher | None = None,
    *,
    signals: Sequence[str] | None = None,
    qb_norm: bool = True,
) -> Answer:
    """The best moments and how likely the library has an answer at all.

    The order is that of the fusion. A hit's score is `moment_score`, and where a hit before it has less, as
    little as that one. signals: only these of fuse.SIGNALS; qb_norm: whether the query bank takes from hubs
    what is theirs. Both are for measuring.
    """
    parsed = parse(query)
    if not parsed.include or count < 1:
        return Answer([], False, None, coverage=library_coverage(catalog))
    searcher = searcher or searcher_of(catalog)
    if steps := parse_steps(query):
        hits, mended = in_order(catalog, steps, count, filters, searcher)
        notices = (*mended, *searcher.notices)
        return Answer(hits, bool(hits), None, notices, library_coverage(catalog))
    parsed, mended = understood(catalog, parsed)
    candidates = searcher.candidates(catalog, parsed, filters, max(100, 4 * count), qb_norm=qb_norm)
    order, fused = rank(candidates, searcher, signals)
    calibration = searcher.params.calibration or (defaults().calibration if searcher.indexes else None)
    answerable = None if calibration is None else float(calibration.answerable(candidates.features[None])[0])
    posteriors = posterior(fused)
    scores = falling(
        [moment_score(candidates.entries[place], candidates, searcher.params) for place in order]
    )
    hits = [
        replace(locate(candidates.entries[place]), score=score, posterior=float(posteriors[place]))
        for place, score in zip(order[:count], scores, strict=False)
    ]
    if calibration is not None and answerable is not None:
        sure = calibration.isotonic.apply(answerable * posteriors)
        hits = [replace(hit, probability=float(sure[place])) for place, hit in zip(order, hits, strict=False)]
    answered = bool(hits) and (
        calibration is None or answerable is None or answerable >= calibration.threshold
    )
    return Answer(hits, answered, answerable, (*mended, *searcher.notices), library_coverage(catalog))


def rank(
    candidates: Candidates, searcher: Searcher, signals: Sequence[str] | None = None
) -> tuple[list[int], npt.NDArray[np.float64]]:
    """The candidates' places in `looked`, best first, and their fused scores [candidates]."""
    numbers = [one.video.id for one in candidates.entries]
    given = {name: s for name, s in candidates.signals.items() if signals is None or name in signals}
    found = fuse(feature_table(given, numbers), searcher.params.weights or defaults().weights)
    heard = {number for scores in given.values() for number in scores}
    order = sorted(
        (place for place, number in enumerate(numbers) if number in heard),
        key=lambda place: (-round(float(found[place]), 9), numbers[place]),
    )
    return order, found


def moment_score(candidate: Candidate, candidates: Candidates, params: SearchParams) -> float:
    """How surely a video holds what was asked, 0..1, whatever other videos hold.

    Of words the weighted share that is there, each times how sure its evidence is, or what a tag means if
    that is surer (both are the same evidence); beside it the calibrated similarity of the pictures. More
    evidence never lowers it.
    """
    words = candidate.words.score if candidate.words is not None else 0.0
    meant = candidates.tag_similarity.surest(
        candidate.indexed.tags, lambda similarity: params.chance("tags", similarity)
    )
    video = params.chance("video", candidate.video_score)
    span = params.chance("span", candidate.spans[0][2] if candidate.spans else None)
    return noisy_or(max(words, meant), max(video, span))


def locate(candidate: Candidate) -> Hit:
    """Where in a video the answer is, and why.

    What is heard or written is there when it is; of what is seen, the model's span that agrees best with
    the words' moment tells where it begins and ends.
    """
    words = candidate.words
    why = list(words.why) if words is not None else []
    if (
        candidate.near is not None
        and candidate.near[0] > 0
        and not any(e.text == candidate.near[1].text for e in why)
    ):
        tag = candidate.near[1]
        if words is None:
            why.append(Evidence(tag.text, tag.modality, tag.start, tag.end, tag.score))
    if words is not None and (not candidate.spans or (why and all(e.kind in TEXT_KINDS for e in why))):
        return words
    if candidate.spans:
        start, end, score = max(candidate.spans, key=lambda span: _overlap(span, words) + span[2])
        if words is None or words.score < ENOUGH_LEXICAL_SCORE:
            why.append(Evidence("picture", "picture", start, end, float(np.clip(score, 0, 1))))
        return Hit(candidate.video, start, end, words.score if words else 0.0, tuple(why))
    if why:  # by the meaning of a tag alone
        return Hit(candidate.video, why[0].start, why[0].end, 0.0, tuple(why))
    end = candidate.video.duration or 0.0
    return Hit(candidate.video, 0.0, end, 0.0, (Evidence("picture", "picture", 0.0, end, 0.5),))


def _overlap(span: tuple[float, float, float], words: Hit | None) -> float:
    """How much of the words' moment lies in a span, weighed by how much the words know: 0 to 1."""
    if words is None:
        return 0.0
    start, end = max(span[0], words.start), min(span[1], words.end)
    inside = (end - start) / (words.end - words.start) if words.end > words.start else float(end >= start)
    return max(0.0, inside) * words.score
