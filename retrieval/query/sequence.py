"""Moments in order: `"door opens" then "dog"`, in one video, the second after the first has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tagline.retrieval.query import lexical as by_words
from tagline.retrieval.query.candidates import Candidate, Searcher, penalise_excluded
from tagline.retrieval.query.hits import Evidence, Filters, Hit
from tagline.retrieval.query.params import SearchParams
from tagline.retrieval.query.parse import ParsedQuery, Step, forms_by_word, parse
from tagline.retrieval.query.spelling import understood
from tagline.tagging.catalog.write import Catalog

MAX_CANDIDATES = 400  # videos that are looked at for each step
MAX_MOMENTS = 64  # of one step in one video, the surest
LEAST_SHARE = 0.5  # of the step's surest moment in a video; what is less sure is no such moment
SLACK = 1.0  # seconds by which a moment may begin before the one before it ends: experts look that seldom


class Moment(NamedTuple):
    """Where one step may be in a video."""

    start: float  # seconds
    end: float
    score: float  # 0..1
    why: tuple[Evidence, ...]


class Chain(NamedTuple):
    """Moments of the first steps, one each, in order; `score` is that all of them are there."""

    score: float
    moments: tuple[Moment, ...]


def in_order(
    catalog: Catalog, steps: Sequence[Step], count: int, filters: Filters, searcher: Searcher
) -> tuple[list[Hit], list[str]]:
    """The videos that hold all steps in order, the surest first; and what of the query was mended.

    A hit reaches from its first moment to its last. Its score is the product of those of its moments.
    """
    queries, notes = [], []
    for step in steps:
        query, mended = understood(catalog, parse(step.text))
        queries.append(query)
        notes += mended
    known = [_candidates(catalog, query, filters, searcher) for query in queries]
    excluded = by_words.query_words(" ".join(phrase for query in queries for phrase in query.exclude))
    hits = []
    for number, first in known[0].items():
        if not all(number in others for others in known):
            continue
        options = [
            moments_of(catalog, query, found[number], searcher.params)
            for query, found in zip(queries, known, strict=True)
        ]
        chain = best_chain(options, [step.within for step in steps])
        if chain is not None:
            hit = _hit(first, chain)
            hits.append(penalise_excluded(hit, first.indexed.index, excluded) if excluded else hit)
    hits.sort(key=lambda hit: (-hit.score, hit.video.id))
    return hits[:count], notes


def _candidates(
    catalog: Catalog, query: ParsedQuery, filters: Filters, searcher: Searcher
) -> dict[int, Candidate]:
    found = searcher.candidates(catalog, query, filters, MAX_CANDIDATES)
    return {one.video.id: one for one in found.entries}


def moments_of(
    catalog: Catalog, query: ParsedQuery, candidate: Candidate, params: SearchParams
) -> list[Moment]:
    """Where a phrase may be in a video: by words, and by pictures where their similarity is calibrated."""
    words = by_words.query_words(query.text)
    forms = forms_by_word(query)
    weights = by_words.idf(catalog, words, forms)
    total = sum(weights.values()) or 1.0
    found = []
    for here in by_words.moments(by_words.evidence_for(candidate.indexed.index, weights, forms)):
        timed = [one for one in here.values() if one.kind not in by_words.WHOLE]
        score = sum(weights[word] * one.score for word, one in here.items()) / total
        found.append(Moment(*by_words.span_of(timed), score, tuple(dict.fromkeys(timed))))
    if "span" in params.out_of_domain:
        for start, end, similarity in candidate.spans:
            score = params.chance("span", similarity)
            found.append(Moment(start, end, score, (Evidence("picture", "picture", start, end, score),)))
    least = LEAST_SHARE * max((one.score for one in found), default=0.0)
    sure = {one for one in found if one.score >= least}
    return sorted(sure, key=lambda one: (-one.score, one.start, one.end))[:MAX_MOMENTS]


def best_chain(options: Sequence[Sequence[Moment]], within: Sequence[float | None]) -> Chain | None:
    """The surest choice of one moment a step, each after the one before it; the shortest of equals.

    within: for each step the seconds that may lie between it and the one before; None: any.
    """
    chains = [Chain(one.score, (one,)) for one in options[0]]
    for moments, gap in zip(options[1:], within[1:], strict=True):
        longer = []
        for moment in moments:
            before = [chain for chain in chains if _follows(chain.moments[-1], moment, gap)]
            if before:
                best = max(before, key=lambda chain: (chain.score, chain.moments[0].start))
                longer.append(Chain(best.score * moment.score, (*best.moments, moment)))
        chains = longer
    return max(chains, key=lambda chain: (chain.score, -_length(chain)), default=None)


def _follows(first: Moment, second: Moment, gap: float | None) -> bool:
    if second.start <= first.start or second.start < first.end - SLACK:
        return False
    return gap is None or second.start - first.end <= gap


def _length(chain: Chain) -> float:
    return chain.moments[-1].end - chain.moments[0].start


def _hit(candidate: Candidate, chain: Chain) -> Hit:
    why = tuple(dict.fromkeys(one for moment in chain.moments for one in moment.why))
    return Hit(candidate.video, chain.moments[0].start, chain.moments[-1].end, chain.score, why)
