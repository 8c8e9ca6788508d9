"""Opening: a file of unknown origin becomes a descriptor for the child; no pipe or device ever does."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from tagline.experts.footage import Unreadable


def opened(path: Path) -> int:
    """A descriptor of a regular file, for reading; the child gets this and no path. Raises `Unreadable`."""
    reason = refusal(path)
    if reason is not None:
        raise Unreadable(reason)
    kind = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(path, os.O_RDONLY | kind)  # would not wait for a pipe that has taken the file's place
    except FileNotFoundError:
        raise Unreadable("is not there any more") from None
    except OSError as error:
        raise Unreadable(f"cannot be opened ({(error.strerror or 'unknown error').lower()})") from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise Unreadable("is not a regular file")
    return file


def refusal(path: Path) -> str | None:
    """Why a path is not even opened, in words; None if it may be."""
    try:
        found = os.stat(path)  # noqa: PTH116  follows links, and says so where they lead in a circle
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "is a symbolic link that leads in a circle"
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "is a symbolic link to nothing" if os.path.islink(path) else "is not there"  # noqa: PTH114
        if error.errno == errno.ENAMETOOLONG:
            return "has a name that is too long"
        return f"cannot be reached ({(error.strerror or 'unknown error').lower()})"
    except ValueError:
        return "has a name with a NUL in it"
    for kind, name in (
        (stat.S_ISDIR, "is a folder"),
        (stat.S_ISFIFO, "is a named pipe, not a file"),
        (stat.S_ISSOCK, "is a socket, not a file"),
        (stat.S_ISCHR, "is a device, not a file"),
        (stat.S_ISBLK, "is a device, not a file"),
    ):
        if kind(found.st_mode):
            return name
    if found.st_size == 0:
        return "is empty (0 bytes)"
    return None if os.access(path, os.R_OK) else "may not be read (permission denied)"
