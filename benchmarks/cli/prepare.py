"""`tagline bench prepare`: a data set's annotations into a catalog, its counts beside the published ones."""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.tagging.cli.output import emit, to_json
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.benchmarks.datasets.dataset import Dataset, PublishedCount
    from tagline.benchmarks.datasets.importer import DatasetImport

# Those of the second line have their annotations beside the videos where --annotations is not given.
NAMES = ("msrvtt", "msvd", "lsmdc", "didemo", "create", "pexel")
WITH_VIDEOS = ("plain", "playhouse", "webdataset")
# The file and the function that read a data set; the others are `read` in the file of their name.
READERS = {"create": ("create_pexel", "read_create"), "pexel": ("create_pexel", "read_pexel")}
EXISTING = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("name", metavar="DATASET", type=click.Choice((*NAMES, *WITH_VIDEOS)))
@click.option("--annotations", type=EXISTING, help="Folder with the annotation files, zipped or not.")
@click.option("--videos", type=FOLDER, help="Folder with the videos; without it, only count.")
@click.option(
    "--library", metavar="FOLDER", envvar="TAGLINE_LIBRARY", help="Catalog to fill; else the videos' own."
)
@click.option("--split", type=click.Choice(("1k-A", "7k", "full")), help="Of MSR-VTT.  [default: 1k-A]")
@click.option("--json", "as_json", is_flag=True, help="For programs; names every missing video.")
@click.pass_context
def prepare(
    ctx: click.Context,
    name: str,
    annotations: Path | None,
    videos: Path | None,
    library: str | None,
    split: str | None,
    as_json: bool,
) -> None:
    """Bring a data set's captions, titles and tags into a catalog.

    DATASET is msrvtt, msvd, lsmdc, didemo, create, pexel; plain (captions.csv or captions.jsonl), playhouse
    (truth.json), or webdataset (tars, whose videos are laid into the folder of --videos).

    \b
    tagline bench prepare msrvtt --annotations ann/          only count and compare
    tagline bench prepare msrvtt --annotations ann/ --videos MSRVTT/videos
    tagline bench prepare playhouse --videos /tmp/tiny

    Videos without a file are listed; run it again when they are there. Nothing is doubled. Exit code 3: some
    videos are missing or cannot be read; 4: none is there.
    """
    if split is not None and name != "msrvtt":
        raise click.UsageError("--split is for msrvtt alone")
    where = annotations or (videos if name in WITH_VIDEOS and name != "webdataset" else None)
    if where is None:
        raise click.UsageError("say with --annotations where the annotations are")
    if name != "webdataset" and videos is not None and not videos.is_dir():
        raise click.UsageError(f"{safe(videos)} is not there; name the folder with the videos")
    dataset = _read(name, where, videos, split)
    outcome = _import(dataset, videos, library) if videos is not None else None
    _print_result(dataset, outcome, videos, as_json)
    if outcome is not None and not outcome.whole:
        ctx.exit(3 if outcome.found else 4)


def _read(name: str, where: Path, videos: Path | None, split: str | None) -> Dataset:
    from tagline.benchmarks.datasets.dataset import BadAnnotations

    module, function = READERS.get(name, (name, "read"))
    read: Any = getattr(import_module(f"tagline.benchmarks.datasets.{module}"), function)
    more: dict[str, Any] = {}
    if name == "msrvtt":
        more["variant"] = split or "1k-A"
    elif name == "webdataset":
        more["into"] = videos
    try:
        dataset: Dataset = read(where, **more)
    except BadAnnotations as error:
        raise click.ClickException(str(error)) from None
    return dataset


def _import(dataset: Dataset, videos: Path, library: str | None) -> DatasetImport:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from tagline.benchmarks.datasets.importer import import_dataset
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with (
            Catalog.open(location.find_catalog_home([videos], library)) as catalog,
            Progress(*columns, console=console(stderr=True), transient=True) as shown,
        ):
            task = shown.add_task("Reading videos", total=None)
            return import_dataset(
                catalog, dataset, videos, lambda done, total: shown.update(task, completed=done, total=total)
            )
    except CatalogError as error:
        raise click.ClickException(str(error)) from None


def _print_result(
    dataset: Dataset, outcome: DatasetImport | None, videos: Path | None, as_json: bool
) -> None:
    from tagline.benchmarks.datasets.importer import sentences

    if as_json:
        data: dict[str, Any] = {"dataset": dataset.name, "variant": dataset.variant}
        data["counts"] = [{**asdict(count), "ok": count.ok} for count in dataset.counts]
        data["notes"] = [*dataset.notes, *(outcome.notes if outcome else [])]
        if outcome is not None:
            data |= {key: value for key, value in asdict(outcome).items() if key != "notes"}
        click.echo(to_json(data, indent=2))
        return
    emit([_row(count) for count in dataset.counts], ("", "published", "found", "as published"))
    different = sum(count.ok is False for count in dataset.counts)
    if different:
        click.echo(f"{different} of the counts are not the published ones", err=True)
    for note in (*dataset.notes, *(outcome.notes[:5] if outcome else ())):
        click.echo(note, err=True)
    if outcome is None or videos is None:
        click.echo("nothing was imported; name the folder of the videos with --videos")
        return
    for sentence in sentences(outcome, videos):
        click.echo(sentence)


def _row(count: PublishedCount) -> dict[str, str]:
    about = "about " if count.to > 1 else ""
    return {
        "": count.what,
        "published": "" if count.expected is None else f"{about}{count.expected:,}",
        "found": "no file" if count.found is None else f"{count.found:,}",
        "as published": {True: "yes", False: "no", None: ""}[count.ok],
    }
