"""`tagline search` and `tagline tune`; and a player opened at the moment that was found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.retrieval.cli.opening import opened
from tagline.tagging.cli.options import library_option
from tagline.tagging.cli.output import emit, output_options, requested_output, to_json
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.retrieval.query.hits import Hit
    from tagline.retrieval.query.search import Answer


COLUMNS = ("score", "video", "start", "end", "why")


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option(
    "-k", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many at most."
)
@click.option("--tag", "having", multiple=True, metavar="[MODALITY:]TAG", help="Only videos with this tag.")
@click.option("--not", "lacking", multiple=True, metavar="[MODALITY:]TAG", help="No videos with this tag.")
@click.option("--after", metavar="DAY", help="Made on this day or later: 2024, 2024-05 or 2024-05-17.")
@click.option("--before", metavar="DAY", help="Made before this day.")
@click.option("--longer", metavar="LENGTH", help="At least this long: 90s, 2m, 1:30.")
@click.option("--rerank", is_flag=True, help="Let the model look again at the best hits. Slower.")
@click.option("--anyway", is_flag=True, help="Show the nearest, also where nothing answers.")
@click.option("--open", "open_", is_flag=True, help="Play the best hit, from its moment.")
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
    after: str | None,
    before: str | None,
    longer: str | None,
    rerank: bool,
    anyway: bool,
    open_: bool,
    paths: bool,
    zero: bool,
    library: str | None,
) -> None:
    """Find the moment that a sentence describes, and see why.

    Phrases can be added and taken away, with + and - between spaces. If nothing in the library answers,
    "nothing found" is printed, and the exit code is 4. What nobody has looked at yet is said, with the
    command that changes it; --json has it under "coverage".

    \b
    tagline search a dog on the beach
    tagline search someone talks about space -k 3
    tagline search beach --tag person:girl --not dog
    tagline search "beach + dog - person" --after 2024-05 --longer 1:30
    tagline search "door opens" then within 10s "a dog"
    tagline search the moment when she laughs --open
    """
    from tagline.retrieval.query.parse import BadFilter
    from tagline.retrieval.query.rerank import CannotRerank

    sentence = _sentence(query)
    with opened(library) as videos:
        try:
            found = videos.search(
                sentence,
                count,
                tags=having,
                without=lacking,
                after=after,
                before=before,
                longer=longer,
                rerank=rerank,
            )
        except BadFilter as error:
            raise click.UsageError(str(error)) from None
        except CannotRerank as error:
            raise click.ClickException(str(error)) from None
    hits = found.hits if anyway else list(found)
    for notice in (*found.notices, *found.coverage.sentences):
        click.echo(safe(notice, 500), err=True)
    if not hits and not requested_output().for_programs:
        click.echo(_nothing(sentence, found), err=True)
    if paths or zero:
        _write_paths([hit.video.paths[0] for hit in hits], b"\0" if zero else b"\n")
    elif requested_output().kind == "json":
        click.echo(to_json(_answer(sentence, found, hits), indent=1))
    elif requested_output().for_programs:
        emit(map(_row, hits), COLUMNS)
    elif hits:
        _table(hits)
    if open_ and hits:
        _play(hits[0])
    ctx.exit(0 if hits else 4)


@click.command(short_help="Fit search to this library: hubness, weights, and when nothing answers.")
@library_option
def tune(library: str | None) -> None:
    """Fit search to this library: hubness (QB-Norm), the weight of each signal, and when nothing answers.

    `tagline index` does it as well. It reads the captions of the library, if it has any, and queries that
    are written from its tags.

    \b
    tagline tune
    tagline tune --library ~/Videos
    """
    with opened(library) as videos:
        videos.tune(progress=click.echo)


def _sentence(words: tuple[str, ...]) -> str:
    """What was typed. The quotes that a shell took off come back where `then` stands between phrases."""
    if "then" not in words:
        return " ".join(words)
    return " ".join(f'"{word}"' if " " in word and '"' not in word else word for word in words)


def _answer(sentence: str, found: Answer, hits: list[Hit]) -> dict[str, Any]:
    """For programs: the hits, and what could not be asked."""
    return {
        "query": sentence,
        "answered": found.answered,
        "hits": [_row(hit) for hit in hits],
        "notices": list(found.notices),
        "coverage": [gap.as_dict() for gap in found.coverage.gaps],
    }


def _nothing(sentence: str, found: Answer) -> str:
    """That nothing was found, where somebody looked; that nobody did, where nobody did."""
    asked = safe(sentence, 80)
    if not found.coverage.looked:
        return f"nobody has looked at the videos here yet, so nothing can be found for '{asked}'"
    return f"nothing found for '{asked}'{_nearest(found)}"


def _nearest(found: Answer) -> str:
    """What was the nearest, if there is something that is merely not near enough."""
    from pathlib import PurePath

    if not found.nearest:
        return ""
    name = safe(PurePath(found.nearest[0].video.paths[0]).name, 60)
    return f"; the nearest is {name}, see it with --anyway"


def _play(hit: Hit) -> None:
    try:
        play(hit.video.paths[0], hit.start)
    except NoPlayer as error:
        raise click.ClickException(str(error)) from None


def _row(hit: Hit) -> dict[str, Any]:
    return {
        "score": round(hit.score, 4),
        "probability": None if hit.probability is None else round(hit.probability, 4),
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

    # Bytes as they are where a path goes to another program; what a terminal gets passes its guard.
    stream = sys.stdout if sys.stdout.isatty() else getattr(sys.stdout, "stream", sys.stdout)
    stream.buffer.write(b"".join(os.fsencode(path) + end for path in paths))
    stream.buffer.flush()


def _table(hits: list[Hit]) -> None:
    from pathlib import PurePath

    from rich.table import Table

    from tagline.tagging.cli.output import console
    from tagline.tagging.printable import clock

    table = Table(box=None, header_style="bold", pad_edge=False)
    # A probability where the library taught what its scores are worth.
    calibrated = any(hit.probability is not None for hit in hits)
    table.add_column("chance" if calibrated else "score", justify="right")
    table.add_column("moment", no_wrap=True, style="cyan")
    table.add_column("video", overflow="fold")
    table.add_column("why", overflow="fold", style="dim")
    for hit in hits:
        why = ", ".join(dict.fromkeys(f"{safe(e.text, 40)} ({e.kind})" for e in hit.why))
        moment = f"{clock(hit.start)}–{clock(hit.end)}"
        sure = hit.score if hit.probability is None else hit.probability
        table.add_row(f"{sure:.2f}", moment, safe(PurePath(hit.video.paths[0]).name, 60), why)
    console().print(table)


class NoPlayer(Exception):
    """There is nothing here that plays videos. The message says what to install."""


def player(path: str, start: float) -> list[str]:
    """The command that plays a file from a second on: its words, never a line for a shell.

    mpv and VLC start at the moment; what the desktop opens otherwise starts at the beginning.
    """
    file = os.path.abspath(path)  # noqa: PTH100 (odd names stay as they are; it never begins with a dash)
    second = f"{max(start, 0.0):.3f}"
    for name, words in (
        ("mpv", [f"--start={second}", "--force-window=yes", "--", file]),
        ("vlc", [f"--start-time={second}", file]),
        ("xdg-open", [file]),
        ("open", [file]),  # macOS
    ):
        found = shutil.which(name)
        if found:
            return [found, *words]
    raise NoPlayer("no player was found; install mpv or VLC, or open the file yourself")


def play(path: str, start: float) -> list[str]:
    """Start the player and leave it alone. Returns the command."""
    if not Path(path).exists():
        raise NoPlayer("the file is not there any more; run `tagline tag` on its folder")
    words = player(path, start)
    subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it outlives the terminal's Ctrl-C
    )
    return words
