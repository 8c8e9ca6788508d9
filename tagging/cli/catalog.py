"""`tagline catalog check`: what is wrong with a catalog, and a new one from what is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.tagging.cli.errors import as_sentences
from tagline.tagging.cli.options import library_option
from tagline.tagging.cli.output import emit, output_options, requested_output
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.tagging.catalog.repair.salvage import Repair


@click.command()
@click.option(
    "--repair", is_flag=True, help="Write a new catalog from what can be read; the old one is kept."
)
@library_option
@output_options
@click.pass_context
def check(ctx: click.Context, repair: bool, library: str | None) -> None:
    """Check a library's catalog: its file, its tables, and every value in it.

    Ends with 1 if something is wrong. With --repair, what can still be read is written into a new catalog,
    what people decided first; the damaged file is kept beside it, and what was lost is said. The next
    `tagline tag` looks again at what lacks.

    \b
    tagline catalog check
    tagline catalog check --library ~/Videos --json
    tagline catalog check --repair
    """
    from tagline.tagging.catalog import files, location
    from tagline.tagging.catalog.repair.check import check_catalog
    from tagline.tagging.catalog.repair.salvage import repair_catalog

    with as_sentences():
        where = location.find_catalog_home(library=library)
        if files.state(where.file) is None:
            raise location.NoCatalog(f"there is no catalog at {safe(where.file)}")
        if repair:
            _show_repair(repair_catalog(where))
            return
        problems = check_catalog(where.file)
    if problems or requested_output().for_programs:
        emit(({"table": p.table, "rows": p.rows, "problem": p.what} for p in problems), COLUMNS)
    if not problems:
        _say(f"{safe(where.file)} is whole")
        return
    _say("with --repair, a new catalog is written from what can be read")
    ctx.exit(1)


COLUMNS = ("table", "rows", "problem")
REPAIR_COLUMNS = ("table", "kept", "lost", "remark")


def _show_repair(done: Repair) -> None:
    emit(_rows(done), REPAIR_COLUMNS)
    _say(f"{safe(done.file)} is new; the damaged one is {safe(Path(done.old).name)} beside it")


def _rows(done: Repair) -> Iterator[dict[str, Any]]:
    for table in done.kept:
        yield {
            "table": table,
            "kept": done.kept[table],
            "lost": done.lost[table],
            "remark": done.parts.get(table, ""),
        }


def _say(line: str) -> None:
    """Beside the answer, so that a program reads the answer alone."""
    click.echo(line, err=requested_output().for_programs)
