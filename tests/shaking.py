"""The last bits of vectors, shaken: what a test holds to must hold on any processor.

Another processor, or another build of the same library, adds in another order, and the last bits of every
vector differ. With TAGLINE_SHAKE=SEED each vector that an encoder, or a stand-in for one, gives gets a
relative noise of SIZE; the same vector always gets the same. A test that only passes by the last bits of
the machine it was written on fails under some seed: a near-tie, an exact float, a score of 1 and a bit.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

VARIABLE = "TAGLINE_SHAKE"
SIZE = 1e-6

# What gives vectors: arrays whose last axis is a vector, lists or dictionaries of such arrays. In the order
# of their imports, so that whoever imports a function by its name gets the shaken one.
ENCODERS = (
    ("tagline.experts.clip", "ClipEncoder.encode_videos"),
    ("tagline.experts.clip", "ClipEncoder.encode_texts"),
    ("tagline.experts.asr.keywords", "SentenceModel.encode"),
    ("tagline.experts.sound", "describe_sound"),
    ("tagline.tagging.ml.text_embedding", "Bert.encode"),
    ("tagline.tagging.ml.text_embedding", "CharacterNgrams.encode"),
    ("tagline.tagging.neighbours.memory", "Memory.fit"),
    ("tagline.table.evaluate", "embed_videos"),
    ("tagline.table.evaluate", "embed_texts"),
    ("tagline.retrieval.embed.text_tower", "NumpyTextTower.__call__"),
    ("tagline.retrieval.embed.embedders", "TableEmbedder._fuse"),
)

Vectors = TypeVar("Vectors", bound=npt.NDArray[Any])


def seed() -> str | None:
    """What TAGLINE_SHAKE says; None where nothing is shaken."""
    return os.environ.get(VARIABLE) or None


def shaken(vectors: Vectors) -> Vectors:
    """The same vectors, [..., D]; each with its own noise where TAGLINE_SHAKE is set."""
    chosen = seed()
    if chosen is None or not vectors.size:
        return vectors
    rows = np.ascontiguousarray(vectors).reshape(-1, vectors.shape[-1])
    noise = np.stack([_noise(row.tobytes(), len(row), chosen) for row in rows])
    return (rows * (1 + SIZE * noise)).astype(vectors.dtype).reshape(vectors.shape)  # type: ignore[return-value]


def _noise(vector: bytes, width: int, chosen: str) -> npt.NDArray[np.float64]:
    """[width] of -1 to 1, which follow from the vector and the seed."""
    digest = hashlib.shake_128(chosen.encode() + b" " + vector).digest(2 * width)
    return np.frombuffer(digest, np.int16) / 2**15


def install() -> None:
    """Shake what every encoder of the project gives, for the rest of this process."""
    if seed() is None:
        return
    for module, name in ENCODERS:
        owner: Any = import_module(module)
        *inside, last = name.split(".")
        for part in inside:
            owner = getattr(owner, part)
        setattr(owner, last, _shaking(getattr(owner, last)))


def _shaking(encode: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(encode)
    def shaking(*arguments: Any, **options: Any) -> Any:
        found = encode(*arguments, **options)
        if isinstance(found, dict):
            return {key: shaken(value) for key, value in found.items()}
        if isinstance(found, list):
            return [shaken(value) for value in found]
        return shaken(found)

    return shaking
