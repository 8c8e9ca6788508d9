"""What experts said of a video, in a line each, for the tests of the catalog."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tagline.experts.footage import Facts
from tagline.experts.tags import Modality, Report, Tag
from tagline.tagging.catalog.records import Look
from tagline.tagging.catalog.write import Catalog

FACTS = Facts(10.0, 640, 360, Fraction(30000, 1001), "h264", 90, "bt709", True, "A day", "2024-05-01", 0.5)
OBJECT, SCREEN, HUMAN = Modality.OBJECT, Modality.SCREEN, Modality.HUMAN


def tag(
    text: str, start: float = 0.0, end: float = 1.0, score: float = 0.5, modality: Modality = OBJECT
) -> Tag:
    return Tag(text, modality, score, start, end, str(modality), start)


def look(*tags: Tag, expert: str = "object", version: str = "1", **rest: Any) -> Look:
    modality = tags[0].modality if tags else OBJECT
    return Look(
        expert, modality, version, f"fingerprint {version}", Report(tags=list(tags), **rest), seconds=0.5
    )


def video(catalog: Catalog, *looks: Look, digest: str = "a" * 64, facts: Facts = FACTS) -> int:
    return catalog.save(digest, None, facts=facts, looks=looks)


def texts(catalog: Catalog, video_id: int) -> list[str]:
    return [tag.text for tag in catalog.tags(video_id)]
