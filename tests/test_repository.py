"""What stays in the repository: an installed package says so in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from filming import Film, shoot

from tagline.benchmarks.cli.bench import bench
from tagline.benchmarks.registry import record, repository
from tagline.experts.weights import registry
from tagline.tagging.catalog import location

ROOT = Path(__file__).parent.parent


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installed package: no checkout around it, and no playhouse in it."""
    for name in list(sys.modules):
        if name.startswith(repository.ONLY_THERE):
            monkeypatch.delitem(sys.modules, name)

    class Hidden:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name.startswith(repository.ONLY_THERE):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])
    monkeypatch.setattr(repository, "root", lambda: None)
    monkeypatch.delenv("TAGLINE_RESULTS", raising=False)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "arguments",
    [
        ["playhouse", "render", "tiny", "out"],
        ["playhouse", "card", "tiny"],
        ["playhouse", "experts", "--only", "scene", "--out", "out"],
        ["prepare", "playhouse", "--videos", "."],
        ["run", "playhouse-experts"],
        ["run", "search-quality"],
        ["run", "cost", "--set", "baseline=."],
        ["run", "suite"],
        ["run", "house"],
        ["report"],
    ],
    ids=" ".join,
)
def test_a_command_that_needs_the_repository_says_so(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(bench, arguments)
    assert answer.exit_code == 1, answer.output
    assert "in tagline's repository, not in the installed package" in answer.output, answer.output
    assert len(answer.output.splitlines()) == 1, answer.output


@pytest.mark.usefixtures("installed")
def test_records_of_an_installed_package_go_to_the_users_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "data_directory", lambda: tmp_path)
    assert record.results_folder() == tmp_path / "results"
    assert record.commit() is None


def test_records_of_a_checkout_stay_in_it() -> None:
    assert record.results_folder() == ROOT / "benchmarks" / "results"
    assert repository.root() == ROOT
    assert location.data_directory() not in record.results_folder().parents


def test_all_weights_of_the_playhouse_are_here_and_whole() -> None:
    names = [name for name, entry in registry.entries().items() if entry.collection == registry.PLAYHOUSE]
    assert names == [f"playhouse-{part}" for part in ("clip", "motion", "object", "person", "scene")]
    assert all(registry.find(name).sha256 for name in names)


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [
        (["tag", ".", "--only", "scene"], 0),  # an expert that did not run is told and no failure
        (["index", "--library", "."], 1),
    ],
)
def test_weights_of_the_playhouse_that_are_not_here_are_a_sentence(
    arguments: list[str], ends: int, tmp_path: Path
) -> None:
    shoot(tmp_path / "film", Film())
    (tmp_path / "none").mkdir()
    environment = {**os.environ, "TAGLINE_PLAYHOUSE": str(tmp_path / "none")}
    subprocess.run(
        [sys.executable, "-m", "tagline.retrieval.cli.main", "tag", ".", "--only", "screen"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    done = subprocess.run(
        [sys.executable, "-m", "tagline.retrieval.cli.main", *arguments, "--weights", "playhouse"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in said, said
    assert done.returncode == ends, said
    assert "the weights of the playhouse are in tagline's repository" in said, said
