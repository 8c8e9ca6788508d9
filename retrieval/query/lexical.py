"""Search by words: the videos and the moments whose tags, speech, texts and titles hold words of a query.

Needs no model. Candidates come from the catalog's word index; each is then searched for the moment at
which most of the query is there at once.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tagline.experts.tags import Tag
from tagline.retrieval.query.hits import Evidence, Hit
from tagline.tagging.catalog import fulltext
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.vocabulary import clean

MAX_WORDS = 32  # of a query; a longer one is cut
WHOLE = frozenset({"title", "name"})  # kinds of evidence that are about a whole video, not about a moment
TITLE_SCORE, NAME_SCORE = 0.5, 0.4  # somebody wrote it, and not always of what is shown
SAME_MOMENT = 2.0  # seconds: things this close together are one moment
SAME_BREATH = 0.5  # seconds between two words that may be one
OTHER_FORM = 0.9  # what evidence counts that holds a word split or joined
WORD = re.compile(r"\w+")

# Words that say nothing of what is wanted.
STOP_WORDS = frozenset(
    """
    a about above across after again against all along also among an and another any are around as at away
    be been before behind being below beneath beside between beyond both but by clip close could do
    does doing down during each either else every far find few for from get gets go goes going had has have
    having he her here hers him his how i in inside into is it its just like many me more most much my near
    nearby next no not of off on one only onto or other our out outside over show shows so some somebody
    someone something still such than that the their them then there these they this those through to
    together toward towards under until up upon us very video videos was we were what when where which while
    who whose why will with within without would you your
    speak speaks talk talking talks
    """.split()
)


def query_words(query: str) -> list[str]:
    """The words of a query that mean something, each once; all words if none of them does."""
    words = list(dict.fromkeys(WORD.findall(clean(query, 10_000).casefold())))
    return ([word for word in words if word not in STOP_WORDS] or words)[:MAX_WORDS]


def evidence_of(catalog: Catalog, video: Video, tags: Iterable[Tag]) -> list[Evidence]:
    """Everything of a video that can hold words: its tags, what is said in it, its title, its file's name."""
    found = [Evidence(tag.text, tag.modality, tag.start, tag.end, tag.score) for tag in tags]
    found += [
        Evidence(word.text, "speech", word.start, word.end, word.probability)
        for word in catalog.words(video.id)
    ]
    if video.title:
        found.append(Evidence(video.title, "title", 0.0, video.duration or 0.0, TITLE_SCORE))
    for name in catalog.names(video.id):
        found.append(Evidence(name, "name", 0.0, video.duration or 0.0, NAME_SCORE))
    return found


def lexical_hit(
    video: Video, index: EvidenceIndex, weights: Mapping[str, float], forms: Forms | None = None
) -> Hit | None:
    """The moment at which the weightiest part of the query is there at once; None if no word is there.

    A word counts with its weight times the best score among the evidence for it. Half of the score is what
    the moment holds, half what the whole video holds: to have it all in other places counts, too. Titles and
    names hold at every moment.
    forms: other ways to write a word.
    """
    found = evidence_for(index, weights, forms)
    if not found:
        return None
    everywhere = _surest(found)
    best = _surest({word: [e for e in seen if e.kind in WHOLE] for word, seen in found.items()})
    for here in moments(found):
        if _sum(here, weights) > _sum(best, weights) + 1e-9:
            best = here
    chosen = best or everywhere
    total = sum(weights.values())
    score = (_sum(best, weights) + _sum(everywhere, weights)) / (2 * total)
    start, end = span_of([e for e in chosen.values() if e.kind not in WHOLE] or list(chosen.values()))
    why = dict.fromkeys(sorted({**everywhere, **chosen}.values(), key=lambda e: (e.start, e.text)))
    return Hit(video, start, end, min(1.0, score), tuple(why))


def evidence_for(
    index: EvidenceIndex, words: Collection[str], forms: Forms | None = None
) -> dict[str, list[Evidence]]:
    """For each word that is there the evidence that holds it, in whichever form."""
    found = matching_evidence(index, words)
    for word, others in (forms or {}).items():
        if word in words and (other := _other_forms(index, others)):
            found[word] = [*found.get(word, ()), *other]
    return found


def moments(found: Mapping[str, Sequence[Evidence]]) -> Iterator[dict[str, Evidence]]:
    """At each time at which something begins, the best evidence for each word that is there then.

    Titles and names are always there.
    """
    timed = [one for seen in found.values() for one in seen if one.kind not in WHOLE]
    for time in sorted({one.start for one in timed}):
        yield _surest(
            {
                word: [
                    e for e in seen if e.kind in WHOLE or e.start - SAME_MOMENT <= time <= e.end + SAME_MOMENT
                ]
                for word, seen in found.items()
            }
        )


def _surest(found: Mapping[str, Sequence[Evidence]]) -> dict[str, Evidence]:
    """For each word that has evidence the surest of it."""
    return {word: max(seen, key=lambda e: e.score) for word, seen in found.items() if seen}


def _other_forms(index: EvidenceIndex, forms: Sequence[str]) -> list[Evidence]:
    """The evidence that holds a word in another form; a little less sure than the word itself."""
    found = [one for some in matching_evidence(index, forms).values() for one in some]
    for form in forms:
        first, *rest = form.split()
        if len(rest) == 1:
            found += _spoken_together(index, first, rest[0])
    return [replace(one, score=one.score * OTHER_FORM) for one in dict.fromkeys(found)]


def _spoken_together(index: EvidenceIndex, first: str, second: str) -> list[Evidence]:
    """Two words that were said one right after the other, as one piece of evidence."""
    words = matching_evidence(index, (first, second))
    if len(words) < 2:
        return []
    after = [one for one in words[second] if one.kind == "speech"]
    return [
        Evidence(f"{one.text} {next_.text}", "speech", one.start, next_.end, min(one.score, next_.score))
        for one in words[first]
        if one.kind == "speech"
        for next_ in after
        if 0 <= next_.start - one.end <= SAME_BREATH
    ]


Forms = Mapping[str, Sequence[str]]  # word: other ways to write it
EvidenceIndex = Mapping[str, Sequence[Evidence]]  # term: the evidence that holds it


def index_evidence(evidence: Iterable[Evidence]) -> dict[str, list[Evidence]]:
    """Which evidence holds which term, so that a query need not read it all again."""
    listed = [(one, WORD.findall(one.text.casefold())) for one in evidence]
    terms = stems({word for _, words in listed for word in words})
    found: dict[str, list[Evidence]] = defaultdict(list)
    for one, held in listed:
        # Most evidence is one word, spoken or a tag.
        of = terms[held[0]] if len(held) == 1 else [term for word in held for term in terms[word]]
        for term in of if len(of) == 1 else dict.fromkeys(of):
            found[term].append(one)
    return dict(found)


def matching_evidence(index: EvidenceIndex, words: Iterable[str]) -> dict[str, list[Evidence]]:
    """For each word of a query that is there, the evidence that holds it or another form of it.

    A word of several terms, as in snake_case, is there where all of them are.
    """
    words = list(words)
    terms = stems(words)
    found = {}
    for word in words:
        first, *others = terms[word] or ("",)
        matching = [one for one in index.get(first, ()) if all(one in index.get(term, ()) for term in others)]
        if matching:
            found[word] = matching
    return found


_STEMS: dict[str, tuple[str, ...]] = {}
MAX_STEMS = 200_000


def stems(words: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """What each word is to the catalog's index, remembered: the same words come again and again."""
    new = [word for word in words if word not in _STEMS]
    if new:
        if len(_STEMS) + len(new) > MAX_STEMS:
            _STEMS.clear()
            new = list(words)
        _STEMS.update(zip(new, fulltext.stems(new)))
    return _STEMS


def idf(catalog: Catalog, words: Sequence[str], forms: Forms | None = None) -> dict[str, float]:
    """How much each word tells: more, the fewer videos hold it, in whichever form."""
    index = catalog.fulltext
    videos = index.video_count()
    held = {word: index.document_frequency(word, *(forms or {}).get(word, ())) for word in words}
    return {word: math.log(1 + (videos + 1) / (count + 0.5)) for word, count in held.items()}


def span_of(evidence: Sequence[Evidence]) -> tuple[float, float]:
    """Where all of it is there at once, or else from the first to the last."""
    start, end = max(e.start for e in evidence), min(e.end for e in evidence)
    if start <= end:
        return start, end
    return min(e.start for e in evidence), max(e.end for e in evidence)


def _sum(found: Mapping[str, Evidence], weights: Mapping[str, float]) -> float:
    return sum(weights[word] * one.score for word, one in found.items())
