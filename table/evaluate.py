"""A trained model on a test set: embed everything once, then rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from tagline.table.data import Tokenizer, pad_frames, used_length
from tagline.table.frame_cache import FrameSource
from tagline.table.model import Table
from tagline.table.ranking import Evaluation, Product, evaluate
from tagline.table.rows import Row
from tagline.tagging.ml.distributed import world

Vectors = npt.NDArray[np.float32]

DUAL_SOFTMAX_TEMPERATURE = 100.0  # of the dual softmax


@torch.no_grad()
def embed_videos(
    model: Table, videos: Sequence[Row], frames: FrameSource, tokenizer: Tokenizer, *, batch: int = 32
) -> Vectors:
    """Unit vectors of videos with their tags: float32 [videos, D]."""
    device, config = model.logit_scale.device, model.settings
    found = [np.empty((0, model.text.output_dim), np.float32)]
    for first in range(0, len(videos), batch):
        part = videos[first : first + batch]
        pixels, valid = zip(*(pad_frames(frames.read(row.key), config.frames) for row in part), strict=True)
        tags = tokenizer([row.tags for row in part], config.tag_length)
        if config.tag_tokens == "eos":
            tags = tags[:, : used_length(tags)]
        with _autocast(model):
            seen = model.encode_videos(
                torch.from_numpy(np.stack(pixels)).to(device),
                torch.from_numpy(np.stack(valid)).to(device),
                tags.to(device),
                torch.tensor([bool(row.tags) for row in part], device=device),
            )
        found.append(seen.vectors.float().cpu().numpy())
    return np.concatenate(found)


@torch.no_grad()
def embed_texts(model: Table, texts: Sequence[str], tokenizer: Tokenizer, *, batch: int = 256) -> Vectors:
    """Unit vectors of sentences: float32 [texts, D]."""
    found = [np.empty((0, model.text.output_dim), np.float32)]
    for first in range(0, len(texts), batch):
        ids = tokenizer(texts[first : first + batch], model.settings.text_length)
        ids = ids[:, : used_length(ids)]
        with _autocast(model):
            found.append(model.encode_texts(ids.to(model.logit_scale.device)).float().cpu().numpy())
    return np.concatenate(found)


def evaluate_model(
    model: Table,
    tested: Sequence[Row],
    frames: FrameSource,
    tokenizer: Tokenizer,
    *,
    temperature: float | None = DUAL_SOFTMAX_TEMPERATURE,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Every figure of the model on these videos and all their texts.

    With several processes each embeds its share; all of them get the whole result.
    """
    was_training = model.training
    model.eval()
    rank, ranks = world()
    mine = range(rank, len(tested), ranks)
    videos = embed_videos(model, [tested[i] for i in mine], frames, tokenizer)
    texts = embed_texts(model, [text for i in mine for text in tested[i].texts], tokenizer)
    of = np.array([i for i in mine for _ in tested[i].texts], dtype=np.int64)
    model.train(was_training)

    order = np.array(list(mine), dtype=np.int64)
    if ranks > 1:
        parts: list[Any] = [None] * ranks
        dist.all_gather_object(parts, (order, videos, texts, of))
        order, videos, texts, of = (np.concatenate(part) for part in zip(*parts, strict=True))
    whole = np.empty_like(videos)
    whole[order] = videos
    by_video = np.argsort(of, kind="stable")  # the same order of texts however many processes there were
    return evaluate(
        Product(texts[by_video], whole),
        of[by_video],
        temperature=temperature,
        resamples=resamples,
        seed=seed,
    )


def _autocast(model: Table) -> Any:
    """Half precision where a GPU can; its vectors are compared in full precision."""
    device = model.logit_scale.device.type
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda" and torch.cuda.is_bf16_supported())
