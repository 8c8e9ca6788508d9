"""What `tagline show` says of one video: on a terminal, and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tagline.experts.tags import Modality, Tag
from tagline.tagging.catalog import Catalog, Video
from tagline.tagging.names import safe
from tagline.tagging.output import console
from tagline.tagging.sidecars.sheet import tag_to_dict
from tagline.tagging.sidecars.transcript import caption_lines, line_text
from tagline.tagging.timeline import PLAIN, StyledText, TimelineSymbols, clock, timeline
from tagline.tagging.unseen import coverage_gaps

if TYPE_CHECKING:
    from rich.text import Text


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
        verdict for verdict in catalog.verdicts(video.id) if verdict.kind == "accept" and verdict.modality
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
