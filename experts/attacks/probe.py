"""Probe: plays a decoder's child that a video has taken over, and tries what such a child must not do.

It is started as the decoder's child is, closes its doors as that does, and then makes each call below with
arguments that would do harm, or show that harm could be done. Where a call went through nevertheless, nothing
is lost: signals are ones that nobody heeds, mounts and programs are ones that do not exist.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HERE = -100  # AT_FDCWD
CONT, CHLD = 18, 17  # signals
REFUSED = (errno.EPERM, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class World:
    """What the probe knows: as much as a real intruder could find out, or guess."""

    file: int  # the descriptor of the video, for reading
    path: bytes  # of the video; the user may write to it
    fresh: bytes  # a path beside it where nothing is
    parent: int  # process id
    room: Any  # memory


Arguments = Callable[[World], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Attempt:
    deed: str
    call: str
    numbers: tuple[int | None, int | None]  # on x86-64, on arm64
    arguments: Arguments
    # Why no harm is done although the call goes through, or the error that the descriptor itself gives.
    harmless: str = ""
    error: int = 0


def _attempts(deed: str, *calls: tuple[str, int | None, int | None, Arguments]) -> list[Attempt]:
    return [Attempt(deed, name, numbers, arguments) for name, *numbers, arguments in calls]  # type: ignore[arg-type]


NOWHERE = b"/nowhere/at/all"
ATTEMPTS = [
    *_attempts(
        "empty the video, or write into it",
        ("openat O_RDONLY|O_TRUNC", 257, 56, lambda w: (HERE, w.path, os.O_TRUNC)),
        ("open O_RDONLY|O_TRUNC", 2, None, lambda w: (w.path, os.O_TRUNC)),
        ("openat O_WRONLY", 257, 56, lambda w: (HERE, w.path, os.O_WRONLY)),
        ("openat O_RDWR|O_APPEND", 257, 56, lambda w: (HERE, w.path, os.O_RDWR | os.O_APPEND)),
        ("openat /proc/self/fd", 257, 56, lambda w: (HERE, b"/proc/self/fd/%d" % w.file, os.O_RDWR)),
        ("openat2", 437, 437, lambda w: (HERE, w.path, struct.pack("=3Q", os.O_RDWR, 0, 0), 24)),
        ("truncate", 76, 45, lambda w: (w.path, 0)),
        ("ftruncate", 77, 46, lambda w: (w.file, 0)),
        ("fallocate punch", 285, 47, lambda w: (w.file, 3, 0, 1)),
        ("copy_file_range", 326, 285, lambda w: (w.file, 0, w.file, 0, 1, 0)),
        ("splice", 275, 76, lambda w: (w.file, 0, w.file, 0, 1, 0)),
        ("sendfile", 40, 71, lambda w: (w.file, w.file, 0, 1)),
    ),
    Attempt(
        "write through the descriptor it has", "write", (1, 64), lambda w: (w.file, b"x", 1), "", errno.EBADF
    ),
    Attempt(
        "write through the descriptor it has",
        "mmap MAP_SHARED",
        (9, 222),
        lambda w: (0, 4096, 2, 1, w.file, 0),
        "",
        errno.EACCES,
    ),
    *_attempts(
        "make, remove or rename files",
        ("creat", 85, None, lambda w: (w.fresh, 0o600)),
        ("openat O_CREAT", 257, 56, lambda w: (HERE, w.fresh, os.O_CREAT, 0o600)),
        ("openat O_TMPFILE", 257, 56, lambda w: (HERE, os.path.dirname(w.path), 0o20200002, 0o600)),  # noqa: PTH120
        ("unlink", 87, None, lambda w: (w.path,)),
        ("unlinkat", 263, 35, lambda w: (HERE, w.path, 0)),
        ("rename", 82, None, lambda w: (w.path, w.fresh)),
        ("renameat", 264, 38, lambda w: (HERE, w.path, HERE, w.fresh)),
        ("renameat2", 316, 276, lambda w: (HERE, w.path, HERE, w.fresh, 0)),
        ("link", 86, None, lambda w: (w.path, w.fresh)),
        ("linkat", 265, 37, lambda w: (HERE, w.path, HERE, w.fresh, 0)),
        ("symlink", 88, None, lambda w: (w.path, w.fresh)),
        ("symlinkat", 266, 36, lambda w: (w.path, HERE, w.fresh)),
        ("mkdir", 83, None, lambda w: (w.fresh, 0o700)),
        ("mkdirat", 258, 34, lambda w: (HERE, w.fresh, 0o700)),
        ("rmdir", 84, None, lambda w: (w.fresh,)),
        ("mknod", 133, None, lambda w: (w.fresh, 0o10600, 0)),
        ("mknodat", 259, 33, lambda w: (HERE, w.fresh, 0o10600, 0)),
    ),
    *_attempts(
        "change rights, owner, times or attributes",
        ("chmod", 90, None, lambda w: (w.path, 0o777)),
        ("fchmod", 91, 52, lambda w: (w.file, 0o777)),
        ("fchmodat", 268, 53, lambda w: (HERE, w.path, 0o777)),
        ("fchmodat2", 452, 452, lambda w: (HERE, w.path, 0o777, 0)),
        ("chown", 92, None, lambda w: (w.path, -1, -1)),
        ("fchown", 93, 55, lambda w: (w.file, -1, -1)),
        ("lchown", 94, None, lambda w: (w.path, -1, -1)),
        ("fchownat", 260, 54, lambda w: (HERE, w.path, -1, -1, 0)),
        ("utime", 132, None, lambda w: (w.path, 0)),
        ("utimes", 235, None, lambda w: (w.path, 0)),
        ("utimensat", 280, 88, lambda w: (HERE, w.path, 0, 0)),
        ("utimensat of the descriptor", 280, 88, lambda w: (w.file, 0, 0, 0)),
        ("setxattr", 188, 5, lambda w: (w.path, b"user.x", b"x", 1, 0)),
        ("fsetxattr", 190, 7, lambda w: (w.file, b"user.x", b"x", 1, 0)),
        ("ioctl FS_IOC_SETFLAGS", 16, 29, lambda w: (w.file, 0x40086602, w.room)),
        ("flock", 73, 32, lambda w: (w.file, 6)),
        ("fcntl F_SETLEASE", 72, 25, lambda w: (w.file, 1024, 0)),
        ("fcntl F_SETFL", 72, 25, lambda w: (w.file, 4, os.O_APPEND)),
    ),
    *_attempts(
        "read other files",
        ("openat", 257, 56, lambda w: (HERE, b"/etc/passwd", os.O_RDONLY)),
        ("openat O_PATH", 257, 56, lambda w: (HERE, b"/etc/passwd", os.O_PATH)),
        ("openat of a folder", 257, 56, lambda w: (HERE, b"/", os.O_DIRECTORY)),
        ("openat /proc/self/mem", 257, 56, lambda w: (HERE, b"/proc/self/mem", os.O_RDWR)),
        ("name_to_handle_at", 303, 264, lambda w: (HERE, w.path, w.room, w.room, 0)),
        ("open_by_handle_at", 304, 265, lambda w: (w.file, w.room, os.O_RDONLY)),
        ("inotify_init1", 294, 26, lambda w: (0,)),
        ("fanotify_init", 300, 262, lambda w: (0, 0)),
        ("readlinkat", 267, 78, lambda w: (HERE, b"/proc/self/exe", w.room, 99)),
        ("stat", 4, None, lambda w: (b"/etc/passwd", w.room)),
        ("statx", 332, 291, lambda w: (HERE, b"/etc/passwd", 0, 0x7FF, w.room)),
        ("chdir", 80, 49, lambda w: (b"/",)),
    ),
    Attempt(
        "read other files",
        "newfstatat",
        (262, 79),
        lambda w: (HERE, b"/etc/passwd", w.room, 0x1000),
        "it learns whether a file is there, its size and times; no content",
    ),
    *_attempts(
        "reach the parent's memory and descriptors",
        ("openat /proc/PARENT/mem", 257, 56, lambda w: (HERE, b"/proc/%d/mem" % w.parent, os.O_RDWR)),
        ("openat /proc/PARENT/environ", 257, 56, lambda w: (HERE, b"/proc/%d/environ" % w.parent, 0)),
        ("process_vm_readv", 310, 270, lambda w: (w.parent, _vector(w), 1, _vector(w), 1, 0)),
        ("process_vm_writev", 311, 271, lambda w: (w.parent, _vector(w), 1, _vector(w), 1, 0)),
        ("ptrace PTRACE_SEIZE", 101, 117, lambda w: (0x4206, w.parent, 0, 0)),
        ("pidfd_open", 434, 434, lambda w: (w.parent, 0)),
        ("pidfd_getfd", 438, 438, lambda w: (w.file, 0, 0)),
        ("process_madvise", 440, 440, lambda w: (w.file, _vector(w), 1, 20, 0)),
        ("kcmp", 312, 272, lambda w: (w.parent, w.parent, 0, 0, 0)),
        ("get_robust_list", 274, 100, lambda w: (w.parent, w.room, w.room)),
        ("perf_event_open", 298, 241, lambda w: (w.room, w.parent, -1, -1, 0)),
    ),
    *_attempts(
        "signal, slow down or move the parent",
        ("kill", 62, 129, lambda w: (w.parent, CONT)),
        ("kill everybody", 62, 129, lambda w: (-1, 0)),
        ("tkill", 200, 130, lambda w: (w.parent, CONT)),
        ("tgkill", 234, 131, lambda w: (w.parent, w.parent, CONT)),
        ("rt_sigqueueinfo", 129, 138, lambda w: (w.parent, CONT, w.room)),
        ("rt_tgsigqueueinfo", 297, 240, lambda w: (w.parent, w.parent, CONT, w.room)),
        ("pidfd_send_signal", 424, 424, lambda w: (w.file, CONT, 0, 0)),
        ("fcntl F_SETOWN", 72, 25, lambda w: (w.file, 8, w.parent)),
        ("prlimit64", 302, 261, lambda w: (w.parent, 4, struct.pack("=2Q", 0, 0), 0)),
        ("setpriority", 141, 140, lambda w: (0, w.parent, 0)),
        ("ioprio_set", 251, 30, lambda w: (1, w.parent, 2 << 13 | 4)),
        ("sched_setaffinity", 203, 122, lambda w: (w.parent, 128, b"\xff" * 128)),
        ("sched_setscheduler", 144, 119, lambda w: (w.parent, 0, w.room)),
        ("sched_setattr", 314, 274, lambda w: (w.parent, w.room, 0)),
        ("migrate_pages", 256, 238, lambda w: (w.parent, 0, 0, 0)),
        ("move_pages", 279, 239, lambda w: (w.parent, 0, 0, 0, 0, 0)),
        ("setpgid", 109, 154, lambda w: (w.parent, 0)),
    ),
    *_attempts(
        "type into the terminal, or outlive the parent",
        ("ioctl TIOCSTI", 16, 29, lambda w: (0, 0x5412, b"x")),
        ("ioctl TIOCSCTTY", 16, 29, lambda w: (0, 0x540E, 1)),
        ("openat /dev/tty", 257, 56, lambda w: (HERE, b"/dev/tty", os.O_RDWR)),
        ("setsid", 112, 157, lambda w: ()),
        ("prctl PR_SET_PDEATHSIG", 157, 167, lambda w: (1, 0, 0, 0, 0)),
        ("prctl PR_SET_DUMPABLE", 157, 167, lambda w: (4, 1, 0, 0, 0)),
        ("prctl PR_SET_PTRACER", 157, 167, lambda w: (0x59616D61, w.parent, 0, 0, 0)),
        ("timer_create", 222, 107, lambda w: (0, 0, w.room)),
    ),
    *_attempts(
        "start programs",
        ("execve", 59, 221, lambda w: (NOWHERE, 0, 0)),
        ("execveat of nameless memory", 322, 281, lambda w: (_program(), b"", 0, 0, 0x1000)),
        ("mmap PROT_EXEC", 9, 222, lambda w: (0, 4096, 5, 0x22, -1, 0)),
        ("mprotect PROT_EXEC", 10, 226, lambda w: (_page(w), 4096, 7)),
        ("pkey_mprotect", 329, 288, lambda w: (_page(w), 4096, 7, -1)),
        ("remap_file_pages", 216, 234, lambda w: (_page(w), 4096, 0, 0, 0)),
        ("personality", 135, 92, lambda w: (0xFFFFFFFF,)),
        ("clone, a thread", 56, 220, lambda w: (0x10000, 0, 0, 0, 0)),
    ),
    *_attempts(
        "reach a network or another program",
        ("socket AF_INET", 41, 198, lambda w: (2, 1, 0)),
        ("socket AF_UNIX", 41, 198, lambda w: (1, 1, 0)),
        ("socket AF_NETLINK", 41, 198, lambda w: (16, 3, 0)),
        ("socketpair", 53, 199, lambda w: (1, 1, 0, w.room)),
        ("connect", 42, 203, lambda w: (w.file, w.room, 16)),
        ("bind", 49, 200, lambda w: (w.file, w.room, 16)),
        ("listen", 50, 201, lambda w: (w.file, 1)),
        ("accept4", 288, 242, lambda w: (w.file, 0, 0, 0)),
        ("io_uring_setup", 425, 425, lambda w: (8, w.room)),
        ("shmget", 29, 194, lambda w: (0, 4096, 0o1600)),
        ("semget", 64, 190, lambda w: (0, 1, 0o1600)),
        ("msgget", 68, 186, lambda w: (0, 0o1600)),
        ("mq_open", 240, 180, lambda w: (b"tagline-probe", os.O_RDWR, 0o600, 0)),
    ),
    *_attempts(
        "regain rights",
        ("setuid", 105, 146, lambda w: (0,)),
        ("setresuid", 117, 147, lambda w: (0, 0, 0)),
        ("setresgid", 119, 149, lambda w: (0, 0, 0)),
        ("setgroups", 116, 159, lambda w: (0, 0)),
        ("capset", 126, 91, lambda w: (struct.pack("=Ii", 0x20080522, 0), b"\0" * 24)),
        ("setrlimit", 160, 164, lambda w: (9, b"\xff" * 16)),
        ("prlimit64 of its memory", 302, 261, lambda w: (0, 9, b"\xff" * 16, 0)),
        ("seccomp", 317, 277, lambda w: (2, 0, w.room)),
        ("unshare CLONE_NEWUSER", 272, 97, lambda w: (0x10000000,)),
        ("setns", 308, 268, lambda w: (w.file, 0)),
    ),
    Attempt(
        "regain rights",
        "prlimit64 of its CPU time",
        (302, 261),
        lambda w: (0, 0, 0, w.room),
        "each file gets its share; the parent's clock ends it in any case",
    ),
    *_attempts(
        "change the machine, or find a hole in the kernel",
        ("mount", 165, 40, lambda w: (b"none", NOWHERE, b"tmpfs", 0, 0)),
        ("umount2", 166, 39, lambda w: (NOWHERE, 0)),
        ("fsopen", 430, 430, lambda w: (b"tmpfs", 0)),
        ("open_tree", 428, 428, lambda w: (HERE, b"/", 1)),
        ("move_mount", 429, 429, lambda w: (w.file, b"", w.file, b"", 0)),
        ("mount_setattr", 442, 442, lambda w: (HERE, NOWHERE, 0, w.room, 32)),
        ("chroot", 161, 51, lambda w: (NOWHERE,)),
        ("pivot_root", 155, 41, lambda w: (NOWHERE, NOWHERE)),
        ("swapon", 167, 224, lambda w: (NOWHERE, 0)),
        ("acct", 163, 89, lambda w: (NOWHERE,)),
        ("quotactl", 179, 60, lambda w: (0, 0, 0, 0)),
        ("init_module", 175, 105, lambda w: (w.room, 0, b"")),
        ("finit_module", 313, 273, lambda w: (w.file, b"", 0)),
        ("delete_module", 176, 106, lambda w: (b"nowhere", 0)),
        ("kexec_load", 246, 104, lambda w: (0, 99, 0, 0)),
        ("reboot", 169, 142, lambda w: (0, 0, 0, 0)),
        ("sethostname", 170, 161, lambda w: (w.room, -1)),
        ("clock_settime", 227, 112, lambda w: (99, w.room)),
        ("adjtimex", 159, 171, lambda w: (w.room,)),
        ("syslog", 103, 116, lambda w: (10, 0, 0)),
        ("iopl", 172, None, lambda w: (4,)),
        ("modify_ldt", 154, None, lambda w: (0, 0, 0)),
        ("bpf", 321, 280, lambda w: (99, w.room, 8)),
        ("userfaultfd", 323, 282, lambda w: (1,)),
        ("memfd_secret", 447, 447, lambda w: (0,)),
        ("add_key", 248, 217, lambda w: (b"user", b"x", b"x", 1, -2)),
        ("request_key", 249, 218, lambda w: (b"user", b"x", 0, 0)),
        ("keyctl", 250, 219, lambda w: (0, -3, 0)),
        ("set_mempolicy", 238, 237, lambda w: (0, 0, 0)),
    ),
    *_attempts(
        "start processes",
        ("fork", 57, None, lambda w: ()),
        ("clone", 56, 220, lambda w: (CHLD, 0, 0, 0, 0)),
        ("clone3", 435, 435, lambda w: (struct.pack("=8Q", 0, 0, 0, 0, CHLD, 0, 0, 0), 64)),
        ("vfork", 58, None, lambda w: ()),
    ),
]


def _vector(world: World) -> bytes:
    return struct.pack("=2Q", ctypes.addressof(world.room), 8)


def _page(world: World) -> int:
    """The address of a page of memory."""
    return (ctypes.addressof(world.room) + 4095) // 4096 * 4096


def _program() -> int:
    fd = os.memfd_create("program", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.pwrite(fd, b"#!/bin/true\n", 0)
    return fd


def attempt(world: World, wanted: Attempt, number: int) -> int:
    """The error that the call gives; 0: it went through."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    values = [ctypes.c_long(v) if isinstance(v, int) else v for v in wanted.arguments(world)]
    ctypes.set_errno(0)
    result = call(ctypes.c_long(number), *values)
    if wanted.deed == "start processes" and result == 0:
        os._exit(0)  # the second process
    return ctypes.get_errno() if result == -1 else 0


def plain_deeds(secret: str, path: str, fresh: str, parent: int) -> dict[str, bool]:
    """What any program can do on any system, and whether it could be done here."""
    import socket

    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)

    deeds: dict[str, Callable[[], Any]] = {
        "read another file": lambda: os.open(secret, os.O_RDONLY),
        "write into the video": lambda: os.open(path, os.O_WRONLY),
        "make a file": lambda: os.open(fresh, os.O_CREAT | os.O_WRONLY),
        "reach a network": socket.socket,
        "signal the parent": lambda: os.kill(parent, 0),
        "start a process": fork,
    }
    done = {}
    for name, deed in deeds.items():
        try:
            deed()
            done[name] = True
        except OSError:
            done[name] = False
    return done


def descriptors() -> list[int]:
    import fcntl

    held = []
    for fd in range(1024):
        try:
            fcntl.fcntl(fd, fcntl.F_GETFD)
        except OSError:
            continue
        held.append(fd)
    return held


def main() -> None:
    """Arguments as those of the guard. An order names the number of an attempt, the paths and the parent."""
    import fcntl  # noqa: F401  nothing can be loaded later

    from tagline.experts.decode import guard

    column = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)
    channel = guard.shut_in()
    while (got := guard.receive(channel)) is not None:
        message, file = got
        assert file is not None
        order = json.loads(message)
        reply: dict[str, Any] = {}
        if "plain" in order:
            reply["done"] = plain_deeds(order["secret"], order["path"], order["fresh"], order["parent"])
        elif "attempt" in order:
            wanted = ATTEMPTS[order["attempt"]]
            room = ctypes.create_string_buffer(16384)
            world = World(file, order["path"].encode(), order["fresh"].encode(), order["parent"], room)
            number = wanted.numbers[column]
            reply["error"] = None if number is None else attempt(world, wanted, number)
        else:
            reply["held"] = [fd for fd in descriptors() if fd not in (0, 1, 2, file, channel.fileno())]
            reply["environment"] = sorted(os.environ)
        guard.send(channel, reply)
        os.close(file)


if __name__ == "__main__":
    main()
