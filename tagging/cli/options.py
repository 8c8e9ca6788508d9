"""What commands share: opening the library that is meant, and finding the video that somebody names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tagline.experts.tags import Modality

if TYPE_CHECKING:
    from tagline.tagging.catalog.records import Video
    from tagline.tagging.catalog.write import Catalog

Command = TypeVar("Command", bound=Callable[..., Any])


class NothingFound(click.ClickException):
    """There is no such video, tag or file."""

    exit_code = 4


library_option = click.option(
    "--library",
    metavar="FOLDER",
    envvar="TAGLINE_LIBRARY",
    help="Folder whose catalog to use; else the nearest one, from here upwards.",
)


class ModalityChoice(click.Choice):
    """The modalities, as people type them."""

    name = "modality"

    def __init__(self) -> None:
        super().__init__([modality.value for modality in Modality], case_sensitive=False)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "MODALITY"


def modality_option(help: str, *, multiple: bool = False) -> Callable[[Command], Command]:
    named = f"{help} One of {', '.join(Modality)}."
    return click.option("--modality", "-m", type=ModalityChoice(), multiple=multiple, help=named)


@contextmanager
def open_library(library: str | None = None, folders: Sequence[str] = ()) -> Iterator[Catalog]:
    """The catalog that a command means. Whatever goes wrong with it is a sentence, never a traceback."""
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.lookup import VideoNotFound
    from tagline.tagging.catalog.named_verdicts import TagNotFound
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog

    try:
        Path.cwd()
    except OSError as error:
        raise click.ClickException(
            "the working directory is not there any more; go to another one"
        ) from error
    try:
        with Catalog.open(location.find_catalog_home(folders, library), create=False) as catalog:
            yield catalog
            if catalog.damage:
                click.echo(f"note: {catalog.damage}", err=True)
    except (VideoNotFound, TagNotFound) as error:
        raise NothingFound(str(error)) from error
    except CatalogError as error:
        raise click.ClickException(str(error)) from error


def find_video(catalog: Catalog, named: str) -> Video:
    """The video that is meant; a name that none has is exit code 4."""
    from tagline.tagging.catalog import lookup

    try:
        return lookup.find_video(catalog, named)
    except lookup.VideoNotFound as error:
        raise NothingFound(str(error)) from None
