"""Judging: what a person decides on the page, taking it back, and the tags that are worth a look."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from tagline.experts.tags import HUMAN_SOURCE, Modality
from tagline.retrieval.web import answers
from tagline.retrieval.web.contract import Problem
from tagline.retrieval.web.desk import Desk
from tagline.retrieval.web.overview import Held, Key, Library
from tagline.tagging.catalog import Catalog
from tagline.tagging.names import safe
from tagline.tagging.records import Verdict, Video
from tagline.tagging.vocabulary import clean, normal

ALIKE = 3  # times that one tag may stand in the queue: twenty times "man" teach nobody anything
MADE = frozenset({Modality.HUMAN, Modality.TITLE})  # what nobody guessed


def decide(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    """Accept, reject or add one tag of one video. It outlives every re-run."""
    modality = Modality(ask["modality"]) if ask["modality"] else None
    text = clean(ask["text"])
    if not text:
        raise Problem(400, "a tag needs a text")
    with desk.writing() as catalog:
        video = desk.video(catalog, ask["id"])
        if ask["kind"] == "add":
            done = catalog.decide.add(video.id, text, modality or Modality.HUMAN, _span(video, ask))
        else:
            _must_have(catalog, video, text, modality)
            judge = catalog.decide.accept if ask["kind"] == "accept" else catalog.decide.reject
            done = judge(video.id, text, modality)
        desk.overview.renew()
        return {"act": done[0].act, "said": _said(done), "video": answers.detail(catalog, video)}


def undo(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    """Take back the last decision, if it is the one that is meant."""
    with desk.writing() as catalog, catalog.transaction():
        last = catalog.connection.execute("SELECT max(act) FROM verdict").fetchone()[0]
        if last is None or last != ask["act"]:
            raise Problem(409, "something else was decided meanwhile; nothing was taken back")
        taken = catalog.decide.undo()
        desk.overview.renew()
        number = taken[0].video_id
        video = catalog.video(number) if number is not None else None
        told = answers.detail(catalog, video) if video is not None else None
        return {"act": last, "said": _said(taken), "video": told}


def review(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    """The tags of which the experts are least sure, that nobody has judged: each sense in turn."""
    with desk.catalog() as catalog:
        library = desk.overview.of(catalog)
        waiting = _waiting(library, _judged(catalog), ask["modality"])
    queues = [sorted(tags, key=lambda one: (one[2].score, one[0])) for tags in waiting.values()]
    alike: Counter[Key] = Counter()
    chosen: list[tuple[int, Key, Held]] = []
    for row in zip_longest(*queues):
        for one in row:
            if one is not None and len(chosen) < ask["k"] and alike[one[1]] < ALIKE:
                alike[one[1]] += 1
                chosen.append(one)
    return {
        "total": sum(map(len, queues)),
        "tags": [
            {
                **answers.head(library.entries[number].video),
                "modality": key[0].value,
                "text": safe(key[1]),
                "score": round(held.score, 4),
                "start": held.start,
                "end": held.end,
            }
            for number, key, held in chosen
        ],
    }


def _waiting(
    library: Library, judged: set[tuple[int, str]], only: str | None
) -> dict[Modality, list[tuple[int, Key, Held]]]:
    waiting: dict[Modality, list[tuple[int, Key, Held]]] = defaultdict(list)
    for number, entry in library.entries.items():
        for key, held in entry.tags.items():
            wanted = key[0] not in MADE if only is None else key[0] == only
            if wanted and entry.video.paths and (number, normal(key[1])) not in judged:
                waiting[key[0]].append((number, key, held))
    return waiting


def _judged(catalog: Catalog) -> set[tuple[int, str]]:
    """(video, text) of every tag that a person has accepted or added."""
    rows = catalog.connection.execute(
        "SELECT video_id, text FROM verdict WHERE kind IN ('accept', 'add') AND video_id IS NOT NULL"
    )
    return {(number, normal(catalog.canonical(text))) for number, text in rows.fetchall()}


def _span(video: Video, ask: Mapping[str, Any]) -> tuple[float, float] | None:
    start, end = ask["start"], ask["end"]
    if start is None and end is None:
        return None
    last = video.duration if video.duration is not None else float("inf")
    first = float(start or 0.0)
    until = min(float(end) if end is not None else last, last)
    if first > until or until == float("inf"):
        raise Problem(400, "a span starts within the video and ends after it starts")
    return first, until


def _must_have(catalog: Catalog, video: Video, text: str, modality: Modality | None) -> None:
    """Judged is what experts say, or what a person added; anything else is a slip."""
    said = [*catalog.tags(video.id), *catalog.tags(video.id, judged=False)]
    for tag in said:
        if modality in (None, tag.modality) and normal(tag.text, tag.modality) == normal(text, tag.modality):
            return
    raise Problem(404, f"this video has no tag '{safe(text, 60)}'; add it instead")


def _said(verdicts: list[Verdict]) -> dict[str, Any]:
    """A decision in a few words."""
    first = verdicts[0]
    return {
        "kind": first.kind,
        "text": safe(first.text),
        "modality": first.modality.value if first.modality else None,
        "by": HUMAN_SOURCE,
    }
