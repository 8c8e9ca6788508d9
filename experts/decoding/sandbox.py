"""Sandbox: what a decoding process gives up before it touches a file. Each step is taken where it exists."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import struct
import sys

# System calls that a decoder has no use for: (x86-64, arm64); None where that machine has no such call.
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "truncate": (76, 45),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "creat": (85, None),
    "link": (86, None),
    "linkat": (265, 37),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "io_uring_setup": (425, 425),
    "openat2": (437, 437),
}
# Calls that open files, and which of their arguments holds the flags: refused if they could write.
OPENING: dict[str, tuple[int | None, int | None, int]] = {"open": (2, None, 1), "openat": (257, 56, 2)}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, and audit number
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38


def die_with(parent: int) -> None:
    """Be killed when the process `parent`, which started this one, is gone."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before the line above
            os._exit(1)


def ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; what it means is for the parent to decide."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def limit_memory(more: int) -> None:
    """Allow this process `more` bytes of address space beyond what it has now."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/statm") as statm:  # noqa: PTH123
            now = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = now + more if hard == resource.RLIM_INFINITY else min(now + more, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def limit_cpu(more: float) -> None:
    """Allow this process `more` seconds of CPU time from now; the kernel kills it after that."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + more) + 2, hard))


def close_the_doors() -> bool:
    """No sockets, no programs, no writing of files from here on (Linux). Whether the kernel agreed."""
    column, audit = _MACHINES.get(platform.machine(), (-1, 0))
    if sys.platform != "linux" or column < 0:
        return False
    program = _filter(column, audit)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))

    steps = ctypes.create_string_buffer(program, len(program))
    handed = Program(len(program) // 8, ctypes.addressof(steps))
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) != 0:
        return False
    return _prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(handed)) == 0


def _filter(column: int, audit: int) -> bytes:
    """The classic BPF program: eight bytes a step (code, jump if true, jump if false, value)."""
    load, equal, atleast, masked, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | 13, 0x80000000  # 13: permission denied

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    program = [step(load, 4), step(equal, audit, 1, 0), step(answer, kill), step(load, 0)]
    program += [step(atleast, 0x40000000, 0, 1), step(answer, refuse)]  # the x32 numbering
    for numbers in FORBIDDEN.values():
        number = numbers[column]
        if number is not None:
            program += [step(equal, number, 0, 1), step(answer, refuse)]
    for *numbers_, argument in OPENING.values():
        number = numbers_[column]
        if number is not None:
            program += [step(equal, number, 0, 4), step(load, 16 + 8 * argument)]
            program += [step(masked, WRITING, 0, 1), step(answer, refuse), step(answer, allow)]
    program.append(step(answer, allow))
    return b"".join(program)


def _prctl(option: int, *values: int) -> int:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return int(prctl(option, *(ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4])))
