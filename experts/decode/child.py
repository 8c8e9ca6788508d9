"""Children: one decoding process, seen from its parent: started, asked, and ended when it does not answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import tagline
from tagline.experts.decode.guard import LENGTH

# What a child's environment keeps: where its libraries and its temporary files are, no tokens, no proxies.
NEEDED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "SYSTEMROOT",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)


def bare_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in NEEDED if name in os.environ}


class ChildDied(Exception):
    """The child did not answer; the message says why, in words about the file."""


class Child:
    """One child process and the line to it."""

    def __init__(self, program: Path, memory: int) -> None:
        here, there = socket.socketpair()
        with there:
            environment = {
                **bare_environment(),
                "PYTHONPATH": str(Path(tagline.__file__).resolve().parents[1]),
                "OPENBLAS_NUM_THREADS": "1",  # its threads' stacks count as memory
                "OMP_NUM_THREADS": "1",
                "MALLOC_ARENA_MAX": "1",
            }
            command = [sys.executable, "-P", "-B", "-s", str(program)]
            self.process = subprocess.Popen(
                [*command, str(there.fileno()), str(os.getpid()), str(memory)],
                pass_fds=[there.fileno()],
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # so that it has no terminal, and none of its signals
            )
        self.channel = here
        self.files = 0

    def ask(
        self, order: dict[str, Any], seconds: float, file: int | None = None
    ) -> tuple[dict[str, Any], int | None]:
        """Send an order about an opened file: (reply, descriptor of the memory it speaks of)."""
        deadline = time.monotonic() + seconds
        message = json.dumps(order).encode()
        fds: list[int] = []
        try:
            self.channel.settimeout(seconds)
            socket.send_fds(self.channel, [LENGTH.pack(len(message))], [] if file is None else [file])
            self.channel.sendall(message)
            size = LENGTH.unpack(self._receive(LENGTH.size, deadline, fds))[0]
            if size > 256 << 20:
                raise ChildDied("could not be decoded: the decoder answered nonsense")
            reply = json.loads(self._receive(size, deadline, fds))
        except TimeoutError:
            self._drop(fds)
            raise ChildDied(f"took longer than {seconds:.0f} s") from None
        except (OSError, ValueError):
            self._drop(fds)
            raise ChildDied(self._reason_of_death(seconds)) from None
        except BaseException:
            self._drop(fds)
            raise
        if not isinstance(reply, dict):
            reply = {}
        self._drop(fds[1:])
        return reply, fds[0] if fds else None

    def _receive(self, size: int, deadline: float, fds: list[int]) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self.channel.settimeout(max(0.001, deadline - time.monotonic()))
            part, got, _, _ = socket.recv_fds(self.channel, min(1 << 20, size - len(parts)), 1)
            fds += got
            if not part:
                raise ConnectionError
            parts += part
        return bytes(parts)

    def _drop(self, fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)

    def _reason_of_death(self, seconds: float) -> str:
        """Why it went: by the signal that ended it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        code = self.process.returncode
        if code == -signal.SIGXCPU:
            return f"took longer than {seconds:.0f} s"
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"the decoder crashed on it ({name})"

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.channel.close()
