"""What `tagline show --merged` says of one video: each tag once, how sure, and who says so."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tagline.tagging.merging.merger import Merged, Merger
from tagline.tagging.merging.run import open_viewer
from tagline.tagging.names import safe
from tagline.tagging.neighbours.reading import read
from tagline.tagging.output import asked, emit
from tagline.tagging.timeline import clock

if TYPE_CHECKING:
    from tagline.tagging.catalog import Catalog, Video

COLUMNS = ("tag", "score", "from", "to", "because")


def show_merged(catalog: Catalog, video: Video, precision: float | None) -> None:
    """Print the one list of a video with its evidence."""
    library = read(catalog)
    merger = Merger(catalog, library, open_viewer(library))
    tags = merger.tags(video.id, precision)
    if asked().for_programs:
        emit([as_dict(tag) for tag in tags], COLUMNS)
        return
    names = {
        known.key: PurePath(one.name).name for known, one in zip(library.known, library.examples, strict=True)
    }
    emit([_row(tag, names) for tag in tags], COLUMNS)


def as_dict(tag: Merged) -> dict[str, Any]:
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
                "neighbours": list(piece.neighbours),
            }
            for piece in tag.pieces
        ],
        "lowered": round(tag.lowered, 4),
    }


def _row(tag: Merged, names: dict[str, str]) -> dict[str, Any]:
    why = []
    for piece in tag.pieces:
        near = [safe(names.get(key, key[:12]), 40) for key in piece.neighbours]
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
