"""`tagline show`: one video on a timeline, as data, or as its fused tags with who found each and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tagline.experts.tags import Modality
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.cli.options import find_video, library_option, modality_option, open_library
from tagline.tagging.cli.output import console, emit, output_options, requested_output, to_json
from tagline.tagging.cli.timeline import PLAIN, StyledText, TimelineSymbols, timeline
from tagline.tagging.formats.sheet import tag_to_dict
from tagline.tagging.formats.transcript import caption_lines, line_text
from tagline.tagging.fusion.fuse import FusedTag
from tagline.tagging.fusion.post_process import fused_tags
from tagline.tagging.pipeline.coverage import UNREADABLE
from tagline.tagging.printable import clock, safe
from tagline.tagging.report import VideoReport, video_report

if TYPE_CHECKING:
    from rich.text import Text


FUSED_COLUMNS = ("tag", "score", "from", "to", "because")


def show_fused(catalog: Catalog, video: Video, precision: float | None) -> None:
    """Print the fused tags of a video with their evidence."""
    tags, names = fused_tags(catalog, video, precision)
    if requested_output().for_programs:
        emit([fused_tag_as_dict(tag) for tag in tags], FUSED_COLUMNS)
    else:
        emit([_fused_row(tag, names) for tag in tags], FUSED_COLUMNS)


def fused_tag_as_dict(tag: FusedTag) -> dict[str, Any]:
    """For programs: everything that speaks for a tag."""
    return {
        "tag": tag.text,
        "score": round(tag.score, 4),
        "from": tag.start,
        "to": tag.end,
        "because": [
            {
                "source": piece.source,
                "score": round(piece.score, 4),
                "start": piece.start,
                "end": piece.end,
                "neighbours": list(piece.neighbour_hashes),
            }
            for piece in tag.evidence
        ],
        "lowered": round(tag.lowered, 4),
    }


def _fused_row(tag: FusedTag, names: dict[str, str]) -> dict[str, Any]:
    why = []
    for piece in tag.evidence:
        near = [safe(names.get(key, key[:12]), 40) for key in piece.neighbour_hashes]
        why.append(f"{piece.source} {100 * piece.score:.0f}" + (f" ({', '.join(near)})" if near else ""))
    if tag.lowered:
        why.append("rejected for videos like it")
    return {
        "tag": tag.text,
        "score": round(100 * tag.score),
        "from": clock(tag.start),
        "to": clock(tag.end),
        "because": ", ".join(why),
    }


def show_video(catalog: Catalog, report: VideoReport, everything: bool, transcript: bool) -> None:
    """Print facts, timeline, transcript and what was not looked at."""
    screen = console()
    signs = TimelineSymbols() if "utf" in screen.encoding.lower() else PLAIN
    video, missed = report.video, report.not_looked_at
    for line in _head(video):
        screen.print(_styled([line]))
    screen.print()
    rows = timeline(
        report.tags,
        video.duration,
        screen.width,
        most=None if everything else 12,
        accepted=_accepted(catalog, report),
        signs=signs,
    )
    for row in rows:
        screen.print(_styled(row), no_wrap=True, overflow="crop", crop=True)
    if not report.tags and not (missed and missed[0].reason.startswith(UNREADABLE)):
        screen.print("no tags" + (" of this kind" if catalog.tags(video.id) else ""))
    if transcript:
        _transcript(report)
    if looks := report.looks():
        screen.print()
        screen.print(_styled([("looked", "bold")]))
        for name, often in looks:
            screen.print(_styled([("  ", ""), (f"{safe(name)}: ", "bold"), (often, "")]))
    if missed:
        screen.print()
        screen.print(_styled([("not looked at", "bold")]))
        for gap in missed:
            name = f"{gap.who}: " if gap.expert else ""
            screen.print(_styled([("  ", ""), (safe(name), "bold"), (safe(gap.reason), "")]))


def _accepted(catalog: Catalog, report: VideoReport) -> set[tuple[Modality, str]]:
    """The tags that a person has accepted."""
    return {
        (verdict.modality, catalog.canonical(verdict.text, verdict.modality))
        for verdict in report.verdicts
        if verdict.kind == "accept" and verdict.modality is not None
    }


def _head(video: Video) -> Iterator[tuple[str, str]]:
    """Name, facts and further places of a video, as lines."""
    yield (safe(video.paths[0]) if video.paths else f"video {video.id}"), "bold"
    facts = video.facts
    said = [safe(video.title)] if video.title else []
    if facts is not None:
        said += [
            clock(facts.duration) if facts.duration is not None else "of unknown length",
            f"{facts.width}×{facts.height}" if facts.has_pictures else "sound alone",
            *([f"{float(facts.fps):.4g} fps"] if facts.fps else []),
            safe(facts.codec),
            *([safe(facts.colour)] if facts.colour else []),
            *([f"turned by {facts.rotation}°"] if facts.rotation else []),
            *(["sound" if facts.has_sound else "no sound"] if facts.has_pictures else []),
        ]
    if video.created:
        said.append(safe(video.created))
    yield " · ".join([*said, f"id {video.id}", video.hash[:12]]), "dim"
    for other in video.paths[1:]:
        yield f"also {safe(other)}", "dim"
    if video.gone:
        yield "the file was not there when last looked for", "yellow"


def _transcript(report: VideoReport) -> None:
    """Print what is said, line by line."""
    screen = console()
    screen.print()
    screen.print(_styled([("what is said" if report.words else "no transcript", "bold")]))
    for group in caption_lines(report.words):
        screen.print(_styled([(f"{clock(group[0].start):>8}  ", "dim"), (safe(line_text(group)), "")]))


def _styled(line: StyledText) -> Text:
    from rich.text import Text

    return Text.assemble(*line)


TAG_COLUMNS = ("text", "modality", "score", "start", "end", "best", "source")


@click.command()
@click.argument("video")
@click.option("--all", "everything", is_flag=True, help="Every tag, however many there are.")
@click.option("--transcript", is_flag=True, help="What is said, line by line, too.")
@click.option(
    "--fused", is_flag=True, help="Each tag once, with how likely it is right and which experts found it."
)
@click.option(
    "--precision",
    type=click.FloatRange(0.5, 0.99),
    metavar="SHARE",
    help="With --fused: only tags that are together right this often, such as 0.9.",
)
@modality_option("Only tags of this kind; may be repeated.", multiple=True)
@library_option
@output_options
def show(
    video: str,
    everything: bool,
    transcript: bool,
    fused: bool,
    precision: float | None,
    modality: tuple[str, ...],
    library: str | None,
) -> None:
    """Show what is in one video, and when.

    VIDEO is a path, a part of a name, or an id.

    \b
    tagline show holiday.mp4
    tagline show holiday --all --transcript
    tagline show holiday --json
    tagline show holiday --fused --precision 0.9
    """
    if precision is not None and not fused:
        raise click.UsageError("--precision goes with --fused")
    with open_library(library) as catalog:
        found = find_video(catalog, video)
        if fused:
            show_fused(catalog, found, precision)
            return
        report = video_report(catalog, found, modality)
        if requested_output().kind == "json":
            click.echo(to_json(report.as_dict(transcript=transcript), indent=2))
        elif requested_output().for_programs:
            emit(map(tag_to_dict, report.tags), TAG_COLUMNS)
        else:
            show_video(catalog, report, everything, transcript)
