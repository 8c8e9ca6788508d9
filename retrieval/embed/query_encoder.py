"""Queries, sentences or pictures, as vectors of the space in which the library's videos lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tagline.retrieval.embed import text_tower
from tagline.retrieval.embed.embedders import load
from tagline.retrieval.embed.search_model import SearchModel, VideoEmbedder
from tagline.retrieval.embed.text_tower import Floats
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.experts.footage import Pictures
    from tagline.tagging.catalog.read import CatalogReader


class EncoderMissing(CatalogError):
    """The model that made the library's vectors is not here. One sentence that says what to do."""


class BadImage(Exception):
    """A picture that cannot be read. One sentence for people."""


class Encoder(Protocol):
    """What turns a query into a vector of the space in which the library's videos lie."""

    fingerprint: str  # the same as that of the vectors and of the index

    def texts(self, texts: Sequence[str]) -> Floats:
        """Sentences to unit vectors: float32 [N, D]."""

    def image(self, path: Path) -> Floats:
        """A picture file to a unit vector: float32 [D]. Raises BadImage."""


def open_encoder(catalog: CatalogReader) -> Encoder | None:
    """The encoder that fits the library's vectors; None where nothing was embedded yet.

    Raises EncoderMissing, whose message says what to do, where the model is not here any more.
    """
    choice = SearchModel.of_catalog(catalog)
    return None if choice is None else _QueryEncoder(choice)


class _QueryEncoder:
    """Encodes texts by the text tower in the cache where there is one; loads the model when it must."""

    def __init__(self, choice: SearchModel, model: VideoEmbedder | None = None) -> None:
        self.choice, self.fingerprint = choice, choice.fingerprint
        self._model = model
        self._text_tower = text_tower.read(text_tower.cache_path(self.fingerprint))
        if self._text_tower is None:
            self._text_tower = _text_tower_of(self.model)

    @property
    def model(self) -> VideoEmbedder:
        """The whole model, loaded when it is first asked for."""
        if self._model is None:
            self._model = search_model_of(self.choice)
        return self._model

    def texts(self, texts: Sequence[str]) -> Floats:
        return self._text_tower(texts) if self._text_tower is not None else self.model.texts(texts)

    def image(self, path: Path) -> Floats:
        pixels = read_image(path)
        return self.model.picture(pixels)


def search_model_of(choice: SearchModel, device: str = "cpu") -> VideoEmbedder:
    """The model that made a library's vectors. Raises EncoderMissing if it is gone or another now."""
    from tagline.experts.extras import ExtraMissing
    from tagline.experts.weights.registry import WeightsMissing

    unusable = f"the model of this library, {safe(choice.name)}, cannot be used"
    try:
        model = load(choice.kind, choice.name, device)
    except ExtraMissing as error:
        raise EncoderMissing(f"{unusable}: {error}") from error
    except (WeightsMissing, BadConfig, OSError) as error:
        again = "name one with `tagline index --model` or `--weights`"
        raise EncoderMissing(f"{unusable}: {error}; {again}") from error
    if model.choice.fingerprint != choice.fingerprint:
        raise EncoderMissing(
            f"the model {safe(choice.name)} is not the one that this library was embedded with; "
            "run `tagline index` to embed it anew"
        )
    return model


def _text_tower_of(model: VideoEmbedder) -> text_tower.NumpyTextTower | None:
    """The model's text tower, written into the cache; None where only the model itself can encode texts."""
    try:
        return text_tower.store_checked(
            model.text_tower(), model.texts(text_tower.CHECK_TEXTS), model.choice.fingerprint
        )
    except (text_tower.NotPortable, OSError):
        return None


def read_image(path: Path) -> Pictures:
    """The pixels of a picture file, upright: uint8 [H, W, 3]. Raises BadImage."""
    from tagline.experts.decode.still import read_picture
    from tagline.experts.footage import Unreadable

    try:
        return read_picture(path)
    except Unreadable as reason:
        raise BadImage(f"{safe(path)} {reason}") from None
