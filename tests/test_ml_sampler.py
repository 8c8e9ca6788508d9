"""Batches: full, no video twice in one, each text in its turn, the same for any number of processes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tagger_world import from_lists

from tagline.tagging.ml.data import ExampleDataset
from tagline.tagging.ml.sampler import EpochBatchSampler


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=20),
    st.integers(1, 4),
    st.integers(2, 12),
    st.integers(0, 3),
)
def test_batches_are_full_without_a_video_twice_and_without_a_text_twice(
    counts: list[int], share: int, batch: int, epoch: int
) -> None:
    units = EpochBatchSampler(counts, batch * share, share, seed=1)
    units.set_epoch(epoch)
    made = list(units)
    assert len(made) == len(units)
    seen: Counter[tuple[int, int]] = Counter()
    for one in made:
        assert len(one) == min(batch, len(counts))
        assert len({unit.row for unit in one}) == len(one)
        assert all(len(unit.texts) == share for unit in one)
        seen.update((unit.row, text) for unit in one for text in set(unit.texts))
    for (video, text), times in seen.items():
        assert 0 <= text < counts[video]
        # Only the unit that had to be filled may bring a text a second time.
        assert times <= (1 if counts[video] % share == 0 else 2)


def test_no_more_batches_could_be_made() -> None:
    # 12 units over 4 videos, 2 videos a batch; the first video alone has 9.
    assert len(EpochBatchSampler([9, 1, 1, 1], 2, 1, seed=0)) == 3
    assert len(EpochBatchSampler([3, 3, 3, 3], 2, 1, seed=0)) == 6
    assert len(EpochBatchSampler([5, 5], 128, 1, seed=0)) == 5  # a batch larger than the library


def test_every_text_has_its_turn_over_the_epochs() -> None:
    units = EpochBatchSampler([7, 1, 5, 2, 2], 3, 1, seed=0)
    seen = set()
    for epoch in range(40):
        units.set_epoch(epoch)
        seen |= {(unit.row, text) for one in units for unit in one for text in unit.texts}
    assert len(seen) == 17


def test_epochs_differ_and_repeat_exactly() -> None:
    units = EpochBatchSampler([4] * 10, 4, 2, seed=5)
    first = list(units)
    units.set_epoch(1)
    assert list(units) != first
    units.set_epoch(0)
    assert list(units) == first
    assert len({one[0].seed for one in first}) == len(first)


def test_ranks_cut_the_same_global_batch() -> None:
    whole = list(EpochBatchSampler([3] * 9, 8, 2, seed=2))
    parts = [list(EpochBatchSampler([3] * 9, 8, 2, seed=2, rank=rank, ranks=2)) for rank in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole
    with pytest.raises(ValueError, match="too few"):
        EpochBatchSampler([1], 8, 2, seed=2, ranks=2)


def test_a_video_without_texts_of_its_own_has_one_turn_in_an_epoch() -> None:
    sampler = EpochBatchSampler([1] * 20, 6, 1, seed=3)
    sampler.set_epoch(2)
    batches = list(sampler)
    assert [len(batch) for batch in batches] == [6, 6, 6]
    assert len({sample.row for batch in batches for sample in batch}) == 18
    assert {sample.texts for batch in batches for sample in batch} == {(0,)}


def test_examples_of_a_batch_meet_chance_of_their_own() -> None:
    dataset = ExampleDataset(from_lists(["t"] * 12, [["a"]] * 12))
    sampler = EpochBatchSampler([1] * 12, 4, 1, seed=0)
    seeds = set()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seeds |= {dataset[sample][1] for batch in sampler for sample in batch}
    assert len(seeds) == 36
