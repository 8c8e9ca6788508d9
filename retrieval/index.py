"""The library's index: opened, made from the catalog's vectors, and brought up to date with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.rows import BadIndex, Ids, Index, Level, Vectors, pack, unpack

if TYPE_CHECKING:
    from tagging.catalog import Catalog

__all__ = ["BadIndex", "Ids", "Index", "Level", "Vectors", "open_index", "pack", "unpack"]


def open_index(catalog: Catalog, level: Level = Level.VIDEO) -> Index | None:
    """The index of a library's videos, or of their spans; None where nothing was embedded yet.

    Raises BadIndex, whose message names the command, where there should be one and it cannot be used.
    """
    return None
