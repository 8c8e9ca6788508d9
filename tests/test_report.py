"""The page of results: as new as the records, with aims, intervals and what was missed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tagline.benchmarks import report
from tagline.benchmarks.registry import measurements
from tagline.benchmarks.registry import record as records
from tagline.retrieval.cli.main import cli

MACHINE = {"cpu": "a cpu", "cores": 2, "memory_gb": 8, "system": "Linux", "python": "3.11"}


def record(name: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "values": values,
        "configuration": {"options": {}},
        "seeds": [],
        "commit": "abcdef123456",
        "hardware": MACHINE,
        "date": "2026-01-02T03:04:05+00:00",
        **more,
    }


def test_the_page_is_as_new_as_the_records() -> None:
    shown = report.page_path().read_text(encoding="utf-8")
    assert shown == report.page(), "docs/RESULTS.md is older than the records: run `tagline bench report`"


def test_every_aim_is_for_a_figure_that_its_record_has() -> None:
    recorded = {name: held for name in measurements.AIMS if (held := records.read(name)) is not None}
    assert len(recorded) > 10
    for name, held in recorded.items():
        assert set(measurements.AIMS[name]) <= set(held["values"]), name


def test_aims_met_and_missed_are_said() -> None:
    page = report.page([record("playhouse-experts", {"object_f1": 0.9, "person_f1": 0.5, "extra": 7})])
    assert "| `object_f1` | 0.9 | ≥ 0.85, met |" in page
    assert "| `person_f1` | 0.5 | ≥ 0.85, missed |" in page
    assert "**Missed:** `person_f1` 0.5, aim ≥ 0.85." in page
    assert "| 1 of 2 | 2026-01-02 |" in page
    assert "commit `abcdef123456`; a cpu, 2 cores, 8 GB, no GPU." in page


def test_intervals_stand_beside_their_figures() -> None:
    beside = record("table-ablation", {"full_t2v_r1": 40.0, "full_t2v_r1_interval": [35.0, 44.0]})
    assert "| `full_t2v_r1` | 40.0 | 35.0 to 44.0 |" in report.page([beside])
    details = {"t2v": {"intervals": {"r1": {"low": 26.8, "high": 32.4}}}}
    within = record("evaluation", {"t2v_r1": 29.7, "seconds": 0.6}, details=details)
    assert "| `t2v_r1` | 29.7 | 26.8 to 32.4 |" in report.page([within])


def test_many_figures_of_the_same_kinds_become_rows_and_columns() -> None:
    kinds = ("full_f1", "rare_f1", "common_f1", "seconds")
    methods = ("bin", "asl", "op-tsg", "open-book", "order-free")
    values: dict[str, Any] = {"train_videos": 6513}
    values |= {
        f"{m}_{k}": round(0.1 * i + 0.01 * j, 2) for i, m in enumerate(methods) for j, k in enumerate(kinds)
    }
    text = report.page([record("msrvtt-words", values)])
    assert "| | full_f1 | rare_f1 | common_f1 | seconds |" in text
    assert "| op-tsg | 0.2 | 0.21 | 0.22 | 0.23 |" in text
    assert "| `train_videos` | 6,513 |" in text
    assert text.count("0.31") == 1, "nothing is said twice"


def test_a_row_keeps_its_kinds_together_and_a_wide_one_is_parted() -> None:
    ways = ("t2v", "v2t", "dual_t2v", "dual_v2t")
    keys = [
        f"{row}_{way}_{key}"
        for row in ("no_tags", "object", "mlm")
        for way in ways
        for key in ("r1", "r5", "r10", "mdr")
    ]
    values: dict[str, Any] = {key: float(number) for number, key in enumerate(keys)}
    values["no_tags_t2v_r1_interval"] = [0.0, 2.0]
    text = report.page([record("table-ablation", {**values, "r1_full": 99.0})])
    assert "| | t2v_r1 | t2v_r5 | t2v_r10 | t2v_mdr |\n" in text
    assert "| no_tags | 0 (0 to 2) | 1 | 2 | 3 |" in text
    assert "| | dual_v2t_r1 | dual_v2t_r5 | dual_v2t_r10 | dual_v2t_mdr |\n" in text
    assert "no_tags_dual" not in text
    assert "| `r1_full` | 99.0 |" in text


def test_the_command_writes_and_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGLINE_RESULTS", str(tmp_path / "results"))
    (tmp_path / "results").mkdir()
    held = record("startup", {"help_seconds": 0.1}, seeds=[3], details={"note": "x"})
    (tmp_path / "results" / "startup.json").write_text(json.dumps(held))
    page = tmp_path / "page.md"

    def run(*words: str) -> int:
        return CliRunner().invoke(cli, ["bench", "report", "--out", str(page), *words]).exit_code

    assert run("--check") == 1
    assert run() == 0
    assert run("--check") == 0
    held["values"]["help_seconds"] = 0.2
    (tmp_path / "results" / "startup.json").write_text(json.dumps(held))
    assert run("--check") == 1


def test_a_record_does_not_say_where_somebody_keeps_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "results_folder", lambda: tmp_path)
    monkeypatch.setitem(records.MEASUREMENTS, "some", ("benchmarks.somewhere:measure", "something"))
    monkeypatch.setattr(records, "import_module", lambda name: records)
    monkeypatch.setattr(records, "measure", lambda options: {"values": {"n": 1}}, raising=False)
    made = records.run("some", {"folder": str(tmp_path / "videos"), "model": "~/models/mine", "n": "3"})
    assert made["configuration"]["options"] == {"folder": "videos", "model": "mine", "n": "3"}
