"""`tagline tags`: list tags; accept, reject, add, rename and merge them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tagline.experts.printable import safe, say
from tagline.tagging.cli.options import (
    NothingFound,
    find_video,
    library_option,
    modality_option,
    open_library,
)
from tagline.tagging.cli.output import emit, output_options, requested_output
from tagline.tagging.printable import clock, video_name

if TYPE_CHECKING:
    from tagline.tagging.catalog.records import Verdict, Video
    from tagline.tagging.catalog.write import Catalog


@click.group()
def tags() -> None:
    """List, accept, reject, add and rename tags.

    What a person says wins: it outlives every later run.

    \b
    tagline tags list --modality object
    tagline tags reject holiday.mp4 cat
    tagline tags add holiday.mp4 Anna --from 1:05 --to 1:20
    tagline tags undo
    """


@tags.command("list")
@modality_option("Only tags of this kind.")
@click.option("--rare", is_flag=True, help="Only tags outside those that make up nine tenths of all uses.")
@library_option
@output_options
def list_(modality: str | None, rare: bool, library: str | None) -> None:
    """Count the tags of the library, the most used first.

    \b
    tagline tags list
    tagline tags list --modality speech --rare
    tagline tags list --csv > tags.csv
    """
    from tagline.tagging.report import tag_uses

    with open_library(library) as catalog:
        rows = [
            {
                "tag": use.tag,
                "modality": use.modality.value,
                "videos": use.videos,
                "spans": use.spans,
                "band": use.band.value,
            }
            for use in tag_uses(catalog, modality, rare=rare)
        ]
        if not rows and not requested_output().for_programs:
            raise NothingFound(
                "there are no such tags in this library; `tagline tags list` lists all that there are"
            )
        emit(rows, ("tag", "modality", "videos", "spans"))
        if not rows:
            raise click.exceptions.Exit(NothingFound.exit_code)


@tags.command()
@click.argument("video")
@click.argument("tag")
@modality_option("Only as this kind of tag.")
@library_option
def accept(video: str, tag: str, modality: str | None, library: str | None) -> None:
    """Mark a tag as right: it stays, with score 1, whatever later runs find.

    \b
    tagline tags accept holiday.mp4 dog
    """
    from tagline.tagging.catalog.named_verdicts import NamedVerdicts

    with open_library(library) as catalog:
        found = find_video(catalog, video)
        done = NamedVerdicts(catalog).accept(found, tag, modality)
        spans = f", {len(done)} spans" if len(done) > 1 else ""
        say(f"accepted: {done[0].text} in {_name(found)}{spans}")


@tags.command()
@click.argument("video")
@click.argument("tag")
@modality_option("Only as this kind of tag.")
@library_option
def reject(video: str, tag: str, modality: str | None, library: str | None) -> None:
    """Mark a tag as wrong for this video: it goes, and no later run brings it back.

    \b
    tagline tags reject holiday.mp4 cat
    """
    from tagline.tagging.catalog.named_verdicts import NamedVerdicts

    with open_library(library) as catalog:
        found = find_video(catalog, video)
        done = NamedVerdicts(catalog).reject(found, tag, modality)
        say(f"rejected: {done[0].text} in {_name(found)}")


class TimestampParam(click.ParamType):
    """A moment of a video: 65, 65.5, 1:05 or 1:02:03."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        parts = str(value).split(":")
        try:
            seconds = sum(float(part) * 60**place for place, part in enumerate(reversed(parts)))
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < 1e9 or len(parts) > 3 or "-" in str(value):
            self.fail(f"'{safe(str(value), 40)}' is no moment of a video; write seconds, or 1:05", param, ctx)
        return seconds


@tags.command()
@click.argument("video")
@click.argument("tag")
@click.option("--from", "start", type=TimestampParam(), help="Where it begins: seconds, or 1:05.")
@click.option("--to", "end", type=TimestampParam(), help="Where it ends; else the video's end.")
@modality_option("What kind of tag it is; human if not given.")
@library_option
def add(
    video: str, tag: str, start: float | None, end: float | None, modality: str | None, library: str | None
) -> None:
    """Add a tag to a video, for all of it or for a part of it.

    \b
    tagline tags add holiday.mp4 Anna
    tagline tags add holiday.mp4 "birthday cake" --modality object --from 1:05 --to 1:20
    """
    from tagline.tagging.catalog.named_verdicts import NamedVerdicts

    with open_library(library) as catalog:
        found = find_video(catalog, video)
        try:
            done = NamedVerdicts(catalog).add(found, tag, modality, start=start, end=end)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        start, end = done[0].start, done[0].end
        when = "" if start is None or end is None else f" from {clock(start)} to {clock(end)}"
        say(f"added: {done[0].text} to {_name(found)}{when}")


@tags.command()
@click.argument("old")
@click.argument("new")
@modality_option("Only as this kind of tag.")
@library_option
def rename(old: str, new: str, modality: str | None, library: str | None) -> None:
    """Rename a tag in the whole library, now and after every later run.

    \b
    tagline tags rename "man" "Grandpa" --modality person
    """
    from tagline.tagging.catalog.named_verdicts import NamedVerdicts

    with open_library(library) as catalog:
        verdicts = NamedVerdicts(catalog)
        videos = verdicts.videos_with([old], modality)
        _run_decision(lambda: verdicts.rename(old, new, modality))
        say(f"renamed: {old} is now {new} in {_count(videos, 'video')}")


@tags.command()
@click.argument("texts", metavar="TAG...", nargs=-1, required=True)
@click.option("--into", required=True, metavar="TAG", help="What they are all called from now on.")
@modality_option("Only as this kind of tag.")
@library_option
def merge(texts: tuple[str, ...], into: str, modality: str | None, library: str | None) -> None:
    """Make several tags one, in the whole library, now and after every later run.

    \b
    tagline tags merge puppy doggy hound --into dog
    """
    from tagline.tagging.catalog.named_verdicts import NamedVerdicts

    with open_library(library) as catalog:
        verdicts = NamedVerdicts(catalog)
        videos = verdicts.videos_with(texts, modality)
        _run_decision(lambda: verdicts.merge(texts, into, modality))
        say(f"merged: {', '.join(texts)} into {into} in {_count(videos, 'video')}")


@tags.command()
@click.argument("other")
@click.argument("tag")
@modality_option("Only as this kind of tag.")
@library_option
def alias(other: str, tag: str, modality: str | None, library: str | None) -> None:
    """Make OTHER another word for TAG, wherever it turns up.

    \b
    tagline tags alias Schäferhund dog
    """
    from tagline.tagging.catalog.named_verdicts import NamedVerdicts

    with open_library(library) as catalog:
        _run_decision(lambda: NamedVerdicts(catalog).alias(other, tag, modality))
        say(f"alias: {other} is another word for {tag}")


@tags.command()
@library_option
def undo(library: str | None) -> None:
    """Take back what was decided last.

    \b
    tagline tags undo
    """
    from tagline.tagging.catalog.named_verdicts import NamedVerdicts

    with open_library(library) as catalog:
        taken = NamedVerdicts(catalog).undo()
        if not taken:
            raise NothingFound("there is nothing to take back: nobody has decided anything in this library")
        say(f"taken back: {_describe_decision(catalog, taken)}")


def _describe_decision(catalog: Catalog, taken: Sequence[Verdict]) -> str:
    """A decision as a person would tell it."""
    first = taken[0]
    texts = ", ".join(dict.fromkeys(verdict.text for verdict in taken))
    if first.video_id is None:
        return f"{first.kind} {texts} {'into' if first.kind == 'merge' else 'to'} {first.target or ''}"
    video = catalog.video(first.video_id)
    return f"{first.kind} {texts} in {_name(video) if video else f'video {first.video_id}'}"


def _run_decision(act: Any) -> None:
    """Carry out a decision; a text that is none is the caller's mistake."""
    try:
        act()
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _name(video: Video) -> str:
    return video_name(video.paths, video.id)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
