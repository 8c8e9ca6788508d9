"""OP-TSG's two losses as plain functions: prompt-tag contrast (eq. 4, 5), generation (eq. 8, 9)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tagline.tagging.gathering import mean_of_all
from tagline.tagging.generator.layers import IGNORE


def prompt_tag_contrast(
    prompts: Tensor, tags: Tensor, tag_of: Tensor, prompt_of: Tensor, temperature: Tensor
) -> Tensor:
    """InfoNCE both ways between prompts and the tags that they were matched with.

    prompts: [P, D], all prompts of the batch; tags: [K, D], one row for each tag of each video;
    `prompt_of`: [K], the prompt matched with each row; `tag_of`: [K], the identity of its text, so that the
    same tag in two videos (and the prompts matched with it) is no negative. Both sides are normalised.
    Prompts aligned with [PAD] are negatives for tags and never positives. Zero, with a gradient path, if
    there are no tags.
    """
    if len(tags) == 0:
        return (prompts.sum() + temperature) * 0.0
    # In half precision cosines divided by a temperature of 0.01 would be off by a tenth and more.
    with torch.autocast(prompts.device.type, enabled=False):
        logits = _unit(tags) @ _unit(prompts).T / temperature  # [K, P]
    rows = torch.arange(len(tags), device=tags.device)
    twins = tag_of[:, None] == tag_of[None, :]  # [K, K]
    twins[rows, rows] = False

    matched = logits[:, prompt_of]  # [K, K]: tag k against the prompt of tag k'
    # tag to prompt: all prompts of the batch but those of the tag's twins
    is_twin = torch.zeros_like(logits, dtype=torch.bool)
    is_twin[:, prompt_of] = twins
    tag_to_prompt = F.cross_entropy(logits.masked_fill(is_twin, float("-inf")), prompt_of)
    # prompt to tag: all tags of the batch but the twins
    prompt_to_tag = F.cross_entropy(matched.T.masked_fill(twins, float("-inf")), rows)
    return (tag_to_prompt + prompt_to_tag) / 2


def generation(logps: Tensor, targets: Tensor, pad_word: int, pad_weight: float) -> Tensor:
    """Cross-entropy over words in which the word [PAD] counts `pad_weight` and every other word 1.

    targets: [B, S], IGNORE beyond the end of a sequence; logps: [M], log-probabilities of those that are
    words. The paper sums over words and videos; the mean over words is the same up to a factor that Adam
    does not see, and does not grow with the batch. With several processes it is the mean over the words of
    all of them.
    """
    words = targets[targets != IGNORE]
    weights = torch.where(words == pad_word, pad_weight, 1.0)
    return mean_of_all(-(logps * weights).sum(), len(words))


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x if x.dtype == torch.float64 else x.float(), dim=-1)
