"""Queries that a library can be tried with: such as have an answer in it, and such as have none.

The first are what people wrote about its videos, or are written from its tags. The others name what the
library has never heard of, taken from the lists of labels that experts know: places, things, doings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise

from tagline.experts.tags import Modality, Tag
from tagline.retrieval.words import held_by, query_words
from tagline.tagging.catalog import Catalog
from tagline.tagging.vocabulary import clean, normal

MOST = 400  # queries of each kind
ENOUGH = 60  # captions, to learn from them rather than from the library's tags
# How people speak of each kind of thing; {} is it.
DOINGS = ("{}", "a {person} {}", "someone is {}", "a {person} is {} in the {scene}")
PLACES = ("a {person} at the {}", "a video taken at the {}", "the {}", "a {thing} in front of the {}")
THINGS = ("a {}", "a {person} with a {}", "there is a {} next to a {thing}", "a {} in the {scene}")
TALKS = ("someone talks about the {}", "a {person} speaks about {}")
LISTS = (("kinetics400.txt", DOINGS), ("places365.txt", PLACES), ("coco80.txt", THINGS))


@dataclass(frozen=True, slots=True)
class Query:
    """A sentence and the video that it is about; None if it is about none here."""

    text: str
    video: int | None


def captions(catalog: Catalog, most: int = MOST) -> list[Query]:
    """What people wrote about the library's videos, test captions left out; the same ones each time."""
    here = {video.id for video in catalog.videos() if video.paths}
    found = [
        Query(caption.text, video_id)
        for video_id, caption in catalog.all_captions()
        if video_id in here and caption.split != "test" and caption.text
    ]
    return _some(found, most)


def from_tags(catalog: Catalog, most: int = MOST) -> list[Query]:
    """Sentences written from what experts tagged: one or two things of a video, named together."""
    found = []
    for video, tags in catalog.all_tags():
        if not video.paths:
            continue
        seen = _texts(tags, Modality.OBJECT, Modality.PERSON, Modality.MOTION)
        scenes = _texts(tags, Modality.SCENE)
        said = _texts(tags, Modality.SPEECH)
        lines = [f"a {a} and a {b}" for a, b in pairwise(seen)][:2]
        lines += [f"a {thing} in the {scene}" for thing in seen[:2] for scene in scenes[:1]]
        lines += [f"someone talks about {topic}" for topic in said[:2]]
        lines += seen[:1] if not lines else []
        found += [Query(line, video.id) for line in lines]
    return _some(found, most)


def without_answer(catalog: Catalog, known: Collection[str] = (), most: int = MOST) -> list[Query]:
    """Sentences about what no video here holds: the main word is in no tag, speech, text or title.

    known: words that people use for what is here, so that a caption's "puppy" is not taken for a stranger.
    """
    persons, scenes, things = (
        sorted({text for (text,) in catalog.connection.execute(_TEXTS, (str(modality),))}) or [usual]
        for modality, usual in (
            (Modality.PERSON, "person"),
            (Modality.SCENE, "room"),
            (Modality.OBJECT, "thing"),
        )
    )
    strange = {word: _strange(catalog, word, known) for _, label in _labels() for word in query_words(label)}
    found = []
    for number, (forms, label) in enumerate(_labels()):
        words = query_words(label)
        if not words or not all(strange[word] for word in words):
            continue
        form = (*forms, *TALKS)[_hash(label) % (len(forms) + len(TALKS))]
        text = form.replace("{person}", persons[number % len(persons)])
        text = text.replace("{scene}", scenes[number % len(scenes)]).replace(
            "{thing}", things[number % len(things)]
        )
        found.append(Query(text.replace("{}", label), None))
    return _some(found, most)


_TEXTS = "SELECT DISTINCT text FROM tag WHERE modality = ? LIMIT 500"


def _strange(catalog: Catalog, word: str, known: Collection[str]) -> bool:
    return word not in known and normal(word) not in known and not held_by(catalog, word)


def _labels() -> Iterator[tuple[tuple[str, ...], str]]:
    for name, forms in LISTS:
        text = (resources.files("tagline.experts") / "labels" / name).read_text(encoding="utf-8")
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


def _some(queries: list[Query], most: int) -> list[Query]:
    """At most so many, chosen by a hash of their texts: the same whatever else comes or goes."""
    chosen = {query.text: query for query in queries}
    return sorted(chosen.values(), key=lambda query: _hash(query.text))[:most]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")
