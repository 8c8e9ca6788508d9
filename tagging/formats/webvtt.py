"""WebVTT, and tags as a metadata track: each cue holds one tag as JSON, for players on web pages.

`holiday.tags.vtt` goes into `<track kind="metadata">`; a script there gets each tag when its time comes.
The reading and merging of cues serves the transcript, too (tagging/sidecars/transcript.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tagline.experts.tags import HUMAN_SOURCE, Tag
from tagline.tagging.formats.safexml import MOST_BYTES
from tagline.tagging.formats.sheet import (
    BadFile,
    ImportedVideo,
    VideoExport,
    compact_json,
    parse_json,
    tag_from_dict,
)

TIME = r"(?:(\d{2,6}):)?(\d\d):(\d\d)\.(\d{3})"
TIMING = re.compile(rf"\s*{TIME}\s+-->\s+{TIME}(?:\s.*)?", re.ASCII)
NOTE = "NOTE tagline "


@dataclass(frozen=True, slots=True)
class Cue:
    """One cue and the notes before it. `lines` is all of it as it stands in the file."""

    start: float  # seconds
    end: float
    lines: tuple[str, ...]
    before: tuple[str, ...] = ()  # whole blocks

    @property
    def payload(self) -> str:
        at = next(i for i, line in enumerate(self.lines) if "-->" in line)
        return "\n".join(self.lines[at + 1 :])

    @property
    def ours(self) -> bool:
        """Written by us and not touched since."""
        return self.lines[0] == _name(self.lines[1:])


@dataclass(slots=True)
class Track:
    """A WebVTT file taken apart."""

    header: str = "WEBVTT"
    video: str | None = None
    cues: list[Cue] = field(default_factory=list)
    after: list[str] = field(default_factory=list)  # blocks behind the last cue


def merge(sheet: VideoExport, old: bytes | None) -> bytes:
    """The tags of a video as cues; cues of others stay, in the order of time."""
    track = parse(old) if old is not None else Track()
    theirs = [cue for cue in track.cues if not cue.ours]
    kept = {tag for cue in theirs if (tag := _tag(cue)) is not None}
    ours = [
        cue(tag.start, tag.end, compact_json(sheet.row_of(tag)))
        for tag in sheet.tags
        if replace(tag, source=HUMAN_SOURCE) not in kept
    ]
    return to_bytes(replace_ours(track, ours, sheet.video))


def read(data: bytes) -> ImportedVideo:
    """Tags as they went out. A cue that somebody wrote or changed is what a person says."""
    track = parse(data)
    tags = [tag for cue in track.cues if (tag := _tag(cue)) is not None]
    return ImportedVideo(video=track.video, tags=tags)


def _tag(cue: Cue) -> Tag | None:
    """The tag in a cue, or None where the cue holds something else."""
    try:
        values = parse_json(cue.payload)
    except BadFile:
        return None
    if not isinstance(values, dict) or "text" not in values:
        return None
    if cue.ours:
        return tag_from_dict(values)
    return replace(tag_from_dict({"start": cue.start, "end": cue.end, **values}), source=HUMAN_SOURCE)


def parse(data: bytes) -> Track:
    """A track out of the bytes of a file; raises Unusable where it is none."""
    if len(data) > MOST_BYTES:
        raise BadFile(f"is larger than {MOST_BYTES // 2**20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile("is not UTF-8, so it is no WebVTT") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    header, *blocks = [block for block in re.split(r"\n{2,}", text.strip("\n")) if block] or [""]
    if not re.match(r"WEBVTT(?:[ \t\n]|$)", header):
        raise BadFile("does not begin with WEBVTT")
    track = Track(header)
    waiting: list[str] = []
    for block in blocks:
        if block.startswith(NOTE):
            track.video = _video(block)
            continue
        found = _cue(block, tuple(waiting))
        if found is None:
            waiting.append(block)
        else:
            track.cues.append(found)
            waiting = []
    track.after = waiting
    return track


def _video(block: str) -> str | None:
    try:
        values = parse_json(block[len(NOTE) :])
    except BadFile:
        return None
    video = values.get("video") if isinstance(values, dict) else None
    return video if isinstance(video, str) else None


def _cue(block: str, before: tuple[str, ...]) -> Cue | None:
    lines = tuple(block.split("\n"))
    times = next((match for line in lines[:2] if (match := TIMING.fullmatch(line))), None)
    if times is None:
        return None
    hours, minutes, seconds, thousandths, *end = (int(part or 0) for part in times.groups())
    start = hours * 3600 + minutes * 60 + seconds + thousandths / 1000
    return Cue(start, end[0] * 3600 + end[1] * 60 + end[2] + end[3] / 1000, lines, before)


def cue(start: float, end: float, payload: str) -> Cue:
    """A cue of ours. A cue has to last, so one of no length lasts a thousandth of a second."""
    end = max(end, start + 0.001)
    lines = (f"{timestamp(start)} --> {timestamp(end)}", *payload.split("\n"))
    return Cue(start, end, (_name(lines), *lines))


def timestamp(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _name(lines: Sequence[str]) -> str:
    """The identifier of a cue of ours: it fits its own text alone."""
    return "tagline-" + hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def replace_ours(track: Track, ours: Iterable[Cue], video: str) -> Track:
    """Our old cues out, our new ones in, all in the order of time; what belongs to others stays as it is."""
    loose: list[str] = []
    theirs: list[Cue] = []
    for old in track.cues:
        if old.ours:  # a note before one of our cues belongs to somebody: it moves to the next of theirs
            loose += old.before
        else:
            theirs.append(replace(old, before=(*loose, *old.before)))
            loose = []
    # sorted() is stable: theirs come before ours where both begin together, and keep their own order.
    merged = sorted([*theirs, *ours], key=lambda c: c.start) if _ordered(theirs) else [*theirs, *ours]
    return Track(track.header, video, merged, [*loose, *track.after])


def _ordered(cues: Sequence[Cue]) -> bool:
    return all(a.start <= b.start for a, b in pairwise(cues))


def to_bytes(track: Track) -> bytes:
    blocks = [track.header]
    # Style and region blocks may only stand before the first cue, and so does our note.
    blocks.append(NOTE + compact_json({"video": track.video}))
    for found in track.cues:
        blocks += [*found.before, "\n".join(found.lines)]
    blocks += track.after
    return ("\n\n".join(blocks) + "\n").encode()
