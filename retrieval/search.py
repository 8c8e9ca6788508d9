"""Search by words: from a sentence to the videos and the moments whose tags, speech and texts answer it.

Needs no model. Candidates come from the catalog's word index; each is then searched for the moment at
which most of the query is there at once.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from experts.tags import Modality
from tagging.catalog import Catalog
from tagging.records import Video
from tagging.vocabulary import clean, normal

MOST_WORDS = 32  # of a query; a longer one is cut
NEAR = 2.0  # seconds: things this close together are one moment
WORD = re.compile(r"\w+")

# Words that say nothing of what is wanted.
EMPTY = frozenset(
    """
    a about an and are at be by clip for from has have he her him his i in is it its me my of on or our she
    show some somebody someone something speak speaks talk talking talks that the their them there they this
    to video videos was we were where which while who with you your
    """.split()
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something of a video that holds words of the query."""

    text: str
    kind: str  # a modality, or "title"
    start: float  # seconds
    end: float
    score: float  # 0..1, how sure the one who said it was


@dataclass(frozen=True, slots=True)
class Hit:
    """A moment that answers a query, and why."""

    video: Video
    start: float
    end: float
    score: float  # 0..1: how much of the query is there, weighted by how rare and how sure
    why: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Filters:
    """Only videos that have every tag of `having` and none of `lacking`, as (modality or None, text)."""

    having: tuple[tuple[Modality | None, str], ...] = ()
    lacking: tuple[tuple[Modality | None, str], ...] = ()

    def allow(self, tags: Collection[tuple[Modality, str]]) -> bool:
        return all(_has(tags, wanted) for wanted in self.having) and not any(
            _has(tags, unwanted) for unwanted in self.lacking
        )


def search(catalog: Catalog, query: str, count: int = 10, filters: Filters = Filters()) -> list[Hit]:
    """The best moments, best first, at most one a video. Equal scores come in the order of ids."""
    words = query_words(query)
    if not words or count < 1:
        return []
    weights = _rarity(catalog, words)
    hits = []
    for video_id in _candidates(catalog, words, max(100, 10 * count)):
        video = catalog.video(video_id)
        if video is None or not video.paths:
            continue
        tags = catalog.tags(video_id)
        if not filters.allow({(tag.modality, normal(tag.text, tag.modality)) for tag in tags}):
            continue
        evidence = [Evidence(tag.text, tag.modality, tag.start, tag.end, tag.score) for tag in tags]
        evidence += [
            Evidence(word.text, "speech", word.start, word.end, word.probability)
            for word in catalog.words(video_id)
        ]
        end = video.facts.duration or 0.0 if video.facts else 0.0
        if video.title:
            evidence.append(Evidence(video.title, "title", 0.0, end, 0.5))
        hit = best_moment(video, evidence, weights)
        if hit is not None:
            hits.append(hit)
    return sorted(hits, key=lambda hit: (-hit.score, hit.video.id))[:count]


def query_words(query: str) -> list[str]:
    """The words of a query that mean something, each once; all words if none of them does."""
    words = list(dict.fromkeys(WORD.findall(clean(query, 10_000).casefold())))
    return ([word for word in words if word not in EMPTY] or words)[:MOST_WORDS]


def best_moment(video: Video, evidence: Iterable[Evidence], weights: Mapping[str, float]) -> Hit | None:
    """The moment at which the weightiest part of the query is there at once.

    A word counts with its weight times the best score among the evidence for it. Half of the score is what
    the moment holds, half what the whole video holds: to have it all in other places counts, too.
    """
    found: dict[str, list[Evidence]] = defaultdict(list)
    same = _same_words({word for one in evidence for word in _words(one.text)}, weights)
    for one in evidence:
        held = set(_words(one.text))
        for word in weights:
            if held & same[word]:
                found[word].append(one)
    if not found:
        return None
    everywhere = {word: max(seen, key=lambda e: e.score) for word, seen in found.items()}
    timed = [one for seen in found.values() for one in seen if one.kind != "title"]
    best: dict[str, Evidence] = {}
    for time in sorted({one.start for one in timed}):
        here = {
            word: max(there, key=lambda e: e.score)
            for word, seen in found.items()
            if (there := [e for e in seen if e.start - NEAR <= time <= e.end + NEAR])
        }
        if _sum(here, weights) > _sum(best, weights) + 1e-9:
            best = here
    chosen = best or everywhere
    total = sum(weights.values())
    score = (_sum(best, weights) + _sum(everywhere, weights)) / (2 * total)
    start, end = _span([e for e in chosen.values() if e.kind != "title"] or list(chosen.values()))
    why = dict.fromkeys(sorted({**everywhere, **chosen}.values(), key=lambda e: (e.start, e.text)))
    return Hit(video, start, end, min(1.0, score), tuple(why))


def _span(evidence: Sequence[Evidence]) -> tuple[float, float]:
    """Where all of it is there at once, or else from the first to the last."""
    start, end = max(e.start for e in evidence), min(e.end for e in evidence)
    if start <= end:
        return start, end
    return min(e.start for e in evidence), max(e.end for e in evidence)


def _sum(found: Mapping[str, Evidence], weights: Mapping[str, float]) -> float:
    return sum(weights[word] * one.score for word, one in found.items())


def _candidates(catalog: Catalog, words: Sequence[str], most: int) -> list[int]:
    """Videos that hold any of the words, the most promising first."""
    any_word = " OR ".join(f'"{word}"' for word in words)
    rows = catalog.connection.execute(
        "SELECT rowid FROM found WHERE found MATCH ? ORDER BY rank, rowid LIMIT ?", (any_word, most)
    )
    return [row[0] for row in rows.fetchall()]


def _rarity(catalog: Catalog, words: Sequence[str]) -> dict[str, float]:
    """How much each word tells: more, the fewer videos hold it."""
    videos = catalog.connection.execute("SELECT count(*) FROM found").fetchone()[0]
    weights = {}
    for word in words:
        held = catalog.connection.execute(
            "SELECT count(*) FROM found WHERE found MATCH ?", (f'"{word}"',)
        ).fetchone()[0]
        weights[word] = math.log(1 + (videos + 1) / (held + 0.5))
    return weights


def _same_words(texts: Collection[str], queries: Iterable[str]) -> dict[str, set[str]]:
    """Which words are the same as each query word, by the very rule of the catalog's index (stems)."""
    index = sqlite3.connect(":memory:")
    index.execute(
        "CREATE VIRTUAL TABLE word USING fts5(text, tokenize = 'porter unicode61 remove_diacritics 2')"
    )
    index.executemany("INSERT INTO word VALUES (?)", [(text,) for text in sorted(texts)])
    return {
        query: {row[0] for row in index.execute("SELECT text FROM word WHERE word MATCH ?", (f'"{query}"',))}
        for query in queries
    }


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _has(tags: Collection[tuple[Modality, str]], wanted: tuple[Modality | None, str]) -> bool:
    modality, text = wanted
    return any((modality is None or modality == of) and normal(text, of) == said for of, said in tags)
