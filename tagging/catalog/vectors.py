"""Vectors: those that experts gave, and of each video one as a whole and one for each span, to search by.

Vectors of a model that is not in use yet lie beside those of the one that is, so that search goes on while
a library is embedded anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tagline.experts.tags import Embedding
from tagline.tagging.catalog import values
from tagline.tagging.catalog.database import CatalogDatabase
from tagline.tagging.catalog.records import Vectors, now
from tagline.tagging.catalog.schema import CatalogError

VIDEO, SPAN = "video", "span"  # the sources under which the vectors to search by lie
_REVISION_KEY = "embedding revision"


class MixedVectors(CatalogError):
    pass


class VectorStore:
    """Reached as `catalog.vectors`."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._catalog = catalog

    def sources(self) -> dict[str, dict[str, int]]:
        """For each source of vectors: its fingerprints, and how many vectors have each."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for source, fingerprint, count in self._catalog.rows(
            "vectors",
            (values.text, values.text, values.whole),
            "SELECT source, fingerprint, count(*) FROM vector GROUP BY source, fingerprint ORDER BY 1, 2",
        ):
            found[source][fingerprint] = count
        return dict(found)

    def read(self, source: str, *, fingerprint: str | None = None) -> Vectors:
        """Every vector of a source: video ids int64 [N], spans float64 [N, 2] in seconds, float32 [N, D].

        Vectors of different models do not belong in one table: without a `fingerprint` all must agree.
        """
        known = self.sources().get(source, {})
        if fingerprint is None and len(known) > 1:
            raise MixedVectors(
                f"the vectors of {source!r} in {self._catalog.name} were made by {len(known)} different "
                "models; run `tagline tag` again to bring them up to date"
            )
        count = sum(known.values()) if fingerprint is None else known.get(fingerprint, 0)
        rows = self._catalog.iterate(
            "SELECT video_id, start, end, floats FROM vector"
            " WHERE source = ? AND (? IS NULL OR fingerprint = ?) ORDER BY video_id, start, id",
            (source, fingerprint, fingerprint),
        )
        ids = np.zeros(count, np.int64)
        spans = np.zeros((count, 2), np.float64)
        vectors = np.zeros((count, 0), np.float32)
        place = 0
        for video_id, start, end, floats in self._good(rows):
            row = np.frombuffer(floats, "<f4")
            if place == 0:
                vectors = np.zeros((count, len(row)), np.float32)
            elif len(row) != vectors.shape[1]:
                raise MixedVectors(f"the vectors of {source!r} in {self._catalog.name} differ in length")
            if place == count:  # another program is writing
                break
            ids[place], spans[place], vectors[place] = video_id, (start, end), row
            place += 1
        return Vectors(ids[:place], spans[:place], vectors[:place])

    def put(self, video_id: int, source: str, fingerprint: str, embeddings: Iterable[Embedding]) -> None:
        """Replace the vectors that a source gave for a video."""
        with self._catalog.transaction():
            self._catalog.execute("DELETE FROM vector WHERE video_id = ? AND source = ?", (video_id, source))
            self._insert(video_id, source, fingerprint, embeddings)

    def put_embeddings(
        self,
        video_id: int,
        fingerprint: str,
        upstream: str,
        whole: Embedding,
        spans: Sequence[Embedding],
    ) -> None:
        """Replace what this model made of a video, in one transaction."""
        with self._catalog.transaction():
            self._drop("video_id = ? AND fingerprint = ?", (video_id, fingerprint))
            revision = self.last_revision() + 1
            self._catalog.set_meta(_REVISION_KEY, str(revision))
            self._insert(video_id, VIDEO, fingerprint, (whole,))
            self._insert(video_id, SPAN, fingerprint, spans)
            self._catalog.execute(
                "INSERT INTO embedded VALUES (?, ?, ?, ?, ?)",
                (video_id, fingerprint, upstream, revision, now()),
            )

    def last_revision(self) -> int:
        """The number of the last write; 0 before the first."""
        kept = self._catalog.meta(_REVISION_KEY) or "0"
        return int(kept) if kept.isdecimal() and kept.isascii() and len(kept) < 18 else 0

    def embedded_videos(self, fingerprint: str) -> dict[int, tuple[str, int]]:
        """video id: (upstream, revision) of all that this model has embedded."""
        rows = self._catalog.rows(
            "vectors",
            (values.row_id, values.text, values.whole),
            "SELECT video_id, upstream, revision FROM embedded WHERE fingerprint = ?",
            (fingerprint,),
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def drop_other_models(self, fingerprint: str) -> None:
        """Drop the vectors of every other model."""
        with self._catalog.transaction():
            self._drop("fingerprint <> ?", (fingerprint,))

    def drop_embeddings(self, video_id: int, fingerprint: str) -> None:
        """Drop what this model made of a video: it is no longer true, and there is nothing better."""
        with self._catalog.transaction():
            self._drop("video_id = ? AND fingerprint = ?", (video_id, fingerprint))

    def spans(self, video_id: int, fingerprint: str) -> list[tuple[float, float]]:
        """(start, end) in seconds of each span of a video that this model has embedded, in order."""
        return self._catalog.rows(
            "vectors",
            (values.seconds, values.seconds),
            "SELECT start, end FROM vector WHERE source = ? AND fingerprint = ? AND video_id = ?"
            " ORDER BY start, id",
            (SPAN, fingerprint, video_id),
        )

    def counts(self, source: str, fingerprint: str) -> tuple[list[int], list[int]]:
        """(video ids, how many vectors each has), in the order of ids."""
        rows = self._catalog.rows(
            "vectors",
            (values.row_id, values.whole),
            "SELECT video_id, count(*) FROM vector WHERE source = ? AND fingerprint = ?"
            " GROUP BY video_id ORDER BY video_id",
            (source, fingerprint),
        )
        return [row[0] for row in rows], [row[1] for row in rows]

    def pages(
        self,
        source: str,
        fingerprint: str,
        video_ids: Sequence[int] | None = None,
        *,
        size: int = 4096,
    ) -> Iterator[Vectors]:
        """The vectors of a source in the order of video and start, some thousand at a time.

        video_ids: only of these videos. All vectors of a video are on one page.
        """
        wanted = sorted(set(video_ids)) if video_ids is not None else self.counts(source, fingerprint)[0]
        rows: list[tuple[int, float, float, bytes]] = []
        width: int | None = None  # bytes of each
        for first in range(0, len(wanted), 500):
            some = wanted[first : first + 500]
            found = self._catalog.query(
                "SELECT video_id, start, end, floats FROM vector WHERE source = ? AND fingerprint = ?"
                f" AND video_id IN ({','.join('?' * len(some))}) ORDER BY video_id, start, id",
                (source, fingerprint, *some),
            )
            for row in self._good(found):
                width = width or len(row[3])
                if len(row[3]) == width:
                    rows.append(row)
                else:
                    self._catalog.left_out.add("vectors")
            if len(rows) >= size:
                yield _vectors(rows)
                rows = []
        if rows:
            yield _vectors(rows)

    def _good(self, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            yield from self._catalog.good("vectors", _ROW, (row,))

    def _drop(self, where: str, known: tuple[object, ...]) -> None:
        self._catalog.execute(f"DELETE FROM vector WHERE source IN ('{VIDEO}', '{SPAN}') AND {where}", known)
        self._catalog.execute(f"DELETE FROM embedded WHERE {where}", known)

    def _insert(self, video_id: int, source: str, fingerprint: str, embeddings: Iterable[Embedding]) -> None:
        self._catalog.execute_many(
            "INSERT INTO vector(video_id, source, fingerprint, start, end, floats) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (video_id, source, fingerprint, float(one.start), float(one.end), _bytes(one))
                for one in embeddings
            ],
        )


_ROW = (values.row_id, values.seconds, values.seconds, values.floats)


def _bytes(embedding: Embedding) -> bytes:
    return embedding.values.astype("<f4").tobytes()


def _vectors(rows: Sequence[tuple[int, float, float, bytes]]) -> Vectors:
    floats = np.frombuffer(b"".join(row[3] for row in rows), "<f4").reshape(len(rows), -1)
    return Vectors(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1:3] for row in rows], np.float64),
        floats.astype(np.float32, copy=False),
    )
