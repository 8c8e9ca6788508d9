"""The tables of taggers at toy size: every method has its columns, and nothing is trained twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import seeing

from tagline.benchmarks.fixtures import playhouse_set, random_weights, rendered_frames
from tagline.benchmarks.playhouse.render import video
from tagline.benchmarks.quality import taggers
from tagline.benchmarks.quality.tagger_table import ABLATIONS, ablation, measure
from tagline.tagging.generator.config import load_preset
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.ml.data import Example

TINY = {"width": 16, "heads": 2, "title_layers": 1, "hybrid_layers": 1, "prompt_layers": 1,
        "decoder_layers": 1, "prompts": 4, "frames": 4, "language": "letters", "batch": 8}  # fmt: skip


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr("tagline.benchmarks.registry.cache.cache_home", lambda: tmp_path / "cache")
    towers = random_weights.towers(tmp_path / "clip", seeing.SMALL_CLIP)
    tiny = {f"set.{key}": str(value) for key, value in TINY.items()}
    return {"set": "tiny", "towers": str(towers), "epochs": "1", "seeds": "0", **tiny}


def test_every_method_has_its_columns_and_is_trained_once(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options["methods"] = "asl,open-book,op-tsg"
    found = measure(options)
    values = found["values"]
    columns = "full_f1 rare_f1 common_f1 example_precision gain_novel true_gain_known".split()
    wanted = {f"{name}_{column}" for name in ("asl", "open-book", "op-tsg") for column in columns}
    assert all(values[key] >= 0.0 for key in wanted)
    assert values["asl_gain_novel"] == values["asl_true_gain_novel"] == 0.0  # it has no other tags to say
    assert values["rare_f1_optsg"] == values["op-tsg_rare_f1"]
    assert values["rare_f1_best_rival"] == max(values["asl_rare_f1"], values["open-book_rare_f1"])
    assert (values["train_videos"], values["test_videos"]) == (4, 2)

    monkeypatch.setattr(taggers, "run", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(rendered_frames, "draw_frames", lambda *_: pytest.fail("drawn again"))
    assert measure(options) == found


def test_the_rule_that_copies_says_tags_that_stand_in_the_title() -> None:
    train = [Example("a", "a", "x", ("red car", "dog", "Car"))]
    test = [
        Example("b", "b", "A RED CAR, parked!", ("red car", "dog")),
        Example("c", "c", "scarred", ("dog",)),
        Example("d", "d", "", ("Car",)),
    ]
    found = taggers.copied(train, test)
    assert found["copied_tags_said"] == pytest.approx(2 / 3, abs=1e-4)  # "red car" and "Car", of the first
    assert found["copied_example_precision"] == pytest.approx(0.5 / 3, abs=1e-4)
    assert found["copied_novel_said"] == 0.0


def test_ablations_are_rows_of_one_configuration(options: dict[str, str]) -> None:
    found = ablation({**options, "rows": "ours,7_G_prompt_classes,8_title_only", "videos": "2"})
    assert found["values"]["train_videos"] == 2
    assert {"ours_full_f1", "7_G_prompt_classes_rare_f1", "8_title_only_common_f1"} <= set(found["values"])
    assert "rare_f1_best_rival" not in found["values"]
    for changes in ABLATIONS.values():
        taggers.varied(load_preset("playhouse"), changes, 0)


@pytest.mark.parametrize("wrong", ["methods=bun", "set=nope", "videos=many", "folder=x"])
def test_a_wrong_option_is_a_sentence(wrong: str, options: dict[str, str]) -> None:
    with pytest.raises(BadConfig):
        measure(options | dict([wrong.split("=")]))


def test_what_is_imagined_is_what_the_files_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tagline.experts.footage import PerSecond

    monkeypatch.setattr("tagline.benchmarks.registry.cache.cache_home", lambda: tmp_path / "cache")
    one = rendered_frames.read_drawn_set({"set": "tiny"})["val"][0]
    eyes = playhouse_set.clip_towers({})
    made = rendered_frames.drawn_frame_vectors([one], eyes)[one.name]
    video.render_video(video.video_spec(one.truth.seed), tmp_path)
    file = playhouse_set.PlayhouseVideo(tmp_path / one.name, one.truth)
    seen = playhouse_set.frame_vectors([file], PerSecond(1.0, 60, 256), eyes, lambda _: None)[one.name]
    assert made.shape == seen.shape
    assert float((made * seen).sum(1).min()) > 0.97
    sound = rendered_frames.drawn_sound_vectors([one])[one.name]
    assert len(sound) > 0
    assert np.isfinite(sound).all()


def test_a_set_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tagline bench playhouse render bench"):
        playhouse_set.read_set({"folder": str(tmp_path)})
