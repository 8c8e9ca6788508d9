"""`tagline search`: from a sentence to the moment, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from experts.tags import Modality
from tagging.library import library_option, opened
from tagging.names import safe
from tagging.output import asked, emit, output_options

if TYPE_CHECKING:
    from retrieval.search import Hit

COLUMNS = ("score", "video", "start", "end", "why")


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option(
    "-k", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many at most."
)
@click.option("--tag", "having", multiple=True, metavar="[MODALITY:]TAG", help="Only videos with this tag.")
@click.option("--not", "lacking", multiple=True, metavar="[MODALITY:]TAG", help="No videos with this tag.")
@click.option("--paths", is_flag=True, help="Only the paths, one a line.")
@click.option("-0", "zero", is_flag=True, help="Only the paths, each ended by a zero byte, for xargs -0.")
@library_option
@output_options
@click.pass_context
def search(
    ctx: click.Context,
    query: tuple[str, ...],
    count: int,
    having: tuple[str, ...],
    lacking: tuple[str, ...],
    paths: bool,
    zero: bool,
    library: str | None,
) -> None:
    """Find the moment that a sentence describes, and see why.

    \b
    tagline search a dog on the beach
    tagline search someone talks about space -k 3
    tagline search beach --tag person:girl --not dog
    """
    from retrieval.search import Filters, search

    sentence = " ".join(query)
    filters = Filters(tuple(map(_wanted, having)), tuple(map(_wanted, lacking)))
    with opened(library) as catalog:
        hits = search(catalog, sentence, count, filters)
    if not hits and not asked().for_programs:
        click.echo(f"nothing found for '{safe(sentence, 80)}'", err=True)
    if paths or zero:
        _write_paths([hit.video.paths[0] for hit in hits], b"\0" if zero else b"\n")
    elif asked().for_programs:
        emit(map(_row, hits), COLUMNS)
    elif hits:
        _table(hits)
    ctx.exit(0 if hits else 4)


def _wanted(text: str) -> tuple[Modality | None, str]:
    from tagging.vocabulary import normal

    before, colon, after = text.partition(":")
    if colon and before in set(Modality):
        return Modality(before), normal(after, Modality(before))
    return None, normal(text)


def _row(hit: Hit) -> dict[str, Any]:
    return {
        "score": round(hit.score, 4),
        "video": hit.video.paths[0],
        "id": hit.video.id,
        "start": round(hit.start, 3),
        "end": round(hit.end, 3),
        "why": [
            {"text": e.text, "kind": str(e.kind), "start": e.start, "end": e.end, "score": round(e.score, 4)}
            for e in hit.why
        ],
    }


def _write_paths(paths: list[str], end: bytes) -> None:
    import os

    # Bytes as they are: a path goes to another program, not to a terminal.
    sys.stdout.buffer.write(b"".join(os.fsencode(path) + end for path in paths))
    sys.stdout.buffer.flush()


def _table(hits: list[Hit]) -> None:
    from pathlib import PurePath

    from rich.table import Table

    from tagging.output import console
    from tagging.timeline import clock

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("score", justify="right")
    table.add_column("moment", no_wrap=True, style="cyan")
    table.add_column("video", overflow="fold")
    table.add_column("why", overflow="fold", style="dim")
    for hit in hits:
        why = ", ".join(dict.fromkeys(f"{safe(e.text, 40)} ({e.kind})" for e in hit.why))
        moment = f"{clock(hit.start)}–{clock(hit.end)}"
        table.add_row(f"{hit.score:.2f}", moment, safe(PurePath(hit.video.paths[0]).name, 60), why)
    console().print(table)
