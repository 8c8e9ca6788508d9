"""Files written whole or not at all, and sha256 of files and folders, remembered by size and time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


def cache_home() -> Path:
    """Where things lie that can be made again at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tagline"


def hash_file(path: Path, *, fresh: bool = False) -> str:
    """sha256 of a file, as hexadecimal text. `fresh` reads the bytes even if the answer is remembered."""
    facts = path.stat()
    key, seen = str(path.resolve()), [facts.st_size, facts.st_mtime_ns]
    remembered = {} if fresh else _remembered()
    entry = remembered.get(key)
    if isinstance(entry, list) and entry[:2] == seen and len(entry) == 3:
        return str(entry[2])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(key, [*seen, digest])
    return digest


def hash_files(folder: Path, names: Iterable[str], *, fresh: bool = False) -> str:
    """One sha256 over several files of a folder: their names, relative to it, and their hashes."""
    whole = hashlib.sha256()
    for name in sorted(names):
        whole.update(f"{name}\0{hash_file(folder / name, fresh=fresh)}\n".encode())
    return whole.hexdigest()


def files_of(folder: Path) -> list[str]:
    """Names of the plain files under a folder, relative to it, sorted; hidden ones are left out."""
    names = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for name in files:
            path = Path(root) / name
            # A FIFO or device would hang or never end, so only what is a plain file counts.
            if not name.startswith(".") and path.exists() and stat.S_ISREG(path.stat().st_mode):
                names.append(path.relative_to(folder).as_posix())
    return sorted(names)


def hash_path(path: Path, *, fresh: bool = False) -> str:
    """sha256 of a file, or of all the files of a folder."""
    if path.is_dir():
        return hash_files(path, files_of(path), fresh=fresh)
    return hash_file(path, fresh=fresh)


@contextlib.contextmanager
def open_atomic(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Write a file so that a reader sees the old one or the new one, never a part; its folder is made.

    Yields a file beside it, `.name` for writers that want a path. It takes the place at the end, and is
    removed if anything fails before. durable: it survives a power cut; not needed of what can be made anew.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".part-{uuid4().hex[:12]}{path.suffix}")
    number = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)
    os.close(number)
    try:
        with beside.open("r+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, content: str | bytes) -> None:
    """`open_atomic` for what is in memory."""
    with open_atomic(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def _hash_cache() -> Path:
    return cache_home() / "hashes.json"


def _remembered() -> dict[str, object]:
    try:
        found = json.loads(_hash_cache().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(key: str, entry: list[object]) -> None:
    """Two processes at once may lose one another's entry: it is then hashed once more, no harm done."""
    with contextlib.suppress(OSError):
        write_atomic(_hash_cache(), json.dumps({**_remembered(), key: entry}, indent=0))
