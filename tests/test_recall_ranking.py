"""The tables of recall and ranking on a world that can be learned, and their figures against counting."""

from __future__ import annotations

import numpy as np
import pytest
from tagger_world import world

from tagline.benchmarks.quality import recall_ranking
from tagline.benchmarks.quality.fused_tags import precision, scores, with_frames
from tagline.benchmarks.quality.taggers import TaggerData
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.text_embedding import CharacterNgrams
from tagline.tagging.neighbours.memory import TaggedVideo
from tagline.tagging.neighbours.snapshot import LibrarySnapshot
from tagline.tagging.neighbours.views import ViewEncoder
from tagline.tagging.ranker.config import RankerConfig

SMALL = RankerConfig(
    width=16, clusters=2, groups=2, text_width=16, text_layers=1, heads=2, negatives=4,
    language="letters", vocabulary=100, epochs=2, batch=16, lr=5e-3,
)  # fmt: skip


def test_all_three_tables_come_out_of_one_run() -> None:
    rows = world(60)
    data = TaggerData(rows[:40], rows[40:50], rows[50:])
    found = recall_ranking.run(data, ViewEncoder(CharacterNgrams()), SMALL)
    channels = ["text", "video", "multimodal", "classifier"]
    assert all(0 <= found[f"recall_{name}"] <= found["recall_union"] <= 1 for name in channels)
    assert found["recall_union"] == 1.0  # of eight tags the channels name them all
    assert found["recall_video"] > 0.9  # frames show what is there
    for name in recall_ranking.NEGATIVES:
        assert 0 <= found[f"{name}_top5"] <= 1
    for system in ("classifier", "ranker_all", "two_stage", "text_channel", "multimodal_channel"):
        assert {f"{system}_accuracy", f"{system}_tags", f"{system}_example_f1", f"{system}_rare_f1"} <= set(
            found
        )
    assert found["multimodal_channel_accuracy"] > 0.5


def test_recall_counts_tags_that_training_knows() -> None:
    train = [Example("a", "a", "", ("dog", "sea"))]
    test = [Example("b", "b", "", ("dog", "moon")), Example("c", "c", "", ("sea",))]
    found = recall_ranking.recall(
        {"one": [["dog"], []], "two": [["moon"], ["sea", "dog"]]}, TaggerData(train, [], test)
    )
    assert found == {"recall_one": 0.5, "recall_two": 0.5, "recall_union": 1.0}
    assert recall_ranking.all_candidates({"one": [["a", "b"]], "two": [["b", "c"]]}) == [["a", "b", "c"]]
    assert recall_ranking.top([[("dog", 1.0), ("x", 0.5)], []], test) == pytest.approx(0.1)


def test_stated_and_measured_precision_are_means_over_tags() -> None:
    rows = [({"a": 0.9, "b": 0.7, "c": 0.1}, {"a"}), ({"a": 0.8}, {"a", "d"})]
    assert precision("", rows, 0.5) == {
        "stated_precision": 0.8, "measured_precision": 0.6667, "gap_points": 13.33, "tags": 1.5}  # fmt: skip
    assert precision("", rows, 0.95) == {"tags": 0.0}
    found = scores(rows, 0.5)
    assert found["precision"] == pytest.approx(0.75)
    assert found["recall"] == pytest.approx(0.75)


def test_held_out_videos_that_no_expert_watched_do_not_count() -> None:
    seen = np.zeros((1, 4), np.float32)
    examples = [Example(k, k, frames=f) for k, f in (("a", None), ("b", None), ("c", seen), ("d", None))]
    library = LibrarySnapshot(
        [1, 2, 3, 4], examples, [TaggedVideo(k) for k in "abcd"], ["train", "val", "test", "test"]
    )
    kept = with_frames(library)
    assert (kept.ids, kept.splits) == ([1, 3], ["train", "test"])
    assert [one.key for one in kept.tagged_videos] == [one.key for one in kept.examples] == ["a", "c"]
