"""The attacks of the selftest, as tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tagline.experts.attacks import children, intruder, selftest, weights
from tagline.experts.decode import syscalls
from tagline.retrieval.cli import selftest as command
from tagline.retrieval.cli.main import cli
from tagline.retrieval.cli.selftest import ELSEWHERE
from tagline.retrieval.web import attacks as page
from tagline.tagging.attacks import beside, catalogs

PLACES = (selftest, children, weights, beside, catalogs, page, command)
CASES = [case for place in PLACES for case in place.CASES]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{attack} {case}" for attack, case, _ in CASES])
def test_hostile_case(number: int, tmp_path: Path) -> None:
    _, _, check = CASES[number]
    assert check(tmp_path)


def test_every_attack_is_tried_or_it_is_said_where() -> None:
    tried = {attack for attack, _, _ in CASES} | {"A32"}  # the probe
    assert not tried & set(ELSEWHERE)
    assert tried | set(ELSEWHERE) >= {f"A{n}" for n in range(1, 48)}


@pytest.mark.skipif(not syscalls.offered(), reason="only a list of system calls refuses all of this")
def test_where_no_calls_can_be_tried_the_real_child_tries_what_any_program_can(tmp_path: Path) -> None:
    found = intruder.plain_outcomes(tmp_path)
    assert [outcome.seen for outcome in found] == ["refused"] * 6
    assert not (tmp_path / "fresh").exists()


def test_a_deed_that_was_done_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system without a filter the selftest says what a decoder that was taken over could do."""
    open_child = tmp_path / "child.py"
    open_child.write_text(
        "from tagline.experts.attacks import probe\n"
        "from tagline.experts.decode import sandbox\n"
        "sandbox.confine = lambda **_: False\n"
        "probe.main()\n"
    )
    monkeypatch.setattr(intruder, "PROGRAM", open_child)
    monkeypatch.setattr(syscalls, "offered", lambda: False)
    results = selftest.taken_over(tmp_path)
    assert ("A32", "any program's way: read another file", False, "was done") in results
    assert ("A32", "any program's way: make a file", False, "was done") in results


@pytest.mark.parametrize("hostile", [False, True])
def test_the_command_says_of_each_attack_what_happened(
    monkeypatch: pytest.MonkeyPatch, hostile: bool
) -> None:
    def wrong(folder: Path) -> str:
        raise selftest.Unexpected("it was read \u202e")

    for module in PLACES[1:]:
        monkeypatch.setattr(module, "CASES", [])
    monkeypatch.setattr(selftest, "CASES", [("A2", "wrong", wrong), ("A1", "right", lambda _: "refused")])
    monkeypatch.setattr(selftest, "taken_over", lambda _: [("A32", "fork", True, "refused")])
    done = CliRunner().invoke(cli, ["selftest", *(["--hostile"] if hostile else [])])
    if not hostile:
        assert done.exit_code == 0
        assert done.output == "ok            an honest video: it was read\n1 passed, 0 failed\n"
        return
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[:3] == [
        "ok    A1      right: refused",
        "FAIL  A2      wrong: it was read \\u202e",
        "ok    A32     fork: refused",
    ]
    assert lines[-1] == "2 passed, 1 failed"
    assert any(line.startswith("--    A25") and "attacks" in line for line in lines)


def test_a_case_that_goes_wrong_is_reported_and_the_rest_runs(tmp_path: Path) -> None:
    def wrong(folder: Path) -> str:
        return selftest.refused(folder, selftest.hostile.honest_video(folder / "fine.mp4"))

    def broken(folder: Path) -> str:
        raise OSError("no room")

    cases = [("X1", "wrong", wrong), ("X2", "broken", broken), ("X3", "good", lambda _: "seen")]
    results = list(selftest.run_cases(tmp_path, cases))
    assert [ok for _, _, ok, _ in results] == [False, False, True]
    assert "'fine.mp4' was read" in results[0][3]
    assert "no room" in results[1][3]
