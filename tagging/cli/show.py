"""What `tagline show --fused` says of one video: each tag once, how sure, and who says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from tagline.experts.tags import Modality, Tag
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.cli.options import find_video, library_option, modality_option, open_library
from tagline.tagging.cli.output import console, emit, output_options, requested_output, to_json
from tagline.tagging.cli.timeline import PLAIN, StyledText, TimelineSymbols, clock, timeline
from tagline.tagging.formats.sheet import tag_to_dict
from tagline.tagging.formats.transcript import caption_lines, line_text
from tagline.tagging.fusion.fuse import FusedTag, TagFusion
from tagline.tagging.fusion.post_process import open_view_encoder
from tagline.tagging.neighbours.snapshot import read_snapshot
from tagline.tagging.pipeline.coverage import coverage_gaps
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from rich.text import Text

    from tagline.tagging.catalog.records import Video
    from tagline.tagging.catalog.write import Catalog


FUSED_COLUMNS = ("tag", "score", "from", "to", "because")


def show_fused(catalog: Catalog, video: Video, precision: float | None) -> None:
    """Print the one list of a video with its evidence."""
    library = read_snapshot(catalog)
    merger = TagFusion(catalog, library, open_view_encoder(library))
    tags = merger.fused_tags(video.id, precision)
    if requested_output().for_programs:
        emit([fused_tag_as_dict(tag) for tag in tags], FUSED_COLUMNS)
        return
    names = {
        known.key: PurePath(one.name).name
        for known, one in zip(library.tagged_videos, library.examples, strict=True)
    }
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


def show_video(
    catalog: Catalog, video: Video, tags: Sequence[Tag], everything: bool, transcript: bool
) -> None:
    """Print facts, timeline, transcript and what was not looked at."""
    screen = console()
    signs = TimelineSymbols() if "utf" in screen.encoding.lower() else PLAIN
    for line in _head(video):
        screen.print(_styled([line]))
    screen.print()
    most = None if everything else 12
    rows = timeline(
        tags,
        video.duration,
        screen.width,
        most=most,
        accepted=_accepted(catalog, video),
        signs=signs,
    )
    for row in rows:
        screen.print(_styled(row), no_wrap=True, overflow="crop", crop=True)
    missed = coverage_gaps(catalog, video)
    if not tags and (not missed or missed[0].expert):
        screen.print("no tags" + (" of this kind" if catalog.tags(video.id) else ""))
    if transcript:
        _transcript(catalog, video)
    if missed:
        screen.print()
        screen.print(_styled([("not looked at", "bold")]))
        for expert, reason in missed:
            name = f"{expert}: " if expert else ""
            screen.print(_styled([("  ", ""), (safe(name), "bold"), (safe(reason), "")]))


def _accepted(catalog: Catalog, video: Video) -> set[tuple[Modality, str]]:
    """The tags that a person has accepted."""
    said = [
        verdict for verdict in catalog.verdicts.of(video.id) if verdict.kind == "accept" and verdict.modality
    ]
    return {(v.modality, catalog.canonical(v.text, v.modality)) for v in said if v.modality is not None}


def _head(video: Video) -> Iterator[tuple[str, str]]:
    """Name, facts and further places of a video, as lines."""
    yield (safe(video.paths[0]) if video.paths else f"video {video.id}"), "bold"
    facts = video.facts
    said = [safe(video.title)] if video.title else []
    if facts is not None:
        said += [
            clock(facts.duration) if facts.duration is not None else "of unknown length",
            f"{facts.width}×{facts.height}",
            *([f"{float(facts.fps):.4g} fps"] if facts.fps else []),
            safe(facts.codec),
            *([safe(facts.colour)] if facts.colour else []),
            *([f"turned by {facts.rotation}°"] if facts.rotation else []),
            "sound" if facts.has_sound else "no sound",
        ]
    if video.created:
        said.append(safe(video.created))
    yield " · ".join([*said, f"id {video.id}", video.hash[:12]]), "dim"
    for other in video.paths[1:]:
        yield f"also {safe(other)}", "dim"
    if video.gone:
        yield "the file was not there when last looked for", "yellow"


def _transcript(catalog: Catalog, video: Video) -> None:
    """Print facts, timeline, transcript and what was not looked at."""
    screen = console()
    words = catalog.words(video.id)
    screen.print()
    screen.print(_styled([("what is said" if words else "no transcript", "bold")]))
    for group in caption_lines(words):
        screen.print(_styled([(f"{clock(group[0].start):>8}  ", "dim"), (safe(line_text(group)), "")]))


def _styled(line: StyledText) -> Text:
    from rich.text import Text

    return Text.assemble(*line)


def video_as_dict(catalog: Catalog, video: Video, tags: Sequence[Tag], transcript: bool) -> dict[str, Any]:
    facts = video.facts
    data: dict[str, Any] = {
        "id": video.id,
        "hash": video.hash,
        "paths": video.paths,
        "gone": video.gone,
        "title": video.title,
        "created": video.created,
        "facts": None,
        "tags": [tag_to_dict(tag) for tag in tags],
        "experts": [
            {"expert": run.expert, "modality": run.modality, "version": run.version, "at": run.at}
            for run in catalog.runs(video.id)
        ],
        "not_looked_at": [missed._asdict() for missed in coverage_gaps(catalog, video)],
    }
    if facts is not None:
        data["facts"] = {
            "duration": facts.duration,
            "width": facts.width,
            "height": facts.height,
            "fps": str(facts.fps) if facts.fps is not None else None,
            "codec": facts.codec,
            "rotation": facts.rotation,
            "colour": facts.colour,
            "has_sound": facts.has_sound,
        }
    if transcript:
        data["words"] = [
            [word.text, word.start, word.end, word.probability] for word in catalog.words(video.id)
        ]
    return data


TAG_COLUMNS = ("text", "modality", "score", "start", "end", "best", "source")


@click.command()
@click.argument("video")
@click.option("--all", "everything", is_flag=True, help="Every tag, however many there are.")
@click.option("--transcript", is_flag=True, help="What is said, line by line, too.")
@click.option("--fused", is_flag=True, help="One list of all experts' tags, with who says each and why.")
@click.option(
    "--precision",
    type=click.FloatRange(0.5, 0.99),
    metavar="SHARE",
    help="With --fused: only tags that are right so often.",
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
    from tagline.tagging.cli.show import show_video, video_as_dict

    if precision is not None and not fused:
        raise click.UsageError("--precision goes with --fused")
    with open_library(library) as catalog:
        found = find_video(catalog, video)
        if fused:
            from tagline.tagging.cli.show import show_fused

            show_fused(catalog, found, precision)
            return
        tags = [tag for tag in catalog.tags(found.id) if not modality or tag.modality in modality]
        if requested_output().kind == "json":
            click.echo(to_json(video_as_dict(catalog, found, tags, transcript), indent=2))
        elif requested_output().for_programs:
            from tagline.tagging.formats.sheet import tag_to_dict

            emit((tag_to_dict(tag) for tag in tags), TAG_COLUMNS)
        else:
            show_video(catalog, found, tags, everything, transcript)
