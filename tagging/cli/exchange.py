"""`tagline export` and `tagline import`: tags for other programs, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagline.tagging.cli.options import NothingFound, library_option, modality_option, open_library
from tagline.tagging.cli.output import to_json
from tagline.tagging.formats import FORMATS, SIDECAR_ENDINGS
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.tagging.formats.export import ExportResult
    from tagline.tagging.formats.importer import ImportResult

FAILED, PARTLY = 1, 3


@click.command()
@click.argument("videos", metavar="[VIDEO]...", nargs=-1)
@click.option(
    "--format",
    "-f",
    "formats",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    required=True,
    help="What to write; may be repeated.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write there, not beside the videos."
)
@modality_option("Only tags of this kind; may be repeated.", multiple=True)
@click.option(
    "--adobe-names", is_flag=True, help="New XMP files are called holiday.xmp, not holiday.mp4.xmp."
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print in JSON what became of each file.")
@library_option
def export(
    videos: tuple[str, ...],
    formats: tuple[str, ...],
    out: Path | None,
    modality: tuple[str, ...],
    adobe_names: bool,
    dry_run: bool,
    as_json: bool,
    library: str | None,
) -> None:
    """Write tags for other programs.

    Each VIDEO is a path, a folder, a part of a name or an id; with none, the whole library goes out.
    Sidecars (xmp, nfo, vtt, vtt-tags) go beside the videos; json, csv, parquet and coco are one file here.
    A file that is there already is merged: what is not ours stays as it is.

    \b
    tagline export --format xmp                    for digiKam, darktable, Lightroom
    tagline export --format nfo --format vtt       for Kodi, Jellyfin, Emby
    tagline export --format csv --out ~/Desktop    for a spreadsheet
    """
    from tagline.tagging.formats.export import export_named

    with open_library(library) as catalog:
        outcomes = export_named(
            catalog,
            formats,
            videos or None,
            out=out,
            modalities=modality,
            adobe_names=adobe_names,
            dry_run=dry_run,
        )
        counts = _report_outcomes(outcomes, as_json, dry_run)
    _exit(counts["failed"], counts.total() - counts["failed"])
    if not counts:
        raise NothingFound("there is nothing to write: no tags yet; run `tagline tag FOLDER` first")


def _report_outcomes(outcomes: Iterable[ExportResult], as_json: bool, dry: bool) -> Counter[str]:
    counts: Counter[str] = Counter()

    def rows() -> Iterator[dict[str, str | None]]:
        for outcome in outcomes:
            counts[outcome.state] += 1
            path = safe(outcome.path)
            if outcome.state == "failed":
                click.echo(outcome.reason, err=True)
            elif dry and not as_json and outcome.state != "unchanged":
                click.echo(f"would be {outcome.state}: {path}")
            yield {"path": path, "format": outcome.format, "state": outcome.state, "reason": outcome.reason}

    if as_json:
        click.echo(to_json(list(rows()), indent=2))
        return counts
    for _ in rows():
        pass
    if counts and not dry:
        order = ("written", "merged", "unchanged", "failed")
        click.echo(", ".join(f"{counts[state]} {state}" for state in order if counts[state]))
    return counts


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print in JSON what each file brought.")
@library_option
def import_(files: tuple[Path, ...], as_json: bool, library: str | None) -> None:
    """Read tags that other programs wrote.

    FILE is an XMP, NFO, WebVTT, JSON, CSV or Parquet file, or a folder whose sidecars are all read. What
    somebody wrote counts as a person's word and outlives every run; what went out from a library comes
    back as it was. Reading a file again changes nothing, and nothing is taken away but keywords of ours
    that somebody has taken out of an XMP or NFO file: those count as rejected.

    \b
    tagline import ~/Videos                        every sidecar of a folder
    tagline import tags.csv
    """
    from tagline.tagging.formats.importer import import_files

    failed = fine = 0
    told = []
    with open_library(library) as catalog:
        for taken in import_files(catalog, files):
            failed += taken.reason is not None
            fine += taken.reason is None or taken.videos > 0
            told.append(taken)
            if taken.reason is not None:
                click.echo(taken.reason, err=True)
    if as_json:
        click.echo(to_json([_import_row(taken) for taken in told], indent=2))
    elif fine:
        click.echo(_import_summary(told))
    _exit(failed, fine)
    if not told:
        raise NothingFound(f"there are no sidecars ({', '.join(SIDECAR_ENDINGS)}) in that folder")


def _import_row(taken: ImportResult) -> dict[str, str | int | None]:
    return {
        "path": safe(taken.path),
        "videos": taken.videos,
        "tags": taken.tags,
        "added": taken.added,
        "rejected": taken.rejected,
        "known": taken.known,
        "overruled": taken.overruled,
        "reason": taken.reason,
    }


def _import_summary(results: Iterable[ImportResult]) -> str:
    listed = list(results)
    sums = {
        "tags taken over": sum(taken.tags for taken in listed),
        "added as a person's word": sum(taken.added for taken in listed),
        "rejected, as they were taken out": sum(taken.rejected for taken in listed),
        "known already": sum(taken.known for taken in listed),
        "left out, as decided here": sum(taken.overruled for taken in listed),
    }
    said = [f"{number} {what}" for what, number in sums.items() if number]
    return ", ".join(said) if said else "nothing new"


def _exit(failed: int, fine: int) -> None:
    """Exit as the house does: 3 where some failed, 1 where all did."""
    if failed:
        raise click.exceptions.Exit(PARTLY if fine else FAILED)
