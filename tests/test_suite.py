"""The measurement of the tests themselves, on a tiny suite: what passes, fails, is left out, by mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagline.benchmarks.quality import suite
from tagline.tagging.ml.config import BadConfig

TESTS = """
import os, pytest, time

@pytest.mark.parametrize("n", [1, 2])
def test_passes(n):
    assert n

def test_is_shaken_by_seed_two():
    assert os.environ.get("TAGLINE_SHAKE") != "2"

def test_needs_the_processors_own_kernels():
    assert "ATEN_CPU_CAPABILITY" not in os.environ

@pytest.mark.skip
def test_is_left_out():
    raise AssertionError

@pytest.fixture
def broken():
    yield
    raise ValueError("cannot be cleared up")

def test_slow(broken):
    time.sleep(0.3)
    assert "TAGLINE_SHAKE" not in os.environ
"""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest alone: its plugins take seconds to load, each time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_each_mode_is_run_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGLINE_SHAKE", "2")  # a mode is what it says, whatever this process was told
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    (tmp_path / "test_tiny.py").write_text(TESTS)
    found = suite.measure({"folder": str(tmp_path), "workers": "1", "modes": "plain,shaken-2,default"})
    values, details = found["values"], found["details"]

    def counts(mode: str) -> list[int]:
        return [values[f"{mode}_{key}"] for key in ("passed", "skipped", "failed")]

    # Passing and then failing to clear up is failing, and failing twice is failing once.
    assert counts("plain") == [4, 1, 1]
    assert counts("shaken-2") == [3, 1, 2]
    assert counts("default") == [3, 1, 2]
    assert details["plain"]["failures"] == ["test_tiny.py::test_slow"]
    assert "test_tiny.py::test_is_shaken_by_seed_two" in details["shaken-2"]["failures"]
    assert "test_tiny.py::test_needs_the_processors_own_kernels" in details["default"]["failures"]
    assert values["green"] is False
    assert values["suite_seconds"] == values["plain_seconds"] > 0.3
    assert details["plain"]["slowest"][0][1] == "test_tiny.py::test_slow"
    assert found["seeds"] == [2]


def test_what_does_not_run_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(BadConfig, match="did not run"):
        suite.measure({"folder": str(tmp_path), "workers": "1", "modes": "plain"})
    with pytest.raises(BadConfig, match="there is no 'fast'"):
        suite.measure({"modes": "fast"})
