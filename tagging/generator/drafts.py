"""Drafts: what the prompts alone suggest that the decoder will write."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from tagging.generator.model import Tagger


class Drafter:
    """Knows for every prompt of a batch which tag lies nearest, or that none lies near enough.

    A draft only has to be right often; it never decides what is written.
    """

    def __init__(self, tagger: Tagger, prompts: Tensor) -> None:
        """prompts: [B, N, tag_width], in the order in which the decoder sees them."""
        self.words = tagger.words
        self.tag_words = tagger.targets.tag_words
        meant = tagger.meant(prompts)
        every = list(range(prompts.shape[1]))
        # Which prompts the decoder sees, in its order.
        self.prompts = [
            every if meant is None else meant[row].nonzero()[:, 0].tolist() for row in range(len(prompts))
        ]
        unit = torch.nn.functional.normalize
        similarity = unit(prompts, dim=-1) @ unit(tagger.tag_vectors[:-1], dim=-1).T  # [B, N, K]
        self.similarity = similarity.float().cpu()
        # One more than there are prompts: all the others may have used up the nearer ones.
        ordered = self.similarity.topk(min(len(every) + 1, similarity.shape[-1]), dim=-1)
        self.nearest: list[list[list[int]]] = ordered.indices.tolist()
        self.near: list[list[float]] = ordered.values[..., 0].tolist() if similarity.shape[-1] else []
        self.thresholds: list[float] = tagger.draft_threshold[: len(every)].tolist()
        self.by_first: dict[int, list[int]] = defaultdict(list)
        for number, words in enumerate(self.tag_words):
            if words:
                self.by_first[words[0]].append(number)

    def propose(self, row: int, so_far: list[int]) -> list[int]:
        """The words that may follow `so_far`, up to the end of the sequence."""
        pieces = self.pieces(so_far)
        used = {tuple(piece) for piece in pieces[:-1]}
        draft: list[int] = []
        remaining = self.prompts[row][len(pieces) - 1 :]
        if remaining:
            draft += self._complete(row, remaining[0], pieces[-1], used)
        for prompt in remaining[1:]:
            tag = self._tag(row, prompt, used)
            used.add(tuple(tag))
            draft += [self.words.comma, *tag]
        return [*draft, self.words.end]

    def pieces(self, so_far: list[int]) -> list[list[int]]:
        """The tags and [PAD]s of a sequence, as word numbers."""
        pieces: list[list[int]] = [[]]
        for word in so_far:
            if word == self.words.comma:
                pieces.append([])
            else:
                pieces[-1].append(word)
        return pieces

    def _tag(self, row: int, prompt: int, used: set[tuple[int, ...]]) -> list[int]:
        """The nearest tag that was not written yet, or [PAD]."""
        if self.near and self.near[row][prompt] >= self.thresholds[prompt]:
            for number in self.nearest[row][prompt]:
                if tuple(self.tag_words[number]) not in used:
                    return self.tag_words[number]
        return [self.words.pad]

    def _complete(self, row: int, prompt: int, begun: list[int], used: set[tuple[int, ...]]) -> list[int]:
        """The rest of the tag that this prompt has begun."""
        if not begun:
            tag = self._tag(row, prompt, used)
            used.add(tuple(tag))
            return tag
        if begun == [self.words.pad]:
            return []
        fitting = [n for n in self.by_first.get(begun[0], ()) if self.tag_words[n][: len(begun)] == begun]
        fitting = [n for n in fitting if tuple(self.tag_words[n]) not in used]
        if not fitting:
            return []
        similarity = self.similarity[row, prompt]
        best = self.tag_words[max(fitting, key=lambda n: float(similarity[n]))]
        used.add(tuple(best))
        return best[len(begun) :]
