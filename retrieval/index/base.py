"""Rows of (id, unit vector): what an index of them must do, whatever keeps them, and what their ids say.

An index is made from the catalog's vectors, can always be made again from them, and is never the only place
where anything is kept. Ids say which video and which stretch of it: `pack(video id, place)`; place 0 is the
video as a whole, 1, 2, … are its spans in the order of time. There is one index for each level.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from tagline.tagging.catalog.schema import CatalogError

Ids = npt.NDArray[np.int64]  # [N]
Vectors = npt.NDArray[np.float32]  # [N, D], each of length 1

SPANS_PER_VIDEO = 1 << 20  # a video has fewer spans than this


class Level(StrEnum):
    """What a row of an index stands for. Also the name of the catalog's source of those vectors."""

    VIDEO = "video"
    SPAN = "span"


class BadIndex(CatalogError):
    """An index that cannot be used. The message is one sentence that names the command to run."""


class WrongWidth(BadIndex, ValueError):
    """Queries or rows that have not as many numbers as the rows of the index."""

    def __init__(self, what: str, width: int, dimensions: int) -> None:
        super().__init__(
            f"{what} of {width} numbers, the index has {dimensions}; run `tagline index --rebuild`"
        )


class Index(Protocol):
    """Rows of (id, unit vector). Whatever keeps them, the answers are the same up to its recall."""

    fingerprint: str  # of the model whose vectors these are: only its own queries may be asked
    revision: int  # up to which of the catalog's embeddings it goes; whoever adds and removes keeps it

    def __len__(self) -> int:
        """How many rows it holds."""

    def ids(self) -> Ids:
        """The ids of all its rows, ascending."""

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Take rows in; an id that is there already is replaced. Numbers that are not finite are an error."""

    def remove(self, ids: Ids) -> None:
        """Drop rows; ids that are not there are no error."""

    def search(self, queries: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The best rows of each query: ids and scores, both [Q, min(k, len)], best first.

        Equal scores (to a millionth) come in the order of ids. Where fewer are found, and for a query that
        is not finite, the rest is id -1 with score -inf.
        """

    def save(self, path: Path) -> None:
        """Write it beside `path` and move it there when it is whole."""

    @classmethod
    def open(cls, path: Path, fingerprint: str) -> Self:
        """Read what `save` wrote. Raises BadIndex if it is damaged or of another model."""


def pack(video_ids: Ids, places: Ids) -> Ids:
    """Ids of rows, from videos and places in them."""
    return np.asarray(video_ids, np.int64) * SPANS_PER_VIDEO + np.asarray(places, np.int64)


def unpack(ids: Ids) -> tuple[Ids, Ids]:
    """(video ids, places) of rows."""
    return ids // SPANS_PER_VIDEO, ids % SPANS_PER_VIDEO
