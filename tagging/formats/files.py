"""Which file a sidecar is, and how files of others are read and replaced: no links, no half-written files."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tagline.tagging.formats import SIDECAR_ENDINGS, Format
from tagline.tagging.printable import safe


class FileRefused(Exception):
    """A file that is left as it is. The message is a sentence for people, the file's name in it."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file as it was found. `state` tells whether it has changed since."""

    handle: BinaryIO
    state: os.stat_result


def sidecar_path(video: Path, form: Format, *, short: bool = False) -> Path:
    """The sidecar of a video, in its own folder.

    XMP has two names. digiKam and darktable look for `holiday.mp4.xmp`, Adobe's programs for `holiday.xmp`
    (`short`). If one of them is there already, that one it is. `holiday.xmp` counts only where no other file
    of the folder is called `holiday.…`: else it may be the sidecar of a photo.
    """
    long, brief = video.with_name(video.name + form.suffix), video.with_name(video.stem + form.suffix)
    if form.stem:
        other = same_stem_file(video)
        if other is not None:
            raise FileRefused(
                f"{safe(brief)} would stand for {safe(other.name)} as well as for {safe(video.name)}; "
                "use --out FOLDER, or give one of them another name"
            )
        return brief
    for there in (long, brief):
        if os.path.lexists(there) and (there == long or same_stem_file(video) is None):
            return there
    return brief if short and same_stem_file(video) is None else long


# Files that go with the video itself: other sidecars, subtitles.
COMPANION_SUFFIXES = frozenset({*SIDECAR_ENDINGS, ".vtt", ".srt", ".ass", ".sub", ".idx", ".json", ".txt"})


def same_stem_file(video: Path) -> Path | None:
    """Another file of the same name but for its ending, whose sidecar `holiday.xmp` might be."""
    try:
        with os.scandir(video.parent) as entries:
            for entry in entries:
                other = Path(entry.name)
                if other.stem != video.stem or other.name == video.name:
                    continue
                if other.suffix.lower() not in COMPANION_SUFFIXES:
                    return video.with_name(entry.name)
    except OSError:
        pass
    return None


def read(path: Path, most: int) -> bytes | None:
    """The bytes of a plain file; None if there is none. Links, pipes and giants are refused."""
    old = open_old(path, most)
    if old is None:
        return None
    with old.handle:
        return old.handle.read(most + 1)


def open_old(path: Path, most: int) -> OpenedFile | None:
    """Open a plain file for reading; None if there is none."""
    try:
        # Without NONBLOCK, a pipe somebody put there would be waited for.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileRefused(
                f"{safe(path)} is a symbolic link, which is never followed; move it away"
            ) from None
        raise FileRefused(f"{safe(path)} cannot be read ({_reason(error)})") from None
    state = os.fstat(number)
    wrong = None
    if not stat.S_ISREG(state.st_mode):
        wrong = "is not a plain file; move it away"
    elif state.st_size > most:
        wrong = f"is larger than {most // 2**20} MB, more than such a file should be"
    if wrong is not None:
        os.close(number)
        raise FileRefused(f"{safe(path)} {wrong}")
    return OpenedFile(os.fdopen(number, "rb"), state)


def replace_file(path: Path, fill: Callable[[BinaryIO], None], old: os.stat_result | None) -> None:
    """Write a file whole or not at all: beside it first, flushed to the disk, then put in its place.

    `old` is what `open_old` found. A file that has changed since, or may not be written to, stays as it is.
    """
    if old is not None and not (old.st_mode & 0o222 and os.access(path, os.W_OK)):
        raise FileRefused(f"{safe(path)} is write-protected and was left as it is")
    name = ""
    try:
        number, name = tempfile.mkstemp(prefix=".tagline-", dir=path.parent)
        with os.fdopen(number, "wb") as handle:
            fill(handle)
            handle.flush()
            _copy_permissions(handle.fileno(), old)
            os.fsync(handle.fileno())
        _unchanged(path, old)
        Path(name).replace(path)
        name = ""
        _sync_folder(path.parent)
    except OSError as error:
        raise FileRefused(f"{safe(path)} cannot be written ({_reason(error)})") from None
    finally:
        if name:
            with suppress(OSError):
                Path(name).unlink()


def _unchanged(path: Path, old: os.stat_result | None) -> None:
    try:
        now = os.lstat(path)
    except FileNotFoundError:
        now = None
    if now is None and old is None:
        return
    if now is None or old is None or _identity(now) != _identity(old):
        raise FileRefused(f"{safe(path)} was changed by another program just now; run this again")


def _identity(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _copy_permissions(number: int, old: os.stat_result | None) -> None:
    """Give the new file the rights of the old one, or those that a new file gets here."""
    if old is None:
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(number, 0o666 & ~mask)
        return
    os.fchmod(number, stat.S_IMODE(old.st_mode))
    with suppress(OSError):  # only the superuser may give files away
        os.fchown(number, old.st_uid, old.st_gid)


def _sync_folder(folder: Path) -> None:
    """Make the new name last, where the system lets a folder be flushed."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
