"""Why a video answers a query: what would be lost without each word, each tag, and where the answer is seen.

Contributions are found by leaving one out: the score with everything, minus the score without it. There are
two scores, as in the search itself: what the words of the query hold of the video's evidence, and how near
the query is to the picture for the model, where there is one. Where in the picture is told by attention
rollout for a TABLE model, else by the spans' similarities, else by where the evidence is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.retrieval.query import lexical as by_words
from tagline.retrieval.query.candidates import Searcher, searcher_of
from tagline.retrieval.query.hits import Evidence
from tagline.retrieval.query.parse import parse
from tagline.retrieval.query.spelling import understood
from tagline.tagging.catalog import vectors as embeddings

if TYPE_CHECKING:
    from tagline.table.rollout import Rollout
    from tagline.tagging.catalog.records import Video
    from tagline.tagging.catalog.write import Catalog

Floats = npt.NDArray[np.float64]

HEAT_BINS = 12  # for which heat is told, if no model says how many frames it looks at
MAX_TAGS = 16  # that the model is asked to do without; each costs a pass
SIDE = 128  # pixels of a frame of the strip


@dataclass(frozen=True, slots=True)
class Contribution:
    """One word of the query or one thing of the video, and what would be lost without it."""

    text: str
    kind: str  # "word", or what the evidence is: a modality, "speech", "title"
    words: float  # share of the query that the video would no longer hold
    picture: float | None = None  # similarity that would be lost; None: no model, or it does not read it
    start: float | None = None  # seconds
    end: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "text": self.text,
            "kind": self.kind,
            "words": round(self.words, 4),
            "picture": None if self.picture is None else round(self.picture, 4),
            "start": self.start,
            "end": self.end,
        }


@dataclass(frozen=True, slots=True)
class Heat:
    """How much of the answer is at one moment of the video; all moments together are 1."""

    time: float  # seconds
    share: float


@dataclass(slots=True)
class Explanation:
    """Why a video answers a query, or why it does not."""

    video: Video
    query: str
    lexical_score: float  # 0..1, share of the query that the words of the video hold
    similarity: float | None  # of the query and the picture, for the model
    words: list[Contribution]
    evidence: list[Contribution]
    heat: list[Heat]
    heat_by: str  # "attention", "spans" or "evidence"
    notices: list[str] = field(default_factory=list)
    rollout: Rollout | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "query": self.query,
            "video": self.video.label,
            "id": self.video.id,
            "lexical_score": round(self.lexical_score, 4),
            "similarity": None if self.similarity is None else round(self.similarity, 4),
            "words": [one.as_dict() for one in self.words],
            "evidence": [one.as_dict() for one in self.evidence],
            "heat": [{"time": round(one.time, 3), "share": round(one.share, 4)} for one in self.heat],
            "heat_by": self.heat_by,
        }


def explain(
    catalog: Catalog, query: str, video: Video, searcher: Searcher | None = None, model: Any = None
) -> Explanation:
    """Take a query and a video apart. model: a table.saving.Saved; without it the library's own, if any."""
    searcher = searcher or searcher_of(catalog)
    parsed, mended = understood(catalog, parse(query))
    text = parsed.text
    words = by_words.query_words(text)
    weights = by_words.idf(catalog, words)
    evidence = by_words.evidence_of(catalog, video, catalog.tags(video.id))
    relevant = list(
        {
            id(one): one
            for some in by_words.matching_evidence(by_words.index_evidence(evidence), words).values()
            for one in some
        }.values()
    )

    def lexical(given: Mapping[str, float], left: Sequence[Evidence]) -> float:
        # The weights of all words, also of one that is left out: it is missed, not forgotten.
        hit = by_words.lexical_hit(video, by_words.index_evidence(left), given)
        return hit.score * sum(given.values()) / max(sum(weights.values()), 1e-9) if hit else 0.0

    whole = lexical(weights, evidence)
    near = _similarity(catalog, searcher, video)
    similarity = near(text) if near and text else None
    found = Explanation(
        video,
        query,
        whole,
        similarity,
        words=[
            Contribution(
                word,
                "word",
                whole - lexical({w: weight for w, weight in weights.items() if w != word}, evidence),
                None if similarity is None or near is None else similarity - near(_without_word(text, word)),
            )
            for word in words
        ],
        evidence=[],
        heat=[],
        heat_by="evidence",
        notices=[*mended, *searcher.notices],
    )
    lost = {one: whole - lexical(weights, [e for e in evidence if e is not one]) for one in relevant}
    found.evidence = [
        Contribution(one.text, str(one.kind), lost[one], None, one.start, one.end)
        for one in sorted(lost, key=lambda one: (-lost[one], one.start, one.text))
    ]
    _heat(catalog, searcher, found, relevant, text)
    _attend_with_model(catalog, found, text, model)
    return found


def _similarity(catalog: Catalog, searcher: Searcher, video: Video) -> Callable[[str], float] | None:
    """What the model says of a text and this video; None if it never saw the video."""
    encoder = searcher.encoder
    if encoder is None:
        return None
    pages = list(catalog.vectors.pages(embeddings.VIDEO, encoder.fingerprint, [video.id]))
    if not pages:
        return None
    vector = pages[0].values[0]
    return lambda text: float(encoder.texts([text])[0] @ vector)


def _without_word(text: str, word: str) -> str:
    """The text without a word, wherever it stands."""
    words = [part for part in text.split() if word not in by_words.query_words(part)]
    return " ".join(words)


def _heat(
    catalog: Catalog, searcher: Searcher, found: Explanation, relevant: Sequence[Evidence], text: str
) -> None:
    """Where the answer is, by the spans' vectors where there are some, else by the evidence."""
    duration = found.video.duration or max((one.end for one in relevant), default=0.0)
    times = [(i + 0.5) * duration / HEAT_BINS for i in range(HEAT_BINS)] if duration else []
    encoder = searcher.encoder
    pages = (
        list(catalog.vectors.pages(embeddings.SPAN, encoder.fingerprint, [found.video.id]))
        if encoder is not None and text
        else []
    )
    if pages and encoder is not None:
        scores = pages[0].values @ encoder.texts([text])[0]
        spans = pages[0].spans
        at = [
            [score for (start, end), score in zip(spans, scores, strict=True) if start <= time <= end]
            for time in times
        ]
        low = float(scores.min()) if len(scores) else 0.0
        raw = [float(np.mean(some)) - low if some else 0.0 for some in at]
        found.heat_by = "spans"
    else:
        raw = [
            sum(
                one.score
                for one in relevant
                if one.kind not in by_words.WHOLE and one.start <= time <= one.end
            )
            for time in times
        ]
    found.heat = _shares(times, raw)


def _shares(times: Sequence[float], raw: Sequence[float]) -> list[Heat]:
    total = float(sum(raw))
    even = 1 / len(times) if times else 0.0
    return [Heat(time, value / total if total > 0 else even) for time, value in zip(times, raw, strict=True)]


def _attend_with_model(catalog: Catalog, found: Explanation, text: str, model: Any) -> None:
    """With a TABLE model: which frames its attention ends at, and which tags drew it there."""
    from tagline.retrieval.query.rerank import CannotRerank, model_inputs, table_model_of

    if model is None:
        try:
            model = table_model_of(catalog)
        except CannotRerank:
            return  # words and vectors say what they can
    cache, seen, _ = model_inputs(catalog, model, [found.video.id])
    if not seen or not text:
        return
    from tagline.table.rollout import rollout
    from tagline.tagging.ml.config import BadConfig

    frames = cache.read(seen[0].key)
    try:
        found.rollout = rollout(model.model, frames, model.tokenizer, tags=seen[0].tags, text=text)
    except BadConfig as error:
        found.notices.append(str(error))
    else:
        count = len(found.rollout.frames)
        duration = found.video.duration or 0.0
        times = [(i + 0.5) * duration / count for i in range(count)]
        found.heat = _shares(times, [float(share) for share in found.rollout.frames])
        found.heat_by = "attention"
    found.evidence = _leave_tags_out(model, frames, seen[0].tags, text, found.evidence)


def _leave_tags_out(
    model: Any, frames: Any, tags: str, sentence: str, evidence: list[Contribution]
) -> list[Contribution]:
    """How much nearer each tag that the model reads brings the video to the query."""
    import torch

    from tagline.table.data import pad_frames
    from tagline.table.evaluate import embed_texts

    tag_texts = [tag for tag in tags.split(", ") if tag][:MAX_TAGS]
    if not tag_texts:
        return evidence
    settings = model.model.settings
    texts = [", ".join(tag_texts), *(", ".join(t for t in tag_texts if t != left) for left in tag_texts)]
    pixels, valid = pad_frames(frames, settings.frames)
    device = model.model.logit_scale.device
    with torch.inference_mode():
        vectors = [
            model.model.encode_videos(
                torch.from_numpy(pixels)[None].to(device),
                torch.from_numpy(valid)[None].to(device),
                model.tokenizer([text], settings.tag_length).to(device),
                torch.tensor([bool(text)], device=device),
            ).vectors[0]
            for text in texts
        ]
    query = embed_texts(model.model, [sentence], model.tokenizer)[0]
    scores = torch.stack(vectors).float().cpu().numpy() @ query
    drawn = {left: float(scores[0] - score) for left, score in zip(tag_texts, scores[1:], strict=True)}
    own = [
        Contribution(one.text, one.kind, one.words, drawn.get(one.text), one.start, one.end)
        for one in evidence
    ]
    more = [
        Contribution(text, "tag", 0.0, gain)
        for text, gain in sorted(drawn.items(), key=lambda pair: -pair[1])
        if text not in {one.text for one in evidence}
    ]
    return own + more


# -- as a picture --------------------------------------------------------------------------------------


class NoPicture(Exception):
    """There are no frames to draw. The message says why."""


def draw(catalog: Catalog, found: Explanation, path: Path) -> None:
    """A strip of frames: bright and with a red bar below where the answer is. Raises NoPicture."""
    from tagline.table.frame_cache import FrameCache
    from tagline.table.rollout import Rollout, draw_strip
    from tagline.table.rows import frame_key

    if not found.heat:
        raise NoPicture("nothing is known of this video's length, so there is nothing to draw")
    shown = found.rollout
    side = SIDE
    if shown is None:
        # Without attention nothing is known of where in a frame it is: all of it is as bright as the rest.
        shares = np.array([one.share for one in found.heat], np.float32)
        shown = Rollout(shares, np.ones((len(shares), 2, 2), np.float32), found.heat_by)
    file = Path(found.video.label)
    cache = FrameCache(len(shown.frames), side)
    key = frame_key(found.video, file)
    reasons = [reason for _, _, reason in cache.fill([(key, file)])]
    if any(reasons):
        raise NoPicture(f"the video cannot be read: {reasons[0]}")
    frames = cache.read(key)[: len(shown.frames)]
    if found.rollout is None:
        brightness = 0.4 + 0.6 * shown.frames[: len(frames)] / max(float(shown.frames.max()), 1e-9)
        frames = (frames * brightness[:, None, None, None]).astype(np.uint8)
    if len(frames) < len(shown.frames):  # a short video has fewer frames than there are moments
        shown = Rollout(shown.frames[: len(frames)], shown.patches[: len(frames)], shown.queried_by)
    draw_strip(shown, frames, path)
