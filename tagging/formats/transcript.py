"""What is said in a video, as WebVTT subtitles: `holiday.vtt`, which players find by themselves.

Subtitles that are there already, or a cue of ours that somebody has corrected, are better than what a machine
has heard: where they stand, ours give way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tagline.experts.tags import Word
from tagline.tagging.formats.sheet import ImportedVideo, VideoExport
from tagline.tagging.formats.webvtt import Cue, Track, cue, parse, replace_ours, timestamp, to_bytes
from tagline.tagging.vocabulary import clean

LONGEST = 6.0  # seconds that a cue stays
WIDEST = 74  # characters: two lines on a screen
PAUSE = 0.8  # seconds of silence that end a cue


def merge(sheet: VideoExport, old: bytes | None) -> bytes:
    """The transcript of a video, laid between the cues that somebody else has written."""
    track = parse(old) if old is not None else Track()
    theirs = sorted((c.start, c.end) for c in track.cues if not c.ours)
    ours = [_cue(group) for group in caption_lines(sheet.words)]
    return to_bytes(replace_ours(track, [c for c in ours if not _overlaps(c, theirs)], sheet.video))


def read(data: bytes) -> ImportedVideo:
    """A transcript holds no tags; reading it says which video it belongs to, and that it is sound."""
    return ImportedVideo(video=parse(data).video)


def caption_lines(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Words in groups that are read at one glance: they end at a pause, a full line, or after six seconds."""
    group: list[Word] = []
    for word in words:
        if not clean(word.text):
            continue
        if group and (
            word.start - group[-1].end > PAUSE
            or max(word.end, word.start) - group[0].start > LONGEST
            or sum(len(w.text.strip()) + 1 for w in group) + len(word.text.strip()) > WIDEST
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def line_text(group: Sequence[Word]) -> str:
    """The words of a line as text."""
    return " ".join(clean(word.text) for word in group)


def _cue(group: Sequence[Word]) -> Cue:
    """Each word but the first carries its time, so that players can show words as they are said."""
    start, end = group[0].start, max(word.end for word in group)
    parts = [_escape(group[0].text)]
    latest = start
    for word in group[1:]:
        inside = latest < word.start < end and timestamp(latest) != timestamp(word.start)
        parts.append((f"<{timestamp(word.start)}>" if inside else "") + _escape(word.text))
        latest = max(latest, word.start)
    return cue(start, end, " ".join(parts))


def _escape(text: str) -> str:
    return clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _overlaps(ours: Cue, theirs: Sequence[tuple[float, float]]) -> bool:
    return any(start < ours.end and ours.start < end for start, end in theirs)
