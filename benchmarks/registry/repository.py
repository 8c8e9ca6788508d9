"""What of tagline is only in its repository, and the sentence where an installed package lacks it.

The playhouse (its renderer, voices and weights), the demo and the records stay out of the wheel.
"""

from __future__ import annotations

from pathlib import Path

import tagline

ONLY_THERE = ("tagline.benchmarks.playhouse", "tagline.benchmarks.demo")


class RepositoryOnly(Exception):
    """Something that an installed tagline does not carry. The message is one sentence for people."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} in tagline's repository, not in the installed package: clone it, "
            "run `make setup` there, and then this command"
        )


def root() -> Path | None:
    """The top of the checkout that is at work; None in an installed package."""
    above = Path(tagline.__file__).resolve().parents[1]
    return above if (above / "benchmarks" / "playhouse").is_dir() else None


def checkout(what: str) -> Path:
    """The same, for what cannot do without. `what` is the beginning of the sentence."""
    if (found := root()) is None:
        raise RepositoryOnly(what)
    return found


def from_import_error(error: ImportError) -> RepositoryOnly | None:
    """What to tell people of an import that failed, if it is of what only the repository has."""
    name = f"{error.name or ''}."
    only = next((one for one in ONLY_THERE if name.startswith(f"{one}.")), None)
    return RepositoryOnly(f"the {only.rpartition('.')[2]} is") if only else None
