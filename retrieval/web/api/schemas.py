"""Schemas: what the answers of the page hold, for its OpenAPI description."""

from __future__ import annotations

from typing import Any

from tagline.experts.tags import Modality

MODALITY = {"type": "string", "enum": [modality.value for modality in Modality]}
TEXT = {"type": "string"}
TEXT_OR_NULL = {"type": ["string", "null"]}
NUMBER = {"type": "number"}
NUMBER_OR_NULL = {"type": ["number", "null"]}
COUNT = {"type": "integer", "minimum": 0}
BOOLEAN = {"type": "boolean"}


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
    "title": TEXT_OR_NULL,
    "created": TEXT_OR_NULL,
    "duration": NUMBER_OR_NULL,
    "width": {"type": ["integer", "null"]},
    "height": {"type": ["integer", "null"]},
    "there": BOOLEAN,
    "direct": BOOLEAN,
}
_COUNTED_TAG = _object(modality=MODALITY, text=TEXT, count=COUNT)
_COUNTED = _object(value=TEXT, count=COUNT)
_SPAN = _object(start=NUMBER, end=NUMBER, score=NUMBER, best=NUMBER_OR_NULL)

SCHEMAS: dict[str, Any] = {
    "Hit": _object(
        **_HEAD,
        start=NUMBER,
        end=NUMBER,
        score=NUMBER_OR_NULL,
        why=_list(_object(text=TEXT, kind=TEXT, start=NUMBER, end=NUMBER, score=NUMBER)),
        tags=_list(_object(text=TEXT, modality=MODALITY, score=NUMBER, start=NUMBER, end=NUMBER)),
    ),
    "Hits": _object(
        query=TEXT,
        answered=BOOLEAN,
        nearest=COUNT,
        looked=BOOLEAN,
        notices=_list(TEXT),
        coverage=_list(
            _object(
                expert=TEXT,
                modalities=_list(TEXT),
                videos=COUNT,
                of=COUNT,
                reason=TEXT,
                command=TEXT,
                covered=BOOLEAN,
            )
        ),
        total=COUNT,
        more=BOOLEAN,
        hits=_list(_ref("Hit")),
        facets=_object(
            modality=_list(_COUNTED),
            tag=_list(_COUNTED_TAG),
            length=_list(_object(longer=NUMBER, shorter=NUMBER_OR_NULL, count=COUNT)),
            year=_list(_COUNTED),
        ),
    ),
    "Similar": _object(total=COUNT, hits=_list(_ref("Hit"))),
    "Video": _object(
        **_HEAD,
        fps=NUMBER_OR_NULL,
        codec=TEXT_OR_NULL,
        colour=TEXT_OR_NULL,
        has_sound={"type": ["boolean", "null"]},
        size={"type": ["integer", "null"]},
        type=TEXT,
        lanes=_list(
            _object(
                modality=MODALITY,
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
        rejected=_list(_object(modality=MODALITY, text=TEXT)),
        transcript=_list(
            _object(start=NUMBER, end=NUMBER, words=_list(_object(text=TEXT, start=NUMBER, end=NUMBER)))
        ),
        experts=_list(_object(expert=TEXT, modalities=_list(MODALITY), at=TEXT)),
    ),
    "Evidence": _object(
        text=TEXT,
        modality=MODALITY,
        experts=_list(
            _object(
                expert=TEXT,
                text=TEXT_OR_NULL,
                version=TEXT,
                fingerprint=TEXT,
                weights=_list(TEXT),
                at=TEXT,
                notes=_list(TEXT),
            )
        ),
        sightings=_list(_object(time=NUMBER, score=NUMBER, box={"type": ["array", "null"], "items": NUMBER})),
        verdicts=_list(_object(kind=TEXT, at=TEXT)),
    ),
    "Coverage": _object(not_looked_at=_list(_object(expert=TEXT, reason=TEXT))),
    "Decided": _object(
        act=COUNT,
        verdict=_object(kind=TEXT, text=TEXT, modality=TEXT_OR_NULL, by=TEXT),
        video={"anyOf": [_ref("Video"), {"type": "null"}]},
    ),
    "Review": _object(
        total=COUNT,
        tags=_list(_object(**_HEAD, modality=MODALITY, text=TEXT, score=NUMBER, start=NUMBER, end=NUMBER)),
    ),
    "Suggestions": _object(tags=_list(_COUNTED_TAG)),
    "Progress": _object(
        running=BOOLEAN,
        videos=COUNT,
        known=COUNT,
        files={"type": ["integer", "null"]},
        unreadable=COUNT,
        experts=_list(_object(expert=TEXT, videos=COUNT, failed=COUNT)),
        latest=_list(_object(**_HEAD, at=TEXT)),
    ),
}
