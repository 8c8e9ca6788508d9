"""A decoder's child that was taken over (A32): what it may call, and what comes of trying the rest."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from filming import Film, shoot

from tagline.experts.attacks import probe
from tagline.experts.decode import landlock, sandbox, syscalls
from tagline.experts.decode.decoder import Decoder
from tagline.experts.footage import Sound, Uniform

HERE = Path(__file__).parents[1]
linux = pytest.mark.skipif(not syscalls.offered(), reason="this system has no seccomp filter")
ALLOW, PERMISSION, UNKNOWN = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


def run(program: str, **options: object) -> str:
    """What a program of its own says last."""
    command = [sys.executable, "-P", "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload]
    return str((done.stdout + done.stderr).strip())


PROBE = """
import sys
from pathlib import Path
from tagline.experts.attacks import intruder
outcomes = intruder.outcomes(Path(sys.argv[1] if len(sys.argv) > 1 else {folder!r}))
print(len(outcomes), [(o.call, o.seen) for o in outcomes if not o.passed])
"""


@linux
def test_a_child_that_was_taken_over_can_do_nothing(tmp_path: Path) -> None:
    assert run(PROBE.format(folder=str(tmp_path))) == f"{expected()} []"


@linux
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="the test above ran without root")
def test_nor_can_it_without_root(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    assert run(PROBE.format(folder=str(folder)), preexec_fn=become_nobody) == f"{expected()} []"


def expected() -> int:
    """Attempts that this machine has a call for, what the child is and holds, and what came of it all."""
    column = 0 if os.uname().machine == "x86_64" else 1
    return sum(attempt.numbers[column] is not None for attempt in probe.ATTEMPTS) + 6


def become_nobody() -> None:
    """Give up root but for reading: Python itself may lie where only root may look."""
    libc = ctypes.CDLL(None)
    libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    read = 1 << 2  # CAP_DAC_READ_SEARCH
    libc.capset(struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", read, read, read, 0, 0, 0))
    libc.prctl(47, 2, 2, 0, 0)  # PR_CAP_AMBIENT_RAISE


# -- the filter itself, for both machines ---------------------------------------------------------


def verdict(program: bytes, machine: str, number: int, *arguments: int) -> int:
    """What the kernel would make of a call: the filter, step by step."""
    audit = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    data = struct.pack(
        "=IIQ6Q", number, audit, 0, *(a & 2**64 - 1 for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
    )
    steps = list(struct.iter_unpack("=HBBI", program))
    at = value = 0
    while True:
        code, if_true, if_false, operand = steps[at]
        at += 1
        match code:
            case 0x20:
                value = struct.unpack_from("=I", data, operand)[0]
            case 0x15:
                at += if_true if value == operand else if_false
            case 0x35:
                at += if_true if value >= operand else if_false
            case 0x45:
                at += if_true if value & operand else if_false
            case 0x54:
                value &= operand
            case 0x06:
                return int(operand)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_what_is_not_on_the_list_fails(machine: str) -> None:
    program = syscalls.compiled(syscalls.ALLOWED, machine)
    column = 0 if machine == "x86_64" else 1
    listed = {call[column] for call in syscalls.ALLOWED.values()}
    assert len(listed) > 30
    for number in [*range(700), 0x40000000, 0x40000101, 2**32 - 1]:
        if number not in listed:
            wanted = UNKNOWN if number == 435 or 450 <= number < 0x40000000 else PERMISSION
            assert verdict(program, machine, number) == wanted, number
    assert verdict(program, machine, 18 if column == 0 else 68, 3) == ALLOW  # pwrite64
    other = "aarch64" if column == 0 else "x86_64"
    assert verdict(program, other, 0) == 0x80000000  # another machine's numbers: the process is killed


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_arguments_count(machine: str) -> None:
    every = syscalls.ALLOWED | syscalls.READING | syscalls.THREADS
    program = syscalls.compiled(every, machine)

    def answer(name: str, *arguments: int) -> int:
        number = every[name][0 if machine == "x86_64" else 1]
        assert isinstance(number, int)
        return verdict(program, machine, number, *arguments)

    assert answer("mmap", 0, 4096, 3, 0x22) == ALLOW
    assert answer("mmap", 0, 4096, 5, 0x22) == answer("mprotect", 0, 4096, 7) == PERMISSION
    assert answer("fcntl", 3, 2) == answer("fcntl", 3, 1030) == ALLOW
    assert answer("fcntl", 3, 4) == answer("fcntl", 3, 8) == answer("fcntl", 3, 1024) == PERMISSION
    assert answer("prlimit64", 0, 0) == ALLOW
    assert answer("prlimit64", 1, 0) == answer("prlimit64", 0, 9) == PERMISSION
    assert answer("openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC) == ALLOW
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND):
        assert answer("openat", 0, 0, flags) == PERMISSION
    assert answer("clone", 0x3D0F00) == ALLOW  # what a C library starts a thread with
    assert answer("clone", 17) == answer("clone", 0x3D0F00 | 0x10000000) == PERMISSION
    assert answer("prctl", 15) == ALLOW
    assert answer("prctl", 1) == PERMISSION


# -- what a process can keep, and systems that have less ------------------------------------------


@linux
def test_a_process_may_keep_folders_to_read_and_threads(tmp_path: Path) -> None:
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    said = run(f"""
import os, threading
from pathlib import Path
from tagline.experts.decode import sandbox
here = Path({str(tmp_path)!r})
kept, closed = os.open(here / "new", os.O_WRONLY | os.O_CREAT), os.open("/", os.O_RDONLY)
sandbox.confine(keep=[kept], read=[str(here / "inside")], threads=True)
def tries(deed):
    try:
        print(deed() or "done")
    except OSError as error:
        print(type(error).__name__)
tries((here / "inside" / "file").read_text)
tries((here / "outside" / "file").read_text)
tries(lambda: (here / "inside" / "file").write_text("changed"))
tries(os.fork)
tries(lambda: os.fstat(closed))
threading.Thread(target=lambda: print("a thread")).start()
os.write(kept, b"written")
""")
    outside = "PermissionError" if landlock.version() else "outside"
    assert said.split("\n") == ["inside", outside, *["PermissionError"] * 2, "OSError", "a thread"]
    assert (tmp_path / "new").read_text() == "written"


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no landlock")
def test_landlock_holds_by_itself(tmp_path: Path) -> None:
    """Without the filter: what the kernel's other half keeps a process from."""
    path = tmp_path / "file"
    path.write_text("x")
    assert landlock.version() >= 1
    said = run(f"""
import ctypes, os
from tagline.experts.decode import landlock
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
print(landlock.restrict())
path = {str(path)!r}
signal = (lambda: os.kill(os.getppid(), 0)) if landlock.version() >= 6 else (lambda: os.mkdir(path + "x"))
for deed in (lambda: open(path), lambda: open(path, "w"), lambda: os.remove(path), os.listdir, signal):
    try:
        print(deed())
    except OSError as error:
        print(type(error).__name__)
""")
    assert said.split("\n") == ["True", *["PermissionError"] * 5]
    assert path.read_text() == "x"


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("landlock.version = lambda: 0", "no landlock"),
        ("syscalls.offered = lambda: False; syscalls.keep_to = lambda calls: False", "no seccomp filter"),
    ],
)
def test_a_system_that_has_less_decodes_and_says_so(tmp_path: Path, lost: str, says: str) -> None:
    prepared = f"from tagline.experts.decode import guard, landlock, sandbox, syscalls\n{lost}\n"
    assert says in run(prepared + "print(sandbox.lacking())")
    child = tmp_path / "child.py"
    child.write_text(prepared + "guard.main()\n")
    path = shoot(tmp_path / "film", Film(count=5, sound="aac"))
    with Decoder(jobs=1, child=child) as decoder:
        assert decoder.read(path, (Uniform(2), Sound())).coverage.complete


@linux
def test_this_system_is_not_said_to_lack_what_it_has() -> None:
    assert sandbox.lacking() == ("" if landlock.version() else sandbox.NO_LANDLOCK)
