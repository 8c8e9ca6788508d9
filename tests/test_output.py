"""The one place that writes results: for every kind, the same rows, and nothing that a terminal obeys."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tagline.tagging.cli.output import emit, output_options, to_json
from tagline.tagging.formats.csvs import unguard

ROWS: list[dict[str, Any]] = [
    {"name": "dog", "count": 3, "share": 0.5, "more": ["x"]},
    {"name": "=cmd|' /C calc'!A0", "count": 1, "share": 0.25, "more": []},
    {"name": "evil\x1b[2J\u202e[bold]:smile:", "count": 0, "share": 0.0, "more": None},
    {"name": os.fsdecode(b"caf\xe9"), "count": 0, "share": 0.0, "more": None},
]
COLUMNS = ("name", "count", "share")
SAFE = ["dog", "=cmd|' /C calc'!A0", r"evil\x1b[2J\u202e[bold]:smile:", r"caf\xe9"]


@click.command()
@output_options
def listing() -> None:
    emit(ROWS, COLUMNS)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(listing, arguments)


def harmless(text: str) -> bool:
    return not any(c in text for c in "\x1b\u202e\x9b\r")


def test_json_holds_everything() -> None:
    answer = run("--json")
    assert harmless(answer.output)
    rows = json.loads(answer.output)
    assert rows[0] == ROWS[0]
    assert rows[2]["name"] == ROWS[2]["name"], "escaped for the terminal, the same for programs"
    assert rows[3]["name"] == r"caf\xe9"


def test_lines_of_json() -> None:
    answer = run("--nl")
    assert harmless(answer.output)
    assert [json.loads(line) for line in answer.output.splitlines()] == json.loads(run("--json").output)


def test_csv_runs_nothing() -> None:
    answer = run("--csv")
    assert harmless(answer.output)
    header, *rows = csv.reader(io.StringIO(answer.output))
    assert tuple(header) == COLUMNS
    assert [unguard(row[0]) for row in rows] == SAFE
    assert all(row[0][0] not in "=+-@" for row in rows)
    assert rows[0][1:] == ["3", "0.5"]


def test_parquet_goes_into_a_file_and_follows_no_link(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    assert run("--parquet", str(path)).exit_code == 0
    table = pq.read_table(path)
    assert table.column_names == list(COLUMNS)
    assert table["count"].to_pylist() == [3, 1, 0, 0]
    link = tmp_path / "b.parquet"
    link.symlink_to(path)
    before = path.read_bytes()
    answer = run("--parquet", str(link))
    assert answer.exit_code == 1
    assert "symbolic link" in answer.output
    assert path.read_bytes() == before


def test_a_table_is_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    answer = run()
    assert harmless(answer.output)
    for name in SAFE:
        assert name in answer.output
    assert answer.output.splitlines()[0].split() == list(COLUMNS)


def test_only_one_kind_at_a_time() -> None:
    answer = run("--json", "--csv")
    assert answer.exit_code == 2
    assert "only one of" in answer.output
    assert run("--json").exit_code == 0, "one call knows nothing of another"


def test_nothing_is_an_empty_list() -> None:
    @click.command()
    @output_options
    def empty() -> None:
        emit([], COLUMNS)

    assert json.loads(CliRunner().invoke(empty, ["--json"]).output) == []
    assert CliRunner().invoke(empty, []).output == ""


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_says_the_same_and_shows_nothing_odd(value: Any) -> None:
    text = to_json(value)
    assert json.loads(text) == value
    assert harmless(text)


def test_a_long_table_has_the_cells_of_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond some hundred rows it is written plainly, for rich takes a millisecond for each."""
    short = [line.split() for line in run().output.splitlines()]
    monkeypatch.setattr("tagline.tagging.cli.output.MOST_STYLED", 1)
    assert [line.split() for line in run().output.splitlines()] == short
    assert "\x1b" not in run().output
