"""What the commands of this room share: the `Library` that is meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tagline.tagging.cli.options import open_library

if TYPE_CHECKING:
    from tagline.retrieval.library import Library


@contextmanager
def opened(library: str | None = None, folders: Sequence[str] = ()) -> Iterator[Library]:
    """The library that a command means, its catalog open. Whatever goes wrong with it is a sentence."""
    from tagline.retrieval.library import Library

    with open_library(library, folders) as catalog:
        yield Library.of(catalog)
