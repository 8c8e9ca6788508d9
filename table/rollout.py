"""Attention rollout (Abnar & Zuidema): which frames and patches a video's tags, or a query's words, look at.

The paper's Figure 3. Without a text the question is asked by the tags, in the tag-guiding encoder; with a
text by its words, in the joint encoder, which reads what the tag-guiding encoder made of the frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tagline.table.data import Tokenizer, pad_frames
from tagline.table.frame_cache import Frames
from tagline.table.model import Table, token_mask
from tagline.tagging.ml.config import BadConfig

Heat = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where attention ends up. Shares: frames sum to 1, and so do the patches of each frame."""

    frames: Heat  # [N]
    patches: Heat  # [N, rows, columns]
    queried_by: str  # "tags", "frames", or the words that asked


@torch.no_grad()
def rollout(
    model: Table,
    frames: Frames,
    tokenizer: Tokenizer,
    *,
    tags: str = "",
    text: str | None = None,
    word: str | None = None,
) -> Rollout:
    """Follow the attention of one video.

    frames: uint8 [T, 3, S, S]; tags: as `batches.tag_text` writes them; text: a query; word: one word of
    it, by default all of them together.
    """
    if model.guide is None or model.settings.residual == "frame":
        raise BadConfig("this model has no tag-guiding encoder whose attention could be shown")
    settings, device = model.settings, model.logit_scale.device
    model.eval()
    pixels, valid = pad_frames(frames, settings.frames)
    count = int(valid.sum())
    pictures = torch.from_numpy(pixels[:count]).to(device)[None]
    ids = tokenizer([tags], settings.tag_length).to(device)

    with _attention(model.visual) as seen, _attention(model.guide) as guided:
        videos = model.encode_videos(pictures, None, ids, torch.tensor([bool(tags)], device=device))
        whole = _roll(guided)[0]  # [L, L]
        if text is None:
            sources = list(range(count, whole.shape[0])) if tags and settings.tag_positions else []
            queried_by = "tags" if sources else "frames"
            over_frames = whole[sources or list(range(count)), :count].mean(0)
        else:
            guided.clear()
            places, queried_by = _word_positions(tokenizer, text, word, settings.text_length)
            over_frames = _from_words(model, tokenizer, videos, text, places, guided, whole)[:count]
    patches = _roll(seen)[:, 0, 1:]  # what [CLS] took from each patch: [N, P]
    side = round(patches.shape[1] ** 0.5)
    return Rollout(
        _shares(over_frames).cpu().numpy(),
        _shares(patches).reshape(count, side, side).cpu().numpy(),
        queried_by,
    )


def _from_words(
    model: Table,
    tokenizer: Tokenizer,
    videos: Any,
    text: str,
    places: list[int],
    guided: list[Tensor],
    whole: Tensor,
) -> Tensor:
    """From words through the joint encoder to g, and from g through the TG encoder to frames and tags."""
    if not model.settings.text_positions:
        raise BadConfig("this model was built without VTM and MLM, so its encoder reads no text")
    ids = tokenizer([text], model.settings.text_length).to(model.logit_scale.device)
    tokens, eos = model.encode_tokens(ids)
    length = int(token_mask(ids).sum())
    if model.settings.text_positions == 1:  # it learned from whole texts only
        tokens, length, places = eos[:, None], 1, [0]
    model.joint(videos, torch.zeros(1, dtype=torch.long), tokens[:, :length], token_mask(ids)[:, :length])
    joint = _roll(guided)[0]
    read = whole.shape[0]
    return joint[[read + place for place in places], :read].mean(0) @ whole


def _word_positions(tokenizer: Tokenizer, text: str, word: str | None, length: int) -> tuple[list[int], str]:
    """The places of a word's pieces among the text's tokens; of all words, if none is named."""
    ids = tokenizer([text], length)[0].tolist()
    end = int(np.argmax(ids))
    if word is None:
        return list(range(1, end)) or [end], text
    pieces = [i for i in tokenizer([word], length)[0].tolist() if 0 < i < tokenizer.words]
    for start in range(1, end - len(pieces) + 1):
        if pieces and ids[start : start + len(pieces)] == pieces:
            return list(range(start, start + len(pieces))), word
    raise BadConfig(f"the word {word!r} is not in the query {text!r}, or it was cut off")


@contextmanager
def _attention(part: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the attention of each block of a part, mean over heads, [B, L, L], in the order of blocks."""
    found: list[Tensor] = []
    hooks = []
    for module in part.modules():
        if isinstance(module, nn.MultiheadAttention):
            hooks.append(module.register_forward_pre_hook(_want_weights, with_kwargs=True))
            hooks.append(module.register_forward_hook(lambda _m, _i, out: found.append(out[1])))
    if not hooks:
        raise BadConfig("the attention of this architecture cannot be read; name a plain ViT")
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _want_weights(module: nn.Module, inputs: Any, keywords: dict[str, Any]) -> Any:
    # The fast kernels do not give the weights away, so they are asked for here only.
    return inputs, {**keywords, "need_weights": True, "average_attn_weights": True}


def _roll(attention: list[Tensor]) -> Tensor:
    """Half attention, half residual connection, multiplied up from the first block: [B, L, L]."""
    length = attention[0].shape[-1]
    rolled = torch.eye(length, device=attention[0].device).expand_as(attention[0])
    for weights in attention:
        mixed = 0.5 * weights.float() + 0.5 * torch.eye(length, device=weights.device)
        rolled = mixed / mixed.sum(-1, keepdim=True) @ rolled
    return rolled


def _shares(heat: Tensor) -> Tensor:
    return heat / heat.sum(-1, keepdim=True)


# -- as a picture ------------------------------------------------------------------------------------


def draw_strip(found: Rollout, frames: Frames, path: Path) -> None:
    """A PNG strip: the frames side by side, patches that matter brighter, and a bar of redness below.

    frames: uint8 [T, 3, S, S], those that the rollout was made of.
    """
    from PIL import Image

    count, _, side, _ = frames[: len(found.frames)].shape
    bar = max(side // 12, 4)
    strip = np.zeros((side + bar, count * side, 3), np.uint8)
    reddest = found.frames.max()
    for i in range(count):
        heat = found.patches[i] / found.patches[i].max()
        smooth = Image.fromarray((255 * heat).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        brightness = 0.25 + 0.75 * np.asarray(smooth, np.float32)[..., None] / 255
        columns = slice(i * side, (i + 1) * side)
        strip[:side, columns] = (frames[i].transpose(1, 2, 0) * brightness).astype(np.uint8)
        rest = int(235 * (1 - found.frames[i] / reddest))
        strip[side:, columns] = (235, rest, rest)
    Image.fromarray(strip).save(path, format="PNG")
