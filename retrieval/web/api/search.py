"""Finding: the search of the page, with what its filters count; browsing without a query; what is similar."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from tagline.experts.tags import Modality
from tagline.retrieval.query.hits import Evidence, Filters, TagFilter
from tagline.retrieval.query.parse import BadFilter, parse_tag
from tagline.retrieval.query.search import Answer, answer
from tagline.retrieval.web.api import payloads
from tagline.retrieval.web.api.contract import Problem
from tagline.retrieval.web.api.overview import Key, Overview, VideoEntry
from tagline.retrieval.web.api.state import AppState
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.coverage import LibraryGap
from tagline.tagging.printable import safe
from tagline.tagging.vocabulary import normal

Similarity = tuple[int, float, tuple[float, float] | None]  # a video's id, how much, and the stretch if known

_one_at_a_time = threading.Lock()  # what a search keeps in memory is shared

MAX_HITS = 60  # hits that are looked at, whatever part of them is shown
MAX_TAG_FACETS = 30  # tags that are offered as filters
LENGTH_BOUNDS = (
    0.0,
    10.0,
    60.0,
    300.0,
    1200.0,
)  # seconds at which one kind of length ends and the next begins


@dataclass(frozen=True, slots=True)
class PageHit:
    """A hit on its way to the page. kinds: the modalities that it rests on."""

    entry: VideoEntry
    start: float
    end: float
    score: float | None
    why: tuple[Evidence, ...]
    kinds: frozenset[str]


def find(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    """Hits of a query, or all videos without one, and how many each filter would leave."""
    filters = Filters(
        tuple(map(_tag_filter, args["tag"])),
        tuple(map(_tag_filter, args["not"])),
        after=args["after"],
        before=args["before"],
        longer=args["longer"],
        shorter=args["shorter"],
        kinds=frozenset(args["modality"]),
    )
    query = args["q"].replace("\0", " ").strip()
    with state.catalog() as catalog:
        overview = state.overview.of(catalog)
        answered = _search(catalog, query, filters) if query else None
    found = (
        _browse(overview, filters) if answered is None else _hits(answered, overview, bool(args["anyway"]))
    )
    # What a filter would leave is counted under all the others.
    right_kind = [one for one in found if filters.allow_kinds(one.kinds)]
    right_length = [one for one in found if filters.allow_length(one.entry.video)]
    right_days = [one for one in found if filters.allow_days(one.entry.video)]
    shown = _in_all(right_kind, right_length, right_days)
    return {
        "query": query,
        "answered": answered is None or answered.answered,
        "nearest": len(answered.hits) if answered is not None else 0,
        "looked": answered is None or answered.coverage.looked,
        "notices": [] if answered is None else _notices(answered),
        "coverage": [] if answered is None else [_gap(gap) for gap in answered.coverage.gaps],
        "total": len(shown),
        "more": bool(query) and len(found) >= MAX_HITS,
        "hits": [_hit(one) for one in shown[args["offset"] : args["offset"] + args["k"]]],
        "facets": {
            "modality": _modality_counts(_in_all(right_length, right_days)),
            "tag": _tag_counts(overview, shown, filters),
            "length": _length_counts(_in_all(right_kind, right_days)),
            "year": _year_counts(_in_all(right_kind, right_length)),
        },
    }


def _notices(answered: Answer) -> list[str]:
    """What could not be asked, in sentences."""
    return [safe(notice, 300) for notice in (*answered.notices, *answered.coverage.sentences)]


def _gap(gap: LibraryGap) -> dict[str, Any]:
    return {
        **gap.as_dict(),
        "expert": safe(gap.expert, 60),
        "modalities": [safe(modality, 60) for modality in gap.modalities],
        "command": safe(gap.command, 200),
    }


def _in_all(first: Sequence[PageHit], *others: Sequence[PageHit]) -> list[PageHit]:
    """Those hits of the first list that stand in every other one."""
    known = [{one.entry.video.id for one in some} for some in others]
    return [one for one in first if all(one.entry.video.id in some for some in known)]


def similar(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    """More like this one: by their vectors, or, where there are none, by the tags that two videos share."""
    with state.catalog() as catalog:
        video = state.video(catalog, args["id"])
        overview = state.overview.of(catalog)
        with _one_at_a_time:
            near = _by_vectors(catalog, overview, video, args["k"])
    similarities = near
    if similarities is None:
        similarities = [(number, score, None) for number, score in overview.similar(video.id)[: args["k"]]]
    hits = []
    for number, score, span in similarities:
        entry = overview.entries[number]
        shared_tags = [(key, entry.tags[key]) for key in overview.shared(video.id, number)[:4]]
        reasons = tuple(Evidence(k[1], k[0], h.start, h.end, h.score) for k, h in shared_tags)
        start, end = span or ((reasons[0].start, reasons[0].end) if reasons else (0.0, 0.0))
        hits.append(_hit(PageHit(entry, start, end, score, reasons, frozenset(e.kind for e in reasons))))
    return {"total": len(hits), "hits": hits}


def _by_vectors(catalog: Catalog, overview: Overview, video: Video, count: int) -> list[Similarity] | None:
    """(id, cosine, the most similar span) by the index; None where this library has none."""
    from tagline.retrieval.index.base import BadIndex, Level
    from tagline.retrieval.query.candidates import searcher_of
    from tagline.retrieval.similar import NotEmbedded, vector_of
    from tagline.retrieval.similar import similar as nearest

    index = searcher_of(catalog).indexes.get(Level.VIDEO)
    if index is None:
        return None
    try:
        found = nearest(catalog, vector_of(catalog, video), count, without=video.id, index=index)
    except (NotEmbedded, BadIndex):
        return None
    return [
        (like.video.id, min(max(like.score, 0.0), 1.0), (like.start, like.end))
        for like in found
        if like.video.id in overview.entries
    ]


def suggest(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    """Tags of the library that begin with, or hold, what somebody types."""
    typed = normal(args["q"])
    with state.catalog() as catalog:
        overview = state.overview.of(catalog)
    matching = [
        (key, count)
        for key, count in zip(overview.terms, overview.uses.tolist(), strict=True)
        if count and typed in key[1].casefold()
    ]
    matching.sort(key=lambda one: (not one[0][1].casefold().startswith(typed), -one[1], one[0][1], one[0][0]))
    return {"tags": [_counted(key, count) for key, count in matching[: args["k"]]]}


def _search(catalog: Catalog, query: str, filters: Filters) -> Answer:
    """The best hits; asked again with all filters where some of them hide so much that others get room."""
    by_tags = Filters(filters.having, filters.lacking)
    narrow = replace(filters, kinds=frozenset())
    with _one_at_a_time:
        found = answer(catalog, query, MAX_HITS, by_tags)
        if narrow == by_tags or len(found.hits) < MAX_HITS:
            return found
        hits = {hit.video.id: hit for hit in found.hits}
        for hit in answer(catalog, query, MAX_HITS, narrow).hits:
            hits.setdefault(hit.video.id, hit)
    return replace(
        found, hits=sorted(hits.values(), key=lambda hit: (-hit.score, -hit.posterior, hit.video.id))
    )


def _hits(answered: Answer, overview: Overview, anyway: bool) -> list[PageHit]:
    """The hits of an answer; where the library has none, nothing, or the nearest."""
    found = []
    for hit in answered.hits if answered.answered or anyway else []:
        entry = overview.entries.get(hit.video.id) or VideoEntry(hit.video)
        score = hit.score if hit.probability is None else hit.probability
        kinds = frozenset(str(one.kind) for one in hit.why)
        found.append(PageHit(entry, hit.start, hit.end, score, tuple(hit.why), kinds))
    return found


def _browse(overview: Overview, filters: Filters) -> list[PageHit]:
    """All videos, the newest first; those without a date after them, the last that came in first."""
    allowed = overview.allowed(filters)
    entries = [
        entry
        for number, entry in overview.entries.items()
        if entry.video.paths and (allowed is None or number in allowed)
    ]
    entries.sort(key=lambda entry: (entry.video.created or "", entry.video.id), reverse=True)
    spans = overview.first_spans(filters.having)
    found = []
    for entry in entries:
        start, end = spans.get(entry.video.id, (0.0, 0.0))
        found.append(PageHit(entry, start, end, None, (), overview.modalities(entry.video.id)))
    return found


def _hit(found: PageHit) -> dict[str, Any]:
    return {
        **payloads.video_head(found.entry.video),
        "start": found.start,
        "end": found.end,
        "score": None if found.score is None else round(found.score, 4),
        "why": payloads.evidence_payload(found.why),
        "tags": payloads.top_tags(found.entry),
    }


def _modality_counts(found: Sequence[PageHit]) -> list[dict[str, Any]]:
    counts = Counter(kind for one in found for kind in one.kinds)
    return [
        {"value": modality.value, "count": counts[modality.value]}
        for modality in Modality
        if counts[modality.value]
    ]


def _tag_counts(overview: Overview, found: Sequence[PageHit], chosen: Filters) -> list[dict[str, Any]]:
    """The tags of these videos, the most frequent first; those that are in use go without saying."""
    used = {text for _, text in chosen.having}
    counts = [
        (key, count)
        for key, count in overview.count_tags(one.entry.video.id for one in found)
        if key[0] != Modality.SCREEN and key[1] not in used
    ]
    order = sorted(counts, key=lambda one: (-one[1], one[0][1], one[0][0]))
    return [_counted(key, count) for key, count in order[:MAX_TAG_FACETS]]


def _counted(key: Key, count: int) -> dict[str, Any]:
    return {"modality": key[0].value, "text": safe(key[1]), "count": count}


def _length_counts(found: Sequence[PageHit]) -> list[dict[str, Any]]:
    seconds = [one.entry.video.duration for one in found]
    bounds = [*LENGTH_BOUNDS, None]
    counted = []
    for low, high in pairwise(bounds):
        assert low is not None
        count = sum(s is not None and low <= s and (high is None or s < high) for s in seconds)
        if count:
            counted.append({"longer": low, "shorter": high, "count": count})
    return counted


def _year_counts(found: Sequence[PageHit]) -> list[dict[str, Any]]:
    counts = Counter(one.entry.year for one in found if one.entry.year)
    return [{"value": safe(year, 8), "count": counts[year]} for year in sorted(counts, reverse=True)][:40]


def _tag_filter(text: str) -> TagFilter:
    try:
        return parse_tag(text)
    except BadFilter as bad:
        raise Problem(400, str(bad)) from bad
