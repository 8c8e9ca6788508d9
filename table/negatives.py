"""Hard negatives for VTM: wrong partners that the model finds similar, drawn from the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Negatives:
    """For each text of the batch, a text that is wrong for its video and a video that is wrong for it.

    There may be none (a batch of one video); then `has_text` or `has_video` is False and the index means
    nothing.
    """

    text: Tensor  # int [T]
    has_text: Tensor  # bool [T]
    video: Tensor  # int [T]
    has_video: Tensor  # bool [T]


@torch.no_grad()
def draw_negatives(logits: Tensor, video_of_text: Tensor, ids: Tensor, seed: int) -> Negatives:
    """Draw them with the chances of a softmax over the batch's similarities.

    logits: similarity / τ, [T, V], rows are texts; ids: the texts' tokens, int [T, M]. Never drawn: the
    right one, another text of the same video, and a text that says the same, word for word: it is as
    right as the right one, and so is its video.

    seed: of this batch. It alone decides the draw, so that one process and several make the same one.
    """
    own = video_of_text[:, None] == torch.arange(logits.shape[1], device=logits.device)  # [T, V]
    same = (ids[:, None, :] == ids[None, :, :]).all(-1)  # [T, T]: says the same
    right = (same.float() @ own.float()) > 0  # [T, V]: this text is true of this video

    # For the video of each text: every text's similarity to it. [T, T]
    of_video = logits.T[video_of_text]
    wrong_texts = ~right.T[video_of_text]
    text, has_text = _draw_column(of_video, wrong_texts, seed)
    video, has_video = _draw_column(logits, ~right, seed + 1)
    return Negatives(text, has_text, video, has_video)


def _draw_column(logits: Tensor, allowed: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """One column of each row, by softmax over what is allowed: the greatest of logits plus Gumbel noise."""
    # From the CPU's generator: a device has another sequence, and fewer devices would have another order.
    noise = torch.rand(logits.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    gumbel = -torch.log(-torch.log(noise.clamp(1e-12, 1 - 1e-12)))
    scored = logits.double() + gumbel.to(logits.device)
    return scored.masked_fill(~allowed, float("-inf")).argmax(1), allowed.any(1)
