"""The tables of taggers at toy size: every method has its columns, and nothing is trained twice."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import fakes
import pytest
import seeing

from benchmarks import benchset, random_weights, taggers
from benchmarks.playhouse.render import spec
from benchmarks.playhouse.truth import truth
from benchmarks.tagger_table import ABLATIONS, ablation, measure
from tagging.generator.config import preset
from tagging.generator.data import Example

SEEDS = {"train": range(8), "val": range(10_000_000, 10_000_003), "test": range(20_000_000, 20_000_004)}
TINY = {"width": 16, "heads": 2, "title_layers": 1, "hybrid_layers": 1, "prompt_layers": 1,
        "decoder_layers": 1, "prompts": 4, "frames": 4, "language": "letters", "batch": 8}  # fmt: skip


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set as `tagline bench playhouse render` leaves it, but for what is in the files."""
    folder = tmp_path_factory.mktemp("bench")
    known = [truth(seed) for seeds in SEEDS.values() for seed in seeds]
    for one in known:
        fakes.write_video(folder / spec(one.seed).name, salt=one.seed)
    rows = [asdict(one) for one in known]
    (folder / "truth.json").write_text(json.dumps({"version": 1, "set": "bench", "seed": 0, "videos": rows}))
    return folder


@pytest.fixture
def options(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    fakes.use_fakes(monkeypatch)
    monkeypatch.setattr("benchmarks.kept.cache_home", lambda: tmp_path / "cache")
    towers = random_weights.towers(tmp_path / "clip", seeing.SMALL_CLIP)
    tiny = {f"set.{key}": str(value) for key, value in TINY.items()}
    return {"folder": str(rendered), "towers": str(towers), "epochs": "1", "seeds": "0", **tiny}


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
    assert (values["train_videos"], values["test_videos"]) == (8, 4)

    decoded = len(fakes.FakeDecoder.read_paths)
    monkeypatch.setattr(taggers, "run", lambda *_: pytest.fail("trained again"))
    assert measure(options) == found
    assert len(fakes.FakeDecoder.read_paths) == decoded


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
    found = ablation({**options, "rows": "ours,7_G_prompt_classes,8_title_only", "videos": "4"})
    assert found["values"]["train_videos"] == 4
    assert {"ours_full_f1", "7_G_prompt_classes_rare_f1", "8_title_only_common_f1"} <= set(found["values"])
    assert "rare_f1_best_rival" not in found["values"]
    for changes in ABLATIONS.values():
        taggers.varied(preset("playhouse"), changes, 0)


def test_a_set_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tagline bench playhouse render bench"):
        benchset.read({"folder": str(tmp_path)})
