"""Learning how to search one library: its hubs, what each signal is worth there, and when it has no answer.

Where people wrote about its videos, half of what they wrote is the query bank and the other half fits weights
and probabilities. Elsewhere the bank is written from tags, and such queries are too easy to fit weights
by: the defaults serve, and only the line below which nothing is said is moved to where the library's own
background queries want it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagline.retrieval import background, bank
from tagline.retrieval.asking import parse
from tagline.retrieval.background import Query
from tagline.retrieval.calibration import between, fit_isotonic, fit_logistic, line
from tagline.retrieval.fusion import Weights, fit, fuse, table
from tagline.retrieval.index import Level, pack
from tagline.retrieval.learnt import Judgement, Learnt, defaults, write
from tagline.retrieval.searcher import Looked, Searcher, posterior
from tagline.retrieval.words import query_words
from tagline.tagging import embeddings

if TYPE_CHECKING:
    from tagline.tagging.catalog import Catalog

REFUSED = 0.03  # of the queries that have an answer; the promise is at most 0.05
ANSWERED = 0.06  # of those that have none; the promise is at most 0.10
MOST_ROWS = 20_000  # of a large index, by which the bank's setting is chosen
MOST_READ = 100_000  # captions, for the words in them
MOST_FITTED = 200  # queries of each kind that weights and probabilities are fitted by

Say = Callable[[str], None]


def learn(
    catalog: Catalog,
    searcher: Searcher | None = None,
    say: Say = lambda line: None,
    known: frozenset[str] = frozenset(),
) -> Learnt:
    """Learn all there is to learn about a library and keep it beside the index.

    known: words by which people ask for such videos, from captions of others.
    """
    searcher = searcher or Searcher.open(catalog)
    searcher.learnt = learnt = Learnt()
    wrote = background.captions(catalog)
    told = len(wrote) >= background.ENOUGH
    queries = wrote if told else background.from_tags(catalog)
    held, other = queries[::2], queries[1::2]
    learnt.known = known | (vocabulary(held) if told else frozenset())
    say(f"{len(queries)} queries {'that people wrote' if told else 'written from tags'}")

    if searcher.indexes:
        learn_hubs(catalog, searcher, held)
        learn_tags(catalog, searcher)
        if learnt.hubs and not (told and bank_helps(catalog, searcher, other[:MOST_FITTED])):
            learnt.hubs, learnt.setting = {}, bank.Setting("plain")
            say("the query bank is left out: it finds no more here")
    nothing = background.without_answer(catalog, learnt.known)
    answerable = tried(catalog, searcher, other[:MOST_FITTED])
    strangers = tried(catalog, searcher, nothing[:MOST_FITTED])
    if searcher.indexes:
        learnt.nowhere = nowhere(strangers)
        answerable = tried(catalog, searcher, other[:MOST_FITTED])  # now with what stands out from them
        strangers = tried(catalog, searcher, nothing[:MOST_FITTED])
    if told:
        learnt.weights = fit_weights(answerable, other)
        learnt.judgement = judge(answerable, other, strangers, learnt.weights)
        # Only now: queries that were tried must not know their own words.
        learnt.known |= vocabulary(background.captions(catalog, most=MOST_READ))
    else:
        learnt.judgement = moved(defaults().judgement, answerable, strangers)
    fingerprint = searcher.encoder.fingerprint if searcher.encoder else ""
    write(catalog, fingerprint, learnt)
    return learnt


def vocabulary(queries: Sequence[Query]) -> frozenset[str]:
    """The words that people use who ask for such videos."""
    return frozenset(word for query in queries for word in query_words(query.text))


def learn_hubs(
    catalog: Catalog, searcher: Searcher, queries: Sequence[Query], setting: bank.Setting | None = None
) -> None:
    """How much of a hub each video and each span is, seen from the queries of the bank.

    setting: by default the one that serves these queries best.
    """
    assert searcher.encoder is not None
    learnt, encoder = searcher.learnt, searcher.encoder
    if len(queries) < 2:
        return
    asked = encoder.texts([query.text for query in queries])  # [B, D]
    learnt.queries, learnt.setting = len(queries), setting
    wanted = pack(
        np.array([query.video or 0 for query in queries], np.int64), np.zeros(len(queries), np.int64)
    )
    for level in (Level.VIDEO, Level.SPAN):  # the setting is chosen by videos: they have right answers
        if level not in searcher.indexes:
            continue
        every = max(1, len(searcher.indexes[level]) // MOST_ROWS)
        ids, scores = _sample(_similarities(catalog, level, encoder.fingerprint, asked), every, wanted)
        if learnt.setting is None and level == Level.VIDEO:
            rows = {int(number): row for row, number in enumerate(ids)}
            right = np.array([rows.get(int(number), -1) for number in wanted])
            learnt.setting = bank.fit(scores[right >= 0], right[right >= 0])
        chosen = learnt.setting or bank.Setting()
        if chosen.method != "plain":
            given = bank.giving(scores, chosen)
            pages = [
                (numbers, chosen.damping * bank.hubness(found, chosen, given))
                for numbers, found in _similarities(catalog, level, encoder.fingerprint, asked)
            ]
            learnt.hubs[level] = _joined(pages)


def bank_helps(catalog: Catalog, searcher: Searcher, queries: Sequence[Query]) -> bool:
    """Whether queries that are not in the bank find their videos sooner with it, by more than chance may do.

    Sooner: by the mean of 1 / place, each way with weights of its own; chance: one standard error.
    """
    places = []
    for hubs in (False, True):
        looked = tried(catalog, searcher, queries, hubs=hubs)
        weights = fit_weights(looked, queries)
        places.append([_reciprocal(one, query, weights) for one, query in zip(looked, queries, strict=True)])
    gain = np.subtract(places[1], places[0])
    return len(gain) > 1 and bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


def _reciprocal(looked: Looked, query: Query, weights: Weights) -> float:
    row = _row(looked, query)
    found = fuse(_table(looked), weights)
    return 0.0 if row < 0 else 1.0 / (1 + int((found > found[row]).sum()))


Page = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def _similarities(
    catalog: Catalog, level: Level, fingerprint: str, asked: npt.NDArray[np.float32]
) -> Iterator[Page]:
    """Page by page the rows of a level [C], ascending, and what the bank says of each [B, C]."""
    for page in embeddings.pages(catalog, level, fingerprint):
        first = np.r_[True, page.ids[1:] != page.ids[:-1]]
        starts = np.flatnonzero(first)
        places = np.arange(len(page.ids)) - np.repeat(starts, np.diff(np.r_[starts, len(page.ids)]))
        yield pack(page.ids, places + (level != Level.VIDEO)), (asked @ page.values.T).astype(np.float64)


def _sample(pages: Iterable[Page], every: int, wanted: npt.NDArray[np.int64]) -> Page:
    """Some of the rows, and all that are wanted."""
    ids, scores, seen = [np.empty(0, np.int64)], [], 0
    for numbers, found in pages:
        kept = ((np.arange(len(numbers)) + seen) % every == 0) | np.isin(numbers, wanted)
        ids.append(numbers[kept])
        scores.append(found[:, kept])
        seen += len(numbers)
    return np.concatenate(ids), np.concatenate(scores, axis=1) if scores else np.empty((len(wanted), 0))


def _joined(pages: Sequence[Page]) -> Page:
    ids = np.concatenate([numbers for numbers, _ in pages]) if pages else np.empty(0, np.int64)
    values = np.concatenate([found for _, found in pages]) if pages else np.empty(0)
    order = np.argsort(ids)
    return ids[order], values[order]


def learn_tags(catalog: Catalog, searcher: Searcher, most: int = 5000) -> None:
    """What the library's tags mean to the model: one vector for each, the most used first."""
    assert searcher.encoder is not None
    rows = catalog.connection.execute(
        "SELECT modality, text FROM tag WHERE modality <> 'screen' GROUP BY modality, text"
        " ORDER BY count(DISTINCT video_id) DESC, modality, text LIMIT ?",
        (most,),
    ).fetchall()
    searcher.learnt.tags = [(modality, text) for modality, text in rows]
    if rows:
        searcher.learnt.tag_vectors = searcher.encoder.texts([text for _, text in rows])


def nowhere(strangers: Sequence[Looked]) -> dict[str, tuple[float, float]]:
    """For each signal of the model the mean and the spread of the best scores that strangers reach."""
    found = {}
    for name in ("video", "span", "tags"):
        best = [max(one.signals[name].values()) for one in strangers if one.signals.get(name)]
        if len(best) > 1:
            found[name] = (float(np.mean(best)), float(np.std(best)))
    return found


def fit_weights(looked: Sequence[Looked], queries: Sequence[Query]) -> Weights:
    """What each signal is worth, by queries whose video is known."""
    tables = [_table(one) for one in looked]
    return fit(tables, [_row(one, q) for one, q in zip(looked, queries, strict=False)], defaults().weights)


def judge(
    answerable: Sequence[Looked], queries: Sequence[Query], strangers: Sequence[Looked], weights: Weights
) -> Judgement | None:
    """Learn from queries with an answer and from such without one. None: there are too few of a kind."""
    if len(answerable) < 20 or len(strangers) < 20:
        return None
    x = np.array([one.features for one in (*answerable, *strangers)])
    has = np.arange(len(x)) < len(answerable)
    curve = fit_logistic(x, has)
    chance = curve(x)
    top, right = [], []
    for one, query, share in zip(answerable, queries, chance, strict=False):
        order = fuse(_table(one), weights)
        if len(order):
            top.append(share * posterior(order).max())
            right.append(one.candidates[int(order.argmax())].video.id == query.video)
    for one, share in zip(strangers, chance[len(answerable) :], strict=True):
        order = fuse(_table(one), weights)
        if len(order):
            top.append(share * posterior(order).max())
            right.append(False)
    rounded = replace(curve, weights=tuple(round(w, 4) for w in curve.weights), bias=round(curve.bias, 4))
    limit = between(chance[~has], chance[has], ANSWERED, REFUSED)
    return Judgement(rounded, limit, fit_isotonic(np.array(top), np.array(right)))


def moved(
    judgement: Judgement | None, answerable: Sequence[Looked], strangers: Sequence[Looked]
) -> Judgement | None:
    """The default judgement with its line where this library's background queries want it.

    It goes up until few strangers pass, but never so far that queries written from the library's own tags
    would be refused.
    """
    if judgement is None or len(answerable) < 20 or len(strangers) < 20:
        return judgement
    chance = judgement.answerable(np.array([one.features for one in strangers]))
    own = judgement.answerable(np.array([one.features for one in answerable]))
    wanted = max(judgement.line, float(np.quantile(chance, 1 - ANSWERED)))
    return replace(judgement, line=min(wanted, line(own, REFUSED)))


def tried(
    catalog: Catalog, searcher: Searcher, queries: Sequence[Query], *, hubs: bool = True
) -> list[Looked]:
    """What the searcher sees of each query."""
    return [searcher.look(catalog, parse(query.text), most=100, hubs=hubs) for query in queries]


def _table(looked: Looked) -> npt.NDArray[np.float64]:
    return table(looked.signals, [one.video.id for one in looked.candidates])


def _row(looked: Looked, query: Query) -> int:
    numbers = [one.video.id for one in looked.candidates]
    return numbers.index(query.video) if query.video in numbers else -1
