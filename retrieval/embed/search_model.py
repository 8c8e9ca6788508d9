"""Which model a library's vectors are made by, and what such a model can do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tagline.experts.footage import Footage, Pictures, Sampling
from tagline.experts.tags import Embedding, Tag
from tagline.retrieval.embed.text_tower import Floats, TextTowerWeights

if TYPE_CHECKING:
    from tagline.tagging.catalog.read import CatalogReader
    from tagline.tagging.catalog.records import Video

APPEARANCE, TABLE, CLASSES = "appearance", "table", "classes"
CHOICE = "search model"  # under which the catalog keeps it


@dataclass(frozen=True, slots=True)
class SearchModel:
    """Which model a library's vectors are made by; kept in the catalog."""

    kind: str  # APPEARANCE, TABLE or CLASSES
    name: str  # weights of `tagline models list`, or a folder
    fingerprint: str

    def as_json(self) -> str:
        return json.dumps([self.kind, self.name, self.fingerprint])

    @classmethod
    def from_json(cls, text: str) -> SearchModel:
        kind, name, fingerprint = json.loads(text)
        return cls(str(kind), str(name), str(fingerprint))

    @classmethod
    def of_catalog(cls, catalog: CatalogReader) -> SearchModel | None:
        """The model whose vectors a library is searched by; None where nothing was embedded yet."""
        stored = catalog.meta(CHOICE)
        try:
            return None if stored is None else cls.from_json(stored)
        except (ValueError, TypeError, RecursionError):  # not what we wrote: embedding anew writes it again
            return None


@dataclass(frozen=True, slots=True)
class VideoVectors:
    """What a model makes of one video."""

    whole: Embedding
    spans: list[Embedding]


class VideoEmbedder(Protocol):
    """A model at work on videos, texts and pictures. All vectors have length 1."""

    choice: SearchModel
    samplings: tuple[Sampling, ...]

    def tags_read(self, tags: Sequence[Tag]) -> list[Tag]:
        """Those of a video's tags that its vectors depend on."""

    def embed(self, footage: Footage, tags: Sequence[Tag]) -> VideoVectors:
        """One video. Raises ValueError, with a reason for people, where nothing of it could be seen."""

    def stored(self, catalog: CatalogReader, video: Video) -> VideoVectors | None:
        """One video from what experts kept of its frames, so that nothing is decoded; None: they did not."""
        return None

    def upstream(self, catalog: CatalogReader, video: Video) -> str:
        """A fingerprint of what `stored` reads; "" where that is nothing."""
        return ""

    def texts(self, texts: Sequence[str]) -> Floats:
        """float32 [N, D]"""

    def picture(self, pixels: Pictures) -> Floats:
        """uint8 [H, W, 3] to float32 [D]"""

    def text_tower(self) -> TextTowerWeights:
        """Its text tower, taken apart. Raises NotPortable."""
