"""TABLE's losses: contrastive, matching (VTM) on hard negatives, masked language modelling (MLM)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Ids = npt.NDArray[np.int64]

CHOSEN, AS_MASK, AS_RANDOM = 0.15, 0.8, 0.1  # the rest of the chosen words is shown as it is
IGNORE_INDEX = -100


def mask_words(ids: Ids, words: int, rng: np.random.Generator) -> tuple[Ids, npt.NDArray[np.bool_], Ids]:
    """One text: int [M], of a vocabulary whose ids below `words` are words (above: [SOS], [EOS]).

    Returns what is shown, int [M]; where it shows [MASK], bool [M]; the right word where one is asked
    for, else -100, int [M]. [SOS], [EOS] and padding are never touched.
    """
    end = int(ids.argmax())
    place = np.arange(len(ids))
    inside = (place > 0) & (place < end)
    # Both are drawn for every place, so that a text's draw does not depend on what was chosen before.
    chosen = (rng.random(len(ids)) < CHOSEN) & inside
    how = rng.random(len(ids))
    random = rng.integers(0, words, len(ids))
    masked = chosen & (how < AS_MASK)
    swapped = chosen & (how >= AS_MASK) & (how < AS_MASK + AS_RANDOM)
    return np.where(swapped, random, ids), masked, np.where(chosen, ids, IGNORE_INDEX)


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


def contrastive(logits: Tensor, video_of_text: Tensor) -> Tensor:
    """Equations 1 to 3: each text against all videos, each video against all texts; the mean of both.

    logits: similarity / τ, [T, V], rows are texts; video_of_text: int [T]. With one text to a video these
    are the paper's equations. With several, every pair of a text and its video is a positive of its own;
    the video's other texts are left out of that pair's sum: they are right answers, not wrong ones.
    """
    texts = torch.arange(len(logits), device=logits.device)
    positive = logits[texts, video_of_text]  # [T]
    t2v = (logits.logsumexp(1) - positive).mean()

    theirs = F.one_hot(video_of_text, logits.shape[1]).bool()  # [T, V]: texts of each video
    others = logits.masked_fill(theirs, float("-inf")).logsumexp(0)  # [V]: all wrong texts of each video
    v2t = (torch.logaddexp(positive, others[video_of_text]) - positive).mean()
    return (t2v + v2t) / 2


def matching(logits: Tensor, matches: Tensor) -> Tensor:
    """Equation 4, each pair's term: logits [O, 2], matches bool [O]; returns [O]."""
    return F.cross_entropy(logits, matches.long(), reduction="none")


def masked_words(logits: Tensor, words: Tensor) -> Tensor:
    """Equation 5, each masked word's term: logits [M, vocabulary], words int [M]; returns [M].

    The mean is taken over masked words: a text may have several, or none.
    """
    return F.cross_entropy(logits, words, reduction="none")
