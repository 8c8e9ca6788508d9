"""The tags of all videos as they hold, packed so that a million of them are counted in a moment.

Of each video one row with all its tags, each text of a modality once; it is renewed in the transaction that
changes what an expert or a person says of that video. What a text is stands in the table `term`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tagline.experts.tags import Modality, Tag
from tagline.tagging.catalog import values
from tagline.tagging.catalog.database import CatalogDatabase

VERSION = "1"
_STATE = "effective tags"  # under which the catalog keeps the version that its rows were packed by
_REMEMBERED = 100_000  # terms whose numbers are kept in memory
_PAGE = 2_000  # videos read at a time

Key = tuple[Modality, str]
Packed = npt.NDArray[Any]  # [N] of PACKED

PACKED = np.dtype(
    [
        ("term", "<i4"),
        ("spans", "<i4"),  # how many the video has of it
        ("score", "<f8"),  # of the best of them, 0 to 1
        ("start", "<f8"),  # seconds, of the best
        ("end", "<f8"),
    ]
)


class VideoTags(NamedTuple):
    """The tags of some videos, one after the other."""

    ids: npt.NDArray[np.int64]  # [V] videos
    counts: npt.NDArray[np.int64]  # [V] tags of each
    tags: Packed  # of all of them; of each video the surest first


class EffectiveTags:
    """Reached as `catalog.effective`."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._catalog = catalog
        self._numbers: dict[Key, int] = {}
        catalog.on_rollback.append(self._numbers.clear)

    @property
    def complete(self) -> bool:
        """Whether every video's tags are packed; else they are read one by one."""
        return self._catalog.meta(_STATE) == VERSION

    def mark_complete(self) -> None:
        self._catalog.set_meta(_STATE, VERSION)

    def put(self, video_id: int, tags: Iterable[Tag]) -> None:
        """Replace what is packed of a video."""
        packed = self.pack(tags, self._number)
        self._catalog.execute("DELETE FROM effective WHERE video_id = ?", (video_id,))
        if len(packed):
            self._catalog.execute("INSERT INTO effective VALUES (?, ?)", (video_id, packed.tobytes()))

    @staticmethod
    def pack(tags: Iterable[Tag], number: Any) -> Packed:
        """Each text and modality once, with its surest span, the surest first. number: that of a key."""
        best: dict[Key, Tag] = {}
        spans: dict[Key, int] = {}
        for tag in sorted(tags, key=lambda tag: -tag.score):
            key = (tag.modality, tag.text)
            best.setdefault(key, tag)
            spans[key] = spans.get(key, 0) + 1
        rows = [(number(key), spans[key], tag.score, tag.start, tag.end) for key, tag in best.items()]
        return np.array(rows, PACKED)

    def terms(self) -> tuple[list[Key], npt.NDArray[np.int64]]:
        """(modality, text) of everything that was ever a tag here, and the number of each, ascending."""
        rows = self._catalog.rows(
            "packed tags",
            (values.whole, values.modality, values.tag_text),
            "SELECT id, modality, text FROM term ORDER BY id",
        )
        return [(modality, text) for _, modality, text in rows], np.array([row[0] for row in rows], np.int64)

    def pages(self, numbers: npt.NDArray[np.int64]) -> Iterator[VideoTags]:
        """The tags of the videos whose files were there when last looked for, some thousand at a time.

        numbers: of the terms; the pages' `term` is the place of its number in them.
        """
        last = 0
        while True:
            rows = self._catalog.query(
                "SELECT e.video_id, e.tags FROM effective e JOIN video v ON v.id = e.video_id"
                " WHERE e.video_id > ? AND (v.size IS NULL OR EXISTS"
                " (SELECT 1 FROM path p WHERE p.video_id = v.id AND p.gone = 0))"
                f" ORDER BY e.video_id LIMIT {_PAGE}",
                (last,),
            )
            if not rows:
                return
            good = self._catalog.good("packed tags", (values.row_id, _whole_rows), rows)
            yield _unpacked(good, self._catalog, numbers)
            last = rows[-1][0]

    def _number(self, key: Key) -> int:
        if key not in self._numbers:
            if len(self._numbers) >= _REMEMBERED:
                self._numbers.clear()
            self._catalog.execute("INSERT OR IGNORE INTO term(modality, text) VALUES (?, ?)", key)
            found = self._catalog.query_one("SELECT id FROM term WHERE modality = ? AND text = ?", key)
            self._numbers[key] = int(found[0])
        return self._numbers[key]


def _whole_rows(value: Any) -> bytes:
    if type(value) is not bytes or len(value) % PACKED.itemsize:
        raise values.BadValue("no packed tags")
    return value


def _unpacked(
    rows: list[tuple[Any, ...]], catalog: CatalogDatabase, numbers: npt.NDArray[np.int64]
) -> VideoTags:
    """What is not as it can be is left out: numbers that are none, terms that there are not."""
    tags = np.frombuffer(b"".join(row[1] for row in rows), PACKED).copy()
    counts = np.array([len(row[1]) // PACKED.itemsize for row in rows], np.int64)
    figures = np.stack([tags["score"], tags["start"], tags["end"]])
    sound = np.isfinite(figures).all(axis=0) & (np.abs(figures) <= values.LATEST).all(axis=0)
    sound &= (tags["score"] >= 0) & (tags["score"] <= 1) & (tags["spans"] > 0)
    places = np.searchsorted(numbers, tags["term"])
    known = places < len(numbers)
    known[known] = numbers[places[known]] == tags["term"][known]
    tags["term"] = places
    if not (sound & known).all():
        catalog.left_out.add("packed tags")
        of = np.repeat(np.arange(len(rows)), counts)[sound & known]
        tags, counts = tags[sound & known], np.bincount(of, minlength=len(rows)).astype(np.int64)
    return VideoTags(np.array([row[0] for row in rows], np.int64), counts, tags)
