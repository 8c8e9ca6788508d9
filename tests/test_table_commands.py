"""`tagline train table` from a library on disk to a model, and its mistakes in sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from table_fakes import TINY
from table_world import world

import tagline.experts.decode.decoder
from tagline.experts.footage import Coverage, Facts, Footage, Unreadable, View
from tagline.experts.tags import Modality, Report, Tag
from tagline.table.cli import train
from tagline.table.saving import from_pretrained
from tagline.tagging.catalog.records import Caption, Look, Place
from tagline.tagging.catalog.write import Catalog

SMALL = {
    "weights": "null",
    "architecture": json.dumps(TINY),
    "frames": "3",
    "text_length": "10",
    "tag_length": "8",
    "layers": "2",
    "heads": "2",
    "epochs": "1",
    "batch": "8",
    "validation": "0.25",
    "bf16": "false",
}
SETTINGS = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]


class Decoder:
    """Gives the frames of the coloured world; one file is broken."""

    def __init__(self, jobs: int | None = None) -> None:
        self.frames = world()[1].frames

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_all(self, orders: Any) -> Any:
        for path, (sampling,) in orders:
            if path.stem == "v4":
                yield path, Unreadable("it ends early")
                continue
            frames = np.ascontiguousarray(self.frames[f"k{path.stem[1:]}"].transpose(0, 2, 3, 1))
            facts = Facts(3.0, 16, 16, None, "h264", 0, "", False)
            yield (
                path,
                Footage(str(path), facts, {sampling: View(frames, np.arange(3.0))}, None, 0, Coverage()),
            )


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tagline.experts.decode.decoder, "Decoder", Decoder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "videos"
    folder.mkdir()
    with Catalog.open(folder) as catalog:
        for i, row in enumerate(world()[0]):
            path = folder / f"v{i}.mp4"
            path.write_bytes(b"video")
            video = catalog.put_video(f"{i:064x}")
            catalog.put_path(video, Place(str(path), 5, 1))
            tags = [Tag(text, Modality.SPEECH, 0.9, 0, 1, "x") for text in row.tags.split(", ")]
            catalog.put_look(video, Look("x", Modality.SPEECH, "1", "f", Report(tags=tags)))
            split = "test" if i >= 20 else "train"
            catalog.put_captions(video, [Caption(text, split=split) for text in row.texts])
    return folder


def test_from_a_library_to_a_model(library: Path, tmp_path: Path) -> None:
    command = ["table", "--data", str(library), "--out", str(tmp_path / "out"), "--device", "cpu", *SETTINGS]
    answer = CliRunner().invoke(train, command)
    assert answer.exit_code == 3, answer.output  # one video could not be read
    assert "text to video  R@1" in answer.output
    assert "v4.mp4: it ends early" in answer.output
    saved = from_pretrained(tmp_path / "out" / "model")
    assert saved.model.settings.tags.modalities[-1] == "speech"
    board = list((tmp_path / "out" / "board").glob("events*"))
    assert board

    again = CliRunner().invoke(train, command)
    assert again.exit_code == 1
    assert "holds this run, finished" in again.output


def test_mistakes_end_in_a_sentence(library: Path, tmp_path: Path) -> None:
    def answer(*arguments: str) -> tuple[int, str]:
        found = CliRunner().invoke(train, ["table", *arguments])
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return found.exit_code, found.output

    code, said = answer("--data", str(library), "--preset", "msvrtt")
    assert code == 2
    assert "there are clip4clip-meanp" in said
    code, said = answer("--data", str(library), "--set", "epoch=3")
    assert code == 2
    assert "did you mean 'epochs'" in said
    code, said = answer("--data", str(tmp_path / "nowhere"), *SETTINGS)
    assert code == 1
    assert "nowhere" in said
    code, said = answer("--data", str(library), "--set", "weights=no-such-weights")
    assert code == 1
    assert "no weights called no-such-weights" in said


def test_settings_are_shown() -> None:
    answer = CliRunner().invoke(train, ["settings", "didemo"])
    assert answer.exit_code == 0
    assert 'model.tag_tokens = "all"' in answer.output
    assert "train.batch = 48" in answer.output
    assert json.loads(CliRunner().invoke(train, ["settings", "--json"]).output)["train"]["epochs"] == 5
    assert CliRunner().invoke(train, ["settings", "nothing"]).exit_code == 2
    assert "model.prompts = 30" in CliRunner().invoke(train, ["settings", "--of", "tagger", "paper"]).output
