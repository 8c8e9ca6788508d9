"""Nouns, verbs and phrases of captions, and the tag sets of MSR-VTT that they make."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tagline.benchmarks.quality.msrvtt_words import example, measure, read_annotations, split_rows
from tagline.benchmarks.quality.noun_phrases import concepts, stem


@pytest.mark.parametrize(
    ("caption", "wanted"),
    [
        ("a man is playing a guitar on stage", {"man", "play", "guitar", "stage"}),
        ("People dance on stage.", {"person", "dance", "stage"}),
        ("a young woman cooking food", {"woman", "young woman", "cook", "food"}),
        ("two girls are talking about a red car", {"girl", "talk", "car", "red car"}),
        ("he dances with her in the rain", {"dance", "rain"}),
        ("a cooking show host is making a cake", {"cooking show host", "host", "make", "cake"}),
        ("there is", set()),
        ("", set()),
    ],
)
def test_what_a_caption_names(caption: str, wanted: set[str]) -> None:
    assert concepts(caption) == wanted


@pytest.mark.parametrize(
    ("verb", "wanted"),
    [("playing", "play"), ("makes", "make"), ("running", "run"), ("tries", "try"), ("judging", "judge"),
     ("stopped", "stop"), ("ran", "run"), ("kneading", "knead"), ("grilling", "grill")],
)  # fmt: skip
def test_verbs_lose_their_endings(verb: str, wanted: str) -> None:
    assert stem(verb) == wanted


def test_tags_need_three_of_the_others() -> None:
    captions = ["a dog runs", "a dog runs", "the dog is running", "a cat", "a cat", "dog", "a cat sleeps"]
    title, tags = example("video1", captions)
    assert title in captions
    rest = list(captions)
    rest.remove(title)
    for tag in ("dog", "cat", "run"):
        agreed = sum(tag in concepts(caption) for caption in rest)
        assert (tag in tags) == (agreed >= 3)


def small_set(folder: Path) -> Path:
    """MSR-VTT's files with a handful of videos that repeat themselves."""
    for name, splits in (
        ("train_val_annotation.zip", "train validate"),
        ("test_videodatainfo.json.zip", "test"),
    ):
        videos, sentences = [], []
        for split in splits.split():
            for i in range(12 if split == "train" else 6):
                video = f"{split}{i}"
                videos.append({"video_id": video, "split": split})
                thing = ("dog", "car", "cake")[i % 3]
                sentences += [{"video_id": video, "caption": f"a man is looking at the {thing}"}] * 5
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(
                name.replace(".zip", ".json"), json.dumps({"videos": videos, "sentences": sentences})
            )
    return folder


def test_the_measurement_trains_and_scores_every_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tagline.benchmarks.registry.cache.cache_home", lambda: tmp_path / "cache")
    small_set(tmp_path)
    rows = split_rows(read_annotations({"folder": str(tmp_path)}))
    assert {side: len(own) for side, own in rows.items()} == {"train": 12, "validate": 6, "test": 6}
    assert set(rows["test"][0].tags) == {"man", "look", "dog"}
    tiny = {"width": 16, "heads": 2, "title_layers": 1, "hybrid_layers": 1, "prompt_layers": 1,
            "decoder_layers": 1, "prompts": 5, "bf16": "false", "language": "letters"}  # fmt: skip
    options = {f"set.{key}": str(value) for key, value in tiny.items()}
    found = measure(
        {**options, "folder": str(tmp_path), "methods": "asl,op-tsg", "seeds": "0", "epochs": "1"}
    )
    values = found["values"]
    assert values["tags_both"] == 5
    assert {"rare_f1_optsg", "rare_f1_best_rival", "op-tsg_full_f1", "asl_example_precision"} <= set(values)


def test_decoding_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tagline.benchmarks.speed.generator_decoding import measure as measure_decoding

    monkeypatch.setattr("tagline.benchmarks.registry.cache.cache_home", lambda: tmp_path / "cache")
    small_set(tmp_path)
    tiny = {"width": 16, "heads": 2, "title_layers": 1, "hybrid_layers": 1, "prompt_layers": 1,
            "decoder_layers": 1, "prompts": 5, "bf16": "false", "language": "letters",
            "batch": 6}  # fmt: skip
    options = {f"set.{key}": str(value) for key, value in tiny.items()}
    options |= {"folder": str(tmp_path), "epochs": "1", "runs": "1", "batch": "2"}
    found = measure_decoding(options)["values"]
    assert found["equal"] + found["ties"] == found["videos"] == 6
    assert found["passes_ratio"] <= 1.0
    # The tagger is kept: the same again trains nothing and counts the same.
    monkeypatch.setattr(
        "tagline.tagging.generator.train.train", lambda *_, **__: pytest.fail("trained again")
    )
    again = measure_decoding(options)["values"]
    assert again["passes_a_video"] == found["passes_a_video"]


def test_the_genuine_annotations(data: Path) -> None:
    rows = split_rows(read_annotations({"folder": str(data)}))
    assert [len(rows[side]) for side in ("train", "validate", "test")] == [6513, 497, 2990]
