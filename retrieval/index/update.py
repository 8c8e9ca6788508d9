"""The library's index: opened, made from the catalog's vectors, and brought up to date with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from tagline.retrieval.embed.search_model import SearchModel
from tagline.retrieval.index.base import BadIndex, Ids, Index, Level, Vectors, pack, unpack
from tagline.tagging.catalog import approvals, files
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.retrieval.index.faiss_index import FaissIndex, Pages
    from tagline.tagging.catalog.read import CatalogReader
    from tagline.tagging.catalog.write import Catalog


FOLDER = "search"  # beside the catalog


@dataclass(frozen=True, slots=True)
class IndexUpdate:
    """What bringing an index up to date has done."""

    level: Level
    rows: int
    added: int
    removed: int
    built: bool  # made anew from the catalog
    exact: bool
    recall: float | None  # at 10, against exact answers, when it was built


def open_index(catalog: CatalogReader, level: Level = Level.VIDEO) -> Index | None:
    """The index of a library's videos, or of their spans; None where nothing was embedded yet.

    Raises BadIndex, whose message names the command, where there should be one and it cannot be used.
    """
    choice = SearchModel.of_catalog(catalog)
    if choice is None or not catalog.vectors.counts(level, choice.fingerprint)[0]:
        return None
    from tagline.retrieval.index.faiss_index import FaissIndex

    elsewhere = milvus_pointer(catalog, level)
    if elsewhere is not None and os.path.lexists(elsewhere):
        from tagline.retrieval.index.milvus import MilvusIndex

        return MilvusIndex.open(elsewhere, choice.fingerprint)
    path = index_path(catalog, level)
    if path is None:  # a catalog in memory has no folder beside it
        return _build(catalog, level, choice.fingerprint, None)
    if not path.exists():
        raise BadIndex(f"the index {safe(path)} is not there any more; run `tagline index`")
    return FaissIndex.open(path, choice.fingerprint)


def index_path(catalog: CatalogReader, level: Level) -> Path | None:
    """Where the index of a level lies; nowhere for a catalog in memory."""
    return None if catalog.file is None else catalog.file.parent / FOLDER / f"{level}.index"


def milvus_pointer(catalog: CatalogReader, level: Level) -> Path | None:
    """The file that says which Milvus holds the index of a level, where one does."""
    path = index_path(catalog, level)
    return None if path is None else path.with_suffix(".milvus.json")


def update_in_milvus(catalog: Catalog, level: Level, fingerprint: str, address: str) -> IndexUpdate:
    """Bring the rows of a level in Milvus up to date with the catalog, and keep asking there from now on.

    Whoever names a server here has approved it.
    """
    from tagline.retrieval.index.milvus import MilvusIndex

    videos, _ = catalog.vectors.counts(level, fingerprint)
    first = next(_pages(catalog, level, fingerprint, videos[:1]), None)
    where = milvus_pointer(catalog, level)
    if first is None or where is None:
        raise BadIndex(f"{catalog.name} has no vectors yet; run `tagline index` without --milvus first")
    approvals.approve(address)
    # The ids are this catalog's own: its rows must not meet those of another of the same name.
    library_id = catalog.meta("milvus") or uuid4().hex[:12]
    catalog.set_meta("milvus", library_id)
    index = MilvusIndex(address, fingerprint, first[1].shape[1], name=f"{library_id} {level}")
    index.revision = index.stored_revision(where)
    added, removed = synchronise(index, catalog, level)
    index.save(where)
    done = IndexUpdate(level, len(index), added, removed, added == len(index), False, None)
    index.close()
    return done


def update(
    catalog: Catalog,
    level: Level,
    fingerprint: str,
    *,
    queries: Vectors | None = None,
    rebuild: bool = False,
) -> IndexUpdate:
    """Bring the index of a level up to date with the catalog and write it down.

    What is new is added and what is gone is removed; only an index that cannot be used, is of another
    model or has outgrown its make is built anew. asked: queries as people put them, float32 [Q, D], by
    which an approximate one is tuned.
    """
    index = None if rebuild else _usable(catalog, level, fingerprint)
    built = index is None
    if index is None:
        index, added, removed = _build(catalog, level, fingerprint, queries), 0, 0
        added = len(index)
    else:
        added, removed = synchronise(index, catalog, level)
        if index.needs_rebuild:
            index, built = _build(catalog, level, fingerprint, queries), True
    path, elsewhere = index_path(catalog, level), milvus_pointer(catalog, level)
    if path is not None and (built or added or removed):
        index.save(path)
    if elsewhere is not None:
        files.remove(elsewhere)
    return IndexUpdate(level, len(index), added, removed, built, index.exact, index.recall)


def synchronise(index: Index, catalog: CatalogReader, level: Level) -> tuple[int, int]:
    """Add to an index of any make what it lacks of the catalog's vectors and remove what it has too much.

    Returns how many rows were (added or replaced, removed).
    """
    newest = catalog.vectors.last_revision()
    videos, counts = catalog.vectors.counts(level, index.fingerprint)
    wanted, present = _expected(level, videos, counts), index.ids()
    gone = np.setdiff1d(present, wanted, assume_unique=True)
    lacking = np.setdiff1d(wanted, present, assume_unique=True)
    fresh = set(unpack(lacking)[0].tolist())
    done = catalog.vectors.embedded_videos(index.fingerprint)
    fresh |= {video for video, (_, revision) in done.items() if revision > index.revision}
    index.remove(gone)
    added = 0
    for ids, vectors in _pages(catalog, level, index.fingerprint, sorted(fresh)):
        index.add(ids, vectors)
        added += len(ids)
    index.revision = newest
    return added, len(gone)


def _usable(catalog: CatalogReader, level: Level, fingerprint: str) -> FaissIndex | None:
    from tagline.retrieval.index.faiss_index import FaissIndex

    path = index_path(catalog, level)
    try:
        return FaissIndex.open(path, fingerprint) if path is not None and path.exists() else None
    except BadIndex:
        return None


def _build(catalog: CatalogReader, level: Level, fingerprint: str, queries: Vectors | None) -> FaissIndex:
    from tagline.retrieval.index.faiss_index import FaissIndex

    newest = catalog.vectors.last_revision()
    videos, counts = catalog.vectors.counts(level, fingerprint)
    first = next(_pages(catalog, level, fingerprint, videos[:1]), None)
    dimensions = 1 if first is None else first[1].shape[1]
    pages: Pages = lambda: _pages(catalog, level, fingerprint, videos)  # noqa: E731
    none = np.zeros((0, dimensions), np.float32)
    index = FaissIndex.build(
        fingerprint, dimensions, sum(counts), pages, none if queries is None else queries
    )
    index.revision = newest
    return index


def _pages(
    catalog: CatalogReader, level: Level, fingerprint: str, videos: list[int]
) -> Iterator[tuple[Ids, Vectors]]:
    for page in catalog.vectors.pages(level, fingerprint, videos):
        yield pack(page.ids, _span_numbers(level, page.ids)), page.values


def _span_numbers(level: Level, videos: Ids) -> Ids:
    """The place of each row in its video, from rows in the order of videos: int [N]."""
    if level == Level.VIDEO:
        return np.zeros(len(videos), np.int64)
    _, begins, counts = np.unique(videos, return_index=True, return_counts=True)
    places: Ids = np.arange(len(videos)) - np.repeat(begins, counts) + 1
    return places


def _expected(level: Level, videos: list[int], counts: list[int]) -> Ids:
    """The ids that an index of these videos holds, ascending."""
    of = np.repeat(np.array(videos, np.int64), np.array(counts, np.int64))
    return pack(of, _span_numbers(level, of))
