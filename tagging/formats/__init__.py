"""Tags for other programs, and back: one small file a format, all of them bytes in and bytes out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing tags. `module` holds `read`, and `merge` (one a video) or `write` (one for all)."""

    name: str
    module: str
    suffix: str  # of a sidecar; the whole file name where one file serves the whole library
    beside: bool  # one small file beside each video
    stem: bool  # "holiday.nfo" rather than "holiday.mp4.xmp"
    description: str  # what it is, in words
    reads: tuple[str, ...] = ()  # endings of the files that are read as this format

    def load(self) -> ModuleType:
        return import_module(self.module)


_P = "tagline.tagging.formats."
_SPREADSHEET, _TABLE = (".csv", ".tsv"), (".parquet", ".pq")
FORMATS = {
    form.name: form
    for form in (
        Format("xmp", _P + "xmp", ".xmp", True, False, "keywords for photo programs", (".xmp",)),
        Format("nfo", _P + "nfo", ".nfo", True, True, "tags for Kodi, Jellyfin and Emby", (".nfo",)),
        Format("vtt", _P + "transcript", ".vtt", True, True, "what is said, as subtitles"),
        Format("vtt-tags", _P + "webvtt", ".tags.vtt", True, True, "tags as a track, for web", (".vtt",)),
        Format("json", _P + "jsons", "tags.json", False, False, "everything, for programs", (".json",)),
        Format("csv", _P + "csvs", "tags.csv", False, False, "a row a tag, for spreadsheets", _SPREADSHEET),
        Format("parquet", _P + "parquet", "tags.parquet", False, False, "a row a tag, for analysis", _TABLE),
        Format("coco", _P + "coco", "coco.json", False, False, "boxes, for training detectors"),
    )
}

READ_AS = {ending: form for form in FORMATS.values() for ending in form.reads}
SIDECAR_ENDINGS = tuple(ending for ending, form in READ_AS.items() if form.beside)
