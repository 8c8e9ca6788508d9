"""How our tags merge into a list or a table that is somebody else's too: rows and keywords.

A row that we wrote carries a checksum over its values. So a row that somebody has added or changed is
known as theirs: it stays when the file is written anew, and counts as a person's word when the file is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tagline.experts.tags import HUMAN_SOURCE
from tagline.tagging.formats.sheet import (
    BadFile,
    ImportedVideo,
    VideoExport,
    checksum,
    tag_from_dict,
)
from tagline.tagging.printable import safe

FIELDS = (
    "video",
    "path",
    "text",
    "modality",
    "score",
    "start",
    "end",
    "best",
    "source",
    "weights",
    "checksum",
)
MOST_BYTES = 512 * 1024 * 1024
Row = dict[str, Any]


def rows_of_video(sheet: VideoExport) -> Iterator[Row]:
    """The rows of one video as we write them."""
    for tag in sheet.tags:
        row = {"video": sheet.video, "path": safe(sheet.path), **sheet.row_of(tag)}
        yield {**row, "checksum": checksum(sheet.video, tag)}


def is_ours(row: Mapping[str, Any]) -> bool:
    """Whether a row is as we wrote it."""
    written = row.get("checksum")
    if not written:
        return False
    try:
        return bool(written == checksum(row.get("video"), tag_from_dict(row)))
    except BadFile:
        return False


def merge_rows(old: Iterable[Row], sheets: Iterable[VideoExport], videos: frozenset[str]) -> Iterator[Row]:
    """The rows of a file brought up to date.

    Rows of other videos stay. Of the `videos` that `sheets` are about, rows of others stay and ours are
    written anew; what others put into further columns of ours stays with the row. Doing it twice
    changes nothing.
    """
    theirs: dict[str, list[Row]] = {}
    extras: dict[str, Row] = {}
    for row in old:
        if row.get("video") not in videos:
            yield row
        elif is_ours(row):
            more = {name: value for name, value in row.items() if name not in FIELDS}
            if any(value not in (None, "") for value in more.values()):
                extras[row["checksum"]] = more
        else:
            theirs.setdefault(row["video"], []).append(row)
    for sheet in sheets:
        kept = theirs.get(sheet.video, [])
        yield from kept
        present = {checksum_of(row) for row in kept}
        yield from (
            {**row, **extras.get(row["checksum"], {})}
            for row in rows_of_video(sheet)
            if row["checksum"] not in present
        )


def checksum_of(row: Mapping[str, Any]) -> str | None:
    try:
        return checksum(row.get("video"), tag_from_dict(row))
    except BadFile:
        return None


def videos_in_rows(rows: Iterable[Row]) -> list[ImportedVideo]:
    """Rows by the video that they are about, in the order of the file."""
    videos: dict[tuple[str, str], ImportedVideo] = {}
    for row in rows:
        video, path = row.get("video") or "", row.get("path") or ""
        if not isinstance(video, str) or not isinstance(path, str):
            raise BadFile("names a video by something that is no text")
        key = (video, "" if video else path)
        if key not in videos:
            videos[key] = ImportedVideo(video or None, path or None)
        if row.get("text") in (None, ""):
            continue
        if is_ours(row):
            videos[key].tags.append(tag_from_dict(row))
            continue
        tag = replace(tag_from_dict(row), source=HUMAN_SOURCE)
        if row.get("start") in (None, "") and row.get("end") in (None, ""):
            videos[key].keywords.append((tag.text, tag.modality))
        else:
            videos[key].tags.append(tag)
    return list(videos.values())


@dataclass(frozen=True, slots=True)
class KeywordChanges:
    """A keyword list after merging: what to take out, what to append, and what to remember as ours."""

    drop: frozenset[str]
    append: tuple[str, ...]
    ours: tuple[str, ...]


def merge_keywords(present: Sequence[str], written: Sequence[str], wanted: Sequence[str]) -> KeywordChanges:
    """Put `wanted` into the list `present`, of which `written` came from us the last time.

    - A keyword that was there before us is never ours: it is neither repeated nor ever taken out.
    - Ours go when they are wanted no more.
    - Ours that somebody has taken out stay out, and stay remembered, so that they do not come back.

    Doing it twice changes nothing.
    """
    here, before = set(present), set(written)
    theirs = here - before
    ours = tuple(dict.fromkeys(text for text in wanted if text not in theirs))
    return KeywordChanges(
        drop=frozenset((here & before) - set(ours)),
        append=tuple(text for text in ours if text not in here and text not in before),
        ours=ours,
    )


def removed_keywords(present: Sequence[str], written: Sequence[str]) -> list[str]:
    """What came from us and is there no more."""
    here = set(present)
    return [text for text in dict.fromkeys(written) if text not in here]
