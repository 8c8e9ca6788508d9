"""`tagline tags`: list tags; accept, reject, add, rename and merge them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tagline.experts.tags import Modality
from tagline.tagging.cli.options import (
    NothingFound,
    find_video,
    library_option,
    modality_option,
    open_library,
)
from tagline.tagging.cli.output import emit, output_options, requested_output
from tagline.tagging.printable import safe

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
    from tagline.tagging.vocabulary import Band, Vocabulary

    with open_library(library) as catalog:
        counts = catalog.tag_counts(Modality(modality) if modality else None)
        uses: dict[str, int] = {}
        for count in counts:
            uses[count.text] = uses.get(count.text, 0) + count.videos
        words = Vocabulary(uses)
        rows = [
            {
                "tag": count.text,
                "modality": count.modality.value,
                "videos": count.videos,
                "spans": count.spans,
                "band": words.band(count.text).value,
            }
            for count in counts
        ]
        if rare:
            rows = [row for row in rows if row["band"] == Band.RARE]
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
    with open_library(library) as catalog:
        found = find_video(catalog, video)
        _check_has_tag(catalog, found, tag, modality)
        done = catalog.decide.accept(found.id, tag, Modality(modality) if modality else None)
        spans = f", {len(done)} spans" if len(done) > 1 else ""
        click.echo(f"accepted: {safe(done[0].text)} in {_name(found)}{spans}")


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
    with open_library(library) as catalog:
        found = find_video(catalog, video)
        _check_has_tag(catalog, found, tag, modality)
        done = catalog.decide.reject(found.id, tag, Modality(modality) if modality else None)
        click.echo(f"rejected: {safe(done[0].text)} in {_name(found)}")


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
    from tagline.tagging.cli.timeline import clock

    with open_library(library) as catalog:
        found = find_video(catalog, video)
        length = found.duration
        span = None
        if start is not None or end is not None:
            first = start or 0.0
            last = end if end is not None else max(length or first, first)
            if first > last:
                raise click.UsageError(f"--from {clock(first)} is after --to {clock(last)}")
            if length is not None and first > length:
                raise click.UsageError(f"{_name(found)} ends at {clock(length)}, before {clock(first)}")
            span = (first, last if length is None else min(last, max(length, first)))
        try:
            done = catalog.decide.add(found.id, tag, Modality(modality or Modality.HUMAN), span)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        when = f" from {clock(span[0])} to {clock(span[1])}" if span else ""
        click.echo(f"added: {safe(done[0].text)} to {_name(found)}{when}")


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
    with open_library(library) as catalog:
        videos = _videos_with(catalog, [old], modality)
        _run_decision(lambda: catalog.decide.rename(old, new, Modality(modality) if modality else None))
        click.echo(f"renamed: {safe(old)} is now {safe(new)} in {_count(videos, 'video')}")


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
    with open_library(library) as catalog:
        videos = _videos_with(catalog, texts, modality)
        _run_decision(lambda: catalog.decide.merge(texts, into, Modality(modality) if modality else None))
        click.echo(f"merged: {', '.join(map(safe, texts))} into {safe(into)} in {_count(videos, 'video')}")


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
    with open_library(library) as catalog:
        _run_decision(lambda: catalog.decide.alias(other, tag, Modality(modality) if modality else None))
        click.echo(f"alias: {safe(other)} is another word for {safe(tag)}")


@tags.command()
@library_option
def undo(library: str | None) -> None:
    """Take back what was decided last.

    \b
    tagline tags undo
    """
    with open_library(library) as catalog:
        taken = catalog.decide.undo()
        if not taken:
            raise NothingFound("there is nothing to take back: nobody has decided anything in this library")
        click.echo(f"taken back: {_describe_decision(catalog, taken)}")


def _describe_decision(catalog: Catalog, taken: Sequence[Verdict]) -> str:
    """A decision as a person would tell it."""
    first = taken[0]
    texts = ", ".join(dict.fromkeys(safe(verdict.text) for verdict in taken))
    if first.video_id is None:
        return f"{first.kind} {texts} {'into' if first.kind == 'merge' else 'to'} {safe(first.target or '')}"
    video = catalog.video(first.video_id)
    return f"{first.kind} {texts} in {_name(video) if video else f'video {first.video_id}'}"


def _run_decision(act: Any) -> None:
    """Carry out a decision; a text that is none is the caller's mistake."""
    try:
        act()
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _check_has_tag(catalog: Catalog, video: Video, text: str, modality: str | None) -> None:
    """A decision on a tag that is not there is a slip of the pen: say which one may be meant."""
    from tagline.tagging.vocabulary import normal

    there = [tag for tag in catalog.tags(video.id) if modality is None or tag.modality == modality]
    if any(
        normal(tag.text, tag.modality) == normal(catalog.canonical(text, tag.modality), tag.modality)
        for tag in there
    ):
        return
    raise NothingFound(
        f"{_name(video)} has no {f'{modality} ' if modality else ''}tag '{safe(text, 60)}'"
        f"{_suggestion(text, {tag.text for tag in there})}; `tagline show {video.id}` shows all"
    )


def _videos_with(catalog: Catalog, texts: Sequence[str], modality: str | None) -> int:
    """How many videos have one of these tags; none is a slip of the pen."""
    from tagline.tagging.vocabulary import normal

    there: set[str] = set()
    videos = 0
    for _, tags in catalog.all_tags():
        some = [tag for tag in tags if modality is None or tag.modality == modality]
        there.update(tag.text for tag in some)
        forms = {normal(tag.text, tag.modality) for tag in some}
        videos += any(normal(catalog.canonical(text)) in forms for text in texts)
    if not videos:
        named = " or ".join(f"'{safe(text, 60)}'" for text in texts)
        raise NothingFound(
            f"no video has the tag {named}{_suggestion(texts[0], there)}; `tagline tags list` lists all"
        )
    return videos


def _suggestion(text: str, there: set[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(text.casefold(), sorted(there), n=1)
    return f"; did you mean '{safe(near[0])}'?" if near else ""


def _name(video: Video) -> str:
    from pathlib import PurePath

    return safe(PurePath(video.paths[0]).name, 80) if video.paths else f"video {video.id}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
