"""Finding: the search of the page, with what its filters count; browsing without a query; what is alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from experts.tags import Modality
from retrieval.search import Evidence, Filters, search
from retrieval.web import answers
from retrieval.web.contract import Problem
from retrieval.web.desk import Desk
from retrieval.web.overview import Entry, Key, Library
from tagging.catalog import Catalog
from tagging.names import safe
from tagging.vocabulary import normal

DEPTH = 60  # hits that are looked at, whatever part of them is shown
FACETS = 30  # tags that are offered as filters
LENGTHS = (0.0, 10.0, 60.0, 300.0, 1200.0)  # seconds at which one kind of length ends and the next begins


@dataclass(frozen=True, slots=True)
class Found:
    """A hit on its way to the page. kinds: the senses that it rests on."""

    entry: Entry
    start: float
    end: float
    score: float | None
    why: tuple[Evidence, ...]
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for beside the query. Each sort of filter can be left aside, to count what it hides."""

    tags: Filters
    senses: frozenset[str]
    shortest: float | None
    longest: float | None
    after: str | None  # a day, ISO 8601: created then or later
    before: str | None  # created before this day

    def sense(self, found: Found) -> bool:
        return not self.senses or bool(self.senses & found.kinds)

    def length(self, found: Found) -> bool:
        if self.shortest is None and self.longest is None:
            return True
        seconds = found.entry.video.duration
        return seconds is not None and (self.shortest or 0.0) <= seconds < (self.longest or float("inf"))

    def date(self, found: Found) -> bool:
        if self.after is None and self.before is None:
            return True
        day = (found.entry.video.created or "")[:10]
        return bool(day) and (self.after or "") <= day and (self.before is None or day < self.before)


def find(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    """Hits of a query, or all videos without one, and how many each filter would leave."""
    wish = Wish(
        Filters(tuple(map(_tag, ask["tag"])), tuple(map(_tag, ask["not"]))),
        frozenset(ask["modality"]),
        ask["longer"],
        ask["shorter"],
        ask["after"],
        ask["before"],
    )
    query = ask["q"].replace("\0", " ").strip()
    with desk.catalog() as catalog:
        library = desk.overview.of(catalog)
        found = _search(catalog, library, query, wish) if query else _browse(library, wish)
    checks: tuple[Callable[[Found], bool], ...] = (wish.sense, wish.length, wish.date)
    kept = [one for one in found if all(check(one) for check in checks)]
    return {
        "query": query,
        "total": len(kept),
        "more": bool(query) and len(found) >= DEPTH,
        "hits": [_hit(one) for one in kept[ask["offset"] : ask["offset"] + ask["k"]]],
        "facets": {
            "modality": _senses([o for o in found if wish.length(o) and wish.date(o)]),
            "tag": _tags(kept, wish.tags),
            "length": _lengths([o for o in found if wish.sense(o) and wish.date(o)]),
            "year": _years([o for o in found if wish.sense(o) and wish.length(o)]),
        },
    }


def similar(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    """More like this one: by the tags that two videos share."""
    with desk.catalog() as catalog:
        video = desk.video(catalog, ask["id"])
        library = desk.overview.of(catalog)
        hits = []
        for number, score, shared in library.similar(video.id)[: ask["k"]]:
            entry = library.entries[number]
            held = [(key, entry.tags[key]) for key in shared[:4]]
            reasons = tuple(Evidence(k[1], k[0], h.start, h.end, h.score) for k, h in held)
            first = reasons[0]
            hits.append(
                _hit(Found(entry, first.start, first.end, score, reasons, frozenset(e.kind for e in reasons)))
            )
    return {"total": len(hits), "hits": hits}


def suggest(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    """Tags of the library that begin with, or hold, what somebody types."""
    typed = normal(ask["q"])
    with desk.catalog() as catalog:
        library = desk.overview.of(catalog)
    matching = [key for key in library.videos_with if typed in key[1].casefold()]
    order = sorted(
        matching, key=lambda k: (not k[1].casefold().startswith(typed), -library.videos_with[k], k[1], k[0])
    )
    return {"tags": [_counted(key, library.videos_with[key]) for key in order[: ask["k"]]]}


def _search(catalog: Catalog, library: Library, query: str, wish: Wish) -> list[Found]:
    """The best hits; asked again with all filters where some of them hide so much that others get room."""
    filters = wish.tags
    narrow = {"longer": wish.shortest, "shorter": wish.longest, "after": wish.after, "before": wish.before}
    offered = {field.name for field in fields(Filters)}
    narrow = {name: value for name, value in narrow.items() if name in offered and value is not None}
    hits = {hit.video.id: hit for hit in search(catalog, query, DEPTH, filters)}
    if narrow and len(hits) >= DEPTH:
        every = {field.name: getattr(filters, field.name) for field in fields(Filters)}
        for hit in search(catalog, query, DEPTH, Filters(**{**every, **narrow})):
            hits.setdefault(hit.video.id, hit)
    found = []
    for hit in sorted(hits.values(), key=lambda hit: (-hit.score, hit.video.id)):
        entry = library.entries.get(hit.video.id) or Entry(hit.video, {})
        kinds = frozenset(str(one.kind) for one in hit.why)
        found.append(Found(entry, hit.start, hit.end, hit.score, tuple(hit.why), kinds))
    return found


def _browse(library: Library, wish: Wish) -> list[Found]:
    """All videos, the newest first; those without a date after them, the last that came in first."""
    entries = [entry for entry in library.entries.values() if entry.video.paths]
    entries.sort(key=lambda entry: (entry.video.created or "", entry.video.id), reverse=True)
    found = []
    for entry in entries:
        start, end = 0.0, 0.0
        if wish.tags.having or wish.tags.lacking:
            forms = {(modality, normal(text, modality)): h for (modality, text), h in entry.tags.items()}
            if not wish.tags.allow(forms):
                continue
            asked = (h for key, h in forms.items() for want in wish.tags.having if _is(key, want))
            start, end = min(((h.start, h.end) for h in asked), default=(0.0, 0.0))
        found.append(Found(entry, start, end, None, (), frozenset(str(key[0]) for key in entry.tags)))
    return found


def _hit(found: Found) -> dict[str, Any]:
    return {
        **answers.head(found.entry.video),
        "start": found.start,
        "end": found.end,
        "score": None if found.score is None else round(found.score, 4),
        "why": answers.why(found.why),
        "tags": answers.chips(found.entry),
    }


def _senses(found: Sequence[Found]) -> list[dict[str, Any]]:
    counts = Counter(kind for one in found for kind in one.kinds)
    return [{"value": sense.value, "count": counts[sense.value]} for sense in Modality if counts[sense.value]]


def _tags(found: Sequence[Found], chosen: Filters) -> list[dict[str, Any]]:
    """The tags of these videos, the most frequent first; those that are in use go without saying."""
    counts: Counter[Key] = Counter()
    for one in found:
        counts.update(key for key in one.entry.tags if key[0] != Modality.SCREEN)
    used = {text for _, text in chosen.having}
    order = sorted(counts, key=lambda key: (-counts[key], key[1], key[0]))
    return [_counted(key, counts[key]) for key in order if key[1] not in used][:FACETS]


def _counted(key: Key, count: int) -> dict[str, Any]:
    return {"modality": key[0].value, "text": safe(key[1]), "count": count}


def _lengths(found: Sequence[Found]) -> list[dict[str, Any]]:
    seconds = [one.entry.video.duration for one in found]
    bounds = [*LENGTHS, None]
    counted = []
    for low, high in pairwise(bounds):
        assert low is not None
        count = sum(s is not None and low <= s and (high is None or s < high) for s in seconds)
        if count:
            counted.append({"longer": low, "shorter": high, "count": count})
    return counted


def _years(found: Sequence[Found]) -> list[dict[str, Any]]:
    counts = Counter(one.entry.year for one in found if one.entry.year)
    return [{"value": safe(year, 8), "count": counts[year]} for year in sorted(counts, reverse=True)][:40]


def _is(key: Key, wanted: tuple[Modality | None, str]) -> bool:
    return wanted[0] in (None, key[0]) and normal(wanted[1], key[0]) == key[1]


def _tag(text: str) -> tuple[Modality | None, str]:
    """ "object:dog" or "dog\""""
    before, colon, after = text.partition(":")
    modality = Modality(before) if colon and before in set(Modality) else None
    form = normal(after if modality else text, modality)
    if not form:
        raise Problem(400, "a tag needs a text")
    return modality, form
