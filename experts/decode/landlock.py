"""Landlock: takes every file, address and neighbour from this process, where the kernel can (Linux 5.13)."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_PATH_BENEATH = 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
# The rights on files that each version of the interface knows: all of them are taken away.
_FILES = (13, 14, 15, 15, 16)  # how many bits; of later versions as of the fifth
_NETWORK = 0b11  # TCP bind and connect, from version 4
_SCOPED = 0b11  # abstract Unix sockets and signals, from version 6


def version() -> int:
    """The version of the interface that this kernel offers; 0: none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def restrict(read: Iterable[str] = ()) -> bool:
    """From here on no file is opened, made, changed or removed by a path, and nobody outside is reached.

    read: files and folders that may still be opened for reading. Needs "no new privileges".
    """
    known = version()
    if known == 0:
        return False
    libc = _libc()
    files = (1 << _FILES[min(known, len(_FILES)) - 1]) - 1
    handled = [files, *([_NETWORK] if known >= 4 else []), *([_SCOPED] if known >= 6 else [])]
    rules = struct.pack(f"={len(handled)}Q", *handled)
    ruleset = int(libc.syscall(_CREATE, rules, ctypes.c_size_t(len(rules)), ctypes.c_uint(0)))
    if ruleset < 0:
        return False
    try:
        for path in read:
            _allow(libc, ruleset, path)
        return int(libc.syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint(0))) == 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_READ_FOLDER if os.path.isdir(path) else 0)  # noqa: PTH112
        rule = struct.pack("=Qi", rights, place)
        if libc.syscall(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
