"""What the catalog keeps for search by vectors: of each video one vector as a whole and one for each span.

Vectors of a model that is not in use yet lie beside those of the one that is, so that search goes on while
a library is embedded anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from tagline.experts.tags import Embedding
from tagline.tagging.catalog.records import Vectors

if TYPE_CHECKING:
    from tagline.tagging.catalog.read import CatalogReader
    from tagline.tagging.catalog.write import Catalog

VIDEO, SPAN = "video", "span"  # the sources under which the vectors lie
_REVISION_KEY = "embedding revision"


def put_embeddings(
    catalog: Catalog,
    video_id: int,
    fingerprint: str,
    upstream: str,
    whole: Embedding,
    spans: Sequence[Embedding],
) -> None:
    """Replace what this model made of a video, in one transaction."""
    with catalog.transaction():
        _drop(catalog, "video_id = ? AND fingerprint = ?", (video_id, fingerprint))
        revision = last_revision(catalog) + 1
        catalog.set_meta(_REVISION_KEY, str(revision))
        catalog.execute_many(
            "INSERT INTO vector(video_id, source, fingerprint, start, end, floats) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    video_id,
                    source,
                    fingerprint,
                    float(e.start),
                    float(e.end),
                    e.values.astype("<f4").tobytes(),
                )
                for source, some in ((VIDEO, (whole,)), (SPAN, spans))
                for e in some
            ],
        )
        catalog.execute(
            "INSERT INTO embedded VALUES (?, ?, ?, ?, ?)",
            (video_id, fingerprint, upstream, revision, datetime.now(UTC).isoformat(timespec="seconds")),
        )


def last_revision(catalog: CatalogReader) -> int:
    """The number of the last write; 0 before the first."""
    return int(catalog.meta(_REVISION_KEY) or 0)


def embedded_videos(catalog: CatalogReader, fingerprint: str) -> dict[int, tuple[str, int]]:
    """video id: (upstream, revision) of all that this model has embedded."""
    rows = catalog.query(
        "SELECT video_id, upstream, revision FROM embedded WHERE fingerprint = ?", (fingerprint,)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def drop_other_models(catalog: Catalog, fingerprint: str) -> None:
    """Drop the vectors of every other model."""
    with catalog.transaction():
        _drop(catalog, "fingerprint <> ?", (fingerprint,))


def drop_embeddings(catalog: Catalog, video_id: int, fingerprint: str) -> None:
    """Drop what this model made of a video: it is no longer true, and there is nothing better."""
    with catalog.transaction():
        _drop(catalog, "video_id = ? AND fingerprint = ?", (video_id, fingerprint))


def spans(catalog: CatalogReader, video_id: int, fingerprint: str) -> list[tuple[float, float]]:
    """(start, end) in seconds of each span of a video that this model has embedded, in order."""
    return catalog.query(
        "SELECT start, end FROM vector WHERE source = ? AND fingerprint = ? AND video_id = ?"
        " ORDER BY start, id",
        (SPAN, fingerprint, video_id),
    )


def vector_counts(catalog: CatalogReader, source: str, fingerprint: str) -> tuple[list[int], list[int]]:
    """(video ids, how many vectors each has), in the order of ids."""
    rows = catalog.query(
        "SELECT video_id, count(*) FROM vector WHERE source = ? AND fingerprint = ?"
        " GROUP BY video_id ORDER BY video_id",
        (source, fingerprint),
    )
    return [row[0] for row in rows], [row[1] for row in rows]


def vector_pages(
    catalog: CatalogReader,
    source: str,
    fingerprint: str,
    video_ids: Sequence[int] | None = None,
    *,
    size: int = 4096,
) -> Iterator[Vectors]:
    """The vectors of a source in the order of video and start, some thousand at a time.

    video_ids: only of these videos. All vectors of a video are on one page.
    """
    wanted = (
        sorted(set(video_ids)) if video_ids is not None else vector_counts(catalog, source, fingerprint)[0]
    )
    rows: list[tuple[int, float, float, bytes]] = []
    for first in range(0, len(wanted), 500):
        some = wanted[first : first + 500]
        rows += catalog.query(
            "SELECT video_id, start, end, floats FROM vector WHERE source = ? AND fingerprint = ?"
            f" AND video_id IN ({','.join('?' * len(some))}) ORDER BY video_id, start, id",
            (source, fingerprint, *some),
        )
        if len(rows) >= size:
            yield _vectors(rows)
            rows = []
    if rows:
        yield _vectors(rows)


def _vectors(rows: Sequence[tuple[int, float, float, bytes]]) -> Vectors:
    values = np.frombuffer(b"".join(row[3] for row in rows), "<f4").reshape(len(rows), -1)
    return Vectors(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1:3] for row in rows], np.float64),
        values.astype(np.float32, copy=False),
    )


def _drop(catalog: Catalog, where: str, values: tuple[object, ...]) -> None:
    catalog.execute(f"DELETE FROM vector WHERE source IN ('{VIDEO}', '{SPAN}') AND {where}", values)
    catalog.execute(f"DELETE FROM embedded WHERE {where}", values)
