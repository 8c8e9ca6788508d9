"""The fused tags of a video: every source weighed, rejections on similar videos counted, verdicts last."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tagline.experts.tags import HUMAN_SOURCE
from tagline.tagging.catalog.uploads import PEOPLE
from tagline.tagging.fusion.weighing import (
    LabelledCandidate,
    SourceScore,
    SourceWeights,
    TagCandidate,
    fit_weights,
    gather_candidates,
    neighbour_hashes,
    threshold_for_precision,
)
from tagline.tagging.ml.calibration import best_threshold, calibration_from_json
from tagline.tagging.neighbours.memory import ALL, Memory
from tagline.tagging.neighbours.snapshot import LibrarySnapshot, training_and_validation
from tagline.tagging.neighbours.views import ViewEncoder
from tagline.tagging.vocabulary import normal

if TYPE_CHECKING:
    from tagline.tagging.catalog.read import CatalogReader

TRAINED = frozenset({"generated", "ranked"})  # experts that learned from the tags of this library
META = "fusion"  # where a catalog keeps what was fitted
SIMILAR_ENOUGH = 0.5  # from how alike on a video is a look-alike: 0 as any two of the library, 1 the same
NEAREST_REJECTIONS = 5  # look-alikes that are heard


@dataclass(frozen=True, slots=True)
class FusedTag:
    """One tag of the one list, and why it is there."""

    text: str
    score: float  # how likely it is right; 1: a person said so
    start: float  # seconds
    end: float
    evidence: tuple[SourceScore, ...]  # one a source, the surest first
    lowered: float = 0.0  # by what share look-alikes' rejections lowered the score

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(piece.source for piece in self.evidence)

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Contents of the videos that it comes from."""
        return tuple(dict.fromkeys(n for piece in self.evidence for n in piece.neighbour_hashes))


@dataclass(frozen=True, slots=True)
class FusionModel:
    """What a library knows of its sources: weights, and the scores from which on tags are said."""

    weights: SourceWeights = field(default_factory=SourceWeights)
    threshold: float = 0.5  # of the best F1
    videos: int = 0  # with people's opinion, on which it was fitted
    # (stated precision, least score), rising; what is beyond the last cannot be promised.
    precision_thresholds: tuple[tuple[float, float], ...] = ()

    def threshold_for(self, precision: float | None) -> float:
        """The score from which on a list is right so often; above 1 if nothing here is that sure."""
        if precision is None:
            return self.threshold
        good = [least for stated, least in self.precision_thresholds if stated >= precision - 1e-9]
        return min(good, default=float("inf"))

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> FusionModel:
        data: dict[str, Any] = json.loads(text, parse_constant=_refuse)
        weights = data.pop("weights")
        calibration = calibration_from_json(weights.pop("calibration"))
        promises = tuple((float(p), float(least)) for p, least in data.pop("precision_thresholds"))
        return cls(SourceWeights(**weights, calibration=calibration), precision_thresholds=promises, **data)


PRECISIONS = tuple(round(0.5 + 0.01 * i, 2) for i in range(50))  # precisions that can be asked for


def fit_fusion(rows: Iterable[tuple[str, Mapping[str, TagCandidate], Mapping[str, bool]]]) -> FusionModel:
    """Fit on videos of which people's opinion is known: (video, candidates, right or wrong by form).

    A form that the opinion does not hold is not judged.
    """
    return _fit_fusion(list(rows), None)


def _fit_fusion(
    rows: Sequence[tuple[str, Mapping[str, TagCandidate], Mapping[str, bool]]], uses: Mapping[str, int] | None
) -> FusionModel:
    judged = [
        LabelledCandidate(video, candidate, opinion[form])
        for video, candidates, opinion in rows
        for form, candidate in candidates.items()
        if form in opinion
    ]
    weights = fit_weights(judged, uses)
    if not weights.labelled:
        return FusionModel(weights, videos=len(rows))
    scored = [
        ({form: weights(c) for form, c in own.items() if form in opinion}, opinion)
        for _, own, opinion in rows
    ]
    every = [score for own, _ in scored for score in own.values()]
    promises = [(p, threshold_for_precision(every, p)) for p in PRECISIONS]
    return FusionModel(
        weights,
        best_threshold([(own, {f for f, right in opinion.items() if right}) for own, opinion in scored]),
        len(rows),
        tuple((p, least) for p, least in promises if np.isfinite(least)),
    )


class TagFusion:
    """Makes the one list for the videos of a library."""

    def __init__(
        self,
        catalog: CatalogReader,
        library: LibrarySnapshot,
        viewer: ViewEncoder,
        fitted: FusionModel | None = None,
    ) -> None:
        self.catalog, self.library = catalog, library
        self.row = {video_id: row for row, video_id in enumerate(library.ids)}
        self.fitted = fitted or stored_model(catalog)
        self._views = Memory(library.tagged_videos, viewer(library.examples)).views.get(ALL)

    def candidates(self, video_id: int) -> dict[str, TagCandidate]:
        """What the sources say of a video, as if nobody had judged it."""
        facts = next((r.facts for r in self.catalog.runs(video_id) if r.expert == "neighbours"), {})
        return gather_candidates(self.catalog.tags(video_id, judged=False), neighbour_hashes(facts))

    def learn(self) -> FusionModel:
        """Fit on the validation split where there is one, else on every video that somebody tagged, and on
        what people accepted and rejected. Videos of the split "test" are never looked at.

        A source that was trained knows the videos that it learned from by heart: where one speaks, only
        those count that were held out from its training.
        """
        validation = "val" in self.library.splits
        trained = any(
            run.expert in TRAINED for video_id in self.library.ids for run in self.catalog.runs(video_id)
        )
        held_out = {one.key for one in training_and_validation(self.library)[1]} if trained else None
        uses: Counter[str] = Counter()
        rows = []
        for row, (video_id, known, split) in enumerate(
            zip(self.library.ids, self.library.tagged_videos, self.library.splits, strict=True)
        ):
            if split == "test":
                continue
            if split != "val":
                uses.update({normal(tag) for tag in known.tags})
            candidates = self.candidates(video_id)
            whole = known.key in held_out if held_out is not None else split == "val" or not validation
            opinion = self._labels(row, candidates, whole=whole)
            if opinion:
                rows.append((known.key, candidates, opinion))
        self.fitted = _fit_fusion(rows, uses)
        return self.fitted

    def _labels(self, row: int, candidates: Mapping[str, TagCandidate], *, whole: bool) -> dict[str, bool]:
        """What people think of the candidates of a video: right or wrong by form.

        whole: somebody tagged the whole video, so what they left out counts as wrong. Otherwise only
        verdicts count.
        """
        known = self.library.tagged_videos[row]
        verdicts = self.catalog.verdicts.of(self.library.ids[row])
        opinion: dict[str, bool] = {}
        uploaded = [t for t in self.catalog.tags(self.library.ids[row]) if t.source in PEOPLE]
        if whole and uploaded:
            own = {normal(tag) for tag in known.tags}
            opinion = {form: form in own for form in {*candidates, *own}}
        for verdict in verdicts:
            if verdict.kind in ("accept", "reject"):
                opinion[normal(self.catalog.canonical(verdict.text))] = verdict.kind == "accept"
        return opinion

    def fused_tags(self, video_id: int, precision: float | None = None) -> list[FusedTag]:
        """The one list of a video, the surest first; each tag once, whatever the modality.

        precision: only tags that are together right so often; None: the list of the best F1. What a person
        added or accepted is always there, what a person rejected never.
        """
        least = self.fitted.threshold_for(precision)
        lowered = self._rejection_penalties(video_id)
        candidates = self.candidates(video_id)
        stored_tags = self.catalog.tags(video_id)
        people = [
            t for t in stored_tags if t.source == HUMAN_SOURCE or (t.source not in PEOPLE and t.score == 1.0)
        ]
        sure = {normal(t.text): t for t in people}
        allowed = {normal(t.text) for t in stored_tags}
        found = []
        for form, candidate in candidates.items():
            if form not in allowed:
                continue
            low = lowered.get(form, 0.0)
            score = 1.0 if form in sure else self.fitted.weights(candidate) * (1 - low)
            if score >= least or form in sure:
                found.append(self._fused_tag(candidate, score, low))
        for form, tag in sure.items():
            if form not in candidates:
                piece = SourceScore(tag.source, 1.0, tag.start, tag.end)
                found.append(FusedTag(tag.text, 1.0, tag.start, tag.end, (piece,)))
        return sorted(found, key=lambda one: (-one.score, one.text))

    def _fused_tag(self, candidate: TagCandidate, score: float, lowered: float) -> FusedTag:
        pieces = sorted(candidate.scores.values(), key=lambda piece: (-piece.score, piece.source))
        return FusedTag(candidate.text, score, *candidate.span, tuple(pieces), lowered)

    def _rejection_penalties(self, video_id: int) -> dict[str, float]:
        """By what share a form's score is lowered, because people rejected it for videos like this one."""
        if self._views is None or video_id not in self.row:
            return {}
        return rejection_penalties(
            self._views, [k.rejected for k in self.library.tagged_videos], self.row[video_id]
        )


def rejection_penalties(
    views: np.ndarray[Any, Any], rejected: Sequence[Sequence[str]], row: int
) -> dict[str, float]:
    """How alike the most similar video is for which a form was rejected: 0..1 by form.

    views: [N, D], centred and of length 1, so that two videos of a library are on average 0 alike. Only
    look-alikes count, and never the video itself.
    """
    rows = [i for i, own in enumerate(rejected) if own and i != row]
    if not rows:
        return {}
    similarity = np.clip(views[rows] @ views[row], 0.0, 1.0)
    found: dict[str, float] = {}
    for place in np.argsort(-similarity, kind="stable")[:NEAREST_REJECTIONS].tolist():
        if similarity[place] < SIMILAR_ENOUGH:
            break
        for text in rejected[rows[place]]:
            found.setdefault(normal(text), float(similarity[place]))
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no weight")


def stored_model(catalog: CatalogReader) -> FusionModel:
    """What was fitted for this library last; nothing yet: every source is worth its score."""
    text = catalog.meta(META)
    try:
        return FusionModel.from_json(text) if text else FusionModel()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # not what we wrote
        catalog.left_out.add("weights of the experts")
        return FusionModel()
