"""All of a catalog as lines to compare: nothing in them depends on when or in which order it was written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.catalog.records import canonical_json


def dump_lines(catalog: CatalogReader) -> Iterator[str]:
    """Everything that does not depend on when and in which order it was written, one line a row, sorted.

    Two catalogs of the same videos, experts and verdicts give the same lines.
    """
    for query in _QUERIES:
        yield from sorted(_line(row) for row in catalog.query(query))


def _line(row: tuple[Any, ...]) -> str:
    return canonical_json(
        [hashlib.sha256(cell).hexdigest() if isinstance(cell, bytes) else cell for cell in row]
    )


_OF = "JOIN video v ON v.id = x.video_id"
_QUERIES = (
    "SELECT 'video', hash, size, duration, width, height, fps, codec, rotation, colour, has_sound, start,"
    " title, created FROM video",
    f"SELECT 'path', v.hash, x.path FROM path x {_OF} WHERE x.gone = 0",
    f"SELECT 'run', v.hash, x.expert, x.modality, x.version, x.fingerprint, x.coverage, x.notes, x.facts"
    f" FROM run x {_OF}",
    f"SELECT 'failure', v.hash, x.path, x.expert, x.fingerprint, x.reason FROM failure x LEFT {_OF}",
    f"SELECT 'tag', v.hash, x.expert, x.modality, x.said, x.text, x.score, x.start, x.end, x.best"
    f" FROM tag x {_OF}",
    f"SELECT 'sighting', v.hash, x.expert, x.text, x.score, x.time, x.x, x.y, x.width, x.height"
    f" FROM sighting x {_OF}",
    f"SELECT 'word', v.hash, x.expert, x.text, x.start, x.end, x.probability FROM word x {_OF}",
    f"SELECT 'vector', v.hash, x.source, x.fingerprint, x.start, x.end, x.floats FROM vector x {_OF}",
    f"SELECT 'caption', v.hash, x.text, x.start, x.end, x.split FROM caption x {_OF}",
    f"SELECT 'verdict', row_number() OVER (ORDER BY x.id), x.kind, v.hash, x.modality, x.text, x.target,"
    f" x.start, x.end FROM verdict x LEFT {_OF}",
    "SELECT 'found', v.hash, x.tags, x.screen, x.transcript, x.title FROM found x"
    " JOIN video v ON v.id = x.rowid",
)
