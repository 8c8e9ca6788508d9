"""Search: from a sentence to the moments that answer it, best first, and why; or to nothing at all.

`search` is all that most callers need. What is looked at is in searcher.py, how it is weighed in fusion.py,
how sure that is in calibration.py, and what was learnt about the library in learnt.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tagline.retrieval.asking import parse
from tagline.retrieval.fusion import fuse, table
from tagline.retrieval.hits import ANY, Evidence, Filters, Hit
from tagline.retrieval.learnt import defaults
from tagline.retrieval.searcher import Found, Looked, Searcher, posterior, searcher_of
from tagline.retrieval.words import query_words
from tagline.tagging.catalog import Catalog

__all__ = ["Answer", "Evidence", "Filters", "Hit", "answer", "query_words", "search"]

HEARD = frozenset({"speech", "screen"})
TOLD = 0.35  # a moment of which the words know so much is better than the model's


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of a query, and whether they are good enough to be shown."""

    hits: list[Hit]
    answered: bool
    chance: float | None  # that the library has an answer; None: nothing to tell by
    notices: tuple[str, ...] = ()  # what could not be asked, and why


def search(catalog: Catalog, query: str, count: int = 10, filters: Filters = ANY) -> list[Hit]:
    """The best moments, best first, at most one a video; none if the library has no answer.

    Equal scores come in the order of ids.
    """
    found = answer(catalog, query, count, filters)
    return found.hits if found.answered else []


def answer(
    catalog: Catalog,
    query: str,
    count: int = 10,
    filters: Filters = ANY,
    searcher: Searcher | None = None,
    *,
    signals: Sequence[str] | None = None,
    hubs: bool = True,
) -> Answer:
    """The best moments and how likely the library has an answer at all.

    signals: only these of fusion.SIGNALS; hubs: whether the query bank takes from hubs what is theirs.
    Both are for measuring.
    """
    ask = parse(query)
    if not ask.wanted or count < 1:
        return Answer([], False, None)
    searcher = searcher or searcher_of(catalog)
    looked = searcher.look(catalog, ask, filters, max(100, 4 * count), hubs=hubs)
    order, fused = ranked(looked, searcher, signals)
    judgement = searcher.learnt.judgement or (defaults().judgement if searcher.indexes else None)
    chance = None if judgement is None else float(judgement.answerable(looked.features[None])[0])
    shares = posterior(fused)
    sure = np.array([])
    if judgement is not None and chance is not None:
        sure = judgement.curve(chance * shares)
    hits = []
    for place in order[:count]:
        hit = moment(looked.candidates[place])
        if chance is not None:
            hit = replace(hit, score=float(chance * shares[place]), probability=float(sure[place]))
        elif searcher.indexes:
            hit = replace(hit, score=float(shares[place]))
        hits.append(hit)
    answered = bool(hits) and (judgement is None or chance is None or chance >= judgement.line)
    return Answer(hits, answered, chance, tuple(searcher.notices))


def ranked(
    looked: Looked, searcher: Searcher, signals: Sequence[str] | None = None
) -> tuple[list[int], npt.NDArray[np.float64]]:
    """The candidates' places in `looked`, best first, and their fused scores [candidates]."""
    numbers = [one.video.id for one in looked.candidates]
    given = {name: s for name, s in looked.signals.items() if signals is None or name in signals}
    found = fuse(table(given, numbers), searcher.learnt.weights or defaults().weights)
    heard = {number for scores in given.values() for number in scores}
    order = sorted(
        (place for place, number in enumerate(numbers) if number in heard),
        key=lambda place: (-round(float(found[place]), 9), numbers[place]),
    )
    return order, found


def moment(one: Found) -> Hit:
    """Where in a video the answer is, and why.

    What is heard or written is there when it is; of what is seen, the model's span that agrees best with
    the words' moment tells where it begins and ends.
    """
    words = one.words
    why = list(words.why) if words is not None else []
    if one.near is not None and one.near[0] > 0 and not any(e.text == one.near[1].text for e in why):
        tag = one.near[1]
        if words is None:
            why.append(Evidence(tag.text, tag.modality, tag.start, tag.end, tag.score))
    if words is not None and (not one.spans or (why and all(e.kind in HEARD for e in why))):
        return words
    if one.spans:
        start, end, score = max(one.spans, key=lambda span: _agrees(span, words) + span[2])
        if words is None or words.score < TOLD:
            why.append(Evidence("picture", "picture", start, end, float(np.clip(score, 0, 1))))
        return Hit(one.video, start, end, words.score if words else 0.0, tuple(why))
    if why:  # by the meaning of a tag alone
        return Hit(one.video, why[0].start, why[0].end, 0.0, tuple(why))
    end = one.video.duration or 0.0
    return Hit(one.video, 0.0, end, 0.0, (Evidence("picture", "picture", 0.0, end, 0.5),))


def _agrees(span: tuple[float, float, float], words: Hit | None) -> float:
    """How much of the words' moment lies in a span, weighed by how much the words know: 0 to 1."""
    if words is None:
        return 0.0
    start, end = max(span[0], words.start), min(span[1], words.end)
    inside = (end - start) / (words.end - words.start) if words.end > words.start else float(end >= start)
    return max(0.0, inside) * words.score
