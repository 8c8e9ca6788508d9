"""Training in other processes: the programs of the worlds, one that dies, two that train as one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def program(world: str, folder: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    """A world of these tests, started as a program."""
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    return subprocess.Popen(
        [sys.executable, str(HERE / f"{world}.py"), str(folder), *more],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def pair(world: str, folder: Path, *more: str) -> list[subprocess.Popen[str]]:
    """Two such programs that meet and train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": "2"}
    return [program(world, folder, *more, RANK=str(i), LOCAL_RANK=str(i), **meeting) for i in range(2)]


def die_at(step: int, trainer: Any) -> None:
    """Let a class of trainers kill its process when it comes to this step."""
    real = trainer.compute_loss

    def dying(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if self.state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *arguments, **keywords)

    trainer.compute_loss = dying


def logged(history: list[dict[str, float]], wanted: Sequence[str]) -> dict[int, dict[str, float]]:
    """What was logged of each step under the wanted names."""
    found: dict[int, dict[str, float]] = {}
    for entry in history:
        kept = {key: entry[key] for key in wanted if key in entry}
        found.setdefault(int(entry["step"]), {}).update(kept)
    return {step: kept for step, kept in found.items() if kept}


def write_losses(folder: Path, losses: dict[int, dict[str, float]]) -> None:
    """Of all processes that train together, the first one writes."""
    if os.environ.get("RANK", "0") == "0":
        (folder / "losses.json").write_text(json.dumps(losses))


def read_losses(folder: Path) -> dict[int, dict[str, float]]:
    return {int(step): kept for step, kept in json.loads((folder / "losses.json").read_text()).items()}
