"""Which videos, and which of their texts, make a batch: for every model, and for any number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tagline.tagging.ml.config import BadConfig


class Sample(NamedTuple):
    """One video of a batch, with those of its texts that are learned with it (by a model that has such)."""

    row: int
    texts: tuple[int, ...]
    seed: int  # of the batch that it is in; `mixed_seed(seed, row)` is its own


class EpochBatchSampler:
    """Batches of units: each text once in an epoch, no video twice in a batch.

    batch: texts over all ranks; each rank gets its slice of the same global batch. Everything follows
    from (seed, epoch), never from how many ranks there are. Texts that make no full batch at the end of
    an epoch wait for the next one, where the order is another.
    """

    def __init__(
        self, counts: Sequence[int], batch: int, share: int, seed: int, rank: int = 0, ranks: int = 1
    ) -> None:
        """counts: the texts of each video; 1 and `share` 1 where a video is learned from as a whole."""
        self.counts, self.share, self.seed, self.rank = list(counts), share, seed, rank
        self.epoch = 0
        # A small library has fewer videos than the preset's batch wants.
        videos = min(batch // share, len(self.counts))
        self.videos = videos // ranks * ranks  # in a batch
        self.each = self.videos // ranks
        if not self.each:
            raise BadConfig(f"{len(self.counts)} videos are too few for batches over {ranks} processes")
        self._length = _batches_in([-(-count // share) for count in self.counts], self.videos)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[Sample]]:
        for number, batch in enumerate(self._batches()):
            seed = mixed_seed(self.seed, self.epoch, number)
            mine = batch[self.rank * self.each : (self.rank + 1) * self.each]
            yield [Sample(row, texts, seed) for row, texts in mine]

    def _batches(self) -> Iterator[list[tuple[int, tuple[int, ...]]]]:
        """A lottery for each batch: every unit that waits is a ticket of its video, and no video wins twice.

        A video with as many units left as there are batches to come must be in each of them; so the
        number of batches is always reached.
        """
        rng = np.random.default_rng([self.seed, self.epoch])
        waiting = [self._cut(rng, count) for count in self.counts]
        left = np.array([len(units) for units in waiting])
        for remaining in range(len(self), 0, -1):
            keys = np.where(left > 0, rng.random(len(left)) ** (1 / np.maximum(left, 1)), -1.0)
            keys[left >= remaining] += 2.0
            chosen = np.argpartition(-keys, self.videos - 1)[: self.videos]
            rng.shuffle(chosen)
            left[chosen] -= 1
            yield [(int(row), waiting[row].pop()) for row in chosen]

    def _cut(self, rng: np.random.Generator, count: int) -> list[tuple[int, ...]]:
        """The texts of one video, shuffled, in units of `share`.

        The last unit is filled with texts of the same video, so that every unit has as many.
        """
        order = rng.permutation(count).tolist()
        order += [order[i % count] for i in range(-count % self.share)]
        return [tuple(order[i : i + self.share]) for i in range(0, len(order), self.share)]


def _batches_in(units: Sequence[int], videos: int) -> int:
    """How many batches of `videos` different videos these units make at most.

    b batches can be filled exactly if Σ min(units, b) ≥ b · videos: no video serves a batch twice.
    """
    counts = np.sort(np.asarray(units))
    low, high = 0, int(counts.sum()) // videos
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(counts, middle).sum()) >= middle * videos:
            low = middle
        else:
            high = middle - 1
    return low


def mixed_seed(*numbers: int) -> int:
    """One seed from several: every batch of every epoch has its own."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])
