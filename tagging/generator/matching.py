"""Bipartite matching between order prompts and unordered tags (section 3.2.2 of OP-TSG)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NO_TAG = -1  # a prompt that is aligned with [PAD]


@torch.no_grad()
def match(prompts: Tensor, tags: Tensor, pad: Tensor) -> npt.NDArray[np.int64]:
    """Align every prompt with one tag or with [PAD], so that the summed cosine similarity is greatest.

    prompts: [N, D]; tags: [L, D]; pad: [D], the embedding of [PAD]. Returns for each prompt the number of
    its tag, or NO_TAG. Exactly min(N, L) prompts get a tag, each another one.
    """
    from scipy.optimize import linear_sum_assignment

    count = len(prompts)
    aligned = np.full(count, NO_TAG, np.int64)
    if count == 0 or len(tags) == 0:
        return aligned
    similarity = _unit(prompts) @ _unit(tags).T  # [N, L]
    padding = max(0, count - len(tags))
    to_pad = (_unit(prompts) @ _unit(pad))[:, None].expand(-1, padding)  # [N, N - L]
    gains = torch.cat([similarity, to_pad], dim=1).double().cpu().numpy()
    # A prompt that is not finite (an overflow in half precision) must not decide over the others.
    gains = np.nan_to_num(gains, nan=-1.0, posinf=1.0, neginf=-1.0)
    rows, columns = linear_sum_assignment(gains, maximize=True)
    meant = columns < len(tags)
    aligned[rows[meant]] = columns[meant]
    return aligned


def _unit(x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(x.float(), dim=-1)
