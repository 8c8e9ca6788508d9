"""Embedding: every video and every span of it as a unit vector, and sentences and pictures beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tagging.catalog import Catalog

Vectors = npt.NDArray[np.float32]  # [N, D], each of length 1


class EncoderMissing(Exception):
    """The model that made the library's vectors is not here. One sentence that says what to do."""


class Encoder(Protocol):
    """What turns a query into a vector of the space in which the library's videos lie."""

    fingerprint: str  # the same as that of the vectors and of the index

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Sentences to unit vectors: float32 [N, D]."""

    def image(self, path: Path) -> Vectors:
        """A picture file to a unit vector: float32 [D]."""


def open_encoder(catalog: Catalog) -> Encoder | None:
    """The encoder that fits the library's vectors; None where nothing was embedded yet.

    Raises EncoderMissing, whose message says what to do, where the model is not here any more.
    """
    return None
