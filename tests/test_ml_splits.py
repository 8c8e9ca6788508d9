"""Splits: a video is on one side for every model, whatever its captions say, and stays there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tagger_world import from_lists

from tagline.retrieval.tune import probe_queries
from tagline.table.config import TagChoice
from tagline.table.rows import rows
from tagline.tagging.catalog.records import Caption, Place
from tagline.tagging.catalog.uploads import Upload, put_upload
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.generator.config import TaggerConfig, TaggerRunConfig
from tagline.tagging.generator.data import examples_of_test, from_catalog
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.splits import hold_out, split_of, stable_hash, subset
from tagline.tagging.neighbours.snapshot import read_snapshot

# What is said of each video: by its data set, and by its captions.
SAID: dict[str, tuple[str, tuple[str, ...]]] = {
    "a": ("train", ("train", "train")),
    "b": ("", ("train", "test")),  # captions on both sides
    "c": ("test", ("", "")),  # only the data set says so
    "d": ("", ("", "val")),
    "e": ("", ("", "")),
    "f": ("val", ("train", "")),
    "g": ("", ("test", "")),
}
WANTED = {"a": "train", "b": "test", "c": "test", "d": "val", "e": "", "f": "val", "g": "test"}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.in_memory(tmp_path) as catalog:
        for name, (own, splits) in SAID.items():
            video = catalog.put_video(name * 64)
            catalog.put_path(video, Place(str(tmp_path / f"{name}.mp4"), 1, 1))
            texts = [Caption(f"{name} {i}", split=split) for i, split in enumerate(splits)]
            catalog.put_captions(video, texts)
            put_upload(catalog, video, Upload("set", name, own, ("dog",), name), 1.0)
        yield catalog


def test_a_video_is_of_one_split_as_a_whole(catalog: Catalog) -> None:
    found = {video.hash[0]: split_of(catalog, video.id) for video in catalog.videos()}
    assert found == WANTED


def test_no_video_is_learned_from_and_tested_on(catalog: Catalog) -> None:
    """Its captions fell into train and test one by one, so TABLE learned the frames that it was asked for."""
    sides = {split: rows(catalog, TagChoice(), split) for split in ("train", "val", "test")}
    names = {split: {Path(row.name).stem for row in own} for split, own in sides.items()}
    assert not names["train"] & names["test"]
    assert names == {"train": {"a", "e"}, "val": {"d", "f"}, "test": {"b", "c", "g"}}
    texts = {text for row in sides["test"] for text in row.texts}
    assert texts == {
        "b 1",
        "c 0",
        "c 1",
        "g 0",
    }  # captions of another split, or beside a tested one of none, are in none


def test_the_rule_of_each_caption_leaks(catalog: Catalog) -> None:
    """That the world of these tests has the leak: read caption by caption, a video is on both sides."""

    def alone(split: str) -> set[str]:
        return {
            video.hash[0]
            for video in catalog.videos()
            if any((c.split or "train") == split for c in catalog.captions(video.id))
        }

    assert alone("train") & alone("test") == {"b", "g"}


def test_every_model_sees_the_same_sides(catalog: Catalog) -> None:
    blind = TaggerRunConfig(TaggerConfig(use_frames=False))
    examples = from_catalog(catalog, blind)
    tested, _ = examples_of_test(catalog, blind)
    sides = [{one.key[0] for one in side} for side in (examples.train, examples.validation, tested)]
    assert sides == [{"a", "e"}, {"d", "f"}, {"b", "c", "g"}]
    assert {one.key[0]: split for one, split in zip(*_read(catalog), strict=True)} == WANTED


def _read(catalog: Catalog) -> tuple[list[Example], list[str]]:
    library = read_snapshot(catalog)
    return library.examples, library.splits


def test_no_caption_of_a_tested_video_tunes_the_search(catalog: Catalog) -> None:
    videos = {video.id: video.hash[0] for video in catalog.videos()}
    found = {
        videos[query.video] for query in probe_queries.caption_queries(catalog) if query.video is not None
    }
    assert found == {"a", "d", "e", "f"}
    assert len(probe_queries.caption_queries(catalog, 3)) == 3


def test_what_is_held_out_stays_on_its_side() -> None:
    whole = from_lists(["t"] * 50, [["a"]] * 50)
    before = {one.key for one in hold_out(whole, 0.2, 100)[1]}
    kept, held = ({one.key for one in side} for side in hold_out(whole[:45], 0.2, 100))
    assert len(before) == 10
    assert len(held & before) >= 7
    assert not held & kept
    assert len(held | kept) == 45
    assert len(hold_out(whole, 0.5, 7)[1]) == 7
    assert {one.key for one in hold_out(whole, 0.2, 100, 1)[1]} != before
    assert hold_out(whole[:1], 0.5, 7) == (whole[:1], [])


def test_a_subset_is_the_same_every_time_and_in_order() -> None:
    names = [f"v{i}" for i in range(30)]
    some = subset(names, 7, key=str)
    assert some == sorted(some, key=names.index)
    assert set(subset(names[::-1], 7, key=str)) == set(some)
    assert set(subset(names, 5, key=str)) < set(some)
    assert subset(names, None, key=str) == subset(names, 30, key=str) == names


def test_hashes_are_the_same_in_every_process() -> None:
    assert (stable_hash("k", 0), stable_hash("k")) == (0xD324E9442C80819D, 0x8254C329A92850F6)
