"""The table: every route of the page, what it takes and gives.

The server and its description are both made from it, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagline.experts.tags import Modality
from tagline.retrieval.web.api import media as files
from tagline.retrieval.web.api import payloads, previews, search, verdicts
from tagline.retrieval.web.api import progress as running
from tagline.retrieval.web.api.contract import Param, Route
from tagline.retrieval.web.api.state import ID, AppState

MODALITIES = tuple(modality.value for modality in Modality)
DAY = r"\d{4}-\d{2}-\d{2}"
MAX_SECONDS = 1e9  # seconds


def _video(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    with state.catalog() as catalog:
        return payloads.video_payload(catalog, state.video(catalog, args["id"]))


def _evidence(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    with state.catalog() as catalog:
        video = state.video(catalog, args["id"])
        return payloads.tag_evidence(catalog, video, Modality(args["modality"]), args["text"])


def _coverage(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    from tagline.tagging.pipeline.coverage import coverage_gaps
    from tagline.tagging.printable import safe

    with state.catalog() as catalog:
        not_looked_at = coverage_gaps(catalog, state.video(catalog, args["id"]))
    return {
        "not_looked_at": [{"expert": safe(m.who, 90), "reason": safe(m.reason, 300)} for m in not_looked_at]
    }


ID_PARAM = Param("id", "The id of a video, as hits give it.", where="path", pattern=ID, maximum=401)
COUNT_PARAM = Param("k", "How many at most.", "integer", minimum=1, maximum=100, default=24)
TAG_PARAM = Param("text", "The tag.", minimum=1, maximum=120, required=True)

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/search",
        search.find,
        "Hits of a query with their moments and reasons; all videos without a query",
        "Hits",
        (
            Param("q", "A sentence; nothing in it is syntax.", maximum=500, default=""),
            COUNT_PARAM,
            Param(
                "offset", "How many to leave out before.", "integer", minimum=0, maximum=1_000_000, default=0
            ),
            Param(
                "anyway",
                "1: show the nearest, also where nothing answers.",
                "integer",
                minimum=0,
                maximum=1,
                default=0,
            ),
            Param("modality", "Only hits that rest on this modality.", max_count=9, choices=MODALITIES),
            Param(
                "tag",
                "Only videos with this tag: `dog` or `object:dog`.",
                max_count=12,
                minimum=1,
                maximum=140,
            ),
            Param("not", "No videos with this tag.", max_count=12, minimum=1, maximum=140),
            Param(
                "longer", "Only videos of so many seconds or more.", "number", minimum=0, maximum=MAX_SECONDS
            ),
            Param("shorter", "Only videos of less seconds.", "number", minimum=0, maximum=MAX_SECONDS),
            Param("after", "Only videos created on this day or later.", pattern=DAY, maximum=10),
            Param("before", "Only videos created before this day.", pattern=DAY, maximum=10),
        ),
    ),
    Route("GET", "/api/videos/{id}", _video, "Everything that is known of one video", "Video", (ID_PARAM,)),
    Route(
        "GET",
        "/api/videos/{id}/evidence",
        _evidence,
        "What lies behind one tag: by which expert and in which frames it was found, and the verdicts on it",
        "Evidence",
        (ID_PARAM, TAG_PARAM, Param("modality", "Its modality.", choices=MODALITIES, required=True)),
    ),
    Route(
        "GET",
        "/api/videos/{id}/coverage",
        _coverage,
        "What was not looked at, and why",
        "Coverage",
        (ID_PARAM,),
    ),
    Route(
        "GET",
        "/api/videos/{id}/similar",
        search.similar,
        "More like this",
        "Similar",
        (ID_PARAM, COUNT_PARAM),
    ),
    Route(
        "POST",
        "/api/videos/{id}/verdicts",
        verdicts.decide,
        "Accept, reject or add a tag; it outlives every re-run",
        "Decided",
        (
            ID_PARAM,
            Param(
                "kind",
                "What is decided.",
                where="body",
                choices=("accept", "reject", "add"),
                required=True,
            ),
            Param("text", "The tag.", where="body", minimum=1, maximum=120, required=True),
            Param(
                "modality",
                "Its modality; else every one, or human for a new tag.",
                where="body",
                choices=MODALITIES,
            ),
            Param(
                "start",
                "Where an added tag begins, in seconds.",
                "number",
                "body",
                minimum=0,
                maximum=MAX_SECONDS,
            ),
            Param("end", "Where it ends.", "number", "body", minimum=0, maximum=MAX_SECONDS),
        ),
    ),
    Route(
        "POST",
        "/api/undo",
        verdicts.undo,
        "Take the last decision back",
        "Decided",
        (
            Param(
                "act",
                "The decision that is meant, as it was answered; another one is not taken back.",
                "integer",
                "body",
                minimum=0,
                maximum=2**53,
                required=True,
            ),
        ),
        problems=(409,),
    ),
    Route(
        "GET",
        "/api/review",
        verdicts.review,
        "Tags of which the experts are least sure, that nobody has judged",
        "Review",
        (COUNT_PARAM, Param("modality", "Only this modality.", choices=MODALITIES)),
    ),
    Route(
        "GET",
        "/api/tags",
        search.suggest,
        "Tags of the library that fit what somebody types",
        "Suggestions",
        (Param("q", "The beginning of a tag, or a part of it.", maximum=120, default=""), COUNT_PARAM),
    ),
    Route("GET", "/api/progress", running.progress, "How far the library is", "Progress"),
    Route(
        "GET",
        "/strips/{id}",
        previews.strip,
        "Eight pictures of a video side by side",
        "image/jpeg",
        (ID_PARAM,),
        kind="picture",
        problems=(416, 422),
    ),
    Route(
        "GET",
        "/previews/{id}",
        previews.preview,
        "Twelve seconds of a video in a form that every browser plays",
        "video/mp4",
        (
            ID_PARAM,
            Param("part", "Which twelve seconds, from 0.", "integer", minimum=0, maximum=100_000, default=0),
        ),
        kind="picture",
        problems=(416, 422),
    ),
    Route(
        "GET",
        "/media/{id}",
        files.original,
        "The video's own file, with ranges",
        "application/octet-stream",
        (ID_PARAM,),
        kind="media",
        problems=(416,),
    ),
)
