"""SearchParams: what was tuned for one library, kept beside its index: QB-Norm, weights, thresholds.

One file, `search.npz`, written beside its place and moved there when it is whole. It belongs to one model;
with another one, what is about vectors is left aside and the defaults that come with tagline serve.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.retrieval.query.calibration import Logistic, similarity_chance
from tagline.retrieval.query.fuse import FusionWeights
from tagline.retrieval.query.qb_norm import QB_NORM_METHODS, QBNorm
from tagline.tagging.catalog import files
from tagline.tagging.ml.calibration import Calibration, calibration_from_json
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog

Floats = npt.NDArray[np.float64]

FILE, VERSION = "search.npz", 3
DEFAULTS = "search_params.json"

# What tells whether a query has an answer: how much of it the best video holds; the share of its words that
# the library has never met; whether there is one at all that those who wrote about its videos never used (0
# where nobody wrote); and how far the nearest video, span and tag stand out from those of queries without an
# answer.
FEATURES = ("lexical", "unknown_words", "unwritten_words", "video", "span", "tags")
LEVELS = ("video", "span")


@dataclass(frozen=True, slots=True)
class AnswerCalibration:
    """How an order of candidates becomes a probability, and when nothing is said at all."""

    answerable: Logistic  # over FEATURES: that the query has an answer here
    threshold: float  # below this, nothing is said
    isotonic: Calibration  # from answerable · posterior of a candidate to how often it is the right one


@dataclass(frozen=True, slots=True)
class DefaultParams:
    """What comes with tagline: fitted on validation videos of the playhouse."""

    weights: FusionWeights
    calibration: AnswerCalibration | None


@dataclass(slots=True)
class SearchParams:
    """Of one library. Everything may be empty."""

    weights: FusionWeights | None = None  # None: the defaults
    calibration: AnswerCalibration | None = None
    qb_norm: QBNorm | None = None  # of the query bank
    probe_queries: int = 0  # in the bank
    row_hubness: dict[str, tuple[npt.NDArray[np.int64], Floats]] = field(
        default_factory=dict
    )  # level: ids, hubness
    out_of_domain: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # signal: mean and spread, see above
    vocabulary: frozenset[str] = frozenset()  # words that people use here, beside those of the tags
    tags: list[tuple[str, str]] = field(default_factory=list)  # (modality, text)
    tag_vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def hubness(self, level: str, ids: npt.NDArray[np.int64]) -> Floats:
        """What is taken off the similarity of each row; of rows that came later, the usual."""
        if level not in self.row_hubness or not len(self.row_hubness[level][0]):
            return np.zeros(len(ids))
        row_ids, values = self.row_hubness[level]
        places = np.minimum(np.searchsorted(row_ids, ids), len(row_ids) - 1)
        return np.where(row_ids[places] == ids, values[places], float(np.mean(values)))

    def z_score(self, signal: str, score: float | None) -> float:
        """How far a best score stands out from those of queries without an answer, in their spreads."""
        if score is None or signal not in self.out_of_domain or not math.isfinite(score):
            return 0.0
        mean, spread = self.out_of_domain[signal]
        return float(np.clip((score - mean) / max(spread, 1e-6), -5, 5))

    def chance(self, signal: str, score: float | None) -> float:
        """How surely what a signal found is what was meant; the plain similarity where nothing was tuned."""
        if score is None or not math.isfinite(score):
            return 0.0
        if signal not in self.out_of_domain:
            return float(np.clip(score, 0.0, 1.0))
        return similarity_chance(self.z_score(signal, score))


def read(catalog: Catalog, fingerprint: str, notices: list[str] | None = None) -> SearchParams:
    """What was learnt about a library with this model; nothing, if nothing or with another one.

    notices: a sentence is added where the file is damaged.
    """
    return stored(catalog, fingerprint, notices) or SearchParams()


def stored(catalog: Catalog, fingerprint: str, notices: list[str] | None = None) -> SearchParams | None:
    """What was learnt about a library with this model, or None."""
    if catalog.file is None:
        return None
    try:
        file = os.fdopen(files.open_file(catalog.file.parent / FILE), "rb")
        with file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(bytes(arrays["header"]).decode())
        if header["version"] != VERSION or header["fingerprint"] != fingerprint:
            return None
        return _from_arrays(header, arrays)
    except FileNotFoundError:
        return None
    except (OSError, zipfile.BadZipFile, zlib.error, *_DAMAGED):
        if notices is not None:
            notices.append(
                f"{safe(catalog.file.parent / FILE)} is damaged and left aside; run `tagline tune`"
            )
        return None


def write(catalog: Catalog, fingerprint: str, params: SearchParams) -> Path:
    """Keep what was learnt. The old one serves until the new one is whole."""
    assert catalog.file is not None
    header = {
        "version": VERSION,
        "fingerprint": fingerprint,
        "weights": asdict(params.weights) if params.weights else None,
        "calibration": asdict(params.calibration) if params.calibration else None,
        "qb_norm": asdict(params.qb_norm) if params.qb_norm else None,
        "queries": params.probe_queries,
        "out_of_domain": params.out_of_domain,
        "vocabulary": sorted(params.vocabulary),
        "tags": params.tags,
    }
    arrays: dict[str, Any] = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "tag_vectors": params.tag_vectors,
    }
    for level, (ids, values) in params.row_hubness.items():
        arrays[f"{level}_ids"], arrays[f"{level}_hubness"] = ids, values
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    path = catalog.file.parent / FILE
    files.replace(path, packed.getvalue())
    return path


_DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)


def _from_arrays(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> SearchParams:
    params = _unchecked(header, arrays)
    numbers: list[Any] = [*params.out_of_domain.values(), *params.row_hubness.values(), params.tag_vectors]
    if not all(np.isfinite(np.asarray(part, np.float64)).all() for some in numbers for part in some):
        raise ValueError("numbers that are none")
    if any(len(ids) != len(values) or ids.ndim != 1 for ids, values in params.row_hubness.values()):
        raise ValueError("ids without values")
    if params.tag_vectors.ndim != 2 or len(params.tag_vectors) != len(params.tags):
        raise ValueError("tags without vectors")
    if params.qb_norm is not None and params.qb_norm.method not in QB_NORM_METHODS:
        raise ValueError("an unknown method")
    return params


def _unchecked(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> SearchParams:
    return SearchParams(
        weights=_weights_from_json(header["weights"]) if header["weights"] else None,
        calibration=answer_calibration_from_json(header["calibration"]) if header["calibration"] else None,
        qb_norm=QBNorm(**header["qb_norm"]) if header["qb_norm"] else None,
        probe_queries=int(header["queries"]),
        row_hubness={
            level: (arrays[f"{level}_ids"], arrays[f"{level}_hubness"])
            for level in LEVELS
            if f"{level}_ids" in arrays
        },
        out_of_domain={
            name: (float(mean), float(spread)) for name, (mean, spread) in header["out_of_domain"].items()
        },
        vocabulary=frozenset(header["vocabulary"]),
        tags=[(str(modality), str(text)) for modality, text in header["tags"]],
        tag_vectors=arrays["tag_vectors"],
    )


def _weights_from_json(data: Mapping[str, Any]) -> FusionWeights:
    return FusionWeights(tuple(map(float, data["scores"])), tuple(map(float, data["places"])))


def answer_calibration_from_json(data: Mapping[str, Any]) -> AnswerCalibration:
    """A judgement as JSON keeps it."""
    answerable = data["answerable"]
    if len(answerable["weights"]) != len(FEATURES):
        raise ValueError("it judges by other features")
    return AnswerCalibration(
        Logistic(tuple(map(float, answerable["weights"])), float(answerable["bias"])),
        float(data["threshold"]),
        calibration_from_json(data["isotonic"]),
    )


@lru_cache(maxsize=1)
def defaults() -> DefaultParams:
    """The weights, and for models the judgement, that serve where nothing was learnt."""
    data = json.loads((resources.files("tagline.retrieval.query") / DEFAULTS).read_text(encoding="utf-8"))
    return DefaultParams(
        _weights_from_json(data["weights"]),
        answer_calibration_from_json(data["calibration"]) if data["calibration"] else None,
    )
