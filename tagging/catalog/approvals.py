"""What a user has approved by name: hub models, servers, and libraries of other users.

A folder of videos may come from a stranger, and its catalog or index may name a model of the hub or a server.
Nothing of that is asked, with this user's token least of all, before the user has named it: on the command
line of the command that first uses it, or with `tagline approve`. The names lie in the user's own settings
folder, never with the videos.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tagline.experts.storage import write_atomic
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.printable import safe

FILE = "approved.json"
MOST = 1000  # characters of a name


def file() -> Path:
    """Where the names are kept."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return settings / "tagline" / FILE


def approved() -> list[str]:
    """All names, sorted. A file that cannot be read approves nothing."""
    try:
        found = json.loads(file().read_text(encoding="utf-8"))["approved"]
        return sorted({name for name in found if isinstance(name, str)})
    except (OSError, ValueError, KeyError, TypeError):
        return []


def is_approved(name: str) -> bool:
    return name in approved()


def approve(name: str) -> None:
    """From now on. Raises CatalogError where it is no name, or cannot be kept."""
    if not name or len(name) > MOST or not name.isprintable():
        raise CatalogError(f"{safe(name, 80)!r} is no name of a model, a server or a folder")
    if not is_approved(name):
        _write([*approved(), name])


def forget(name: str) -> bool:
    """Take it back; False if it was not approved."""
    before = approved()
    if name in before:
        _write([other for other in before if other != name])
    return name in before


def _write(names: list[str]) -> None:
    try:
        write_atomic(file(), json.dumps({"approved": sorted(names)}, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise CatalogError(f"{safe(file())} cannot be written ({error.strerror})") from error
