"""Training in other processes: the programs of the worlds, one that dies, two that train as one.

They are forked by a server that has torch imported once, since an import takes longer than such a training.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections.abc import Sequence
from importlib import import_module
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WORLDS = ("table_world", "tagger_world")


class Program:
    """A world of these tests at work in a process of its own: its `main` with these words."""

    def __init__(self, world: str, words: Sequence[str], environment: dict[str, str]) -> None:
        _serve()
        with tempfile.NamedTemporaryFile(prefix=world, suffix=".txt", delete=False) as file:
            self._said = Path(file.name)
        everything = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        arguments = (world, list(words), everything, str(self._said))
        self._process = get_context("forkserver").Process(target=_begin, args=arguments, daemon=True)
        self._process.start()

    def wait(self, timeout: float) -> str:
        """What it wrote, once it has ended; it is killed where it takes longer than this."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        said = self._said.read_text(encoding="utf-8", errors="replace")
        self._said.unlink()
        return said

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode


def _serve() -> None:
    """Start the server, if it does not run yet. It looks for modules to import where PYTHONPATH says."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE.parent), str(HERE), before)))
    forkserver.set_forkserver_preload([__name__, *WORLDS])
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _begin(world: str, words: list[str], environment: dict[str, str], said: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(said, os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    import_module(world).main(words)


def program(world: str, folder: Path, *more: str, **environment: str) -> Program:
    """A world, training in this folder."""
    return Program(world, [str(folder), *more], environment)


def pair(world: str, folder: Path, *more: str) -> list[Program]:
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
