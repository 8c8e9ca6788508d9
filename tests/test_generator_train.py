"""Taggers in training: it learns, resumes exactly, is the same on two processes, stops on no numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from by_heart import assert_learns_by_heart
from processes import pair, program, read_losses
from tagger_world import config, examples, losses, run, world

from tagline.tagging.generator import saving
from tagline.tagging.generator.decoding import Greedy
from tagline.tagging.generator.predict import predict_all
from tagline.tagging.generator.train import TaggerTrainingResult, train
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.ml.data import Examples
from tagline.tagging.ml.trainer import COMPLETE, NonFinite
from tagline.tagging.neighbours import retriever


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TaggerTrainingResult:
    """An uninterrupted run of one process."""
    return run(tmp_path_factory.mktemp("whole") / "run")


def test_a_run_leaves_a_folder_that_loads_and_says_the_same(whole: TaggerTrainingResult) -> None:
    folder = whole.folder.parent
    # It was told no tags of similar videos, so it keeps none.
    assert {p.name for p in whole.folder.iterdir()} == set(saving.FILES) - set(retriever.FILES)
    assert (folder / "losses.png").stat().st_size > 5000
    loaded = saving.from_pretrained(whole.folder)
    assert loaded.calibration == whole.trained.calibration
    assert list(loaded.frequency) == list(whole.trained.frequency)
    assert saving.fingerprint(whole.folder) == whole.fingerprint
    held = examples().validation
    for way in (None, Greedy()):
        told = [predict_all(t.model, t.collator(), held, decoding=way) for t in (whole.trained, loaded)]
        assert told[0] == told[1]


def test_the_saved_tagger_is_the_best_on_validation(whole: TaggerTrainingResult) -> None:
    tested = [entry["eval_choice"] for entry in whole.history if "eval_choice" in entry]
    assert len(tested) == 5  # twice in each of two epochs of five steps, and at the end
    reached = (whole.validation["example"].f1 + whole.validation["full"].f1) / 2
    assert reached == pytest.approx(max(tested))


def test_it_learns_and_is_saved(tmp_path: Path) -> None:
    found = run(tmp_path / "run", {"dropout": 0.0, "shuffle": False}, epochs=1, evaluations=1)
    loaded = saving.from_pretrained(found.folder)
    rows = world(6)
    few = [predict_all(t.model, t.collator(), rows) for t in (found.trained, loaded)]
    assert few[0] == few[1]
    assert_learns_by_heart(loaded.model, loaded.collator(), rows)


def test_a_run_killed_in_the_middle_goes_on_to_the_same_losses(
    whole: TaggerTrainingResult, tmp_path: Path
) -> None:
    wanted = losses(whole.history)
    steps = max(wanted)
    killed = program("tagger_world", tmp_path / "run", f"die={steps - 3}")
    output = killed.wait(240)
    assert killed.returncode == -9, output
    # As if it had been killed while it wrote the next checkpoint: that one is passed over.
    half = tmp_path / "run" / "checkpoints" / f"checkpoint-{steps - 1}"
    half.mkdir()
    assert not (half / COMPLETE).exists()
    said: list[str] = []
    again = train(config(), examples(), tmp_path / "run", report=(), device="cpu", say=said.append)
    assert said[0].startswith("going on from step ")
    found = losses(again.history)
    assert set(found) == set(wanted)
    for step, entry in wanted.items():
        assert found[step] == pytest.approx(entry, rel=1e-5), step
    state = again.trained.model.state_dict()
    for name, value in whole.trained.model.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-6)


def test_two_processes_are_one_with_the_same_global_batch(tmp_path: Path) -> None:
    alone = run(tmp_path / "alone", {"dropout": 0.0})
    both = pair("tagger_world", tmp_path / "run", "still")
    outputs = [one.wait(280) for one in both]
    assert [one.returncode for one in both] == [0, 0], "\n".join(outputs)
    wanted, found = losses(alone.history), read_losses(tmp_path / "run")
    assert set(found) == set(wanted)
    for step, entry in wanted.items():
        for part in ("loss", "contrast", "generation"):
            if part in entry:
                assert found[step][part] == pytest.approx(entry[part], rel=5e-3, abs=5e-3), (step, part)


def test_a_loss_that_is_no_number_names_the_video(tmp_path: Path) -> None:
    rows = examples()
    broken = np.full((3, 12), np.nan, np.float32)
    rows.train[5] = replace(rows.train[5], frames=broken)
    with pytest.raises(NonFinite, match=r"because of /videos/v5\.mp4;"):
        train(config(), rows, tmp_path / "run", report=(), device="cpu", say=lambda _: None)


def test_mistakes_are_sentences(whole: TaggerTrainingResult, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="finished"):
        run(whole.folder.parent)
    with pytest.raises(BadConfig, match="other configuration"):
        run(whole.folder.parent, epochs=3)
    rows = world(4)
    with pytest.raises(BadConfig, match="too few"):
        train(config(), Examples(rows[:1], rows[1:2]), tmp_path / "a", device="cpu")
    blind = [replace(one, frames=None) for one in world(8)]
    with pytest.raises(BadConfig, match="use_frames=false"):
        train(config(), Examples(blind[:6], blind[6:]), tmp_path / "b", device="cpu", say=lambda _: None)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("config.json", '{"kind": "tagline-tagger", "version": 9}', "newer tagline"),
        ("config.json", '{"kind": "tagline-tagger", "auto_map": {}}', "auto_map"),
        ("tags.json", '{"tags": ["a"], "frequency": [1, 2]}', "frequencies"),
        ("words.json", '{"version": "1.0"}', "cannot be read"),
    ],
)
def test_a_foreign_folder_is_judged_before_it_is_loaded(
    whole: TaggerTrainingResult, tmp_path: Path, name: str, text: str, what: str
) -> None:
    for path in whole.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_text(text)
    with pytest.raises(saving.NotATagger, match=what):
        saving.from_pretrained(tmp_path)
