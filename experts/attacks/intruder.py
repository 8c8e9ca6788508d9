"""Intruder: lets the probe loose where the decoder's child runs, and looks at what came of it."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagline.experts.attacks import probe
from tagline.experts.decode.child import Child, ChildDied

PROGRAM = Path(probe.__file__)
MEMORY = 1 << 30
SECRET = "HF_TOKEN"  # what a child's environment must not hold, with a value of our own


@dataclass(frozen=True, slots=True)
class Outcome:
    deed: str
    call: str
    passed: bool
    seen: str


def outcomes(folder: Path) -> list[Outcome]:
    """What became of each attempt on a file in `folder` and on this process (Linux with seccomp only)."""
    video = folder / "video.mp4"
    video.write_bytes(b"a video of the user's" * 1000)
    before = _state(folder), _self()
    os.environ.setdefault(SECRET, "secret")
    try:
        found = [*_standing(video), *_calls(video)]
    finally:
        if os.environ[SECRET] == "secret":
            del os.environ[SECRET]
    harm = [
        what
        for what, was, now in zip(("the user's files", "this process"), before, (_state(folder), _self()))
        if was != now
    ]
    seen = f"changed: {' and '.join(harm)}" if harm else "files and the parent are as they were"
    return [*found, Outcome("all of it", "afterwards", not harm, seen)]


def plain_outcomes(folder: Path) -> list[Outcome]:
    """The same where there is no list of calls to try: what any program does, in the real child."""
    video, secret = folder / "video.mp4", folder / "secret"
    video.write_bytes(b"a video of the user's" * 1000)
    secret.write_text("secret")
    order = {"plain": True, "path": str(video), "secret": str(secret), "fresh": str(folder / "fresh")}
    child = Child(PROGRAM, MEMORY)
    try:
        with video.open("rb") as file:
            reply, _ = child.ask({**order, "parent": os.getpid()}, 60, file.fileno())
    finally:
        child.kill()
    return [
        Outcome("any program's way", deed, not done, "was done" if done else "refused")
        for deed, done in reply["done"].items()
    ]


def _calls(video: Path) -> Iterator[Outcome]:
    order = {"path": str(video), "fresh": str(video.with_name("fresh")), "parent": os.getpid()}
    child: Child | None = None
    with video.open("rb") as file:
        for number, attempt in enumerate(probe.ATTEMPTS):
            child = child or Child(PROGRAM, MEMORY)
            try:
                reply, _ = child.ask({**order, "attempt": number}, 60, file.fileno())
            except ChildDied as gone:  # where a call goes through, the probe may not survive it
                child.kill()
                child, reply = None, {"error": 0, "gone": str(gone)}
            if reply["error"] is not None:  # this machine has such a call
                yield _outcome(attempt, reply["error"], reply.get("gone", ""))
    if child is not None:
        child.kill()


def _outcome(attempt: probe.Attempt, error: int, gone: str) -> Outcome:
    if error in probe.REFUSED or (error and error == attempt.error):
        return Outcome(attempt.deed, attempt.call, True, "refused")
    if error == 0 and attempt.harmless and not gone:
        return Outcome(attempt.deed, attempt.call, True, f"harmless: {attempt.harmless}")
    seen = f"came through to the kernel ({errno.errorcode[error]})" if error else gone or "was done"
    return Outcome(attempt.deed, attempt.call, False, seen)


def _standing(video: Path) -> Iterator[Outcome]:
    """What the child is and holds, seen from outside."""
    child = Child(PROGRAM, MEMORY)
    pid = child.process.pid
    with video.open("rb") as file:
        reply, _ = child.ask({}, 60, file.fileno())
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    session = os.getsid(pid)
    child.kill()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    left = [n for n in ("CapInh", "CapPrm", "CapEff", "CapAmb") if status[n].strip("0")]
    held = reply["held"]
    for call, passed, seen in (
        ("capabilities", not left, f"has {', '.join(left)}" if left else "none"),
        ("new privileges", status["NoNewPrivs"] == "1", f"NoNewPrivs {status['NoNewPrivs']}"),
        ("session", session == pid, "its own" if session == pid else "the parent's"),
        ("descriptors", not held, f"also {held}" if held else "its line and the video"),
        ("environment", SECRET not in reply["environment"], ", ".join(reply["environment"])),
    ):
        yield Outcome("what it is and holds", call, passed, seen)


def _state(folder: Path) -> list[Any]:
    """Everything about the files in a folder but when they were read."""
    found: list[Any] = []
    for path in sorted(folder.iterdir()):
        about = path.lstat()
        names = os.listxattr(path, follow_symlinks=False)
        content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        found.append(
            (path.name, about.st_mode, about.st_uid, about.st_mtime_ns, about.st_ctime_ns, names, content)
        )
    return found


def _self() -> tuple[Any, ...]:
    limits = [resource.getrlimit(kind) for kind in (resource.RLIMIT_CORE, resource.RLIMIT_AS)]
    tracer = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Tracer")
    ]
    return os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0), os.getpgid(0), limits, tracer
