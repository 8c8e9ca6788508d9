"""The three losses of TABLE: contrastive, video-text matching (VTM), masked language modelling (MLM).

All logarithms are natural. The paper writes log in equations 1 and 2 and log₂ in 4 and 5; read literally
that would weigh VTM and MLM 1/ln 2 = 1.44 times, which the text nowhere means. `vtm_weight` and
`mlm_weight` of the training configuration can say so.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
