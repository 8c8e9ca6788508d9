"""JSON: everything about every video in one file, the transcript with its times included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

from tagline.experts.tags import Word
from tagline.tagging.formats import merging
from tagline.tagging.formats.sheet import BadFile, ImportedVideo, VideoExport, compact_json, parse_json
from tagline.tagging.printable import safe

MOST_BYTES = merging.MOST_BYTES
FORMAT = "tagline tags"
VERSION = 1


def write(out: BinaryIO, sheets: Iterable[VideoExport], videos: frozenset[str], old: BinaryIO | None) -> None:
    """All of `sheets`, merged into what is there. One line a video, so that files compare well."""
    before = _open(old.read()) if old is not None else {}
    listed = {video.get("video"): video for video in before.get("videos", [])}
    head = {**before, "format": FORMAT, "version": VERSION}
    head.pop("videos", None)
    out.write(("{\n" + "".join(f"{compact_json(k)}: {compact_json(v)},\n" for k, v in head.items())).encode())
    out.write(b'"videos": [\n')
    first = True
    for entry in _entries(listed, sheets, videos):
        out.write((("" if first else ",\n") + compact_json(entry)).encode())
        first = False
    out.write(b"\n]\n}\n")


def _entries(
    listed: dict[Any, dict[str, Any]], sheets: Iterable[VideoExport], videos: frozenset[str]
) -> Iterable[dict[str, Any]]:
    yield from (entry for video, entry in listed.items() if video not in videos)
    for sheet in sheets:
        entry = listed.get(sheet.video, {})
        old = [{**row, "video": sheet.video} for row in entry.get("tags", [])]
        tags = [
            {key: value for key, value in row.items() if key not in ("video", "path")}
            for row in merging.merge_rows(old, [sheet], videos)
        ]
        yield {
            **entry,
            "video": sheet.video,
            "path": safe(sheet.path),
            "title": sheet.title,
            "duration": sheet.duration,
            "width": sheet.width,
            "height": sheet.height,
            "tags": tags,
            "words": [word_to_list(word) for word in sheet.words],
        }


def read(source: BinaryIO) -> list[ImportedVideo]:
    videos = _open(source.read()).get("videos", [])
    return merging.videos_in_rows(
        {**row, "video": video.get("video"), "path": video.get("path")}
        for video in videos
        for row in [{}, *video.get("tags", [])]
    )


def word_to_list(word: Word) -> list[Any]:
    """[text, start, end, probability]: a transcript has thousands of these."""
    return [word.text, word.start, word.end, word.probability]


def _open(data: bytes) -> dict[str, Any]:
    """The content of a file of ours, looked at far enough that nothing in it can surprise."""
    content = parse_json(data)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadFile("is JSON, but no file of tags of this program")
    if not isinstance(content.get("version"), int) or content["version"] > VERSION:
        raise BadFile("was written by a newer tagline; install the newer version to use it")
    videos = content.get("videos", [])
    if not isinstance(videos, list) or not all(isinstance(video, dict) for video in videos):
        raise BadFile("holds videos that are none")
    for video in videos:
        tags = video.get("tags", [])
        if not isinstance(video.get("video"), str | None) or not isinstance(tags, list):
            raise BadFile("holds videos that are none")
        if not all(isinstance(tag, dict) for tag in tags):
            raise BadFile("holds tags that are none")
    return content
