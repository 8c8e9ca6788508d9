"""How likely a tag is right, given which sources found it and how sure each is: fitted on verdicts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log, log1p
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tagline.experts.tags import Tag
from tagline.tagging.catalog.uploads import PEOPLE
from tagline.tagging.ml.calibration import Calibration, fit_calibration
from tagline.tagging.vocabulary import normal

NEIGHBOURS = "neighbours"  # the expert whose tags come from other videos


@dataclass(frozen=True, slots=True)
class SourceScore:
    """One source's word for a tag: its best score and where."""

    source: str
    score: float  # 0..1, as the source counts
    start: float  # seconds
    end: float
    neighbour_hashes: tuple[str, ...] = ()  # contents of the videos that it comes from


@dataclass(slots=True)
class TagCandidate:
    """A tag that at least one source names for a video."""

    normal_form: str  # normal form: what makes two tags one
    text: str
    scores: dict[str, SourceScore] = field(default_factory=dict)  # by source

    @property
    def span(self) -> tuple[float, float]:
        """From the first to the last second of the surest piece that knows when, else of all."""
        timed = [p for p in self.scores.values() if not p.neighbour_hashes] or list(self.scores.values())
        best = max(timed, key=lambda piece: (piece.score, piece.source))
        return best.start, best.end


def gather_candidates(
    tags: Iterable[Tag], carried: Mapping[str, Iterable[str]] | None = None
) -> dict[str, TagCandidate]:
    """Candidates by normal form from what experts say of a video; what people say is left out.

    carried: for a tag's text, the contents of the neighbours that it comes from.
    """
    found: dict[str, TagCandidate] = {}
    for tag in tags:
        if tag.source in PEOPLE:
            continue
        form = normal(tag.text)
        candidate = found.setdefault(form, TagCandidate(form, tag.text))
        before = candidate.scores.get(tag.source)
        if before is None or tag.score > before.score:
            near = tuple((carried or {}).get(tag.text, ())) if tag.source == NEIGHBOURS else ()
            candidate.scores[tag.source] = SourceScore(tag.source, tag.score, tag.start, tag.end, near)
    return found


def neighbour_hashes(facts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Which videos' contents carry each tag, as the expert "neighbours" keeps them in its report."""
    by_tag = facts.get("neighbours")
    if not isinstance(by_tag, Mapping):
        return {}
    return {str(text): tuple(map(str, why.get("videos", ()))) for text, why in by_tag.items()}


FOLDS = 5
PSEUDO_COUNTS = 4.0  # imagined tags of the usual precision, added to those seen of one tag
PENALTY = 1e-3
LEAST_LABELLED = 200  # judged tags below which nothing is fitted
UNFITTED = 0.5  # odds that a single source's word is worth before anything is known of it

Floats = npt.NDArray[np.float64]


class LabelledCandidate(NamedTuple):
    """A tag that sources named for a video, and whether people agree."""

    video: str
    candidate: TagCandidate
    right: bool


@dataclass(frozen=True, slots=True)
class SourceWeights:
    """What was learned of the sources. Without anything learned, scores count as they are."""

    bias: float = log(UNFITTED)
    source_bias: Mapping[str, float] = field(default_factory=dict)  # a, by source
    score_weight: Mapping[str, float] = field(default_factory=dict)  # b
    history_weight: float = 0.0  # c
    frequency_weight: float = 0.0  # d
    history: Mapping[str, float] = field(default_factory=dict)  # log-odds that a tag is right, less the usual
    frequency: Mapping[str, int] = field(default_factory=dict)  # videos that people gave a tag to
    calibration: Calibration = field(default_factory=Calibration)
    labelled: int = 0  # tags that it was fitted on; 0: it was not

    def raw(self, candidate: TagCandidate) -> float:
        """The probability before calibration."""
        total = self.bias + self.history_weight * self.history.get(candidate.normal_form, 0.0)
        total += self.frequency_weight * log1p(self.frequency.get(candidate.normal_form, 0))
        # A source that was not there when this was fitted is worth what the least of them is.
        unknown = min(self.score_weight.values(), default=2.0)
        for source, piece in candidate.scores.items():
            total += self.source_bias.get(source, 0.0) + self.score_weight.get(source, unknown) * piece.score
        return 1 / (1 + exp(-max(min(total, 50.0), -50.0)))

    def __call__(self, candidate: TagCandidate) -> float:
        """How likely it is that people would agree with this tag."""
        return self.calibration(self.raw(candidate))


def fit_weights(judged: Sequence[LabelledCandidate], uses: Mapping[str, int] | None = None) -> SourceWeights:
    """Learn from tags whose truth is known. Too few, or all right or all wrong: scores stay as they are."""
    hits = sum(one.right for one in judged)
    if len(judged) < LEAST_LABELLED or not 0 < hits < len(judged):
        return SourceWeights()
    uses = dict(uses or {})
    folds = np.array([_fold(one.video) for one in judged])
    out_of_fold = np.zeros(len(judged))
    for fold in range(FOLDS):
        own = [judged[i] for i in np.flatnonzero(folds != fold).tolist()]
        held_out = np.flatnonzero(folds == fold)
        if not len(held_out) or not 0 < sum(one.right for one in own) < len(own):
            continue
        weights = _fit(own, uses)
        for i in held_out.tolist():
            out_of_fold[i] = weights.raw(judged[i].candidate)
    whole = _fit(judged, uses)
    calibration = fit_calibration(out_of_fold.tolist(), [one.right for one in judged])
    return SourceWeights(
        whole.bias,
        whole.source_bias,
        whole.score_weight,
        whole.history_weight,
        whole.frequency_weight,
        whole.history,
        uses,
        calibration,
        len(judged),
    )


def _fit(judged: Sequence[LabelledCandidate], uses: Mapping[str, int]) -> SourceWeights:
    from scipy.optimize import minimize

    sources = sorted({source for one in judged for source in one.candidate.scores})
    right = np.array([one.right for one in judged], float)
    usual = float(right.mean())
    rates = _Rates(judged, usual)
    x = np.zeros((len(judged), 2 * len(sources) + 3))
    for row, one in enumerate(judged):
        for place, source in enumerate(sources):
            piece = one.candidate.scores.get(source)
            if piece is not None:
                x[row, 2 * place : 2 * place + 2] = 1.0, piece.score
        # Without this very tag, which would give its own truth away.
        x[row, -3] = rates.without(one)
        x[row, -2] = log1p(uses.get(one.candidate.normal_form, 0))
        x[row, -1] = 1.0

    def cost(w: Floats) -> tuple[float, Floats]:
        z = x @ w
        value = np.logaddexp(0, z).mean() - (right * z).mean() + PENALTY * float(w[:-1] @ w[:-1])
        slope = x.T @ (1 / (1 + np.exp(-z)) - right) / len(right)
        slope[:-1] += 2 * PENALTY * w[:-1]
        return float(value), slope

    start = np.zeros(x.shape[1])
    bounds = [(0.0, None)] * (x.shape[1] - 1) + [(None, None)]
    w = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return SourceWeights(
        bias=float(w[-1]),
        source_bias={source: float(w[2 * i]) for i, source in enumerate(sources)},
        score_weight={source: float(w[2 * i + 1]) for i, source in enumerate(sources)},
        history_weight=float(w[-3]),
        frequency_weight=float(w[-2]),
        history=rates.all(),
        frequency=uses,
    )


class _Rates:
    """How often each tag was right when somebody named it, drawn towards the usual."""

    def __init__(self, judged: Sequence[LabelledCandidate], usual: float) -> None:
        self.usual = usual
        self.named = Counter(one.candidate.normal_form for one in judged)
        self.hits = Counter(one.candidate.normal_form for one in judged if one.right)

    def _odds(self, hits: int, named: int) -> float:
        rate = (hits + PSEUDO_COUNTS * self.usual) / (named + PSEUDO_COUNTS)
        return log(rate / (1 - rate)) - log(self.usual / (1 - self.usual))

    def all(self) -> dict[str, float]:
        return {form: self._odds(self.hits[form], self.named[form]) for form in self.named}

    def without(self, one: LabelledCandidate) -> float:
        form = one.candidate.normal_form
        return self._odds(self.hits[form] - one.right, self.named[form] - 1)


def threshold_for_precision(scores: Sequence[float], precision: float) -> float:
    """The lowest score from which on the mean of the scores is `precision`: a stated precision.

    Above 1 where no score is so high. Equal scores are said together or not at all.
    """
    said = np.sort(np.asarray(scores, float))[::-1]
    means = np.cumsum(said) / np.arange(1, len(said) + 1)
    whole = np.append(said[1:] < said[:-1], True) if len(said) else np.zeros(0, bool)
    good = np.flatnonzero(whole & (means >= precision))
    return float(said[good[-1]]) if len(good) else float("inf")


def _fold(video: str) -> int:
    """The same video is always in the same fold."""
    return hashlib.sha256(video.encode("utf-8", "replace")).digest()[0] % FOLDS
