"""One query over all that can answer it: words, the vectors of videos and their spans, and tags by meaning.

What is opened once and serves many queries is here: the encoder, the two indexes and what was learnt
about the library. Whatever is missing is left out; with nothing at all, words still search.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from tagline.experts.tags import Tag
from tagline.retrieval.embed.query_encoder import Encoder, EncoderMissing, open_encoder
from tagline.retrieval.index.base import BadIndex, Index, Level, unpack
from tagline.retrieval.index.update import open_index
from tagline.retrieval.query import lexical as by_words
from tagline.retrieval.query.hits import ANY, Filters, Hit
from tagline.retrieval.query.params import FEATURES, SearchParams, read
from tagline.retrieval.query.params import FILE as LEARNT
from tagline.retrieval.query.parse import ParsedQuery, forms_by_word
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.vocabulary import normal

Floats = npt.NDArray[np.float64]

MAX_ROWS = 100  # of an index that are looked at for ten hits
MAX_FILTERED_ROWS = 5000  # where filters will take most of them away again
NEAREST_TAGS, VIDEOS_PER_TAG = 8, 25
MAX_CACHED = 12_000  # videos whose evidence is kept in memory, some 5 kB each


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """A video with everything of it that can answer."""

    video: Video
    tags: list[Tag]
    index: by_words.EvidenceIndex  # of its evidence
    spans: list[tuple[float, float]]  # seconds; those that the model embedded, in the order of time


@dataclass(slots=True)
class Candidate:
    """One candidate, with what each signal says of it."""

    indexed: IndexedVideo
    words: Hit | None = None
    video_score: float | None = None
    spans: list[tuple[float, float, float]] = field(default_factory=list)  # (start, end, score), best first
    near: tuple[float, Tag] | None = None  # the tag that is nearest in meaning

    @property
    def video(self) -> Video:
        return self.indexed.video


@dataclass(frozen=True, slots=True)
class Candidates:
    """All that is known about a query before its candidates are put in order."""

    query: ParsedQuery
    entries: list[Candidate]
    features: Floats  # [len(FEATURES)], what tells whether there is an answer at all
    tag_similarity: TagSimilarity

    @property
    def signals(self) -> dict[str, dict[int, float]]:
        """For each signal the scores of the candidates that it found."""
        found: dict[str, dict[int, float]] = {"words": {}, "video": {}, "span": {}, "tags": {}}
        for one in self.entries:
            if one.words is not None:
                found["words"][one.video.id] = one.words.score
            if one.video_score is not None:
                found["video"][one.video.id] = one.video_score
            if one.spans:
                found["span"][one.video.id] = one.spans[0][2]
            if one.near is not None:
                found["tags"][one.video.id] = one.near[0]
        return {name: scores for name, scores in found.items() if scores}


class Searcher:
    """What is needed to search one library. Open it once for many queries."""

    def __init__(
        self,
        encoder: Encoder | None = None,
        indexes: Mapping[Level, Index] | None = None,
        params: SearchParams | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        self.encoder = encoder
        self.indexes = dict(indexes or {}) if encoder is not None else {}
        self.params = params or SearchParams()
        self.notices = list(notices)  # why something is left out, in sentences
        # One query is so little work that a second thread only waits, and on a busy machine waits long.
        self._threads = ThreadpoolController()
        self._cached: dict[int, IndexedVideo | None] = {}
        self._cached_at: Hashable = None

    @classmethod
    def open(cls, catalog: Catalog) -> Searcher:
        """Everything that the library has. What cannot be used is left out, with a notice."""
        notices: list[str] = []
        try:
            encoder = open_encoder(catalog)
        except EncoderMissing as missing:
            encoder = None
            notices.append(str(missing))
        indexes = {}
        for level in Level if encoder is not None else ():
            try:
                index = open_index(catalog, level)
            except BadIndex as bad:
                notices.append(str(bad))
                continue
            if index is not None and encoder is not None and index.fingerprint == encoder.fingerprint:
                indexes[level] = index
        return cls(encoder, indexes, read(catalog, encoder.fingerprint if encoder else "", notices), notices)

    # -- one query -----------------------------------------------------------------------------------

    def candidates(
        self,
        catalog: Catalog,
        query: ParsedQuery,
        filters: Filters = ANY,
        most: int = MAX_ROWS,
        *,
        qb_norm: bool = True,
    ) -> Candidates:
        """Every candidate with its signals. qb_norm: whether the query bank makes hubs smaller."""
        with self._threads.limit(limits=1):
            return self._candidates(catalog, query, filters, most, qb_norm)

    def _candidates(
        self, catalog: Catalog, query: ParsedQuery, filters: Filters, most: int, qb_norm: bool
    ) -> Candidates:
        words = by_words.query_words(query.text) if query.include else []
        forms = forms_by_word(query)
        weights = by_words.idf(catalog, words, forms)
        rows = min(MAX_FILTERED_ROWS, 25 * most) if filters.narrow else most
        vector = self.vector(query)
        near = {
            level: self._nearest(index, level, vector, rows, qb_norm) for level, index in self.indexes.items()
        }
        tag_similarity = self._tag_similarity(catalog, vector)

        numbers = catalog.fulltext.videos_with_any(
            [*words, *(form for some in forms.values() for form in some)], rows
        )
        for ids, _ in near.values():
            numbers += [int(number) for number in unpack(ids)[0]]
        numbers += tag_similarity.videos
        self._drop_stale_cache(catalog)
        found: dict[int, Candidate] = {}
        for number in dict.fromkeys(numbers):
            known = self._indexed(catalog, number)
            if known is None or not filters.allow_video(known.video):
                continue
            if not (filters.having or filters.lacking) or filters.allow(
                {(tag.modality, normal(tag.text, tag.modality)) for tag in known.tags}
            ):
                found[number] = Candidate(known)
        excluded = by_words.query_words(" ".join(query.exclude)) if query.exclude else []
        for one in found.values():
            one.words = by_words.lexical_hit(one.video, one.indexed.index, weights, forms) if words else None
            if one.words is not None and excluded:
                one.words = penalise_excluded(one.words, one.indexed.index, excluded)
            one.near = tag_similarity.nearest(one.indexed.tags)
        _assign_rows(found, near)
        return Candidates(
            query,
            list(found.values()),
            self._features(catalog, found, weights, forms, near, tag_similarity),
            tag_similarity,
        )

    def vector(self, query: ParsedQuery) -> npt.NDArray[np.float32] | None:
        """The query as a unit vector [D]: what is wanted added up, what is not wanted taken off."""
        if self.encoder is None or not query.include:
            return None
        given = self.encoder.texts([*query.include, *query.exclude])
        signs = np.array([1.0] * len(query.include) + [-1.0] * len(query.exclude), np.float32)
        found = signs @ given
        length = float(np.linalg.norm(found))
        return np.asarray(found / length, np.float32) if length > 1e-9 else None

    def _indexed(self, catalog: Catalog, number: int) -> IndexedVideo | None:
        """A video as the catalog has it; None if none of its files is there."""
        if number not in self._cached:
            if len(self._cached) >= MAX_CACHED:
                self._cached.clear()
            video = catalog.video(number)
            if video is None or not video.paths:
                self._cached[number] = None
            else:
                tags = catalog.tags(number)
                index = by_words.index_evidence(by_words.evidence_of(catalog, video, tags))
                self._cached[number] = IndexedVideo(video, tags, index, self._spans(catalog, number))
        return self._cached[number]

    def warm(self, catalog: Catalog, enough: Callable[[], bool] = lambda: False) -> None:
        """Read the evidence of the library's videos now, so that no query has to wait for it."""
        self._drop_stale_cache(catalog)
        for video in itertools.islice(catalog.videos(), MAX_CACHED):
            if enough():
                break
            self._indexed(catalog, video.id)

    def _drop_stale_cache(self, catalog: Catalog) -> None:
        """What is held in memory is of the catalog as it was under one token."""
        now = catalog.change_token()
        if now != self._cached_at:
            self._cached, self._cached_at = {}, now

    def _nearest(
        self, index: Index, level: Level, vector: Any, rows: int, qb_norm: bool
    ) -> tuple[npt.NDArray[np.int64], Floats]:
        """The best rows of an index, ids and scores, best first, hubs made smaller."""
        if vector is None or not len(index):
            return np.empty(0, np.int64), np.empty(0)
        ids, scores = index.search(vector[None], min(rows, len(index)))
        here = ids[0] >= 0
        row_ids, found = ids[0][here], scores[0][here].astype(np.float64)
        if qb_norm:
            found = found - self.params.hubness(level, row_ids)
        order = np.argsort(-found, kind="stable")
        return row_ids[order], found[order]

    def _tag_similarity(self, catalog: Catalog, vector: Any) -> TagSimilarity:
        known = self.params.tags
        if vector is None or not known or self.params.tag_vectors.shape[1] != len(vector):
            return TagSimilarity({}, [])
        scores = self.params.tag_vectors @ vector
        best = np.argsort(-scores, kind="stable")[:NEAREST_TAGS]
        videos: list[int] = []
        for place in best:
            modality, text = known[place]
            videos += catalog.videos_with_tag(text, modality, VIDEOS_PER_TAG)
        return TagSimilarity({known[place]: float(scores[place]) for place in range(len(known))}, videos)

    def _spans(self, catalog: Catalog, video_id: int) -> list[tuple[float, float]]:
        """The stretches that the rows of the index stand for: places count from 1 in this order."""
        if self.encoder is None:
            return []
        return catalog.vectors.spans(video_id, self.encoder.fingerprint)

    def _features(
        self,
        catalog: Catalog,
        found: Mapping[int, Candidate],
        weights: Mapping[str, float],
        forms: by_words.Forms,
        near: Mapping[Level, tuple[npt.NDArray[np.int64], Floats]],
        tag_similarity: TagSimilarity,
    ) -> Floats:
        """What tells whether a query has an answer here, in the order of FEATURES."""
        total = sum(weights.values())
        unknown = {
            word: weight
            for word, weight in weights.items()
            if word not in self.params.vocabulary
            and word not in forms
            and not catalog.fulltext.document_frequency(word)
        }
        best = {name: scores[1][0] for name, scores in near.items() if len(scores[1])}
        values = {
            "lexical": max((one.words.score for one in found.values() if one.words), default=0.0),
            "unknown_words": sum(unknown.values()) / total if total else 1.0,
            "unwritten_words": float(bool(unknown) and bool(self.params.vocabulary)),
            "video": self.params.z_score("video", best.get(Level.VIDEO)),
            "span": self.params.z_score("span", best.get(Level.SPAN)),
            "tags": self.params.z_score("tags", max(tag_similarity.scores.values(), default=None)),
        }
        return np.array([values[name] for name in FEATURES])


def _assign_rows(
    found: Mapping[int, Candidate], near: Mapping[Level, tuple[npt.NDArray[np.int64], Floats]]
) -> None:
    """Put the scores of the rows to the videos that they are of."""
    for level, (ids, scores) in near.items():
        numbers, places = unpack(ids)
        for number, place, score in zip(numbers.tolist(), places.tolist(), scores.tolist(), strict=True):
            one = found.get(number)
            if one is None:
                continue
            if level == Level.VIDEO:
                one.video_score = score
            elif place <= len(one.indexed.spans):
                one.spans.append((*one.indexed.spans[place - 1], score))


@dataclass(frozen=True, slots=True)
class TagSimilarity:
    """How near each tag of the library is to a query, and the videos that have the nearest ones."""

    scores: dict[tuple[str, str], float]  # (modality, text): similarity
    videos: list[int]

    def nearest(self, tags: Iterable[Tag]) -> tuple[float, Tag] | None:
        """The tag of a video that is nearest, and how near; half of that counts if nobody was sure of it."""
        best: tuple[float, Tag] | None = None
        for tag in tags:
            score = self.scores.get((str(tag.modality), tag.text))
            if score is not None:
                score *= 0.5 + 0.5 * tag.score if score > 0 else 1.0
                if best is None or score > best[0]:
                    best = (score, tag)
        return best

    def surest(self, tags: Iterable[Tag], chance: Callable[[float], float]) -> float:
        """How surely one of a video's tags means what was asked: its similarity's chance times its score."""
        found = 0.0
        for tag in tags:
            score = self.scores.get((str(tag.modality), tag.text))
            if score is not None and tag.score > found:
                found = max(found, chance(score) * tag.score)
        return found


def penalise_excluded(hit: Hit, index: by_words.EvidenceIndex, excluded: Sequence[str]) -> Hit:
    """A hit counts the less, the more of what is not wanted is in its video."""
    from dataclasses import replace

    matching = by_words.matching_evidence(index, excluded)
    there = sum(max(one.score for one in matching[word]) for word in excluded if word in matching)
    return replace(hit, score=hit.score * (1 - min(1.0, there / len(excluded))))


# -- kept open over many queries ---------------------------------------------------------------------

_OPEN: dict[tuple[Any, ...], Searcher] = {}
_LOCK = threading.Lock()


def searcher_of(catalog: Catalog) -> Searcher:
    """The searcher of a library, opened anew when its vectors or what was learnt have changed."""
    if catalog.file is None:
        return Searcher.open(catalog)
    stamp = (str(catalog.file), catalog.vectors.last_revision(), _changed(catalog.file.parent / LEARNT))
    with _LOCK:
        if stamp not in _OPEN:
            for old in [key for key in _OPEN if key[0] == stamp[0]]:
                del _OPEN[old]
            _OPEN[stamp] = Searcher.open(catalog)
        return _OPEN[stamp]


def _changed(file: Path) -> tuple[int, int]:
    """When a file was last changed, and its size; nothing if it is not there."""
    try:
        state = file.stat()
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


def posterior(fused: Floats) -> Floats:
    """How likely each candidate is the one that was meant, if one of them is: a softmax."""
    if not len(fused):
        return fused
    share = np.exp(fused - fused.max())
    return np.asarray(share / share.sum())
