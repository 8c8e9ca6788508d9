"""Bipartite matching between order prompts and unordered tags (section 3.2.2 of OP-TSG)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NO_TAG = -1  # a prompt that is aligned with [PAD]

Aligned = npt.NDArray[np.int64]


@torch.no_grad()
def match(prompts: Tensor, tags: Tensor, pad: Tensor) -> Aligned:
    """Align every prompt with one tag or with [PAD], so that the summed cosine similarity is greatest.

    prompts: [N, D]; tags: [L, D]; pad: [D], the embedding of [PAD]. Returns for each prompt the number of
    its tag, or NO_TAG. Exactly min(N, L) prompts get a tag, each another one.
    """
    return match_all(prompts[None], tags[None], pad, [len(tags)])[0]


@torch.no_grad()
def match_all(prompts: Tensor, tags: Tensor, pad: Tensor, counts: list[int]) -> Aligned:
    """`match` for a batch: prompts [B, N, D]; tags [B, L, D], of which row b has the first counts[b].

    Returns int64 [B, N]. The similarities leave the device once.
    """
    rows, count = prompts.shape[:2]
    aligned = np.full((rows, count), NO_TAG, np.int64)
    if count == 0 or tags.shape[1] == 0:
        return aligned
    near = _normalised_rows(prompts)
    similarity = _finite(near @ _normalised_rows(tags).transpose(1, 2))  # [B, N, L]
    to_pad = _finite(near @ _normalised_rows(pad))  # [B, N]
    for row, own in enumerate(counts):
        aligned[row] = _assign(similarity[row, :, :own], to_pad[row])
    return aligned


def _assign(similarity: npt.NDArray[np.float64], to_pad: npt.NDArray[np.float64]) -> Aligned:
    """The best alignment of one video, from similarity [N, L] to tags and [N] to [PAD].

    With more prompts than tags, the prompts left over gain their similarity to [PAD], whichever of the
    equal [PAD]s they get. So what counts of a tag is what it gains over [PAD], and L columns are enough.
    """
    from scipy.optimize import linear_sum_assignment

    prompts, tags = similarity.shape
    aligned = np.full(prompts, NO_TAG, np.int64)
    gains = similarity - to_pad[:, None] if prompts > tags else similarity
    rows, columns = linear_sum_assignment(gains, maximize=True)
    aligned[rows] = columns
    return aligned


def _finite(gains: Tensor) -> npt.NDArray[np.float64]:
    # A prompt that is not finite (an overflow in half precision) must not decide over the others.
    return np.nan_to_num(gains.double().cpu().numpy(), nan=-1.0, posinf=1.0, neginf=-1.0)


def _normalised_rows(x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(x.float(), dim=-1)
