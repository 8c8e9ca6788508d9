"""The example package: tagline finds it by its entry point, it can be set, and its own tests pass."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

from tagline.experts.base import Expert, available_experts, build_expert

PACKAGE = Path(__file__).parent.parent / "docs" / "examples" / "smoke-alarm"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `pip install -e` leaves it: the folder on the path, and what the package says of itself."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    about = tmp_path / "tagline_smoke_alarm-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    lines = [f"[{group}]" for group in project["entry-points"]]
    lines += [f"{k} = {v}" for own in project["entry-points"].values() for k, v in own.items()]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for place in (tmp_path, PACKAGE, PACKAGE / "tests"):
        monkeypatch.syspath_prepend(str(place))
    for name in ("smoke_alarm", "test_smoke_alarm"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_tagline_finds_it_and_sets_it() -> None:
    assert available_experts()["smoke"] == "smoke_alarm:SmokeExpert"
    expert = build_expert("smoke", {"threshold": 0.5})
    assert isinstance(expert, Expert)
    assert expert.missing() is None
    assert expert.fingerprint() != build_expert("smoke", {}).fingerprint()


def test_its_own_tests_pass() -> None:
    own = importlib.import_module("test_smoke_alarm")
    tests = [value for name, value in vars(own).items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        test()
