"""Looking again: the joint encoder reads the query together with each of the best videos.

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

from retrieval.hits import Hit

if TYPE_CHECKING:
    from table.frames import FrameSource
    from table.saving import Saved
    from tagging.catalog import Catalog

Floats = npt.NDArray[np.float64]

SHARE = 0.5  # of the new opinion in the order; the rest stays with the search
MOST = 50  # hits that are looked at again


class CannotRerank(Exception):
    """There is no model here that could look again. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One video as the model takes it."""

    key: str  # of its frames
    tags: str  # as table.batches.tag_text writes them


def rerank(catalog: Catalog, query: str, hits: Sequence[Hit]) -> list[Hit]:
    """The same hits, in the order that search and model find together. Raises CannotRerank."""
    saved = model_of(catalog)
    looked = list(hits[:MOST])
    frames, seen, good = frames_of(catalog, saved, [hit.video.id for hit in looked])
    if not good:
        return list(hits)
    scores = dict(zip(good, scores_of(saved, query, seen, frames).tolist(), strict=True))
    order = blend(
        np.array([hit.score for hit in looked]),
        np.array([scores.get(hit.video.id, np.nan) for hit in looked]),
    )
    # Scores stay a falling list: each place keeps the score that it had.
    placed = [
        replace(looked[place], score=hit.score, probability=hit.probability)
        for place, hit in zip(order, looked, strict=True)
    ]
    return [*placed, *hits[MOST:]]


def model_of(catalog: Catalog) -> Saved:
    """The TABLE model that embedded the library. Raises CannotRerank."""
    from retrieval.embed import EncoderMissing
    from retrieval.embed import model_of as load
    from retrieval.embedders import TABLE, Aligned, Choice

    choice = Choice.of_catalog(catalog)
    if choice is None or choice.kind != TABLE:
        raise CannotRerank(
            "only a trained model can look again: `tagline train table --data FOLDER`, "
            "then `tagline index --model`"
        )
    try:
        model = load(choice)
    except EncoderMissing as missing:
        raise CannotRerank(str(missing)) from missing
    assert isinstance(model, Aligned)
    return model.saved


def scores_of(saved: Saved, query: str, seen: Sequence[Seen], frames: FrameSource) -> Floats:
    """How well the query fits each video [videos], higher is better; comparable within one query only."""
    model = saved.model
    if model.match is not None and model.guide is not None:
        return matching(saved, query, seen, frames)
    return late(saved, query, seen, frames)


def matching(saved: Saved, query: str, seen: Sequence[Seen], frames: FrameSource) -> Floats:
    """The matching head's logits, match minus no match: [videos]."""
    import torch

    from table.model import spoken

    model, settings = saved.model, saved.model.settings
    assert model.match is not None
    with torch.inference_mode():
        ids = saved.tokenizer([query], settings.text_length).to(model.logit_scale.device)
        tokens, eos = model.read(ids)
        text, valid = tokens, spoken(ids)
        if settings.vtm_text == "eos":  # what it learnt from
            text, valid = eos[:, None], valid[:, :1]
        found = []
        for some in _batches(seen):
            videos = _videos(saved, some, frames)
            rows = torch.arange(len(some), device=ids.device)
            joint = model.joint(videos, rows, text.expand(len(some), -1, -1), valid.expand(len(some), -1))
            logits = model.match(joint[:, 0]).float()
            found.append((logits[:, 1] - logits[:, 0]).cpu().numpy())
    return np.concatenate(found).astype(np.float64)


def late(saved: Saved, query: str, seen: Sequence[Seen], frames: FrameSource) -> Floats:
    """Each word against the frame that is nearest to it, mean over the words: [videos]."""
    import torch

    from table.batches import padded
    from table.model import spoken

    model, settings = saved.model, saved.model.settings
    with torch.inference_mode():
        ids = saved.tokenizer([query], settings.text_length).to(model.logit_scale.device)
        tokens, _ = model.read(ids)
        words = tokens[0][spoken(ids)[0]][1:].float().cpu().numpy()  # without [SOS]
        found = []
        for one in seen:
            pixels, valid = padded(frames.read(one.key), settings.frames)
            given = torch.from_numpy(pixels[valid]).to(ids.device)[None]
            found.append(interaction(words, model.see(given)[0].float().cpu().numpy()))
    return np.array(found)


def interaction(words: npt.NDArray[Any], frames: npt.NDArray[Any]) -> float:
    """Late interaction: the mean over the words [M, D] of the best cosine with a frame [N, D]."""
    if not len(words) or not len(frames):
        return float("nan")
    a = words / np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)
    b = frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), 1e-9)
    return float((a @ b.T).max(axis=1).mean())


def blend(before: Floats, after: Floats, share: float = SHARE) -> list[int]:
    """The order of the hits when both opinions count, each as places; who was not looked at keeps its own."""
    from retrieval.fusion import places

    old = places(before)
    looked = np.isfinite(after)
    new = old.copy()
    if looked.any():
        # The places that the ones that were looked at held are given out anew among them.
        held = np.sort(old[looked])
        new[looked] = held[np.argsort(np.argsort(-after[looked], kind="stable"), kind="stable")]
    mixed = (1 - share) / old + share / new
    return [int(place) for place in np.argsort(-mixed, kind="stable")]


def frames_of(catalog: Catalog, saved: Saved, numbers: Sequence[int]) -> tuple[Any, list[Seen], list[int]]:
    """The frames of these videos, what the model reads of them, and which could be read."""
    from table.batches import frame_key, tag_text
    from table.frames import FrameCache

    settings = saved.model.settings
    cache = FrameCache(settings.frames, saved.model.image_size)
    seen: dict[str, tuple[int, Seen]] = {}
    work = []
    for number in numbers:
        video = catalog.video(number)
        if video is not None and video.paths:
            path = Path(video.paths[0])
            key = frame_key(video, path)
            seen[key] = (number, Seen(key, tag_text(catalog.tags(number), settings.tags)))
            work.append((key, path))
    good = {key for key, _, reason in cache.fill(work) if reason is None}
    kept = [pair for key, pair in seen.items() if key in good]
    return cache, [one for _, one in kept], [number for number, _ in kept]


def _videos(saved: Saved, seen: Sequence[Seen], frames: FrameSource) -> Any:
    import torch

    from table.batches import longest, padded

    model, settings = saved.model, saved.model.settings
    device = model.logit_scale.device
    pixels, valid = zip(*(padded(frames.read(one.key), settings.frames) for one in seen), strict=True)
    tags = saved.tokenizer([one.tags for one in seen], settings.tag_length)
    if settings.tag_tokens == "eos":
        tags = tags[:, : longest(tags)]
    return model.videos(
        torch.from_numpy(np.stack(pixels)).to(device),
        torch.from_numpy(np.stack(valid)).to(device),
        tags.to(device),
        torch.tensor([bool(one.tags) for one in seen], device=device),
    )


def _batches(seen: Sequence[Seen], size: int = 16) -> list[Sequence[Seen]]:
    return [seen[first : first + size] for first in range(0, len(seen), size)]
