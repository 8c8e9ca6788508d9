"""Reranking: the joint encoder reads the query together with each of the best videos.

A search compares two vectors that never met. The joint encoder of a TABLE model lets the words of the query
look at the frames and the tags, and its matching head (VTM) says whether they belong together. A model
without that head compares late: each word with the frame that is nearest to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.retrieval.query.calibration import falling
from tagline.retrieval.query.hits import ANY, Filters, Hit
from tagline.retrieval.query.parse import parse_steps
from tagline.retrieval.query.search import Answer, answer

if TYPE_CHECKING:
    from torch import Tensor

    from tagline.table.frame_cache import FrameSource
    from tagline.table.model import EncodedVideos
    from tagline.table.saving import PretrainedTable
    from tagline.tagging.catalog.write import Catalog

Floats = npt.NDArray[np.float64]

# Of the second look, in standard deviations, beside the logarithm of the first: so little that a head which
# learned nothing does no harm, by the playhouse's validation captions.
WEIGHT = 0.1
MAX_HITS = 50  # hits that are looked at again
BATCH = 16  # videos that are seen together
MAX_CACHED = 2000  # videos of which is kept what was seen


class CannotRerank(Exception):
    """There is no model here that could look again. The message says what to do."""


@dataclass(frozen=True, slots=True)
class VideoInput:
    """One video as the model takes it."""

    key: str  # of its frames
    tags: str  # as table.rows.tag_text writes them


class Reranker:
    """Looks again at the hits of a library, query after query; a video is seen once."""

    def __init__(self, catalog: Catalog) -> None:
        """Raises CannotRerank."""
        self.catalog, self.saved = catalog, table_model_of(catalog)
        self.scorer = JointScorer(self.saved)

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        """The same hits, in the order that search and model find together."""
        reranked = list(hits[:MAX_HITS])
        frames, seen, good = model_inputs(self.catalog, self.saved, [hit.video.id for hit in reranked])
        if not good:
            return list(hits)
        scores = dict(zip(good, self.scorer.scores(query, seen, frames).tolist(), strict=True))
        order = blend(
            np.array([hit.posterior for hit in reranked]),
            np.array([scores.get(hit.video.id, np.nan) for hit in reranked]),
        )
        # A score says what a moment holds and goes with it; a chance belongs to its place.
        scored = falling([hit.score for hit in [*(reranked[place] for place in order), *hits[MAX_HITS:]]])
        placed = [
            replace(reranked[place], score=score, probability=hit.probability, posterior=hit.posterior)
            for place, score, hit in zip(order, scored, reranked, strict=False)
        ]
        after = zip(hits[MAX_HITS:], scored[len(placed) :], strict=True)
        return [*placed, *(replace(hit, score=score) for hit, score in after)]


def reranked_answer(catalog: Catalog, query: str, count: int = 10, filters: Filters = ANY) -> Answer:
    """As `search.answer`, but the model looks again at the best hits. Raises CannotRerank."""
    if parse_steps(query):
        return answer(catalog, query, count, filters)  # moments in order are no sentence that a model reads
    # What was not found by then cannot come up.
    found = answer(catalog, query, max(count, MAX_HITS), filters)
    hits = Reranker(catalog).rerank(query, found.hits) if found.hits else []
    return replace(found, hits=hits[:count])


def table_model_of(catalog: Catalog) -> PretrainedTable:
    """The TABLE model that embedded the library. Raises CannotRerank."""
    from tagline.retrieval.embed.embedders import TableEmbedder
    from tagline.retrieval.embed.query_encoder import EncoderMissing
    from tagline.retrieval.embed.query_encoder import search_model_of as load
    from tagline.retrieval.embed.search_model import TABLE, SearchModel

    choice = SearchModel.of_catalog(catalog)
    if choice is None or choice.kind != TABLE:
        raise CannotRerank(
            "only a trained model can look again: `tagline train table --data FOLDER`, "
            "then `tagline index --model`"
        )
    try:
        model = load(choice)
    except EncoderMissing as missing:
        raise CannotRerank(str(missing)) from missing
    assert isinstance(model, TableEmbedder)
    return model.saved


class JointScorer:
    """The model, and what it made of the last videos that it looked at."""

    def __init__(self, saved: PretrainedTable) -> None:
        self.saved, self.model = saved, saved.model
        self.matches = self.model.match is not None and self.model.guide is not None
        self._cache: dict[VideoInput, Any] = {}  # the oldest first

    def scores(self, query: str, seen: Sequence[VideoInput], frames: FrameSource) -> Floats:
        """How well the query fits each video [videos], higher is better; comparable in one query only."""
        import torch

        from tagline.table.model import token_mask

        settings = self.model.settings
        with torch.inference_mode():
            encodings = self._encodings(seen, frames)
            ids = self.saved.tokenizer([query], settings.text_length).to(self.model.logit_scale.device)
            tokens, eos = self.model.encode_tokens(ids)
            valid = token_mask(ids)
            if not self.matches:
                words = tokens[0][valid[0]][1:].float().cpu().numpy()  # without [SOS]
                return np.array([late_interaction(words, one) for one in encodings])
            if settings.vtm_text == "eos":  # what it learnt from
                return self._match_logits(encodings, eos[:, None], valid[:, :1])
            return self._match_logits(encodings, tokens, valid)

    def _match_logits(self, encodings: Sequence[EncodedVideos], text: Tensor, valid: Tensor) -> Floats:
        """The matching head's logits, match minus no match: [videos]."""
        import torch

        from tagline.table.model import EncodedVideos

        assert self.model.match is not None
        videos = EncodedVideos(
            torch.cat([one.vectors for one in encodings]),
            torch.cat([one.fused for one in encodings if one.fused is not None]),
            torch.cat([one.valid for one in encodings]),
            encodings[0].position_ids,
        )
        rows = torch.arange(len(encodings), device=text.device)
        joint = self.model.joint(
            videos, rows, text.expand(len(encodings), -1, -1), valid.expand(len(encodings), -1)
        )
        logits = self.model.match(joint[:, 0]).float()
        return (logits[:, 1] - logits[:, 0]).cpu().numpy().astype(np.float64)

    def _encodings(self, seen: Sequence[VideoInput], frames: FrameSource) -> list[Any]:
        """What words are compared with: frames and tags together, or without a matching head frames alone."""
        new = [one for one in dict.fromkeys(seen) if one not in self._cache]
        for first in range(0, len(new), BATCH):
            some = new[first : first + BATCH]
            self._cache |= zip(some, self._encode(some, frames), strict=True)
        found = [self._cache[one] for one in seen]
        for one in list(self._cache)[: max(len(self._cache) - MAX_CACHED, 0)]:
            del self._cache[one]
        return found

    def _encode(self, seen: Sequence[VideoInput], frames: FrameSource) -> list[Any]:
        import torch

        from tagline.table.data import pad_frames, used_length
        from tagline.table.model import EncodedVideos

        settings, device = self.model.settings, self.model.logit_scale.device
        read = [pad_frames(frames.read(one.key), settings.frames) for one in seen]
        pixels = torch.from_numpy(np.stack([one for one, _ in read])).to(device)
        valid = torch.from_numpy(np.stack([there for _, there in read])).to(device)
        if not self.matches:
            vectors = self.model.encode_frames(pixels)
            return [own[there].float().cpu().numpy() for own, there in zip(vectors, valid, strict=True)]
        tags = self.saved.tokenizer([one.tags for one in seen], settings.tag_length)
        if settings.tag_tokens == "eos":
            tags = tags[:, : used_length(tags)]
        tagged = torch.tensor([bool(one.tags) for one in seen], device=device)
        made = self.model.encode_videos(pixels, valid, tags.to(device), tagged)
        assert made.fused is not None
        rows = [slice(row, row + 1) for row in range(len(seen))]
        return [EncodedVideos(made.vectors[r], made.fused[r], made.valid[r], made.position_ids) for r in rows]


def late_interaction(words: npt.NDArray[Any], frames: npt.NDArray[Any]) -> float:
    """Late interaction: the mean over the words [M, D] of the best cosine with a frame [N, D]."""
    if not len(words) or not len(frames):
        return float("nan")
    a = words / np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)
    b = frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), 1e-9)
    return float((a @ b.T).max(axis=1).mean())


def blend(before: Floats, after: Floats, weight: float = WEIGHT) -> list[int]:
    """The order of the hits when both opinions count, each as its place.

    before: how likely the search holds each to be; after: the second look's scores, on any scale, of which
    only counts how far they are above or below the others'. Who was not looked at (NaN) is neither.
    """
    scored = np.isfinite(after)
    standardised = np.zeros_like(before)
    if scored.any():
        spread = after[scored].std()
        standardised[scored] = (after[scored] - after[scored].mean()) / (spread if spread > 0 else 1.0)
    mixed = np.log(np.maximum(before, 1e-9)) + weight * standardised
    return [int(place) for place in np.argsort(-mixed, kind="stable")]


def model_inputs(
    catalog: Catalog, saved: PretrainedTable, numbers: Sequence[int]
) -> tuple[Any, list[VideoInput], list[int]]:
    """The frames of these videos, what the model reads of them, and which could be read."""
    from tagline.table.frame_cache import FrameCache
    from tagline.table.rows import frame_key, tag_text

    settings = saved.model.settings
    cache = FrameCache(settings.frames, saved.model.image_size)
    seen: dict[str, tuple[int, VideoInput]] = {}
    work = []
    for number in numbers:
        video = catalog.video(number)
        if video is not None and video.paths:
            path = Path(video.paths[0])
            key = frame_key(video, path)
            seen[key] = (number, VideoInput(key, tag_text(catalog.tags(number), settings.tags)))
            work.append((key, path))
    good = {key for key, _, reason in cache.fill(work) if reason is None}
    readable = [pair for key, pair in seen.items() if key in good]
    return cache, [one for _, one in readable], [number for number, _ in readable]
