"""What `tagline show --merged` says of one video: each tag once, how sure, and who says so."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tagline.tagging.merging.merger import FusedTag, TagFusion
from tagline.tagging.merging.run import open_view_encoder
from tagline.tagging.names import safe
from tagline.tagging.neighbours.reading import read_snapshot
from tagline.tagging.output import requested_output, emit
from tagline.tagging.timeline import clock

if TYPE_CHECKING:
    from tagline.tagging.catalog import Catalog, Video

FUSED_COLUMNS = ("tag", "score", "from", "to", "because")


def show_fused(catalog: Catalog, video: Video, precision: float | None) -> None:
    """Print the one list of a video with its evidence."""
    library = read_snapshot(catalog)
    merger = TagFusion(catalog, library, open_view_encoder(library))
    tags = merger.fused_tags(video.id, precision)
    if requested_output().for_programs:
        emit([fused_tag_as_dict(tag) for tag in tags], FUSED_COLUMNS)
        return
    names = {
        known.key: PurePath(one.name).name
        for known, one in zip(library.tagged_videos, library.examples, strict=True)
    }
    emit([_fused_row(tag, names) for tag in tags], FUSED_COLUMNS)


def fused_tag_as_dict(tag: FusedTag) -> dict[str, Any]:
    """For programs: everything that speaks for a tag."""
    return {
        "tag": tag.text,
        "score": round(tag.score, 4),
        "from": tag.start,
        "to": tag.end,
        "because": [
            {
                "source": piece.source,
                "score": round(piece.score, 4),
                "start": piece.start,
                "end": piece.end,
                "neighbours": list(piece.neighbour_hashes),
            }
            for piece in tag.evidence
        ],
        "lowered": round(tag.lowered, 4),
    }


def _fused_row(tag: FusedTag, names: dict[str, str]) -> dict[str, Any]:
    why = []
    for piece in tag.evidence:
        near = [safe(names.get(key, key[:12]), 40) for key in piece.neighbour_hashes]
        why.append(f"{piece.source} {100 * piece.score:.0f}" + (f" ({', '.join(near)})" if near else ""))
    if tag.lowered:
        why.append("rejected for videos like it")
    return {
        "tag": tag.text,
        "score": round(100 * tag.score),
        "from": clock(tag.start),
        "to": clock(tag.end),
        "because": ", ".join(why),
    }
