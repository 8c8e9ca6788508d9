"""Writing tags word by word: greedy, drafted (the same words in a fraction of the passes), and beam search.

The three are interchangeable: `Greedy()(tagger, seen)`, `Drafted()(tagger, seen)`, `Beam(4)(tagger, seen)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from tagging.generator.drafts import Drafter
from tagging.generator.layers import Cache
from tagging.generator.model import Seen, Tagger


@dataclass(slots=True)
class Written:
    """What was written for a batch: words with their log-probabilities, the end not included."""

    words: list[list[int]]
    logps: list[list[float]]
    passes: int  # runs of the decoder
    margins: list[float] = field(default_factory=list)  # smallest lead of a chosen word over the next, a row


class Decoding(Protocol):
    def __call__(self, tagger: Tagger, seen: Seen) -> Written: ...


class _Rows:
    """The rows of a batch that are still being written, with their memory and cache."""

    def __init__(self, tagger: Tagger, seen: Seen) -> None:
        memory, self.mask = tagger.memory(seen, kept=tagger.meant(seen.prompts))
        self.decoder = tagger.decoder
        self.memory = self.decoder.memory(memory)
        self.cache: Cache = self.decoder.cache(len(memory), memory)
        self.numbers = list(range(len(memory)))  # which row of the batch each of ours is

    def logits(self, words: Tensor, places: Tensor) -> Tensor:
        return self.decoder(words, places, self.memory, self.mask, self.cache)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone, so that a finished row costs nothing."""
        if list(rows) == list(range(len(self.numbers))):
            return
        index = torch.tensor(list(rows), dtype=torch.long, device=self.mask.device)
        self.cache.select(index)
        self.memory = [(keys[index], values[index]) for keys, values in self.memory]
        self.mask = self.mask[index]
        self.numbers = [self.numbers[row] for row in rows]


class Greedy:
    """The likeliest word each time, one pass a word, with cached keys and values."""

    @torch.no_grad()
    def __call__(self, tagger: Tagger, seen: Seen) -> Written:
        rows = _Rows(tagger, seen)
        count, words = len(rows.numbers), tagger.words
        written = Written([[] for _ in range(count)], [[] for _ in range(count)], 0, [float("inf")] * count)
        last = torch.full((count, 1), words.start, device=rows.mask.device)
        for place in range(tagger.config.target_words):
            logps = rows.logits(last, torch.full_like(last, place))[:, -1].float().log_softmax(-1)
            written.passes += 1
            best = logps.topk(2)
            going = []
            for row, number in enumerate(rows.numbers):
                _note(written, number, best.values[row], int(best.indices[row, 0]), words.end)
                if int(best.indices[row, 0]) != words.end:
                    going.append(row)
            if not going:
                break
            last = best.indices[going, :1]
            rows.keep(going)
        return written


class Drafted:
    """Greedy decoding's own words, several a pass.

    The prompts know their tags: the nearest tag of each is a draft of all that remains. One pass over the
    draft shows what greedy decoding would have written after each of its words; the draft is kept as far as
    it agrees, the first word that differs is put right, and the rest is drafted again.
    """

    def __init__(self, most: int = 32) -> None:
        self.most = most  # words of draft in one pass; more are seldom right and always cost

    @torch.no_grad()
    def __call__(self, tagger: Tagger, seen: Seen) -> Written:
        rows = _Rows(tagger, seen)
        drafter = Drafter(tagger, seen.prompts)
        count, words = len(rows.numbers), tagger.words
        written = Written([[] for _ in range(count)], [[] for _ in range(count)], 0, [float("inf")] * count)
        while rows.numbers:
            drafts = []
            for number in rows.numbers:
                so_far = written.words[number]
                room = tagger.config.target_words - len(so_far) - 1
                drafts.append(drafter.propose(number, so_far)[: min(self.most, room)])
            given, places = self._given(rows.numbers, drafts, written, words.start, rows.mask.device)
            logps = rows.logits(given, places).float().log_softmax(-1)
            written.passes += 1
            best = logps.topk(2)
            going = []
            for row, number in enumerate(rows.numbers):
                if self._accept(written, number, drafts[row], best.values[row], best.indices[row], words.end):
                    going.append(row)
            going = [r for r in going if len(written.words[rows.numbers[r]]) < tagger.config.target_words]
            rows.keep(going)
        return written

    @staticmethod
    def _given(
        numbers: list[int], drafts: list[list[int]], written: Written, start: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """The last written word and the draft after it, at their places.

        Short drafts repeat their last word at its own place, where it changes nothing.
        """
        longest = max(map(len, drafts)) + 1
        given, places = [], []
        for number, draft in zip(numbers, drafts, strict=True):
            so_far = written.words[number]
            row = [so_far[-1] if so_far else start, *draft]
            spots = list(range(len(so_far), len(so_far) + len(row)))
            given.append(row + row[-1:] * (longest - len(row)))
            places.append(spots + spots[-1:] * (longest - len(spots)))
        return torch.tensor(given, device=device), torch.tensor(places, device=device)

    @staticmethod
    def _accept(
        written: Written, number: int, draft: list[int], values: Tensor, indices: Tensor, end: int
    ) -> bool:
        """Take the words that greedy decoding would write. False once the end was written."""
        for step, guess in enumerate([*draft, None]):
            word = int(indices[step, 0])
            _note(written, number, values[step], word, end)
            if word == end:
                return False
            if word != guess:
                return True
        return True


class Beam:
    """Beam search; hypotheses are compared by the mean log-probability of their words."""

    def __init__(self, width: int = 4) -> None:
        if width < 1:
            raise ValueError("a beam needs a width of at least 1")
        self.width = width

    @torch.no_grad()
    def __call__(self, tagger: Tagger, seen: Seen) -> Written:
        written = Written([], [], 0)
        for row in range(len(seen.features)):
            one = Seen(seen.features[row : row + 1], seen.mask[row : row + 1], seen.prompts[row : row + 1])
            words, logps, passes = self._search(tagger, one)
            written.words.append(words)
            written.logps.append(logps)
            written.passes += passes
        return written

    def _search(self, tagger: Tagger, seen: Seen) -> tuple[list[int], list[float], int]:
        rows = _Rows(tagger, seen)
        end, size = tagger.words.end, len(tagger.words)
        beams: list[tuple[list[int], list[float]]] = [([], [])]
        done: list[tuple[list[int], list[float]]] = []
        passes = 0
        for place in range(tagger.config.target_words):
            last = torch.tensor([[b[0][-1] if b[0] else tagger.words.start] for b in beams])
            last = last.to(rows.mask.device)
            logps = rows.logits(last, torch.full_like(last, place))[:, -1].float().log_softmax(-1)
            passes += 1
            sums = torch.tensor([[sum(b[1])] for b in beams], device=logps.device)
            top = (sums + logps).flatten().topk(min(2 * self.width, len(beams) * size))
            grown: list[tuple[list[int], list[float]]] = []
            parents: list[int] = []
            for rank, flat in enumerate(top.indices.tolist()):
                parent, word = divmod(flat, size)
                logp = float(logps[parent, word])
                if word == end and rank >= self.width:
                    continue  # an end that would not have stayed in the beam
                if word == end:
                    done.append((beams[parent][0], [*beams[parent][1], logp]))
                elif len(grown) < self.width:
                    grown.append(([*beams[parent][0], word], [*beams[parent][1], logp]))
                    parents.append(parent)
            if len(done) >= self.width:
                break
            beams = grown
            rows.keep(parents)
        words, scores = max(done or beams, key=lambda b: sum(b[1]) / max(len(b[1]), 1))
        return words, scores[: len(words)], passes


def _note(written: Written, row: int, values: Tensor, word: int, end: int) -> None:
    """Write one word down; values: the log-probabilities of the best word and of the next."""
    written.margins[row] = min(written.margins[row], float(values[0] - values[1]))
    if word != end:
        written.words[row].append(word)
        written.logps[row].append(float(values[0]))
