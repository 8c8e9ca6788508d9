"""Typing mistakes, and those of who read the screen, are forgiven: by the words that the library has itself.

A word that the library does not hold is taken for the nearest that it does hold, and the answer says so.
Words that were split or joined, "GOD DARD" for "goddard" or "hot dog" for "hotdog", are found beside the
exact ones and count a little less.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tagline.retrieval.query.lexical import WORD, query_words, stems
from tagline.retrieval.query.parse import ParsedQuery
from tagline.tagging.catalog.write import Catalog

MAX_TERMS = 400_000  # words of a library that are compared
MAX_COMPARED = 2_000  # of them letter by letter
LEAST, SURE, LONG = 5, 7, 9  # letters: from here on one slip, any slip, two of any kind are forgiven
MIN_SPLIT, MIN_PART, MAX_SPLIT = 5, 2, 24  # letters of a word that may have been split, and of its parts


def understood(catalog: Catalog, query: ParsedQuery) -> tuple[ParsedQuery, list[str]]:
    """The query with its mistakes mended and other ways to write its words; what was mended, in sentences."""
    words = query_words(query.text)
    forms = [*_split(catalog, words), *_joined(catalog, query)]
    found_so = {word for word, _ in forms}
    mended: dict[str, str] = {}
    for word in words:
        if word in found_so or not _may_be_mistyped(word) or catalog.fulltext.document_frequency(word):
            continue
        if nearest := nearest_word(catalog, word):
            mended[word] = nearest
    if not mended:
        return replace(query, forms=tuple(forms)), []
    include = tuple(
        WORD.sub(lambda match: mended.get(match[0].casefold(), match[0]), phrase) for phrase in query.include
    )
    notes = [f"no '{word}' here; searched for {nearest}" for word, nearest in mended.items()]
    return replace(query, include=include, forms=tuple(forms)), notes


def nearest_word(catalog: Catalog, word: str) -> str | None:
    """The word of the library that was most likely meant, as it is written there; None if none is near."""
    terms = stems([word])[word]
    if len(terms) != 1:
        return None
    term = _terms_of(catalog).nearest(terms[0])
    return None if term is None else catalog.fulltext.written_as(term)


def _split(catalog: Catalog, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(word, "wo rd") where the library holds both parts side by side."""
    for word in words:
        if MIN_SPLIT <= len(word) <= MAX_SPLIT and word.isalpha():
            for at in range(MIN_PART, len(word) - MIN_PART + 1):
                parts = f"{word[:at]} {word[at:]}"
                if catalog.fulltext.document_frequency(parts):
                    yield word, parts


def _joined(catalog: Catalog, query: ParsedQuery) -> Iterator[tuple[str, str]]:
    """(word, "wordother") and (other, "wordother") where the library holds two neighbours as one word."""
    for phrase in query.include:
        for one, other in pairwise(WORD.findall(phrase.casefold())):
            if len(one + other) >= MIN_SPLIT and catalog.fulltext.document_frequency(one + other):
                yield one, one + other
                yield other, one + other


@lru_cache(maxsize=1)
def _known_words() -> frozenset[str]:
    """Words that are words for certain: those of the class names that come with tagline."""
    folder = resources.files("tagline.experts.vision") / "labels"
    texts = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".txt")]
    return frozenset(word for text in texts for word in WORD.findall(text.casefold()))


def _may_be_mistyped(word: str) -> bool:
    return len(word) >= LEAST and word.isalpha() and word not in _known_words()


class Terms:
    """The words of a library, to compare one with that it does not hold: 200,000 take milliseconds."""

    def __init__(self, counted: Sequence[tuple[str, int]]) -> None:
        """counted: each word in its index form, and how many videos hold it."""
        kept = [(term, count) for term, count in counted if LEAST - 2 <= len(term) <= 40 and term.isalpha()]
        self.terms = [term for term, _ in kept]
        self.counts = [count for _, count in kept]
        self.lengths = np.array([len(term) for term in self.terms], np.int16)
        self.letters = _letters(self.terms)

    def nearest(self, term: str) -> str | None:
        """The nearest word within what is forgiven, the more frequent one where two are as near."""
        if len(term) < LEAST - 1 or not self.terms:
            return None
        most = 2 if len(term) >= LONG else 1
        # An edit changes which letters a word has by two at most, its length by one.
        apart = np.bitwise_count(self.letters ^ _letters([term])[0])
        near = np.flatnonzero((np.abs(self.lengths - len(term)) <= most) & (apart <= 2 * most))
        near = near[np.argsort(apart[near], kind="stable")][:MAX_COMPARED]
        found: list[tuple[int, int, str]] = []
        for place in near.tolist():
            other = self.terms[place]
            edits = edit_distance(term, other, most)
            if edits <= most and _is_slip(term, other):
                found.append((edits, -self.counts[place], other))
        return min(found)[2] if found else None


def _is_slip(typed: str, meant: str) -> bool:
    """Short words are easily others ("horse", "house"): of them only letters swapped, lost or doubled."""
    if typed[0] != meant[0] and typed[:2] != meant[1::-1]:
        return False
    if len(typed) >= SURE:
        return True
    same_letters = sorted(typed) == sorted(meant)
    return same_letters or _without_doubles(typed) == _without_doubles(meant) or len(meant) == len(typed) + 1


def _without_doubles(word: str) -> str:
    return re.sub(r"(.)\1", r"\1", word)


def edit_distance(one: str, other: str, most: int) -> int:
    """Letters to insert, drop, change, or swap with their neighbour; `most` + 1 where it is more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, above, row = row, before, [i]
        for j, b in enumerate(other, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                best = min(best, above[j - 2] + 1)
            row.append(best)
        if min(*row, *before) > most:  # a swap reaches back two rows
            return most + 1
    return min(row[-1], most + 1)


def _letters(terms: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Which letters each word has, as bits: uint64 [N]."""
    if not terms:
        return np.zeros(0, np.uint64)
    width = max(map(len, terms))
    codes = np.array(terms, f"U{width}").view(np.uint32).reshape(len(terms), width)
    bits = np.where(codes > 0, np.uint64(1) << (codes % 61).astype(np.uint64), np.uint64(0))
    return np.asarray(np.bitwise_or.reduce(bits, axis=1))


_cached: dict[Hashable, Terms] = {}
_lock = threading.Lock()


def _terms_of(catalog: Catalog) -> Terms:
    """The words of a library, read once for each of its states."""
    key = catalog.change_token()
    with _lock:
        known = _cached.get(key) if catalog.file is not None else None
    if known is None:
        known = Terms(catalog.fulltext.terms(MAX_TERMS))
        with _lock:
            _cached.clear()
            _cached[key] = known
    return known
