"""Verdicts given on the page, their undoing, and the tags that most need one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from tagline.experts.tags import HUMAN_SOURCE, Modality
from tagline.retrieval.web.api import payloads
from tagline.retrieval.web.api.contract import Problem
from tagline.retrieval.web.api.overview import Key, Overview, VideoEntry
from tagline.retrieval.web.api.state import AppState
from tagline.tagging.catalog.records import Verdict, Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.printable import safe
from tagline.tagging.vocabulary import clean, normal

MAX_PER_TAG = 3  # times that one tag may stand in the queue: twenty times "man" teach nobody anything
NOT_GUESSED = frozenset({Modality.HUMAN, Modality.TITLE})  # what nobody guessed


def decide(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    """Accept, reject or add one tag of one video. It outlives every re-run."""
    modality = Modality(args["modality"]) if args["modality"] else None
    text = clean(args["text"])
    if not text:
        raise Problem(400, "a tag needs a text")
    with state.writing() as catalog:
        video = state.video(catalog, args["id"])
        if args["kind"] == "add":
            done = catalog.decide.add(video.id, text, modality or Modality.HUMAN, _span(video, args))
        else:
            _must_have(catalog, video, text, modality)
            act = catalog.decide.accept if args["kind"] == "accept" else catalog.decide.reject
            done = act(video.id, text, modality)
        state.overview.renew()
        return {
            "act": done[0].act,
            "verdict": _verdict_payload(done),
            "video": payloads.video_payload(catalog, video),
        }


def undo(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    """Take back the last decision, if it is the one that is meant."""
    with state.writing() as catalog, catalog.transaction():
        last = catalog.verdicts.last_act()
        if last is None or last != args["act"]:
            raise Problem(409, "something else was decided meanwhile; nothing was taken back")
        taken = catalog.decide.undo()
        state.overview.renew()
        number = taken[0].video_id
        video = catalog.video(number) if number is not None else None
        video_payload = payloads.video_payload(catalog, video) if video is not None else None
        return {"act": last, "verdict": _verdict_payload(taken), "video": video_payload}


def review(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    """The tags of which the experts are least sure, that nobody has judged: each modality in turn."""
    with state.catalog() as catalog:
        overview = state.overview.of(catalog)
        reviewed = catalog.verdicts.accepted()
    queues = [_Queue(overview, modality, reviewed) for modality in _senses(args["modality"])]
    shown_of: Counter[Key] = Counter()
    chosen: list[tuple[int, Key]] = []
    for row in zip_longest(*queues):
        for one in row:
            if one is not None and len(chosen) < args["k"] and shown_of[one[1]] < MAX_PER_TAG:
                shown_of[one[1]] += 1
                chosen.append(one)
        if len(chosen) == args["k"]:
            break
    return {
        "total": sum(queue.total for queue in queues),
        "tags": [_waiting(overview.entries[number], key) for number, key in chosen],
    }


def _waiting(entry: VideoEntry, key: Key) -> dict[str, Any]:
    best = entry.tags[key]
    return {
        **payloads.video_head(entry.video),
        "modality": key[0].value,
        "text": safe(key[1]),
        "score": round(best.score, 4),
        "start": best.start,
        "end": best.end,
    }


def _senses(only: str | None) -> list[Modality]:
    return [sense for sense in Modality if (sense not in NOT_GUESSED if only is None else sense == only)]


class _Queue:
    """The tags of one modality that nobody has judged, as (video id, key), the least sure first."""

    def __init__(self, overview: Overview, modality: Modality, reviewed: set[tuple[int, str]]) -> None:
        self._overview = overview
        numbers, terms = overview.by_score(modality)
        forms: dict[str, list[int]] = defaultdict(list)
        for place in np.unique(terms).tolist():
            forms[normal(overview.terms[place][1])].append(place)
        size = len(overview.terms)
        judged = [number * size + place for number, form in reviewed for place in forms.get(form, ())]
        here = [number for number, entry in overview.entries.items() if entry.video.paths]
        keep = np.isin(numbers, here) & ~np.isin(numbers * size + terms, judged)
        self._numbers, self._terms = numbers[keep], terms[keep]

    @property
    def total(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[tuple[int, Key]]:
        for number, place in zip(self._numbers.tolist(), self._terms.tolist(), strict=True):
            yield number, self._overview.terms[place]


def _span(video: Video, args: Mapping[str, Any]) -> tuple[float, float] | None:
    start, end = args["start"], args["end"]
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
    tags = [*catalog.tags(video.id), *catalog.tags(video.id, judged=False)]
    for tag in tags:
        if modality in (None, tag.modality) and normal(tag.text, tag.modality) == normal(text, tag.modality):
            return
    raise Problem(404, f"this video has no tag '{safe(text, 60)}'; add it instead")


def _verdict_payload(verdicts: list[Verdict]) -> dict[str, Any]:
    """A decision in a few words."""
    first = verdicts[0]
    return {
        "kind": first.kind,
        "text": safe(first.text),
        "modality": first.modality.value if first.modality else None,
        "by": HUMAN_SOURCE,
    }
