"""Training: it learns what tags say, resumes exactly, is the same on two processes, stops on no numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_heart import learn_by_heart
from processes import pair, program, read_losses
from table_world import TOPICS, config, data, losses, run, world

from tagline.table import saving
from tagline.table.data import TrainingData
from tagline.table.evaluate import embed_videos, evaluate_model
from tagline.table.frame_cache import FramesInMemory
from tagline.table.model import Table
from tagline.table.objective import contrastive
from tagline.table.tokenizer import Tokenizer
from tagline.table.train import TrainedTable, load_training_data, train
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.ml.trainer import COMPLETE, NonFinite


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainedTable:
    """An uninterrupted run of one process."""
    return run(tmp_path_factory.mktemp("whole") / "run")


def test_a_run_leaves_everything_that_a_user_needs(whole: TrainedTable) -> None:
    folder = whole.folder.parent
    assert {p.name for p in whole.folder.iterdir()} == {
        "model.safetensors",
        "config.json",
        "vocabulary.txt.gz",
        "tokenizer_config.json",
        "preprocessor_config.json",
        "README.md",
    }
    assert (folder / "losses.png").stat().st_size > 5000
    assert json.loads((folder / "history.json").read_text()) == whole.history
    found = losses(whole.history)
    logged = [entry for entry in found.values() if "loss" in entry]
    assert all({"contrastive", "vtm", "mlm"} < set(entry) for entry in logged)
    for entry in logged:
        assert entry["loss"] == pytest.approx(entry["contrastive"] + entry["vtm"] + entry["mlm"], rel=1e-4)
    assert any("videos_per_second" in entry for entry in whole.history)


def test_the_saved_model_is_the_best_on_validation(whole: TrainedTable) -> None:
    tested = {entry["step"]: entry["eval_choice"] for entry in whole.history if "eval_choice" in entry}
    assert list(tested) == [4, 8, 12, 16, 18]  # twice in each of two epochs of nine steps, and at the end
    found = whole.validation.t2v
    assert found.r1 - found.mnr / 6000 == pytest.approx(max(tested.values()))
    saved = saving.from_pretrained(whole.folder)
    again = evaluate_model(saved.model, data().validation, data().frames, saved.tokenizer, resamples=0)
    assert np.array_equal(again.t2v_ranks, whole.validation.t2v_ranks)


def test_a_run_killed_in_the_middle_goes_on_to_the_same_losses(whole: TrainedTable, tmp_path: Path) -> None:
    wanted = losses(whole.history)
    steps = max(wanted)
    killed = program("table_world", tmp_path / "run", f"die={steps - 3}")
    output = killed.wait(240)
    assert killed.returncode == -9, output
    checkpoints = sorted((tmp_path / "run" / "checkpoints").glob("checkpoint-*"))
    assert checkpoints
    # As if it had been killed while it wrote the next checkpoint: that one is passed over.
    half = tmp_path / "run" / "checkpoints" / f"checkpoint-{steps - 1}"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half of it")
    assert not (half / COMPLETE).exists()

    said: list[str] = []
    again = train(config(), data(), tmp_path / "run", report=(), device="cpu", say=said.append)
    assert said[0] == f"going on from step {max(int(c.name[11:]) for c in checkpoints)}"
    found = losses(again.history)
    assert set(found) == set(wanted)
    for step, entry in wanted.items():
        assert found[step] == pytest.approx(entry, rel=1e-5), step
    for name, value in whole.model.state_dict().items():
        # Where a gradient is nearly nothing, Adam makes a whole step of its last digit.
        torch.testing.assert_close(again.model.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_two_processes_are_one_with_the_same_global_batch(whole: TrainedTable, tmp_path: Path) -> None:
    both = pair("table_world", tmp_path / "run")
    outputs = [one.wait(280) for one in both]
    assert [one.returncode for one in both] == [0, 0], "\n".join(outputs)
    wanted, found = losses(whole.history), read_losses(tmp_path / "run")
    assert set(found) == set(wanted)
    for step, entry in wanted.items():
        # Sums in another order; Adam makes much of small differences, so later steps drift a little.
        assert found[step] == pytest.approx(entry, rel=2e-3, abs=2e-3), step


def test_it_learns_what_only_the_tags_say() -> None:
    """Videos of a colour show the very same; only the tags tell them apart, and that is learned by heart."""
    rows, _ = world(8, texts=1)
    red, green = (np.full((3, 3, 16, 16), level, np.uint8) for level in (40, 200))
    frames = FramesInMemory({row.key: green if i % 2 else red for i, row in enumerate(rows)})
    rows = [replace(r, texts=(f"{TOPICS[i // 2]} {i % 2}",), tags=TOPICS[i // 2]) for i, r in enumerate(rows)]
    settings = config().model
    untagged = replace(settings, tags=replace(settings.tags, modalities=()))
    tokenizer = Tokenizer()
    for tags in (True, False):
        torch.manual_seed(0)
        table = Table(settings if tags else untagged)
        shown = [row if tags else replace(row, tags="") for row in rows]
        pixels = torch.from_numpy(np.stack([frames.read(row.key) for row in rows]))
        said = tokenizer([row.tags for row in shown], settings.tag_length)
        words = tokenizer([row.texts[0] for row in rows], settings.text_length)
        tagged = torch.full((len(rows),), tags)

        def loss(_: int) -> torch.Tensor:
            videos = table.encode_videos(pixels, None, said, tagged).vectors  # noqa: B023
            return contrastive(20 * table.encode_texts(words) @ videos.T, torch.arange(len(rows)))  # noqa: B023

        first, last = learn_by_heart([table], loss, steps=60, lr=5e-3)
        vectors = embed_videos(table.eval(), shown, frames, tokenizer)
        alike = (vectors @ vectors.T)[0, 2:8:2]  # the other three of the first one's colour
        if tags:
            assert last < 0.1 * first
            assert alike.max() < 0.9
        else:
            # Of four that look the same none is likelier than another: at best log 4 is lost.
            assert last > 0.99 * np.log(4)
            assert alike == pytest.approx([1.0] * 3, abs=1e-4)


def test_a_loss_that_is_no_number_names_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = data()
    assert isinstance(broken.frames, FramesInMemory)
    frames = dict(broken.frames.frames)
    frames["k5"] = np.full((3, 3, 16, 16), 255, np.uint8)
    broken.frames = FramesInMemory(frames)
    real = Table.encode_frames

    def see(self: Table, pixels: torch.Tensor) -> torch.Tensor:
        white = (pixels == 255).flatten(1).all(1)
        return torch.where(white[:, None, None], torch.nan, real(self, pixels))

    monkeypatch.setattr(Table, "encode_frames", see)
    with pytest.raises(NonFinite, match=r"because of /videos/v5\.mp4;"):
        train(config(), broken, tmp_path / "run", report=(), device="cpu", say=lambda _: None)


def test_a_gradient_that_is_no_number_stops_before_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tagline.tagging.ml.trainer.Trainer._clip_grad_norm", lambda *_: torch.tensor(float("inf"))
    )
    with pytest.raises(NonFinite, match="gradient of step 1 is no number; it came from /videos/"):
        run(tmp_path / "run")


def test_another_run_in_the_same_folder_is_refused(whole: TrainedTable) -> None:
    folder = whole.folder.parent
    with pytest.raises(BadConfig, match="this run, finished"):
        run(folder)
    with pytest.raises(BadConfig, match="other configuration"):
        run(folder, {"epochs": 3})
    other = data()
    other.train[0] = replace(other.train[0], tags="something else")
    with pytest.raises(BadConfig, match="other videos, captions or tags"):
        train(config(), other, folder, report=(), device="cpu")


def test_too_few_videos_are_refused(tmp_path: Path) -> None:
    few = data()
    with pytest.raises(BadConfig, match="too few"):
        train(config(), TrainingData(few.train[:2], few.validation[:1], few.frames), tmp_path, device="cpu")


def test_a_batch_larger_than_the_library_still_trains(tmp_path: Path) -> None:
    found = run(tmp_path / "run", {"batch": 128, "epochs": 1, "accumulate": 2})
    assert found.fingerprint


def test_a_catalog_is_loaded_without_its_test_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tagline.experts.decode.decoder
    from tagline.experts.footage import Unreadable
    from tagline.table.frame_cache import FrameCache
    from tagline.tagging.catalog.records import Caption, Place
    from tagline.tagging.catalog.write import Catalog

    class Decoder:
        def __init__(self, jobs: int | None = None) -> None:
            pass

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def read_all(self, orders: Any) -> Any:
            yield from ((path, Unreadable("cut off")) for path, _ in orders)

    monkeypatch.setattr(tagline.experts.decode.decoder, "Decoder", Decoder)
    cache = FrameCache(3, 16, tmp_path / "cache")
    with Catalog.in_memory(tmp_path) as catalog:
        with pytest.raises(BadConfig, match="no captions"):
            load_training_data(catalog, config(), frames=cache)
        for i in range(12):
            name = f"{i:064x}"
            video = catalog.put_video(name)
            catalog.put_path(video, Place(str(tmp_path / f"v{i}.mp4"), 1, 1))
            catalog.put_captions(video, [Caption(f"text {i}", split="test" if i > 9 else "train")])
            if i != 3:
                cache.write(name, np.zeros((3, 3, 16, 16), np.uint8))
        found = load_training_data(catalog, config(validation=0.25), frames=cache)
    assert len(found.train) + len(found.validation) == 9
    assert len(found.validation) == 2
    assert [(Path(path).name, why) for path, why in found.left_out] == [("v3.mp4", "cut off")]
    texts = {row.texts[0] for row in (*found.train, *found.validation)}
    assert texts == {f"text {i}" for i in range(10) if i != 3}
