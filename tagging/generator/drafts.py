"""Drafts: what the prompts, and the last look at a draft, suggest that the decoder will write."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tagline.tagging.generator.model import Tagger


class Drafter:
    """Guesses the tag of every prompt of a batch: first the one that lies nearest, or none if none is near.

    One pass over a draft says more: what the decoder would write at the beginning of each later tag, given
    the draft before it. That is mostly what it will write in the end, so the next draft begins with it.
    A draft only has to be right often; it never decides what is written.
    """

    def __init__(self, tagger: Tagger, prompts: Tensor) -> None:
        """prompts: [B, N, tag_width], in the order in which the decoder sees them."""
        self.words = tagger.tokenizer
        self.tag_words = tagger.targets.tag_words
        meant = tagger.labelled_prompts(prompts)
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
        # By row and piece: the words with which the decoder would begin it, and whether they are all.
        self.predicted: dict[tuple[int, int], tuple[list[int], bool]] = {}
        self.by_first: dict[int, list[int]] = defaultdict(list)
        for number, words in enumerate(self.tag_words):
            if words:
                self.by_first[words[0]].append(number)

    def propose(self, row: int, so_far: list[int]) -> list[int]:
        """The words that may follow `so_far`, up to the end of the sequence."""
        pieces = self.split_tags(so_far)
        used = {tuple(piece) for piece in pieces[:-1]}
        draft: list[int] = []
        first = len(pieces) - 1
        for piece, prompt in enumerate(self.prompts[row][first:], start=first):
            begun = pieces[-1] if piece == first else []
            tag = self._tag(row, piece, prompt, begun, used)
            used.add((*begun, *tag))
            draft += tag if piece == first else [self.words.comma, *tag]
        return [*draft, self.words.end]

    def update(self, row: int, so_far: list[int], draft: list[int], predicted_words: list[int]) -> None:
        """said: what the decoder would write after `so_far` and after each word of the draft."""
        comma, piece = self.words.comma, so_far.count(self.words.comma)
        before = [so_far[-1] if so_far else comma, *draft]  # the word before each that was said
        for step, word in enumerate(before):
            piece += step > 0 and word == comma
            if word == comma:
                self.predicted[row, piece] = self._tag_begin(draft[step:], predicted_words[step:])

    def _tag_begin(self, draft: list[int], predicted_words: list[int]) -> tuple[list[int], bool]:
        """The beginning of a tag as far as the draft went along with it, and one word more."""
        ends = (self.words.comma, self.words.end)
        begin: list[int] = []
        for word, guess in zip(predicted_words, [*draft, -1], strict=False):
            if word in ends:
                return begin, True
            begin.append(word)
            if word != guess:
                break
        return begin, begin == [self.words.pad]

    def split_tags(self, so_far: list[int]) -> list[list[int]]:
        """The tags and [PAD]s of a sequence, as word numbers."""
        pieces: list[list[int]] = [[]]
        for word in so_far:
            if word == self.words.comma:
                pieces.append([])
            else:
                pieces[-1].append(word)
        return pieces

    def _tag(
        self, row: int, piece: int, prompt: int, begun: list[int], used: set[tuple[int, ...]]
    ) -> list[int]:
        """What follows `begun`: as heard, or the nearest tag that was not written yet, or [PAD]."""
        heard, whole = self.predicted.get((row, piece), ([], False))
        if heard[: len(begun)] == begun and (len(heard) > len(begun) or whole):
            return heard[len(begun) :] + ([] if whole else self._rest(row, prompt, heard, used))
        if begun:
            return [] if begun == [self.words.pad] else self._rest(row, prompt, begun, used)
        if self.near and self.near[row][prompt] >= self.thresholds[prompt]:
            for number in self.nearest[row][prompt]:
                if tuple(self.tag_words[number]) not in used:
                    return self.tag_words[number]
        return [self.words.pad]

    def _rest(self, row: int, prompt: int, begun: list[int], used: set[tuple[int, ...]]) -> list[int]:
        """The rest of the nearest tag that begins so."""
        fitting = [n for n in self.by_first.get(begun[0], ()) if self.tag_words[n][: len(begun)] == begun]
        fitting = [n for n in fitting if tuple(self.tag_words[n]) not in used]
        if not fitting:
            return []
        similarity = self.similarity[row, prompt]
        return self.tag_words[max(fitting, key=lambda n: float(similarity[n]))][len(begun) :]
