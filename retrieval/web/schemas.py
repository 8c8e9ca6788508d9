"""Schemas: what the answers of the page hold, for its OpenAPI description."""

from __future__ import annotations

from typing import Any

from tagline.experts.tags import Modality

SENSE = {"type": "string", "enum": [modality.value for modality in Modality]}
TEXT = {"type": "string"}
MAYBE_TEXT = {"type": ["string", "null"]}
NUMBER = {"type": "number"}
MAYBE_NUMBER = {"type": ["number", "null"]}
COUNT = {"type": "integer", "minimum": 0}
YES_NO = {"type": "boolean"}


def _object(**properties: Any) -> dict[str, Any]:
    """An object in which everything is there."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_HEAD = {
    "id": TEXT,
    "name": TEXT,
    "title": MAYBE_TEXT,
    "created": MAYBE_TEXT,
    "duration": MAYBE_NUMBER,
    "width": {"type": ["integer", "null"]},
    "height": {"type": ["integer", "null"]},
    "there": YES_NO,
    "direct": YES_NO,
}
_COUNTED_TAG = _object(modality=SENSE, text=TEXT, count=COUNT)
_COUNTED = _object(value=TEXT, count=COUNT)
_SPAN = _object(start=NUMBER, end=NUMBER, score=NUMBER, best=MAYBE_NUMBER)

SCHEMAS: dict[str, Any] = {
    "Hit": _object(
        **_HEAD,
        start=NUMBER,
        end=NUMBER,
        score=MAYBE_NUMBER,
        why=_list(_object(text=TEXT, kind=TEXT, start=NUMBER, end=NUMBER, score=NUMBER)),
        tags=_list(_object(text=TEXT, modality=SENSE, score=NUMBER, start=NUMBER, end=NUMBER)),
    ),
    "Hits": _object(
        query=TEXT,
        answered=YES_NO,
        nearest=COUNT,
        notices=_list(TEXT),
        total=COUNT,
        more=YES_NO,
        hits=_list(_ref("Hit")),
        facets=_object(
            modality=_list(_COUNTED),
            tag=_list(_COUNTED_TAG),
            length=_list(_object(longer=NUMBER, shorter=MAYBE_NUMBER, count=COUNT)),
            year=_list(_COUNTED),
        ),
    ),
    "Similar": _object(total=COUNT, hits=_list(_ref("Hit"))),
    "Video": _object(
        **_HEAD,
        fps=MAYBE_NUMBER,
        codec=MAYBE_TEXT,
        colour=MAYBE_TEXT,
        has_sound={"type": ["boolean", "null"]},
        size={"type": ["integer", "null"]},
        type=TEXT,
        lanes=_list(
            _object(
                modality=SENSE,
                rows=_list(
                    _object(
                        text=TEXT,
                        score=NUMBER,
                        by={"type": "string", "enum": ["person", "expert"]},
                        sources=_list(TEXT),
                        spans=_list(_SPAN),
                    )
                ),
            )
        ),
        rejected=_list(_object(modality=SENSE, text=TEXT)),
        transcript=_list(
            _object(start=NUMBER, end=NUMBER, words=_list(_object(text=TEXT, start=NUMBER, end=NUMBER)))
        ),
        experts=_list(_object(expert=TEXT, modality=SENSE, at=TEXT)),
    ),
    "Evidence": _object(
        text=TEXT,
        modality=SENSE,
        experts=_list(
            _object(expert=TEXT, said=MAYBE_TEXT, version=TEXT, fingerprint=TEXT, at=TEXT, notes=_list(TEXT))
        ),
        sightings=_list(_object(time=NUMBER, score=NUMBER, box={"type": ["array", "null"], "items": NUMBER})),
        verdicts=_list(_object(kind=TEXT, at=TEXT)),
    ),
    "Unseen": _object(unseen=_list(_object(expert=TEXT, reason=TEXT))),
    "Decided": _object(
        act=COUNT,
        said=_object(kind=TEXT, text=TEXT, modality=MAYBE_TEXT, by=TEXT),
        video={"anyOf": [_ref("Video"), {"type": "null"}]},
    ),
    "Review": _object(
        total=COUNT,
        tags=_list(_object(**_HEAD, modality=SENSE, text=TEXT, score=NUMBER, start=NUMBER, end=NUMBER)),
    ),
    "Suggestions": _object(tags=_list(_COUNTED_TAG)),
    "Progress": _object(
        running=YES_NO,
        videos=COUNT,
        known=COUNT,
        files={"type": ["integer", "null"]},
        unreadable=COUNT,
        experts=_list(_object(expert=TEXT, videos=COUNT, failed=COUNT)),
        latest=_list(_object(**_HEAD, at=TEXT)),
    ),
}
