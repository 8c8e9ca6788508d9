"""What search learnt about one library, kept beside its index: hubs, weights, and when to say nothing.

One file, `search.npz`, written beside its place and moved there when it is whole. It belongs to one model;
with another one, what is about vectors is left aside and the defaults that come with tagline serve.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.retrieval.bank import Setting
from tagline.retrieval.calibration import Isotonic, Logistic
from tagline.retrieval.fusion import Weights
from tagline.tagging import owned

if TYPE_CHECKING:
    from tagline.tagging.catalog import Catalog

Floats = npt.NDArray[np.float64]

FILE, VERSION = "search.npz", 2
DEFAULTS = "defaults.json"

# What tells whether a query has an answer: how much of it the best video holds; the share of its words that
# the library has never met; whether there is one at all that those who wrote about its videos never used (0
# where nobody wrote); and how far the nearest video, span and tag stand out from those of queries without an
# answer.
FEATURES = ("held", "strange", "unheard", "video", "span", "tags")
LEVELS = ("video", "span")


@dataclass(frozen=True, slots=True)
class Judgement:
    """How an order of candidates becomes a probability, and when nothing is said at all."""

    answerable: Logistic  # over FEATURES: that the query has an answer here
    line: float  # below this, nothing is said
    curve: Isotonic  # from answerable · share of the candidate to the probability that it is the right one


@dataclass(frozen=True, slots=True)
class Defaults:
    """What comes with tagline: fitted on validation videos of the playhouse."""

    weights: Weights
    judgement: Judgement | None


@dataclass(slots=True)
class Learnt:
    """Of one library. Everything may be empty."""

    weights: Weights | None = None  # None: the defaults
    judgement: Judgement | None = None
    setting: Setting | None = None  # of the query bank
    queries: int = 0  # in the bank
    hubs: dict[str, tuple[npt.NDArray[np.int64], Floats]] = field(default_factory=dict)  # level: ids, hubness
    nowhere: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # signal: mean and spread, see above
    known: frozenset[str] = frozenset()  # words that people use here, beside those of the tags
    tags: list[tuple[str, str]] = field(default_factory=list)  # (modality, text)
    tag_vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def hubness(self, level: str, ids: npt.NDArray[np.int64]) -> Floats:
        """What is taken off the similarity of each row; of rows that came later, the usual."""
        if level not in self.hubs or not len(self.hubs[level][0]):
            return np.zeros(len(ids))
        known, values = self.hubs[level]
        places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[places] == ids, values[places], float(np.mean(values)))

    def above(self, signal: str, score: float | None) -> float:
        """How far a best score stands out from those of queries without an answer, in their spreads."""
        if score is None or signal not in self.nowhere or not math.isfinite(score):
            return 0.0
        mean, spread = self.nowhere[signal]
        return float(np.clip((score - mean) / max(spread, 1e-6), -5, 5))


def read(catalog: Catalog, fingerprint: str) -> Learnt:
    """What was learnt about a library with this model; nothing, if nothing or with another one."""
    if catalog.file is None:
        return Learnt()
    try:
        file = os.fdopen(owned.open_file(catalog.file.parent / FILE), "rb")
        with file, np.load(file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        told = json.loads(bytes(arrays["told"]).decode())
        if told["version"] != VERSION or told["fingerprint"] != fingerprint:
            return Learnt()
        return _from(told, arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return Learnt()  # it can always be learnt anew


def write(catalog: Catalog, fingerprint: str, learnt: Learnt) -> Path:
    """Keep what was learnt. The old one serves until the new one is whole."""
    assert catalog.file is not None
    told = {
        "version": VERSION,
        "fingerprint": fingerprint,
        "weights": asdict(learnt.weights) if learnt.weights else None,
        "judgement": asdict(learnt.judgement) if learnt.judgement else None,
        "setting": asdict(learnt.setting) if learnt.setting else None,
        "queries": learnt.queries,
        "nowhere": learnt.nowhere,
        "known": sorted(learnt.known),
        "tags": learnt.tags,
    }
    arrays: dict[str, Any] = {
        "told": np.frombuffer(json.dumps(told).encode(), np.uint8),
        "tag_vectors": learnt.tag_vectors,
    }
    for level, (ids, values) in learnt.hubs.items():
        arrays[f"{level}_ids"], arrays[f"{level}_hubs"] = ids, values
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    path = catalog.file.parent / FILE
    owned.replace(path, packed.getvalue())
    return path


def _from(told: Mapping[str, Any], arrays: Mapping[str, Any]) -> Learnt:
    return Learnt(
        weights=_weights(told["weights"]) if told["weights"] else None,
        judgement=judgement_of(told["judgement"]) if told["judgement"] else None,
        setting=Setting(**told["setting"]) if told["setting"] else None,
        queries=int(told["queries"]),
        hubs={
            level: (arrays[f"{level}_ids"], arrays[f"{level}_hubs"])
            for level in LEVELS
            if f"{level}_ids" in arrays
        },
        nowhere={name: (float(mean), float(spread)) for name, (mean, spread) in told["nowhere"].items()},
        known=frozenset(told["known"]),
        tags=[(str(modality), str(text)) for modality, text in told["tags"]],
        tag_vectors=arrays["tag_vectors"],
    )


def _weights(told: Mapping[str, Any]) -> Weights:
    return Weights(tuple(map(float, told["scores"])), tuple(map(float, told["places"])))


def judgement_of(told: Mapping[str, Any]) -> Judgement:
    """A judgement as JSON keeps it."""
    answerable, curve = told["answerable"], told["curve"]
    if len(answerable["weights"]) != len(FEATURES):
        raise ValueError("it judges by other features")
    return Judgement(
        Logistic(tuple(map(float, answerable["weights"])), float(answerable["bias"])),
        float(told["line"]),
        Isotonic(tuple(map(float, curve["at"])), tuple(map(float, curve["value"]))),
    )


@lru_cache(maxsize=1)
def defaults() -> Defaults:
    """The weights, and for models the judgement, that serve where nothing was learnt."""
    told = json.loads((resources.files("tagline.retrieval") / DEFAULTS).read_text(encoding="utf-8"))
    return Defaults(_weights(told["weights"]), judgement_of(told["judgement"]) if told["judgement"] else None)
