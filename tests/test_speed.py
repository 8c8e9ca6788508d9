"""`bench speed`: every stage ends as a ratio to the plain way and to a floor that is a real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tagline.benchmarks import report
from tagline.benchmarks.speed import floors
from tagline.benchmarks.speed.parts import StageTiming
from tagline.benchmarks.speed.stages import draw
from tagline.retrieval.cli.main import cli


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAGLINE_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def test_ratios_say_how_often() -> None:
    part = StageTiming("training-step", ours=2.0, plain=6.0, plain_way="", floor=0.5, floor_is="", unit="")
    assert part.values() == {"training_step_times_faster": 3.0, "training_step_times_floor": 4.0}
    bare = StageTiming("expert-screen", 2.0, None, "", None, "", "")
    assert set(bare.values().values()) == {None}


def test_operations_of_a_known_product() -> None:
    import torch

    a, b = torch.randn(8, 16), torch.randn(16, 4)
    assert floors.operations(lambda: a @ b) == 2 * 8 * 16 * 4
    assert floors.weight_bytes(torch.nn.Linear(16, 4)) == 4 * (16 * 4 + 4)
    assert floors.matrix_rate(size=64, runs=1) > 1e6
    assert floors.bandwidth(megabytes=1, runs=1) > 1e6


def test_stages_by_the_command_and_on_the_page(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate, bandwidth = floors.matrix_rate, floors.bandwidth
    monkeypatch.setattr(floors, "matrix_rate", lambda device: rate(device, size=64, runs=1))
    monkeypatch.setattr(floors, "bandwidth", lambda device: bandwidth(device, megabytes=1, runs=1))
    small = ["batch=8", "titles=2", "lessons=2", "sizes=200,400", "runs=1"]
    settings = [word for setting in small for word in ("--set", setting)]
    answer = CliRunner().invoke(
        cli, ["bench", "speed", "--parts", "training-step,generating,growth", *settings, "--json"]
    )
    assert answer.exit_code == 0, answer.output
    record = json.loads(answer.stdout)
    assert record == json.loads((results / "speed.json").read_text())
    values = record["values"]
    for stage in ("training_step", "generating", "search", "index"):
        assert values[f"{stage}_times_faster"] > 0
        assert values[f"{stage}_times_floor"] > 0
    assert [row["vectors"] for row in record["details"]["growth"]] == [200, 400]

    page = tmp_path / "docs" / "RESULTS.md"
    assert report.write(page)
    text = page.read_text()
    assert "| training-step: 8 captions |" in text
    assert "one video pass for every caption" in text
    assert (page.parent / report.GROWTH).stat().st_size > 5000
    assert f"]({report.GROWTH})" in text


def test_without_a_gpu_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    answer = CliRunner().invoke(cli, ["bench", "speed", "--gpu"])
    assert answer.exit_code == 1
    assert "there is no GPU here that torch can use" in answer.output
    assert not results.exists()
    assert CliRunner().invoke(cli, ["bench", "speed", "--parts", "flying"]).exit_code == 2


def test_the_plot_of_growth(tmp_path: Path) -> None:
    row = {"build": 0.2, "plain_build": 0.1, "search": 1e-4, "plain_search": 1e-3, "floor": 1e-5}
    rows = [{"vectors": 10**n, **{k: v * 10**n for k, v in row.items()}} for n in (2, 3, 4)]
    assert draw(rows, tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
