"""The cache of pictures and previews, on disk, within a bound; the longest unused go first."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from tagline.tagging.catalog import files

SUFFIX = ".made"


class MediaCache:
    """Bytes by name. Two that ask for the same at the same time wait for one making.

    folder: made if it is not there; None: a folder that goes with the process. most: bytes in all.
    """

    def __init__(self, folder: Path | None, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._temporary = None if folder is not None and _usable(folder) else tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name) if self._temporary else folder
        assert self.folder is not None
        self._lock = threading.Lock()
        self._making: dict[str, threading.Event] = {}
        made = (self.folder / name for name in files.names(self.folder) if name.endswith(SUFFIX))
        self._sizes = {path: path.lstat().st_size for path in made}

    def close(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def size(self) -> int:
        """Bytes on the shelf."""
        with self._lock:
            return sum(self._sizes.values())

    def get(self, name: str, make: Callable[[], bytes]) -> tuple[str, int]:
        """What has this name, made if it is not there: (its tag, a descriptor to read it from)."""
        tag = hashlib.sha256(name.encode()).hexdigest()[:32]
        path = self.folder_path / (tag + SUFFIX)
        while True:
            with contextlib.suppress(OSError, files.NotOurs):
                return tag, self._open(path)
            with self._lock:
                busy = self._making.get(tag)
                if busy is None:
                    done = self._making[tag] = threading.Event()
                    break
            busy.wait()
        try:
            self._put(path, make())
            return tag, self._open(path)
        finally:
            with self._lock:
                del self._making[tag]
            done.set()

    @property
    def folder_path(self) -> Path:
        assert self.folder is not None
        return self.folder

    def _open(self, path: Path) -> int:
        descriptor = files.open_file(path)
        with contextlib.suppress(OSError):
            os.utime(descriptor if os.utime in os.supports_fd else path)
        return descriptor

    def _put(self, path: Path, data: bytes) -> None:
        """Written beside and moved, so that nobody ever reads half of it."""
        files.replace(path, data)
        with self._lock:
            self._sizes[path] = len(data)
            self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        surplus = sum(self._sizes.values()) - self.max_bytes
        if surplus <= 0:
            return
        for path in sorted(self._sizes, key=_last_used):
            if surplus <= 0:
                return
            if path != newest:
                surplus -= self._sizes.pop(path)
                files.remove(path)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _usable(folder: Path) -> bool:
    try:
        files.make_folder(folder)
        for left in files.names(folder):  # of a server that was killed
            if left.startswith(files.PART):
                files.remove(folder / left)
    except (OSError, files.NotOurs):
        return False
    return os.access(folder, os.W_OK)
