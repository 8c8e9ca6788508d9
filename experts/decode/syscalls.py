"""System calls: the few that decoding needs, as a filter in the kernel (seccomp-BPF). All others fail.

How the list was measured: children of the decoder ran under `strace -f`, with no filter and then with this
one, over some 60 real files (H.264, HEVC, VP9, AV1, MPEG-1/2/4, MOV, Matroska, AVI, MPEG-TS, 3GP; damaged,
encrypted, empty), all films and hostile files of the tests, and previews (x264, AAC). What was called after
the doors had closed, and could not be avoided, is below. To measure again, look for EPERM in what
`strace -f pytest -n 0 tests/test_decoder.py` shows.

Two calls are missing on purpose though they were seen: `clone` (FFmpeg scaled each picture with threads of
its own) and `sched_getaffinity` (without it FFmpeg and x264 take the machine to have one core: no threads).
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """What an argument must be like, seen as the kernel sees it here: its low 32 bits."""

    argument: int
    one_of: tuple[int, ...] = ()
    none_of: int = 0  # bits
    all_of: int = 0  # bits


Call = tuple[int | None, int | None, *tuple[Condition, ...]]  # number on x86-64, on arm64 (None: has none)

_NOT_RUNNABLE = Condition(2, none_of=4)  # PROT_EXEC
ALLOWED: dict[str, Call] = {
    "pwrite64": (18, 68),
    "read": (0, 63),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "futex": (202, 98),
    "fstat": (5, 80),
    # Newer C libraries ask for a descriptor's facts in this way only.
    "newfstatat": (262, 79, Condition(3, one_of=(0x1000,))),  # AT_EMPTY_PATH
    "dup": (32, 23),
    "close": (3, 57),
    "fcntl": (72, 25, Condition(1, one_of=(1, 2, 3, 1030))),  # GETFD, SETFD, GETFL, DUPFD_CLOEXEC
    "brk": (12, 214),
    "mmap": (9, 222, _NOT_RUNNABLE),
    "mprotect": (10, 226, _NOT_RUNNABLE),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "memfd_create": (319, 279),
    # The line to the parent: there is no other socket, and none can be made.
    "recvmsg": (47, 212),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "write": (1, 64),  # FFmpeg's last words go to /dev/null
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    # Its own CPU time: each file gets its share. The parent's clock ends it in any case.
    "prlimit64": (302, 261, Condition(0, one_of=(0,)), Condition(1, one_of=(0,))),
    # The time; the kernel answers without a call on most machines.
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "clock_nanosleep": (230, 115),
    "sched_yield": (24, 124),
    "exit": (60, 93),
    "exit_group": (231, 94),
}

# The flags that write, make or change a file, or open it for something other than reading.
_CHANGING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000 | 0o10000000 | 0o20000000
# For a process that goes on to read files by their names (landlock then says which).
READING: dict[str, Call] = {
    "openat": (257, 56, Condition(2, none_of=_CHANGING)),
    "open": (2, None, Condition(1, none_of=_CHANGING)),
    "newfstatat": (262, 79),
    "stat": (4, None),
    "lstat": (6, None),
    "access": (21, None),
    "faccessat": (269, 48),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
}
# For a process that computes with threads: CLONE_VM, SIGHAND and THREAD, no new namespace, no tracing.
THREADS: dict[str, Call] = {
    "clone": (56, 220, Condition(0, all_of=0x10900), Condition(0, none_of=0x7E02A080)),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "sched_getaffinity": (204, 123),
    "prctl": (157, 167, Condition(0, one_of=(15,))),  # PR_SET_NAME
}

_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}  # column, audit, seccomp
_CLONE3, _NEWER = 435, 450  # from here on numbers are newer than this list
_SET_FILTER, _ACTION_KNOWN, _ALL_THREADS = 1, 2, 1
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def offered() -> bool:
    """Whether this kernel filters system calls, on a machine whose numbers are known here."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    return _seccomp(_ACTION_KNOWN, 0, ctypes.byref(ctypes.c_uint32(_ERROR))) == 0


def keep_to(calls: dict[str, Call]) -> bool:
    """Only these from here on, in all threads. Needs "no new privileges". Whether the kernel agreed."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    program = compiled(calls, platform.machine())

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))

    steps = ctypes.create_string_buffer(program, len(program))
    handed = Program(len(program) // 8, ctypes.addressof(steps))
    return _seccomp(_SET_FILTER, _ALL_THREADS, ctypes.byref(handed)) == 0


def _seccomp(operation: int, flags: int, what: object) -> int:
    number = _MACHINES[platform.machine()][2]
    return int(ctypes.CDLL(None, use_errno=True).syscall(number, operation, flags, what))


def compiled(calls: dict[str, Call], machine: str) -> bytes:
    """The filter as classic BPF: eight bytes a step (code, jump if true, jump if false, value)."""
    column, audit, _ = _MACHINES[machine]
    refuse, unknown = _answer(_ERROR | errno.EPERM), _answer(_ERROR | errno.ENOSYS)
    program = [_load(4), _step(_EQUAL, audit, 1, 0), _answer(_KILL), _load(0)]
    for first, second, *conditions in calls.values():
        number = (first, second)[column]
        if number is not None:
            steps = [step for condition in conditions for step in _check(condition, refuse)]
            program += [_step(_EQUAL, number, 0, len(steps) + 1), *steps, _answer(_ALLOW)]
    # A C library falls back to what it did before where the kernel does not know a call.
    program += [_step(_EQUAL, _CLONE3, 0, 1), unknown]
    program += [_step(_AT_LEAST, 0x40000000, 0, 1), refuse]  # the x32 numbering
    program += [_step(_AT_LEAST, _NEWER, 0, 1), unknown, refuse]
    return b"".join(program)


_EQUAL, _AT_LEAST, _ANY_BIT, _AND = 0x15, 0x35, 0x45, 0x54


def _check(condition: Condition, refuse: bytes) -> list[bytes]:
    """Steps that go on below if the argument is as it must be, and refuse if not."""
    load = _load(16 + 8 * condition.argument)
    if condition.one_of:
        last = len(condition.one_of) - 1
        return [
            load,
            *(_step(_EQUAL, value, last - n + 1, 0) for n, value in enumerate(condition.one_of)),
            refuse,
        ]
    if condition.all_of:
        return [load, _step(_AND, condition.all_of), _step(_EQUAL, condition.all_of, 1, 0), refuse]
    return [load, _step(_ANY_BIT, condition.none_of, 0, 1), refuse]


def _load(place: int) -> bytes:
    return _step(0x20, place)


def _answer(value: int) -> bytes:
    return _step(0x06, value)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
