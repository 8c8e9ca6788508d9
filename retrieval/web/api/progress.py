"""Progress: how far the library is, read from the catalog and from the lock that a run holds."""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tagline.retrieval.web.api import payloads
from tagline.retrieval.web.api.state import AppState
from tagline.tagging.catalog import files as owned
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.walk import Walk
from tagline.tagging.printable import safe

RECOUNT_SECONDS = 30.0  # seconds after which the files of the folder are counted again, while a run is on
MAX_FILES = 1_000_000
MAX_LATEST = 6  # videos that are named


class FileCounter:
    """How many video files the library's folder holds, counted beside everything else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count: int | None = None
        self._next = 0.0

    def of(self, root: Path, stopped: threading.Event) -> int | None:
        """The last count; a new one is begun if that is old."""
        with self._lock:
            if time.monotonic() >= self._next:
                self._next = float("inf")
                threading.Thread(target=self._walk, args=(root, stopped), name="files", daemon=True).start()
            return self._count

    def _walk(self, root: Path, stopped: threading.Event) -> None:
        count = 0
        began = time.monotonic()
        for count, _ in enumerate(Walk([root]), 1):
            if stopped.is_set() or count >= MAX_FILES:
                break
        with self._lock:
            self._count = count
            self._next = time.monotonic() + max(RECOUNT_SECONDS, 20 * (time.monotonic() - began))


_files = FileCounter()


def progress(state: AppState, args: Mapping[str, Any]) -> dict[str, Any]:
    """What is done, by whom, what failed, and whether a run is at work now."""
    running = state.home.file is not None and is_locked(
        state.home.file.with_name(state.home.file.name + ".lock")
    )
    with state.catalog() as catalog:
        counts = catalog.counts()
        files = _files.of(catalog.root, state.closed) if running else None
        return {
            "running": running,
            "videos": counts.here,
            "known": counts.files,
            "files": max(files, counts.files) if files is not None else None,
            "unreadable": counts.unreadable,
            "experts": [
                {"expert": safe(one.expert, 60), "videos": one.videos, "failed": one.failed}
                for one in counts.experts
            ],
            "latest": _latest(catalog),
        }


def _latest(catalog: Catalog) -> list[dict[str, Any]]:
    videos = [(catalog.video(number), at) for number, at in catalog.latest_runs(MAX_LATEST)]
    return [{**payloads.video_head(video), "at": at} for video, at in videos if video is not None]


def is_locked(file: Path) -> bool:
    """Whether a process holds this lock file; asking takes no lock, so that no run is ever turned away."""
    try:
        import fcntl

        # l_type, l_whence, l_start, l_len, l_pid, in the order of the system's own structure
        linux = sys.platform == "linux"
        request = (
            struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0)
            if linux
            else struct.pack("qqihh", 0, 0, 0, fcntl.F_WRLCK, 0)
        )
        with os.fdopen(owned.open_file(file, write=True), "rb+") as handle:
            reply = fcntl.fcntl(handle, fcntl.F_GETLK, request)
        kind = struct.unpack("hhqqi", reply)[0] if linux else struct.unpack("qqihh", reply)[3]
        return bool(kind != fcntl.F_UNLCK)
    except (ImportError, OSError, owned.NotOurs, struct.error):
        return False
