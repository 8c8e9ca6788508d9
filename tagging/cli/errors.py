"""From what goes wrong to what the user reads: one sentence and an exit code, for every command alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def as_sentences() -> Iterator[None]:
    """Whatever is wrong with a library, a model or a file ends in a sentence. A fault of ours does not."""
    try:
        yield
    except Exception as error:
        sentence = click_error(error)
        if sentence is None:
            raise
        raise sentence from error


def click_error(error: Exception) -> click.ClickException | None:
    """The sentence for an error, with its exit code; None where there is nothing that the user could do."""
    from tagline.experts.base import UnknownExpert
    from tagline.experts.weights.registry import WeightsMissing
    from tagline.tagging.catalog.location import Undecided
    from tagline.tagging.catalog.lookup import VideoNotFound
    from tagline.tagging.catalog.named_verdicts import TagNotFound
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.cli.options import NothingFound
    from tagline.tagging.library import FolderNotFound
    from tagline.tagging.ml.config import BadConfig
    from tagline.tagging.pipeline.settings import SettingsError
    from tagline.tagging.printable import safe

    if isinstance(error, (VideoNotFound, TagNotFound)):
        return NothingFound(str(error))
    if isinstance(error, (UnknownExpert, SettingsError, Undecided, FolderNotFound)):
        return click.UsageError(str(error))
    if isinstance(error, (CatalogError, WeightsMissing, BadConfig)):
        return click.ClickException(str(error))
    if isinstance(error, sqlite3.Error):
        return click.ClickException(f"the catalog cannot be used: {error}")
    if isinstance(error, OSError) and error.filename is not None and not isinstance(error, BrokenPipeError):
        reason = (error.strerror or str(error)).lower()
        return click.ClickException(f"{safe(str(error.filename))} cannot be used ({reason})")
    return None
