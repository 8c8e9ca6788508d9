"""Where a library's catalog lies: in the folder itself, where the user says, or beside the network."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tagline.tagging.catalog import files
from tagline.tagging.catalog.files import FOLDER
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.printable import safe

FILE = "catalog.sqlite"

# SQLite's locks and its shared memory do not hold on these.
_NETWORK = """
    9p afs beegfs ceph cifs davfs fuse.davfs2 fuse.glusterfs fuse.gvfsd-fuse fuse.rclone fuse.s3fs fuse.sshfs
    glusterfs gpfs lustre ncpfs nfs nfs4 smb smb2 smb3 smbfs sshfs
"""
NETWORK = frozenset(_NETWORK.split())


class NoCatalog(CatalogError):
    pass


class Undecided(CatalogError):
    """Several folders with no catalog in common: the user has to say where it goes."""


@dataclass(frozen=True, slots=True)
class Home:
    """A catalog's file, the folder whose videos it names by relative paths, and what to tell the user."""

    file: Path
    root: Path
    notice: str | None = None


def catalog_home(folder_or_file: str | os.PathLike[str]) -> Home:
    """Where the catalog of a folder lies, or the catalog that a file is.

    A folder that cannot hold a database (network file system, read-only) gets one in the local data
    directory, named after the folder.
    """
    given = Path(folder_or_file).expanduser()
    if given.suffix in (".sqlite", ".db") or given.is_file():
        file = Path(os.path.realpath(given))
        return Home(file, file.parent.parent if file.parent.name == FOLDER else file.parent)
    root = Path(os.path.realpath(given))
    file = root / FOLDER / FILE
    kind = file_system(root)
    if kind in NETWORK:
        why = f"is on a network file system ({kind})"
    elif root.is_dir() and not file.exists() and not os.access(root, os.W_OK):
        why = "cannot be written to"
    elif not file.exists() and local_file(root).is_file():
        why = "could not hold it before"
    else:
        return Home(file, root)
    moved = local_file(root)
    return Home(moved, root, f"{safe(root)} {why}, so its catalog is {safe(moved)}")


def find_catalog_home(
    folders: Sequence[str | os.PathLike[str]] = (), library: str | os.PathLike[str] | None = None
) -> Home:
    """The catalog that a command means.

    `library` (or TAGLINE_LIBRARY) decides. Else the nearest catalog in a folder or above it, as git looks
    for its own; else the one folder's own, which may not be there yet. With no folder at all: from the
    working directory upwards.
    """
    library = library or os.environ.get("TAGLINE_LIBRARY") or None
    if library:
        return catalog_home(library)
    starts = [_directory(Path(folder)) for folder in folders] or [Path.cwd()]
    homes = [_above(start) for start in starts]
    if not folders:
        if homes[0] is None:
            raise NoCatalog(
                f"no catalog of yours here or above {safe(starts[0])}; run `tagline tag FOLDER` first, "
                "or say where it is with --library"
            )
        return homes[0]
    chosen = {
        (found or catalog_home(start)).file: (found or catalog_home(start))
        for found, start in zip(homes, starts)
    }
    if len(chosen) > 1:
        raise Undecided(
            "these folders have no catalog in common; say with --library FOLDER where it is to be"
        )
    return next(iter(chosen.values()))


def _above(start: Path) -> Home | None:
    """The nearest catalog of this user, in a folder or above it on the same file system."""
    start = Path(os.path.realpath(start))
    for folder in (start, *start.parents):
        if files.is_adoptable(folder / FOLDER / FILE) or local_file(folder).is_file():
            return catalog_home(folder)
        if os.path.ismount(folder):
            return None
    return None


def _directory(path: Path) -> Path:
    return path.parent if path.is_file() else path


def local_file(root: Path) -> Path:
    """The catalog's place in the local data directory, for a folder that cannot hold it."""
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return data_directory() / "libraries" / digest / FILE


def data_directory() -> Path:
    """Where this user's programs keep data on this machine."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "tagline"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "tagline"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tagline"


def file_system(path: Path, mounts: str = "/proc/self/mounts") -> str:
    """The kind of file system that a path is on ("ext4", "nfs4"); "" where that cannot be known."""
    try:
        table = Path(mounts).read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescape(fields[1])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # a later line of the same mount point lies on top of the earlier
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _unescape(field: str) -> str:
    """Mount points with spaces are written with octal escapes."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
