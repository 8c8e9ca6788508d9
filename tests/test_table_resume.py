"""Going on with another number of processes: begun by two, killed, finished by one, the same losses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from table_world import config, data, losses, run

from table.train import train

HERE = Path(__file__).parent


def test_two_processes_begin_and_one_goes_on(tmp_path: Path) -> None:
    whole = losses(run(tmp_path / "whole").history)
    last = max(whole) - 4
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    both = []
    for rank in range(2):
        about = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        both.append(
            subprocess.Popen(
                [sys.executable, str(HERE / "table_world.py"), str(tmp_path / "run"), f"die={last}"],
                env={
                    **os.environ,
                    **about,
                    **meeting,
                    "PYTHONPATH": path,
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    outputs = [one.communicate(timeout=280)[0] for one in both]
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
