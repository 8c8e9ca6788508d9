"""Sandbox: what a decoding process gives up before it touches a file. Each step is taken where it exists."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import struct
import sys
from collections.abc import Iterable, Sequence

from tagline.experts.decode import landlock, syscalls

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_CAPABILITIES = 0x20080522  # version 3 of the interface

NO_FILTER = (
    "this system cannot lock the decoder in (it has no seccomp filter): "
    "a video that breaks FFmpeg could do what you can do"
)
NO_LANDLOCK = "this kernel has no landlock: the decoder is locked in by the filter of system calls alone"


def die_with(parent: int) -> None:
    """Be killed when the process `parent`, which started this one, is gone."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before the line above
            os._exit(1)


def ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal, the end of a service each of its processes; what that
    means is for the parent to decide."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


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


def confine(keep: Iterable[int] = (), *, read: Sequence[str] = (), threads: bool = False) -> bool:
    """Give up all that this process will not need, for good; to be called while it has one thread.

    From here on it can open no file, change none, reach no other process and no network, and start nothing
    (Linux). All that it works with is memory and the descriptors in `keep`; 0, 1 and 2 stay, too.

    read: files and folders that may still be opened, for reading. On a kernel without landlock that holds
    for all that the user may read. threads: more of them may be started.
    Whether system calls are filtered now; what else is missing on this system, `lacking` says.
    """
    _close_all_but({0, 1, 2, *keep})
    if sys.platform != "linux":
        return False
    if not threads:
        _limit_processes()
    _prctl(_PR_SET_DUMPABLE, 0)  # what is in its memory is for no crash reporter
    _drop_capabilities()
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) != 0:
        return False
    landlock.restrict(read)
    calls = syscalls.ALLOWED | (syscalls.READING if read else {}) | (syscalls.THREADS if threads else {})
    return syscalls.keep_to(calls)


def lacking() -> str:
    """What this system cannot take from a decoder that a file has taken over; "" if nothing."""
    if not syscalls.offered():
        return NO_FILTER
    return "" if landlock.version() else NO_LANDLOCK


def _close_all_but(keep: set[int]) -> None:
    most = os.sysconf("SC_OPEN_MAX")
    edges = [-1, *sorted(keep), most if most > 0 else 1 << 16]
    for before, after in itertools.pairwise(edges):
        if before + 1 < after:  # of an empty range, Python's closerange makes all descriptors
            os.closerange(before + 1, after)


def _limit_processes() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _drop_capabilities() -> None:
    """Root's special rights, also those that a program started later could have."""
    for number in range(64):
        if _prctl(_PR_CAPBSET_DROP, number) != 0:
            break  # this process has no right to, or the kernel knows no more of them
    nothing = struct.pack("=6I", 0, 0, 0, 0, 0, 0)
    ctypes.CDLL(None).capset(struct.pack("=Ii", _CAPABILITIES, 0), nothing)


def _prctl(option: int, *values: int) -> int:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return int(prctl(option, *(ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4])))
