"""The lock of a catalog: one writer at a time, and a lock that dies with its process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagline.tagging.catalog import files
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.printable import safe


class CatalogBusy(CatalogError):
    """Another run is writing to this catalog."""


OWNER = 20  # bytes of a lock: the number of the process that holds it, and blanks
_locked_files: set[Path] = set()


@contextmanager
def only_writer(catalog: Catalog) -> Iterator[None]:
    """Holds the catalog's lock. A second run is refused in a sentence; a lock dies with its process."""
    if catalog.file is None:
        yield
        return
    with locked(catalog.file, catalog.name):
        yield


@contextmanager
def locked(catalog: Path, name: str) -> Iterator[None]:
    """The same for the file of a catalog, whether it can be opened or not. name: to be shown."""
    file = catalog.with_name(catalog.name + ".lock")
    # The system's lock belongs to the process, and closing any descriptor of the file would give it up:
    # within one process the set decides, before the file is touched.
    if file in _locked_files:
        raise _busy(name, str(os.getpid()))
    try:
        number = files.open_file(file, make=True)
    except OSError as error:
        raise CatalogError(f"{safe(file)} cannot be written to ({error.strerror}); move it away") from error
    with os.fdopen(number, "r+b", buffering=0) as handle:
        said = handle.read(2 * OWNER)
        if not _lock(handle.fileno()):
            raise _busy(name, said.decode("ascii", "replace"))
        if len(said) > OWNER or (said.strip() and not said.strip().isdigit()):
            raise files.NotOurs(f"{safe(file)} is no lock of tagline; move it away")
        _locked_files.add(file)
        try:
            handle.seek(0)
            handle.write(str(os.getpid()).encode().ljust(OWNER))
            yield
        finally:
            _locked_files.discard(file)


def _busy(name: str, owner: str) -> CatalogBusy:
    owner = owner.strip()
    who = f" (process {owner})" if owner.isdecimal() else ""
    return CatalogBusy(f"another run{who} is writing to {name}; start this one when it has ended")


def _lock(descriptor: int) -> bool:
    """Take the lock if it is free. It is bound to this process, not to children that outlive it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
