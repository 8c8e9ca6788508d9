"""Children: one decoding process, seen from its parent: started, asked, and ended when it does not answer."""

from __future__ import annotations

import contextlib
import json
import math
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
from tagline.experts.decode.reply import HEAD, NonsenseReply, parsed

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


HALTED = "its decoder"  # so begin the reasons that say nothing about the file


class ChildDied(Exception):
    """The child did not answer; the message says why, in words about the file."""


class Watch:
    """Looks whether a process does anything, where the system tells (Linux). Waiting for a disk or for its
    turn counts as doing something; sleeping, and having been stopped, does not."""

    def __init__(self, pid: int, patience: float) -> None:
        self.pid, self.patience = pid, patience
        self.glance = min(5.0, patience / 4)  # seconds between two looks
        self._spent, self._since = "", time.monotonic()

    def look(self) -> str | None:
        """Why it is not waited for any longer, in words about the file; None while it may go on."""
        try:
            about = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        state, spent, now = about[0], " ".join(about[11:13]), time.monotonic()
        if spent != self._spent or state in "RD":
            self._spent, self._since = spent, now
        if now - self._since < self.patience:
            return None
        how = "was stopped by somebody" if state in "Tt" else "fell asleep"
        return f"{HALTED} {how} and did nothing for {now - self._since:.0f} s"


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
        self,
        order: dict[str, Any],
        seconds: float,
        file: int | None = None,
        *,
        most: int = HEAD,
        stalled: float = math.inf,
    ) -> tuple[dict[str, Any], int | None]:
        """Send an order about an opened file: (answer, descriptor of the memory it speaks of).

        seconds: for all of it; stalled: in which it does nothing at all; most: bytes of the answer.
        Raises ChildDied, and NonsenseReply for what is no answer; what one says is for others to check.
        """
        deadline = time.monotonic() + seconds
        watch = Watch(self.process.pid, stalled)
        message = json.dumps(order).encode()
        fds: list[int] = []
        try:
            self.channel.settimeout(seconds)
            socket.send_fds(self.channel, [LENGTH.pack(len(message))], [] if file is None else [file])
            self.channel.sendall(message)
            size = LENGTH.unpack(self._receive(LENGTH.size, deadline, watch, fds))[0]
            if size > most:
                raise NonsenseReply("too long an answer")
            return parsed(self._receive(size, deadline, watch, fds)), fds[0] if fds else None
        except TimeoutError:
            self._drop(fds)
            raise ChildDied(f"took longer than {seconds:.0f} s") from None
        except OSError:
            self._drop(fds)
            raise ChildDied(self._reason_of_death(seconds)) from None
        except BaseException:
            self._drop(fds)
            raise

    def _receive(self, size: int, deadline: float, watch: Watch, fds: list[int]) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self.channel.settimeout(max(0.001, min(deadline - time.monotonic(), watch.glance)))
            try:
                part, got, _, _ = socket.recv_fds(self.channel, min(1 << 20, size - len(parts)), 1)
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise
                if (reason := watch.look()) is not None:
                    raise ChildDied(reason) from None
                continue
            fds += got
            if not part:
                raise ConnectionError
            if len(fds) > 1:
                raise NonsenseReply("more than one file")
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
