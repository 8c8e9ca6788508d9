"""Going on with another number of processes: begun by two, killed, finished by one, the same losses."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import pair
from table_world import config, data, losses, run

from tagline.table.train import train


def test_two_processes_begin_and_one_goes_on(tmp_path: Path) -> None:
    whole = losses(run(tmp_path / "whole").history)
    last = max(whole) - 4
    both = pair("table_world", tmp_path / "run", f"die={last}")
    outputs = [one.wait(280) for one in both]
    assert -9 in [one.returncode for one in both], "\n".join(outputs)

    said: list[str] = []
    again = train(config(), data(), tmp_path / "run", report=(), device="cpu", say=said.append)
    assert said[0].startswith("going on from step ")
    begun = int(said[0].split()[-1])
    assert 0 < begun <= last
    found = losses(again.history)
    assert set(found) == set(whole)
    for step, entry in whole.items():
        # Sums in another order while there were two; Adam makes much of small differences.
        assert found[step] == pytest.approx(entry, rel=2e-3, abs=2e-3), step
