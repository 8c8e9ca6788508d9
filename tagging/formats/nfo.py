"""NFO sidecars: `<tag>` elements as Kodi, Jellyfin and Emby read them. Texts only; an NFO knows no times.

`holiday.nfo` beside `holiday.mp4` is the name that all three look for. A program that finds it takes title
and description from it and asks no web site, so a new file holds a title, too. In a file that is there
already nothing but our own `<tag>` elements ever changes.
"""

from __future__ import annotations

from pathlib import PurePath

from tagline.experts.tags import Modality
from tagline.tagging.formats import safexml
from tagline.tagging.formats.merging import merge_keywords, removed_keywords
from tagline.tagging.formats.safexml import XmlDocument, XmlElement
from tagline.tagging.formats.sheet import BadFile, ImportedVideo, VideoExport, compact_json, parse_json
from tagline.tagging.printable import safe
from tagline.tagging.vocabulary import clean

OURS = "urn:x-tagline:tags:1.0/"
ROOTS = frozenset({"movie", "musicvideo", "episodedetails", "tvshow", "video"})


def merge(sheet: VideoExport, old: bytes | None) -> bytes:
    """The sidecar of one video: `old` with our tags brought up to date, or a new one."""
    document, rest = _open(old) if old is not None else (_empty(sheet), b"")
    root = document.root
    wanted = list(dict.fromkeys(text for tag in sheet.tags if (text := clean(tag.text))))
    change = merge_keywords(_tags(root), _written(root), wanted)
    for element in [e for e in root if e.name == "tag" and e.text.strip() in change.drop]:
        root.remove(element)
    for text in change.append:
        root.add("tag", text)
    _note(root, list(change.ours), sheet.video)
    data = safexml.write(document)
    return data.rstrip(b"\n") + rest if rest else data


def read(data: bytes) -> ImportedVideo:
    """What a sidecar says: the tags that others put there, and ours that somebody has taken out."""
    root = _open(data)[0].root
    note = root.find(OURS, "wrote")
    found = ImportedVideo(video=dict(note.attributes).get("video") if note is not None else None)
    ours = set(_written(root))
    found.keywords = [(text, Modality.HUMAN) for text in dict.fromkeys(_tags(root)) if text not in ours]
    found.removed = removed_keywords(_tags(root), _written(root))
    return found


def _open(data: bytes) -> tuple[XmlDocument, bytes]:
    """The XML, and what may follow it: Kodi lets an address stand under it, and that stays."""
    end = safexml.end_of_root(data)
    document = safexml.read(data if end is None else data[:end])
    if document.root.name not in ROOTS:
        raise BadFile(f"is not an NFO of a video (it begins with <{safe(document.root.name, 40)}>)")
    return document, b"" if end is None else data[end:]


def _empty(sheet: VideoExport) -> XmlDocument:
    root = safexml.new("movie")
    title = clean(sheet.title or "") or clean(PurePath(sheet.path).stem) or "video"
    root.add("title", title)
    return XmlDocument(root)


def _tags(root: XmlElement) -> list[str]:
    return [text for element in root if element.name == "tag" and (text := element.text.strip())]


def _written(root: XmlElement) -> list[str]:
    note = root.find(OURS, "wrote")
    if note is None:
        return []
    texts = parse_json(note.text or "[]")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadFile("holds a note of tagline that somebody has changed")
    return texts


def _note(root: XmlElement, texts: list[str], video: str) -> None:
    """Which tags came from us, for the next time."""
    note = root.find(OURS, "wrote")
    if note is None:
        note = root.add("wrote", uri=OURS, prefix="tl")
    note.attributes = [(key, value) for key, value in note.attributes if key != "video"] + [("video", video)]
    note.children = [compact_json(texts)]
