"""tagline: what is in your videos, and when; then the moment from a sentence.

    import tagline

    library = tagline.open("~/Videos")
    library.tag()                                    # watch, listen and read what is new
    library.index()                                  # make it searchable by meaning
    for hit in library.search("a dog on the beach"):
        print(hit.video.paths[0], hit.start, hit.end, [evidence.text for evidence in hit.why])

docs/python.md shows more. Nothing else is imported before a name is used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagline.experts.tags import Modality, Tag
    from tagline.retrieval.library import Library, train
    from tagline.retrieval.query.hits import Evidence, Hit
    from tagline.retrieval.query.search import Answer
    from tagline.table.saving import PretrainedTable as TableModel
    from tagline.tagging.catalog.records import Video
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.generator.saving import SavedTagger as Tagger
    from tagline.tagging.ranker.ranking import TrainedRanker as Ranker

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "CatalogError",
    "Evidence",
    "Hit",
    "Library",
    "Modality",
    "Ranker",
    "TableModel",
    "Tag",
    "Tagger",
    "Video",
    "__version__",
    "open",
    "train",
]

# Name: where it is.
_NAMES = {
    "Answer": "tagline.retrieval.query.search:Answer",
    "CatalogError": "tagline.tagging.catalog.schema:CatalogError",
    "Evidence": "tagline.retrieval.query.hits:Evidence",
    "Hit": "tagline.retrieval.query.hits:Hit",
    "Library": "tagline.retrieval.library:Library",
    "Modality": "tagline.experts.tags:Modality",
    "Ranker": "tagline.tagging.ranker.ranking:TrainedRanker",
    "TableModel": "tagline.table.saving:PretrainedTable",
    "Tag": "tagline.experts.tags:Tag",
    "Tagger": "tagline.tagging.generator.saving:SavedTagger",
    "Video": "tagline.tagging.catalog.records:Video",
    "train": "tagline.retrieval.library:train",
}


def open(folder: str | os.PathLike[str] = ".") -> Library:
    """The library of a folder: the videos in it, and what is known of them.

    Nothing is written before `Library.tag`. A folder that nobody tagged yet can be opened, too.

        library = tagline.open("~/Videos")
        print(len(library.search("a dog on the beach")))
    """
    from tagline.retrieval.library import Library
    from tagline.tagging.catalog.location import find_catalog_home

    return Library(find_catalog_home(library=folder))


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'tagline' has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _NAMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
