"""`tagline explain`: what in a video answers a query, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagline.retrieval.cli.opening import opened
from tagline.tagging.cli.options import library_option
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.retrieval.query.explain import Explanation

BARS = " ▁▂▃▄▅▆▇█"
MAX_SHOWN = 12


@click.command(short_help="Show what in a video answers a query, and where.")
@click.argument("query")
@click.argument("video")
@click.option(
    "--picture", metavar="FILE.png", type=click.Path(dir_okay=False, path_type=Path), help="Draw it."
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@library_option
def explain(query: str, video: str, picture: Path | None, as_json: bool, library: str | None) -> None:
    """Show what in VIDEO answers QUERY: what would be lost without each word and each tag, and where it is.

    \b
    tagline explain "a dog on the beach" holiday.mp4
    tagline explain "a dog on the beach" holiday.mp4 --picture why.png
    """
    from tagline.retrieval.query.explain import NoPicture, draw

    with opened(library) as videos:
        found = videos.explain(query, video)
        if picture is not None:
            try:
                draw(videos.catalog, found, picture)
            except (NoPicture, OSError) as error:
                raise click.ClickException(f"{safe(picture)} was not drawn: {error}") from None
    for notice in found.notices:
        click.echo(notice, err=True)
    if as_json:
        from tagline.tagging.cli.output import to_json

        click.echo(to_json(found.as_dict(), indent=2))
    else:
        _show(found)


def _show(found: Explanation) -> None:
    from rich.table import Table

    from tagline.tagging.cli.output import console
    from tagline.tagging.printable import clock

    out = console()
    near = "" if found.similarity is None else f", {found.similarity:.2f} similar in the picture"
    name = safe(Path(found.video.label).name, 60)
    out.print(f"{name}: {found.lexical_score:.2f} of the query in its words{near}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("without", overflow="fold")
    table.add_column("kind", style="dim")
    table.add_column("when", style="cyan", no_wrap=True)
    table.add_column("words", justify="right")
    if found.similarity is not None:
        table.add_column("picture", justify="right")
    for one in (*found.words, *found.evidence[:MAX_SHOWN]):
        when = "" if one.start is None or one.end is None else f"{clock(one.start)}–{clock(one.end)}"
        cells = [safe(one.text, 50), one.kind, when, _signed(-one.words)]
        if found.similarity is not None:
            cells.append("" if one.picture is None else _signed(-one.picture))
        table.add_row(*cells)
    if table.row_count:
        out.print(table)
    if len(found.evidence) > MAX_SHOWN:
        out.print(f"… and {len(found.evidence) - MAX_SHOWN} more")
    if found.heat:
        most = max(one.share for one in found.heat)
        bars = "".join(BARS[round(one.share / most * (len(BARS) - 1))] for one in found.heat)
        first, last = clock(0.0), clock(found.video.duration or found.heat[-1].time)
        out.print(f"{first} {bars} {last}  by {found.heat_by}")


def _signed(value: float) -> str:
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0"
