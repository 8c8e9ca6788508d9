"""Decoding: greedy, speculative (the same words in a fraction of the passes), and beam search.

Interchangeable: `Greedy()(tagger, seen)`, `Speculative()(tagger, seen)`, `Beam(4)(tagger, seen)`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from tagline.tagging.generator.encoder import EncodedBatch
from tagline.tagging.generator.layers import SelfAttentionCache

# A generator.model.Tagger; that file imports this one.
Tagger = Any


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


SHORTEST_DRAFT = 8  # words of any draft


@dataclass(slots=True)
class DecodedTags:
    """What was written for a batch: words with their log-probabilities, the end not included."""

    words: list[list[int]]
    logps: list[list[float]]
    passes: int  # runs of the decoder
    smallest_margins: list[float] = field(
        default_factory=list
    )  # smallest lead of a chosen word over the next, a row
    work: int = 0  # rows that were in these runs, all runs together


class Decoding(Protocol):
    def __call__(self, tagger: Tagger, seen: EncodedBatch) -> DecodedTags: ...


class _DecodingRows:
    """The rows of a batch that are being written, with their memory and cache.

    at_once: so many at most; where one is done, one that waits takes its place, so that a row that goes on
    and on holds up nobody. None: all rows together.
    """

    def __init__(self, tagger: Tagger, seen: EncodedBatch, at_once: int | None = None) -> None:
        self.decoder = tagger.decoder
        self.whole_cache = tagger.cross_attention_cache(seen, visible=tagger.labelled_prompts(seen.prompts))
        self.device = self.whole_cache.mask.device
        count = len(self.whole_cache.mask)
        first = min(at_once or count, count)
        self.cross_cache = self.whole_cache
        if first < count:
            self.cross_cache = self.whole_cache.select(torch.arange(first, device=self.device))
        self.cache: SelfAttentionCache = self.decoder.cache()
        self.numbers = list(range(first))  # which row of the batch each of ours is
        self.waiting = list(range(first, count))

    def best(self, words: Tensor, places: Tensor) -> tuple[list[list[list[float]]], list[list[list[int]]]]:
        """The two likeliest next words at each place: log-probabilities and numbers, each [B][S][2]."""
        found = self.logps(words, places).topk(2)
        return found.values.tolist(), found.indices.tolist()

    def logps(self, words: Tensor, places: Tensor) -> Tensor:
        """[B, S, V]"""
        return self.decoder(words, places, self.cross_cache, self.cache).float().log_softmax(-1)

    def go_on(self, going: Sequence[int]) -> None:
        """The others are done: those that wait take their places, and a place that stays empty is closed."""
        left = set(going)
        for row in range(len(self.numbers)):
            if row not in left and self.waiting:
                # What the cache holds of the row before lies behind words that this one has yet to write.
                self.numbers[row] = self.waiting.pop(0)
                self.cross_cache.put(row, self.whole_cache, self.numbers[row])
                left.add(row)
        self.keep(sorted(left))

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone, in this order, so that a finished row costs nothing."""
        if list(rows) == list(range(len(self.numbers))):
            return
        index = torch.tensor(list(rows), dtype=torch.long, device=self.device)
        self.cache.select(index)
        self.cross_cache = self.cross_cache.select(index)
        self.numbers = [self.numbers[row] for row in rows]


class Greedy:
    """The likeliest word each time, one pass a word, with cached keys and values."""

    def __init__(self, at_once: int | None = None) -> None:
        self.at_once = at_once  # rows that are written together

    @torch.no_grad()
    def __call__(self, tagger: Tagger, seen: EncodedBatch) -> DecodedTags:
        rows = _DecodingRows(tagger, seen, self.at_once)
        written = _nothing_decoded(len(seen.features))
        while rows.numbers:
            so_far = [written.words[number] for number in rows.numbers]
            last = [words[-1] if words else tagger.tokenizer.start for words in so_far]
            given = torch.tensor(last, device=rows.device)[:, None]
            places = torch.tensor([len(words) for words in so_far], device=rows.device)[:, None]
            logps, words = rows.best(given, places)
            written.passes += 1
            written.work += len(rows.numbers)
            going = []
            for row, number in enumerate(rows.numbers):
                more = _append_word(written, number, logps[row][-1], words[row][-1][0], tagger.tokenizer.end)
                if more and len(written.words[number]) < tagger.settings.target_words:
                    going.append(row)
            rows.go_on(going)
        return written


class Speculative:
    """Greedy decoding's own words, several a pass.

    The prompts know their tags: the nearest tag of each is a draft of all that remains. One pass over the
    draft shows what greedy decoding would have written after each of its words; the draft is kept as far as
    it agrees, the first word that differs is put right, and the rest is drafted again from what the pass
    showed of the later tags. The first two drafts are whole; from then on, how far a row is drafted follows
    how far its last draft was right: words beyond that are computed for nothing.
    """

    def __init__(self, most: int = 64, at_once: int | None = None) -> None:
        self.most = most  # words of draft in one pass
        self.at_once = at_once  # rows that are written together

    @torch.no_grad()
    def __call__(self, tagger: Tagger, seen: EncodedBatch) -> DecodedTags:
        rows = _DecodingRows(tagger, seen, self.at_once)
        drafter = Drafter(tagger, seen.prompts)
        count, longest = len(seen.features), tagger.settings.target_words
        written, reach = _nothing_decoded(count), [self.most] * count
        while rows.numbers:
            drafts = []
            for number in rows.numbers:
                so_far = written.words[number]
                room = longest - len(so_far) - 1
                drafts.append(drafter.propose(number, so_far)[: min(reach[number], room)])
            given, places = self._decoder_input(
                rows.numbers, drafts, written, tagger.tokenizer.start, rows.device
            )
            logps, words = rows.best(given, places)
            written.passes += 1
            written.work += len(rows.numbers)
            going = []
            for row, number in enumerate(rows.numbers):
                so_far = list(written.words[number])
                more = self._accept(
                    written, number, drafts[row], logps[row], words[row], tagger.tokenizer.end
                )
                if more and len(written.words[number]) < longest:
                    drafter.update(number, so_far, drafts[row], [best[0] for best in words[row]])
                    took = len(written.words[number]) - len(so_far)
                    reach[number] = min(self.most, max(SHORTEST_DRAFT, 2 * took)) if so_far else self.most
                    going.append(row)
            rows.go_on(going)
        return written

    @staticmethod
    def _decoder_input(
        numbers: list[int], drafts: list[list[int]], written: DecodedTags, start: int, device: torch.device
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
        written: DecodedTags,
        number: int,
        draft: list[int],
        logps: list[list[float]],
        words: list[list[int]],
        end: int,
    ) -> bool:
        """Take the words that greedy decoding would write. False once the end was written."""
        for step, guess in enumerate([*draft, None]):
            if not _append_word(written, number, logps[step], words[step][0], end):
                return False
            if words[step][0] != guess:
                break
        return True


class Beam:
    """Beam search; hypotheses are compared by the mean log-probability of their words."""

    def __init__(self, width: int = 4) -> None:
        if width < 1:
            raise ValueError("a beam needs a width of at least 1")
        self.width = width

    @torch.no_grad()
    def __call__(self, tagger: Tagger, seen: EncodedBatch) -> DecodedTags:
        written = DecodedTags([], [], 0)
        for number in range(len(seen.features)):
            one = seen.row(number)
            words, logps, passes = self._search(tagger, one)
            written.words.append(words)
            written.logps.append(logps)
            written.passes += passes
        return written

    def _search(self, tagger: Tagger, seen: EncodedBatch) -> tuple[list[int], list[float], int]:
        rows = _DecodingRows(tagger, seen)
        end, size = tagger.tokenizer.end, len(tagger.tokenizer)
        beams: list[tuple[list[int], list[float]]] = [([], [])]
        done: list[tuple[list[int], list[float]]] = []
        passes = 0
        for place in range(tagger.settings.target_words):
            last = torch.tensor([[b[0][-1] if b[0] else tagger.tokenizer.start] for b in beams])
            last = last.to(rows.device)
            logps = rows.logps(last, torch.full_like(last, place))[:, -1]
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


def _nothing_decoded(rows: int) -> DecodedTags:
    return DecodedTags([[] for _ in range(rows)], [[] for _ in range(rows)], 0, [float("inf")] * rows)


def _append_word(written: DecodedTags, row: int, logps: list[float], word: int, end: int) -> bool:
    """Write one word down; logps: of the best word and of the next. False if it is the end."""
    written.smallest_margins[row] = min(written.smallest_margins[row], logps[0] - logps[1])
    if word == end:
        return False
    written.words[row].append(word)
    written.logps[row].append(logps[0])
    return True


THRESHOLDS_TRIED = 65  # thresholds to try
PRIOR_VIDEOS = 8  # videos


@torch.no_grad()
def fit_draft_thresholds(tagger: Tagger, seen: EncodedBatch) -> float:
    """Set for each prompt how near a tag must lie for a draft to name it, from what the tagger writes.

    Prompts differ: some nearly always stand for [PAD], however near a tag lies. Each threshold is the one
    that would have drafted most of its own prompt's tags and [PAD]s right; what is right for all prompts
    counts as much as PRIOR videos, so that a prompt that was seldom seen follows them. Returns the share of
    prompts that are drafted right. What is written does not depend on it.
    """
    count = seen.prompts.shape[1]
    if tagger.settings.classify_prompts or not tagger.settings.prompted or not len(seen.prompts):
        return 1.0
    drafter = Drafter(tagger, seen.prompts)
    if not drafter.near:  # there are no tags
        return 1.0
    written = Speculative()(tagger, seen)
    near = np.array(drafter.near)  # [B, N]
    meant = np.full(near.shape, np.nan)  # 1: the nearest tag was written, 0: [PAD]; else it does not matter
    for row, words in enumerate(written.words):
        for prompt, piece in zip(drafter.prompts[row], drafter.split_tags(words), strict=False):
            if piece == [tagger.tokenizer.pad]:
                meant[row, prompt] = 0.0
            elif piece == drafter.tag_words[drafter.nearest[row][prompt][0]]:
                meant[row, prompt] = 1.0
    tried = np.unique(np.quantile(near, np.linspace(0, 1, THRESHOLDS_TRIED)))
    tried = np.append(tried, near.max() + 1.0)  # never
    named = near[..., None] >= tried  # [B, N, thresholds]
    wrong = np.where(named, meant[..., None] == 0.0, meant[..., None] == 1.0).sum(0)  # [N, thresholds]
    shared = wrong.sum(0) / max(np.isfinite(meant).sum(), 1)
    best = (wrong + PRIOR_VIDEOS * shared).argmin(1)
    tagger.draft_threshold.copy_(torch.from_numpy(tried[best]).to(tagger.draft_threshold))
    return 1.0 - float(wrong[np.arange(count), best].sum()) / max(int(np.isfinite(meant).sum()), 1)
