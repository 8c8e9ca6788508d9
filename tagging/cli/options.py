"""What commands share: opening the library that is meant, and finding the video that somebody names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tagline.experts.tags import Modality
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.tagging.catalog.records import Video
    from tagline.tagging.catalog.write import Catalog

Command = TypeVar("Command", bound=Callable[..., Any])
MOST_NAMES = 6  # in a sentence that lists several


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
    except CatalogError as error:
        raise click.ClickException(str(error)) from error


def find_video(catalog: Catalog, named: str) -> Video:
    """The video with this path, id, hash or name, or the only one whose name has this in it."""
    video = catalog.find(named)
    if video is not None:
        return video
    wanted = named.casefold()
    paths = {path: video_id for video_id, path, gone in catalog.places() if not gone}
    hits = {path: video_id for path, video_id in paths.items() if wanted in PurePath(path).name.casefold()}
    exact = {path: video_id for path, video_id in hits.items() if PurePath(path).stem.casefold() == wanted}
    hits = exact or hits
    if not hits:  # "trips/rome" names a folder, too
        hits = {path: video_id for path, video_id in paths.items() if wanted in path.casefold()}
    if len(set(hits.values())) == 1:
        found = catalog.video(next(iter(hits.values())))
        assert found is not None
        return found
    if not hits:
        raise NothingFound(
            f"no video here is called '{safe(named, 80)}'; give a part of its name, its path or its id"
        )
    raise click.ClickException(
        f"'{safe(named, 80)}' may be {_several(catalog, hits)}; type more of the name, or the id"
    )


def _several(catalog: Catalog, hits: dict[str, int]) -> str:
    root = f"{catalog.root}/"
    ordered = sorted(hits.items())
    names = [
        f"{safe(path.removeprefix(root), 70)} (id {video_id})" for path, video_id in ordered[:MOST_NAMES]
    ]
    if len(ordered) > MOST_NAMES:
        return f"{', '.join(names)} or one of {len(ordered) - MOST_NAMES} more"
    return f"{', '.join(names[:-1])} or {names[-1]}"
