"""OP-TSG's two losses as plain functions: prompt-tag contrast (eq. 4, 5), generation (eq. 8, 9)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100


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
        return prompts.sum() * 0.0
    logits = F.normalize(tags, dim=-1) @ F.normalize(prompts, dim=-1).T / temperature  # [K, P]
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


def generation(logits: Tensor, targets: Tensor, pad_word: int, pad_weight: float) -> Tensor:
    """Cross-entropy over words in which the word [PAD] counts `pad_weight` and every other word 1.

    logits: [B, S, V]; targets: [B, S], IGNORE beyond the end of a sequence. The paper sums over words and
    videos; the mean over words is the same up to a factor that Adam does not see, and does not grow with the
    batch.
    """
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="none")
    weights = torch.where(targets.flatten() == pad_word, pad_weight, 1.0)
    counted = (targets.flatten() != IGNORE).float()
    return (loss * weights * counted).sum() / counted.sum().clamp(min=1.0)
