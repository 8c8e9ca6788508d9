"""Finding videos in folders: what is looked at, what is passed over and why, and what cannot be reached."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from tagline.tagging.catalog.records import Place
from tagline.tagging.printable import safe

# Playlists are among them so that they end as failures with a reason; they are never followed.
_ENDINGS = """
3g2 3gp asf avi divx f4v flv gif m1v m2t m2ts m2v m3u8 m4v mj2 mkv mov mp4 mpd mpe mpeg mpg mts mxf ogm ogv qt
ts vob webm wmv
"""
# Files with sound alone, which are heard and not looked at.
_SOUND_ENDINGS = "aac aif aiff flac m4a m4b mka mp3 oga ogg opus wav weba wma"
ENDINGS = frozenset(f".{ending}" for ending in (_ENDINGS + _SOUND_ENDINGS).split())

_HASHED_AT_ONCE = 1 << 20  # bytes


class Walk:
    """The videos below some folders, in the order of their names, each with its size and time.

    Hidden files, links to folders, pipes, sockets and devices are passed over and counted in `skipped`.
    What could not be opened is a sentence in `troubles`. Memory holds one folder's names at a time.
    """

    def __init__(
        self,
        folders: Iterable[str | os.PathLike[str]],
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        endings: frozenset[str] = ENDINGS,
    ) -> None:
        self.folders = [os.path.realpath(folder) for folder in folders]
        self.endings = endings
        self.include = tuple(include)
        self.exclude = tuple(exclude)
        self.found = 0
        self.skipped: Counter[str] = Counter()
        self.troubles: list[str] = []
        self._visited: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[Place]:
        for folder in self.folders:
            if os.path.isdir(folder):  # noqa: PTH112 (names need not be UTF-8)
                yield from self._below(folder)
            elif not os.path.lexists(folder):
                self.troubles.append(f"{safe(folder)} is not there")
            elif (place := self._file(folder)) is not None:
                self.found += 1
                yield place

    def _below(self, top: str) -> Iterator[Place]:
        # A stack of open listings, not recursion: folders may lie thousands deep.
        stack = [iter(self._entries(top))]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                continue
            below = entry.path[len(top) :].lstrip(os.sep)
            if entry.name.startswith(".") or _matches(below, entry.name, self.exclude):
                continue
            if _is_folder(entry):
                stack.append(iter(self._entries(entry.path)))
            elif os.path.splitext(entry.name)[1].lower() in self.endings and self._wanted(below, entry.name):  # noqa: PTH122
                place = self._file(entry.path)
                if place is not None:
                    self.found += 1
                    yield place

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What is in a folder, by name; nothing if it was visited before or cannot be read."""
        try:
            facts = os.stat(folder)  # noqa: PTH116
            with os.scandir(folder) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.troubles.append(f"{safe(folder)} cannot be read: {_reason(error)}")
            return []
        if (facts.st_dev, facts.st_ino) in self._visited:
            return []
        self._visited.add((facts.st_dev, facts.st_ino))
        return listing

    def _wanted(self, below: str, name: str) -> bool:
        return not self.include or _matches(below, name, self.include)

    def _file(self, path: str) -> Place | None:
        try:
            facts = os.stat(path)  # noqa: PTH116
        except OSError as error:
            kind = "broken links" if os.path.islink(path) else f"files that {_reason(error)}"  # noqa: PTH114
            self.skipped[kind] += 1
            return None
        if stat.S_ISDIR(facts.st_mode):
            self.skipped["links to folders (name them as folders of their own)"] += 1
            return None
        if not stat.S_ISREG(facts.st_mode):
            self.skipped["pipes, sockets and devices"] += 1
            return None
        if path.lower().endswith((".ts", ".mts")) and _is_text(path):
            self.skipped["source files that end in .ts"] += 1
            return None
        return Place(path, facts.st_size, facts.st_mtime_ns)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _matches(below: str, name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(below, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def _is_text(path: str) -> bool:
    """TypeScript shares its ending with transport streams, which are full of bytes that no text has."""
    try:
        with _open(path) as file:
            head = file.read(1024)
    except OSError:
        return False
    return bool(head) and b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head)


def content_hash(path: str, given_up: Callable[[], bool] = lambda: False) -> str:
    """sha256 of a plain file's bytes. Raises OSError with a reason; never waits on a pipe.

    The whole file counts: two recordings of one camera may agree in size, head and tail.
    """
    digest = hashlib.sha256()
    with _open(path) as file:
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
            if given_up():
                raise InterruptedError(errno.EINTR, "interrupted")
    return digest.hexdigest()


def _open(path: str) -> io.FileIO:
    # Without O_NONBLOCK, a pipe put in the place of a file would hold us for ever.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a plain file")
    return io.FileIO(handle, "rb")


def file_states(
    paths: Iterable[str], tops: Iterable[str], catalog_folder: str = ".tagline"
) -> Iterator[tuple[str, str]]:
    """For each path "here", "gone", or "unreachable": what lies behind it cannot be known.

    A file counts as gone only if the nearest folder that is left, `tops` or below, can be read and holds
    something. An empty folder may be the mount point of a disk that is not there, and where a whole top
    is missing one cannot know either.
    """
    known = {top: False for top in tops if not os.path.lexists(top)}
    for path in paths:
        try:
            os.lstat(path)
            yield path, "here"
        except (FileNotFoundError, NotADirectoryError):
            folder = os.path.dirname(path)  # noqa: PTH120
            reachable = _folder_is_reachable(folder, catalog_folder, known)
            yield path, "gone" if reachable else "unreachable"
        except OSError:
            yield path, "unreachable"


def _folder_is_reachable(folder: str, catalog_folder: str, known: dict[str, bool]) -> bool:
    """Whether the nearest folder that exists can be read and is not empty but for the catalog."""
    if folder not in known:
        try:
            with os.scandir(folder) as entries:
                known[folder] = any(entry.name != catalog_folder for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            above = os.path.dirname(folder)  # noqa: PTH120
            known[folder] = above != folder and _folder_is_reachable(above, catalog_folder, known)
        except OSError:
            known[folder] = False
    return known[folder]


def file_identity(path: str) -> tuple[int, ...] | None:
    """What differs once a file was written to, or another was put in its place, even with its size and time
    made the same: nobody sets the time at which a file's own facts changed. None: it is not there."""
    try:
        facts = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def same_file(place: Place) -> bool:
    """Whether a file still has the size and time that it was found with."""
    try:
        facts = os.stat(place.path)  # noqa: PTH116
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (place.size, place.mtime_ns)


def readable(path: str) -> bool:
    return os.access(path, os.R_OK)


def covers(folders: Iterable[str], path: str) -> bool:
    """Whether a path lies in one of the folders."""
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _reason(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else str(error)
