"""The table: every route of the page, what it takes and gives.

The server and its description are both made from it, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagline.experts.tags import Modality
from tagline.retrieval.web import answers, finding, judging, pictures
from tagline.retrieval.web import media as files
from tagline.retrieval.web import progress as running
from tagline.retrieval.web.contract import Param, Route
from tagline.retrieval.web.desk import ID, Desk

SENSES = tuple(modality.value for modality in Modality)
DAY = r"\d{4}-\d{2}-\d{2}"
LONGEST = 1e9  # seconds


def _video(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    with desk.catalog() as catalog:
        return answers.detail(catalog, desk.video(catalog, ask["id"]))


def _evidence(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    with desk.catalog() as catalog:
        video = desk.video(catalog, ask["id"])
        return answers.evidence(catalog, video, Modality(ask["modality"]), ask["text"])


def _unseen(desk: Desk, ask: Mapping[str, Any]) -> dict[str, Any]:
    from tagline.tagging.names import safe
    from tagline.tagging.unseen import unseen

    with desk.catalog() as catalog:
        missed = unseen(catalog, desk.video(catalog, ask["id"]))
    return {"unseen": [{"expert": safe(m.expert, 60), "reason": safe(m.reason, 300)} for m in missed]}


THE_ID = Param("id", "The id of a video, as hits give it.", where="path", pattern=ID, most=401)
COUNT = Param("k", "How many at most.", "integer", least=1, most=100, default=24)
TAG = Param("text", "The tag.", least=1, most=120, required=True)

TABLE: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/search",
        finding.find,
        "Hits of a query with their moments and reasons; all videos without a query",
        "Hits",
        (
            Param("q", "A sentence; nothing in it is syntax.", most=500, default=""),
            COUNT,
            Param("offset", "How many to leave out before.", "integer", least=0, most=1_000_000, default=0),
            Param(
                "anyway",
                "1: show the nearest, also where nothing answers.",
                "integer",
                least=0,
                most=1,
                default=0,
            ),
            Param("modality", "Only hits that rest on this sense.", many=9, choices=SENSES),
            Param("tag", "Only videos with this tag: `dog` or `object:dog`.", many=12, least=1, most=140),
            Param("not", "No videos with this tag.", many=12, least=1, most=140),
            Param("longer", "Only videos of so many seconds or more.", "number", least=0, most=LONGEST),
            Param("shorter", "Only videos of less seconds.", "number", least=0, most=LONGEST),
            Param("after", "Only videos created on this day or later.", pattern=DAY, most=10),
            Param("before", "Only videos created before this day.", pattern=DAY, most=10),
        ),
    ),
    Route("GET", "/api/videos/{id}", _video, "Everything that is known of one video", "Video", (THE_ID,)),
    Route(
        "GET",
        "/api/videos/{id}/evidence",
        _evidence,
        "What lies behind one tag: who said it, in which frames, and what people said of it",
        "Evidence",
        (THE_ID, TAG, Param("modality", "Its sense.", choices=SENSES, required=True)),
    ),
    Route("GET", "/api/videos/{id}/unseen", _unseen, "What was not looked at, and why", "Unseen", (THE_ID,)),
    Route("GET", "/api/videos/{id}/similar", finding.similar, "More like this", "Similar", (THE_ID, COUNT)),
    Route(
        "POST",
        "/api/videos/{id}/verdicts",
        judging.decide,
        "Accept, reject or add a tag; it outlives every re-run",
        "Decided",
        (
            THE_ID,
            Param(
                "kind",
                "What is decided.",
                where="body",
                choices=("accept", "reject", "add"),
                required=True,
            ),
            Param("text", "The tag.", where="body", least=1, most=120, required=True),
            Param(
                "modality",
                "Its sense; else every sense, or human for a new tag.",
                where="body",
                choices=SENSES,
            ),
            Param("start", "Where an added tag begins, in seconds.", "number", "body", least=0, most=LONGEST),
            Param("end", "Where it ends.", "number", "body", least=0, most=LONGEST),
        ),
    ),
    Route(
        "POST",
        "/api/undo",
        judging.undo,
        "Take the last decision back",
        "Decided",
        (
            Param(
                "act",
                "The decision that is meant, as it was answered; another one is not taken back.",
                "integer",
                "body",
                least=0,
                most=2**53,
                required=True,
            ),
        ),
        problems=(409,),
    ),
    Route(
        "GET",
        "/api/review",
        judging.review,
        "Tags of which the experts are least sure, that nobody has judged",
        "Review",
        (COUNT, Param("modality", "Only this sense.", choices=SENSES)),
    ),
    Route(
        "GET",
        "/api/tags",
        finding.suggest,
        "Tags of the library that fit what somebody types",
        "Suggestions",
        (Param("q", "The beginning of a tag, or a part of it.", most=120, default=""), COUNT),
    ),
    Route("GET", "/api/progress", running.progress, "How far the library is", "Progress"),
    Route(
        "GET",
        "/strips/{id}",
        pictures.strip,
        "Eight pictures of a video side by side",
        "image/jpeg",
        (THE_ID,),
        kind="picture",
        problems=(416, 422),
    ),
    Route(
        "GET",
        "/previews/{id}",
        pictures.preview,
        "Twelve seconds of a video in a form that every browser plays",
        "video/mp4",
        (THE_ID, Param("part", "Which twelve seconds, from 0.", "integer", least=0, most=100_000, default=0)),
        kind="picture",
        problems=(416, 422),
    ),
    Route(
        "GET",
        "/media/{id}",
        files.original,
        "The video's own file, with ranges",
        "application/octet-stream",
        (THE_ID,),
        kind="media",
        problems=(416,),
    ),
)
