"""The files of a library: the one way in which anything below `.tagline` is opened, replaced or removed.

A library's folder may have come from a stranger, or lie where others can write. So a file of it is a plain
file of this user (or of root, or of somebody whose library was approved), no symbolic link is followed below
the folder that the user named, nothing is emptied before it is replaced, and what is written is written
beside and then moved. Elsewhere than on POSIX there are no owners to compare; links are still refused.
"""

# pathlib knows nothing of the descriptors of folders.
# ruff: noqa: PTH102, PTH105, PTH114, PTH116, PTH118, PTH120

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from tagline.tagging.catalog import approvals
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.printable import safe

FOLDER = ".tagline"
PART = ".part-tagline-"  # how the name of a file begins that is not whole yet
MOST = 256 << 20  # bytes that are read into memory at once

_BY_FOLDER = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CAREFUL = _NOFOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Passing through a folder takes no right to list it, where the system can tell these apart.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class NotOurs(CatalogError):
    """A file or folder that is a link, no plain file, or somebody else's. The message is for people."""


# -- files ---------------------------------------------------------------------------------------------


def open_file(path: Path, *, write: bool = False, make: bool = False) -> int:
    """A descriptor of a plain file of ours; `make`: made if it is not there. It is never emptied.

    Raises NotOurs, or OSError as os.open does.
    """
    how = (os.O_RDWR if write or make else os.O_RDONLY) | _CAREFUL
    with _folder_of(path, make=make) as (name, where):
        if not where and os.path.islink(name):
            raise _link(path)
        try:
            if make:
                try:
                    return _new(name, where)
                except FileExistsError:
                    pass
            number = os.open(name, how, **where)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                raise _link(path) from None
            raise
    try:
        _plain(path, os.fstat(number), write=write or make)
    except BaseException:
        os.close(number)
        raise
    return number


def state(path: Path, *, write: bool = False) -> os.stat_result | None:
    """What the system says of a plain file of ours, without opening it; None if there is none.

    Closing any descriptor of a database takes its locks from the whole process, so SQLite's are judged so.
    """
    try:
        with _folder_of(path) as (name, where):
            found = os.stat(name, follow_symlinks=False, **where)
    except FileNotFoundError:
        return None
    _plain(path, found, write=write)
    return found


def read(path: Path, most: int = MOST) -> bytes:
    """The bytes of a file. Raises NotOurs or OSError."""
    with os.fdopen(open_file(path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise NotOurs(f"{safe(path)} is larger than such a file can be; move it away")
    return content


def create(path: Path) -> None:
    """Make an empty file where there is none, and its folder."""
    with _folder_of(path, make=True) as (name, where):
        os.close(_new(name, where))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file whole or not at all: into one beside it, which then takes its place."""
    beside = PART + uuid4().hex[:12]
    with _folder_of(path, make=True) as (name, where):
        spare = beside if where else os.path.join(os.path.dirname(name), beside)
        try:
            with os.fdopen(_new(spare, where), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if where:
                os.replace(spare, name, src_dir_fd=where["dir_fd"], dst_dir_fd=where["dir_fd"])
            else:
                os.replace(spare, name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(spare, **where)
            raise


def replace(path: Path, content: str | bytes) -> None:
    """Write a small file whole or not at all."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def remove(path: Path) -> None:
    """Remove a file, or a link in its place but not what it leads to; nothing happens if there is none."""
    with contextlib.suppress(FileNotFoundError), _folder_of(path) as (name, where):
        os.unlink(name, **where)


# -- folders -------------------------------------------------------------------------------------------


def make_folder(folder: Path) -> None:
    """Make a folder of a library, and check those from `.tagline` to it. Raises NotOurs or OSError."""
    with _folder_of(folder / "any", make=True):
        pass


def names(folder: Path) -> list[str]:
    """The names of the plain files in a folder of a library, sorted; none where there is no such folder."""
    try:
        with _folder_of(folder / "any") as (_, where):
            if not where:
                return _plain_names(folder)
            number = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, **where)
            try:
                return _plain_names(number)
            finally:
                os.close(number)
    except FileNotFoundError:
        return []


def _plain_names(folder: Path | int) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(str(entry.name) for entry in entries if entry.is_file(follow_symlinks=False))


def without_links(folder: Path) -> Path:
    """The folder, there or not, into which other code will write; refused if a link is anywhere in it."""
    with contextlib.suppress(FileNotFoundError), _folder_of(folder / "any"):
        pass
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(place, name)):
                raise _link(Path(place, name))
    return folder


def is_adoptable(file: Path) -> bool:
    """Whether a catalog that nobody named, in a folder above, may be taken for this user's own."""
    try:
        found = state(file)
        if found is None:
            return False
        own, above = os.lstat(file.parent), os.stat(file.parent.parent)
    except (OSError, NotOurs):
        return False
    # In a folder like /tmp, where everybody may put things, what others may change is nobody's.
    return not (above.st_mode & stat.S_ISVTX and (own.st_mode | found.st_mode) & 0o022)


# -- how it is done ------------------------------------------------------------------------------------


@contextmanager
def _folder_of(path: Path, *, make: bool = False) -> Iterator[tuple[str, dict[str, int]]]:
    """A file's name and the descriptor of its folder, opened step by step from where `.tagline` begins.

    Where the system opens nothing by a folder's descriptor, the whole path and no descriptor.
    """
    steps = _steps(path.parent)
    if not _BY_FOLDER:
        for folder in steps:
            if make:
                _make(folder, os.fspath(folder), {})
            if folder.is_symlink():
                raise _link(folder)
        yield os.fspath(path), {}
        return
    if make and not steps[0].parent.is_dir():
        steps[0].parent.mkdir(parents=True, exist_ok=True)
    here = os.open(steps[0].parent, _PASS)
    try:
        for folder in steps:
            if make:
                _make(folder, folder.name, {"dir_fd": here})
            further = _step_into(folder, here)
            os.close(here)
            here = further
        yield path.name, {"dir_fd": here}
    finally:
        os.close(here)


def _steps(folder: Path) -> list[Path]:
    """The folders into which no link may lead: all from `.tagline` on, else the last one."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (links stay as they are)
    chain = [folder, *folder.parents]
    inside = [place for place, one in enumerate(chain) if one.name == FOLDER]
    return [one for one in chain[: (inside[-1] if inside else 0) + 1][::-1] if one.name]


def _step_into(folder: Path, here: int) -> int:
    try:
        number = os.open(folder.name, _PASS | _NOFOLLOW, dir_fd=here)
    except OSError as error:
        if os.path.islink(folder):
            raise _link(folder) from None
        if error.errno == errno.ENOTDIR:
            raise NotOurs(f"{safe(folder)} is no folder; move it away") from None
        raise
    if FOLDER in folder.parts:
        try:
            _own(folder, os.fstat(number))
        except BaseException:
            os.close(number)
            raise
    return number


def _make(folder: Path, name: str, where: dict[str, int]) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, **where)


def _new(name: str, where: dict[str, int]) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _CAREFUL, 0o644, **where)


def _plain(path: Path, found: os.stat_result, *, write: bool) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _link(path)
    if not stat.S_ISREG(found.st_mode):
        raise NotOurs(f"{safe(path)} is no plain file; move it away")
    _own(path, found)
    # A second name of a file of yours, put there by somebody, would pass for the library's own.
    if write and found.st_nlink > 1:
        raise NotOurs(f"{safe(path)} has another name elsewhere (a hard link); put a copy in its place")


def _own(path: Path, found: os.stat_result) -> None:
    """Refuse what belongs to neither this user nor root nor the owner of a library that was approved."""
    if not hasattr(os, "geteuid") or found.st_uid in (os.geteuid(), 0):
        return
    library = _library(path)
    if approvals.is_approved(os.fspath(library)):
        own = library / FOLDER
        if found.st_uid == os.lstat(own if os.path.lexists(own) else library).st_uid:
            return
    raise NotOurs(
        f"{safe(path)} belongs to another user; if you trust them, run `tagline approve {safe(library)}`"
    )


def _library(path: Path) -> Path:
    """The folder whose library a path belongs to."""
    for folder in (path, *path.parents):
        if folder.name == FOLDER:
            return folder.parent
    return path.parent


def _link(path: Path) -> NotOurs:
    return NotOurs(f"{safe(path)} is a symbolic link, which is never followed in a library; move it away")
