"""Queries that a library can be tried with: such as have an answer in it, and such as have none.

The first are what people wrote about its videos, or are written from its tags. The others name what the
library has never heard of, taken from the lists of labels that experts know: places, things, doings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import islice, pairwise

from tagline.experts.tags import Modality, Tag
from tagline.retrieval.query.lexical import query_words
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.ml.splits import split_of, stable_hash
from tagline.tagging.vocabulary import clean, normal

MAX_TEXTS = 500  # different tags of a modality that sentences are made with
MAX_QUERIES = 400  # queries of each kind
ENOUGH_CAPTIONS = 60  # captions, to learn from them rather than from the library's tags
# How people speak of each kind of thing; {} is it.
ACTION_FORMS = ("{}", "a {person} {}", "someone is {}", "a {person} is {} in the {scene}")
PLACE_FORMS = ("a {person} at the {}", "a video taken at the {}", "the {}", "a {thing} in front of the {}")
THING_FORMS = ("a {}", "a {person} with a {}", "there is a {} next to a {thing}", "a {} in the {scene}")
TALK_FORMS = ("someone talks about the {}", "a {person} speaks about {}")
LISTS = (("kinetics400.txt", ACTION_FORMS), ("places365.txt", PLACE_FORMS), ("coco80.txt", THING_FORMS))


@dataclass(frozen=True, slots=True)
class ProbeQuery:
    """A sentence and the video that it is about; None if it is about none here."""

    text: str
    video: int | None


def caption_queries(catalog: Catalog, most: int = MAX_QUERIES) -> list[ProbeQuery]:
    """What people wrote about the library's videos, those of the test left out; the same ones each time."""
    here = {video.id for video in catalog.videos() if video.paths}
    found = [
        ProbeQuery(caption.text, video_id)
        for video_id, caption in catalog.all_captions()
        if video_id in here and caption.split != "test" and caption.text
    ]
    return _sample_by_hash(found, most, lambda query: split_of(catalog, query.video or 0) != "test")


def tag_queries(catalog: Catalog, most: int = MAX_QUERIES) -> list[ProbeQuery]:
    """Sentences written from what experts tagged: one or two things of a video, named together."""
    found = []
    for video, tags in catalog.all_tags():
        if not video.paths:
            continue
        seen = _texts(tags, Modality.OBJECT, Modality.PERSON, Modality.MOTION)
        scenes = _texts(tags, Modality.SCENE)
        topics = _texts(tags, Modality.SPEECH)
        sentences = [f"a {a} and a {b}" for a, b in pairwise(seen)][:2]
        sentences += [f"a {thing} in the {scene}" for thing in seen[:2] for scene in scenes[:1]]
        sentences += [f"someone talks about {topic}" for topic in topics[:2]]
        sentences += seen[:1] if not sentences else []
        found += [ProbeQuery(line, video.id) for line in sentences]
    return _sample_by_hash(found, most)


def unanswerable_queries(
    catalog: Catalog, vocabulary: Collection[str] = (), most: int = MAX_QUERIES
) -> list[ProbeQuery]:
    """Sentences about what no video here holds: the main word is in no tag, speech, text or title.

    vocabulary: words that people use for what is here, so that a caption's "puppy" does not count as absent.
    """
    persons, scenes, things = (
        catalog.distinct_tags(MAX_TEXTS, modality) or [usual]
        for modality, usual in (
            (Modality.PERSON, "person"),
            (Modality.SCENE, "room"),
            (Modality.OBJECT, "thing"),
        )
    )
    unknown = {
        word: _is_unknown(catalog, word, vocabulary) for _, label in _labels() for word in query_words(label)
    }
    found = []
    for number, (forms, label) in enumerate(_labels()):
        words = query_words(label)
        if not words or not all(unknown[word] for word in words):
            continue
        form = (*forms, *TALK_FORMS)[stable_hash(label) % (len(forms) + len(TALK_FORMS))]
        text = form.replace("{person}", persons[number % len(persons)])
        text = text.replace("{scene}", scenes[number % len(scenes)]).replace(
            "{thing}", things[number % len(things)]
        )
        found.append(ProbeQuery(text.replace("{}", label), None))
    return _sample_by_hash(found, most)


def _is_unknown(catalog: Catalog, word: str, vocabulary: Collection[str]) -> bool:
    if word in vocabulary or normal(word) in vocabulary:
        return False
    return not catalog.fulltext.document_frequency(word)


def _labels() -> Iterator[tuple[tuple[str, ...], str]]:
    for name, forms in LISTS:
        text = (resources.files("tagline.experts") / "vision" / "labels" / name).read_text(encoding="utf-8")
        for line in text.splitlines():
            label = clean(line.rpartition("\t")[2].replace("_", " ").partition("(")[0])
            if label:
                yield forms, label


def _texts(tags: Iterable[Tag], *modalities: Modality) -> list[str]:
    """The different texts of these senses, the surest first. What an uploader said is no expert's."""
    best: dict[str, float] = {}
    for tag in tags:
        if tag.modality in modalities:
            best[tag.text] = max(tag.score, best.get(tag.text, 0.0))
    return sorted(best, key=lambda text: (-best[text], text))


def _sample_by_hash(
    queries: list[ProbeQuery], most: int, wanted: Callable[[ProbeQuery], bool] = lambda _: True
) -> list[ProbeQuery]:
    """At most so many that are wanted, by a hash of their texts: the same whatever else comes or goes."""
    chosen = {query.text: query for query in queries}
    ordered = sorted(chosen.values(), key=lambda query: stable_hash(query.text))
    return list(islice(filter(wanted, ordered), most))
