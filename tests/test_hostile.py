"""The hostile files of the selftest, as tests: A1 to A9 and A27."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagline.experts.decode import selftest


@pytest.mark.parametrize(
    "number", range(len(selftest.CASES)), ids=[f"{attack} {case}" for attack, case, _ in selftest.CASES]
)
def test_hostile_file(number: int, tmp_path: Path) -> None:
    _, _, check = selftest.CASES[number]
    assert check(tmp_path)


def test_every_attack_on_files_has_a_case() -> None:
    assert {attack for attack, _, _ in selftest.CASES} >= {f"A{n}" for n in range(1, 10)} | {"A27"}


def test_a_case_that_goes_wrong_is_reported_and_the_rest_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(folder: Path) -> str:
        return selftest.refused(folder, selftest.hostile.honest_video(folder / "fine.mp4"))

    def broken(folder: Path) -> str:
        raise OSError("no room")

    monkeypatch.setattr(
        selftest,
        "CASES",
        [("X1", "wrong", wrong), ("X2", "broken", broken), ("X3", "good", lambda _: "seen")],
    )
    results = selftest.run_cases(tmp_path)
    assert [ok for attack, _, ok, _ in results if attack != "A32"] == [False, False, True]
    assert "'fine.mp4' was read" in results[0][3]
    assert "no room" in results[1][3]
