"""Tuning of search to one library: QB-Norm, the weight of each signal, and when nothing answers.

Where people wrote about its videos, half of what they wrote is the query bank and the other half fits weights
and probabilities. Elsewhere the bank is written from tags, and such queries are too easy to fit weights
by: the defaults serve, and only the threshold below which nothing is answered is moved to where the
library's own probe queries want it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagline.experts.tags import Modality
from tagline.retrieval.index.base import Level, pack
from tagline.retrieval.query import qb_norm as bank
from tagline.retrieval.query.calibration import (
    balanced_threshold,
    fit_logistic,
    refusal_threshold,
)
from tagline.retrieval.query.candidates import Candidates, Searcher, posterior
from tagline.retrieval.query.fuse import FusionWeights, feature_table, fuse
from tagline.retrieval.query.lexical import query_words
from tagline.retrieval.query.params import AnswerCalibration, SearchParams, defaults, write
from tagline.retrieval.query.parse import parse
from tagline.retrieval.tune import probe_queries
from tagline.retrieval.tune.fit import fit_qb_norm, fit_weights_to
from tagline.retrieval.tune.probe_queries import ProbeQuery
from tagline.tagging.ml.calibration import fit_calibration

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog

MAX_FALSE_REFUSALS = 0.03  # of the queries that have an answer; the promise is at most 0.05
MAX_FALSE_ANSWERS = 0.06  # of those that have none; the promise is at most 0.10
MAX_ROWS = 20_000  # of a large index, by which the bank's setting is chosen
MAX_CAPTIONS = 100_000  # captions, for the words in them
MAX_FIT_QUERIES = 200  # queries of each kind that weights and probabilities are fitted by

Say = Callable[[str], None]


def tune(
    catalog: Catalog,
    searcher: Searcher | None = None,
    say: Say = lambda line: None,
    vocabulary_of_others: frozenset[str] = frozenset(),
) -> SearchParams:
    """Learn all there is to learn about a library and keep it beside the index.

    vocabulary_of_others: words by which people ask for such videos, from captions of others.
    """
    searcher = searcher or Searcher.open(catalog)
    searcher.params = params = SearchParams()
    captions = probe_queries.caption_queries(catalog)
    from_captions = len(captions) >= probe_queries.ENOUGH_CAPTIONS
    queries = captions if from_captions else probe_queries.tag_queries(catalog)
    probes, left_out = queries[::2], queries[1::2]
    params.vocabulary = vocabulary_of_others | (vocabulary(probes) if from_captions else frozenset())
    say(f"{len(queries)} queries {'that people wrote' if from_captions else 'written from tags'}")

    if searcher.indexes:
        fit_hubness(catalog, searcher, probes)
        embed_tags(catalog, searcher)
        if params.row_hubness and not (
            from_captions and qb_norm_helps(catalog, searcher, left_out[:MAX_FIT_QUERIES])
        ):
            params.row_hubness, params.qb_norm = {}, bank.QBNorm("plain")
            say("QB-Norm is left out: it finds no more here")
    unanswerable_probes = probe_queries.unanswerable_queries(catalog, params.vocabulary)
    answerable = candidates_of(catalog, searcher, left_out[:MAX_FIT_QUERIES])
    unanswerable = candidates_of(catalog, searcher, unanswerable_probes[:MAX_FIT_QUERIES])
    if searcher.indexes:
        params.out_of_domain = out_of_domain(unanswerable)
        answerable = candidates_of(
            catalog, searcher, left_out[:MAX_FIT_QUERIES]
        )  # now with what stands out from them
        unanswerable = candidates_of(catalog, searcher, unanswerable_probes[:MAX_FIT_QUERIES])
    if from_captions:
        params.weights = fit_weights(answerable, left_out)
        params.calibration = fit_answer_calibration(answerable, left_out, unanswerable, params.weights)
        # Only now: queries that were tried must not know their own words.
        params.vocabulary |= vocabulary(probe_queries.caption_queries(catalog, most=MAX_CAPTIONS))
    else:
        params.calibration = shift_threshold(defaults().calibration, answerable, unanswerable)
    fingerprint = searcher.encoder.fingerprint if searcher.encoder else ""
    write(catalog, fingerprint, params)
    return params


def vocabulary(queries: Sequence[ProbeQuery]) -> frozenset[str]:
    """The words that people use who ask for such videos."""
    return frozenset(word for query in queries for word in query_words(query.text))


def fit_hubness(
    catalog: Catalog, searcher: Searcher, queries: Sequence[ProbeQuery], qb_norm: bank.QBNorm | None = None
) -> None:
    """How much of a hub each video and each span is, seen from the queries of the bank.

    qb_norm: by default the one that serves these queries best.
    """
    assert searcher.encoder is not None
    params, encoder = searcher.params, searcher.encoder
    if len(queries) < 2:
        return
    vectors = encoder.texts([query.text for query in queries])  # [B, D]
    params.probe_queries, params.qb_norm = len(queries), qb_norm
    wanted = pack(
        np.array([query.video or 0 for query in queries], np.int64), np.zeros(len(queries), np.int64)
    )
    for level in (Level.VIDEO, Level.SPAN):  # the setting is chosen by videos: they have right answers
        if level not in searcher.indexes:
            continue
        every = max(1, len(searcher.indexes[level]) // MAX_ROWS)
        ids, scores = _sample(_similarities(catalog, level, encoder.fingerprint, vectors), every, wanted)
        if params.qb_norm is None and level == Level.VIDEO:
            rows = {int(number): row for row, number in enumerate(ids)}
            right = np.array([rows.get(int(number), -1) for number in wanted])
            params.qb_norm = fit_qb_norm(scores[right >= 0], right[right >= 0])
        chosen = params.qb_norm or bank.QBNorm()
        if chosen.method != "plain":
            given = bank.probe_potentials(scores, chosen)
            pages = [
                (numbers, chosen.damping * bank.hubness(found, chosen, given))
                for numbers, found in _similarities(catalog, level, encoder.fingerprint, vectors)
            ]
            params.row_hubness[level] = _joined(pages)


def qb_norm_helps(catalog: Catalog, searcher: Searcher, queries: Sequence[ProbeQuery]) -> bool:
    """Whether queries that are not in the bank find their videos sooner with it, by more than chance may do.

    Sooner: by the mean of 1 / place, each way with weights of its own; chance: one standard error.
    """
    places = []
    for qb_norm in (False, True):
        candidates = candidates_of(catalog, searcher, queries, qb_norm=qb_norm)
        weights = fit_weights(candidates, queries)
        places.append(
            [_reciprocal_rank(one, query, weights) for one, query in zip(candidates, queries, strict=True)]
        )
    gain = np.subtract(places[1], places[0])
    return len(gain) > 1 and bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


def _reciprocal_rank(candidates: Candidates, query: ProbeQuery, weights: FusionWeights) -> float:
    row = _right_row(candidates, query)
    found = fuse(_feature_table(candidates), weights)
    return 0.0 if row < 0 else 1.0 / (1 + int((found > found[row]).sum()))


Page = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def _similarities(
    catalog: Catalog, level: Level, fingerprint: str, probes: npt.NDArray[np.float32]
) -> Iterator[Page]:
    """Page by page the rows of a level [C], ascending, and what the bank says of each [B, C]."""
    for page in catalog.vectors.pages(level, fingerprint):
        first = np.r_[True, page.ids[1:] != page.ids[:-1]]
        starts = np.flatnonzero(first)
        places = np.arange(len(page.ids)) - np.repeat(starts, np.diff(np.r_[starts, len(page.ids)]))
        yield pack(page.ids, places + (level != Level.VIDEO)), (probes @ page.values.T).astype(np.float64)


def _sample(pages: Iterable[Page], every: int, wanted: npt.NDArray[np.int64]) -> Page:
    """Some of the rows, and all that are wanted."""
    ids, scores, seen = [np.empty(0, np.int64)], [], 0
    for numbers, found in pages:
        chosen = ((np.arange(len(numbers)) + seen) % every == 0) | np.isin(numbers, wanted)
        ids.append(numbers[chosen])
        scores.append(found[:, chosen])
        seen += len(numbers)
    return np.concatenate(ids), np.concatenate(scores, axis=1) if scores else np.empty((len(wanted), 0))


def _joined(pages: Sequence[Page]) -> Page:
    ids = np.concatenate([numbers for numbers, _ in pages]) if pages else np.empty(0, np.int64)
    values = np.concatenate([found for _, found in pages]) if pages else np.empty(0)
    order = np.argsort(ids)
    return ids[order], values[order]


def embed_tags(catalog: Catalog, searcher: Searcher, most: int = 5000) -> None:
    """What the library's tags mean to the model: one vector for each, the most used first."""
    assert searcher.encoder is not None
    tags = catalog.most_used_tags(most, without=(Modality.SCREEN,))
    searcher.params.tags = [(modality.value, text) for modality, text in tags]
    if tags:
        searcher.params.tag_vectors = searcher.encoder.texts([text for _, text in tags])


def out_of_domain(unanswerable: Sequence[Candidates]) -> dict[str, tuple[float, float]]:
    """For each signal of the model the mean and the spread of the best scores that strangers reach."""
    found = {}
    for name in ("video", "span", "tags"):
        best = [max(one.signals[name].values()) for one in unanswerable if one.signals.get(name)]
        if len(best) > 1:
            found[name] = (float(np.mean(best)), float(np.std(best)))
    return found


def fit_weights(candidates: Sequence[Candidates], queries: Sequence[ProbeQuery]) -> FusionWeights:
    """What each signal is worth, by queries whose video is known."""
    tables = [_feature_table(one) for one in candidates]
    return fit_weights_to(
        tables, [_right_row(one, q) for one, q in zip(candidates, queries, strict=False)], defaults().weights
    )


def fit_answer_calibration(
    answerable: Sequence[Candidates],
    queries: Sequence[ProbeQuery],
    unanswerable: Sequence[Candidates],
    weights: FusionWeights,
) -> AnswerCalibration | None:
    """Learn from queries with an answer and from such without one. None: there are too few of a kind."""
    if len(answerable) < 20 or len(unanswerable) < 20:
        return None
    x = np.array([one.features for one in (*answerable, *unanswerable)])
    has = np.arange(len(x)) < len(answerable)
    logistic = fit_logistic(x, has)
    chance = logistic(x)
    top, right = [], []
    for one, query, share in zip(answerable, queries, chance, strict=False):
        order = fuse(_feature_table(one), weights)
        if len(order):
            top.append(share * posterior(order).max())
            right.append(one.entries[int(order.argmax())].video.id == query.video)
    for one, share in zip(unanswerable, chance[len(answerable) :], strict=True):
        order = fuse(_feature_table(one), weights)
        if len(order):
            top.append(share * posterior(order).max())
            right.append(False)
    rounded = replace(
        logistic, weights=tuple(round(w, 4) for w in logistic.weights), bias=round(logistic.bias, 4)
    )
    limit = balanced_threshold(chance[~has], chance[has], MAX_FALSE_ANSWERS, MAX_FALSE_REFUSALS)
    return AnswerCalibration(rounded, limit, fit_calibration(top, right, groups=None))


def shift_threshold(
    calibration: AnswerCalibration | None,
    answerable: Sequence[Candidates],
    unanswerable: Sequence[Candidates],
) -> AnswerCalibration | None:
    """The default judgement with its line where this library's background queries want it.

    It goes up until few strangers pass, but never so far that queries written from the library's own tags
    would be refused.
    """
    if calibration is None or len(answerable) < 20 or len(unanswerable) < 20:
        return calibration
    chance = calibration.answerable(np.array([one.features for one in unanswerable]))
    own = calibration.answerable(np.array([one.features for one in answerable]))
    wanted = max(calibration.threshold, float(np.quantile(chance, 1 - MAX_FALSE_ANSWERS)))
    return replace(calibration, threshold=min(wanted, refusal_threshold(own, MAX_FALSE_REFUSALS)))


def candidates_of(
    catalog: Catalog, searcher: Searcher, queries: Sequence[ProbeQuery], *, qb_norm: bool = True
) -> list[Candidates]:
    """What the searcher sees of each query."""
    return [searcher.candidates(catalog, parse(query.text), most=100, qb_norm=qb_norm) for query in queries]


def _feature_table(candidates: Candidates) -> npt.NDArray[np.float64]:
    return feature_table(candidates.signals, [one.video.id for one in candidates.entries])


def _right_row(candidates: Candidates, query: ProbeQuery) -> int:
    numbers = [one.video.id for one in candidates.entries]
    return numbers.index(query.video) if query.video in numbers else -1
