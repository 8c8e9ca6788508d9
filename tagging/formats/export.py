"""From the catalog to files: which video goes where, one bad file at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tagline.experts.tags import Modality
from tagline.tagging.catalog.lookup import find_videos
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.formats import FORMATS, Format, files
from tagline.tagging.formats.files import FileRefused
from tagline.tagging.formats.safexml import MOST_BYTES
from tagline.tagging.formats.sheet import BadFile, VideoExport
from tagline.tagging.printable import safe


class BadFormat(ValueError):
    """There is no such format."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What became of one file. `state`: "written", "merged", "unchanged" or "failed"."""

    path: Path
    format: str
    state: str
    reason: str | None = None  # a sentence, where it failed


def export(
    catalog: Catalog,
    formats: Sequence[str],
    videos: Iterable[Video] | None = None,
    *,
    out: Path | None = None,
    modalities: Collection[Modality] = (),
    short: bool = False,
    dry: bool = False,
    named: Collection[Path] = (),
) -> Iterator[ExportResult]:
    """Write the tags of `videos` (all, if None) and yield what became of each file.

    Sidecars go beside the videos, or into `out` under the same folders as in the library; files that serve
    the whole library go into `out`, or into the working directory. `modalities` narrows what is told.
    Whoever wrote the catalog may have put any path into it: nothing is written beside a video that lies
    outside of the library's folder, unless the user named it or a folder above it, in `named`.
    """
    chosen = list(videos) if videos is not None else None
    # A set of hashes is all that a large library costs; sheets are made one at a time.
    hashes = frozenset(video.hash for video in (chosen if chosen is not None else catalog.videos()))
    beside = [FORMATS[name] for name in formats if FORMATS[name].beside]
    bounds = [_real(path) for path in (catalog.bounds, *named)]
    if beside:
        for video in chosen if chosen is not None else catalog.videos():
            yield from _sidecars(catalog, video, beside, out, bounds, modalities, short, dry)
    for form in (FORMATS[name] for name in formats if not FORMATS[name].beside):
        some = chosen if chosen is not None else catalog.videos()
        sheets = (video_export(catalog, video, modalities) for video in some)
        yield _library_file((out or Path()) / form.suffix, form, sheets, hashes, dry)


def export_named(
    catalog: Catalog,
    formats: Sequence[str],
    videos: Iterable[Video | int | str | os.PathLike[str]] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    modalities: Collection[str] = (),
    adobe_names: bool = False,
    dry_run: bool = False,
) -> Iterator[ExportResult]:
    """`export` for videos as people name them: paths, folders, parts of names, ids; None: all.

    Raises VideoNotFound, AmbiguousVideo or BadFormat.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise BadFormat(f"there is no format {unknown[0]!r}; there are {', '.join(FORMATS)}")
    named = list(videos) if videos is not None else None
    chosen = None if named is None else find_videos(catalog, named)
    paths = [Path(one) for one in named or () if not isinstance(one, Video | int)]
    return export(
        catalog,
        formats,
        chosen,
        out=None if out is None else Path(out),
        modalities=frozenset(map(Modality, modalities)),
        short=adobe_names,
        dry=dry_run,
        named=[path for path in paths if path.exists()],
    )


def video_export(catalog: Catalog, video: Video, modalities: Collection[Modality] = ()) -> VideoExport:
    """All that other programs may want to know of one video."""
    wanted = frozenset(modalities or Modality)
    facts = video.facts
    runs = {run.expert: run for run in catalog.runs(video.id)}
    looks = {name for name, run in runs.items() if wanted.intersection(run.modalities)}
    return VideoExport(
        video=video.hash,
        path=_below(catalog, video.paths[0]) if video.paths else "",
        title=video.title,
        duration=video.duration,
        width=facts.width if facts else 0,
        height=facts.height if facts else 0,
        tags=tuple(tag for tag in catalog.tags(video.id) if tag.modality in wanted),
        words=tuple(catalog.words(video.id)) if Modality.SPEECH in wanted else (),
        sightings=tuple(sighting for expert, sighting in catalog.sightings(video.id) if expert in looks),
        weights={name: run.weights for name, run in runs.items()},
    )


def _below(catalog: Catalog, path: str) -> str:
    """A path relative to the library's folder, so that an export can move with it."""
    root = os.fspath(catalog.root).rstrip(os.sep) + os.sep
    return path.removeprefix(root)


def _sidecars(
    catalog: Catalog,
    video: Video,
    formats: Sequence[Format],
    out: Path | None,
    bounds: Sequence[Path],
    modalities: Collection[Modality],
    short: bool,
    dry: bool,
) -> Iterator[ExportResult]:
    sheet = video_export(catalog, video, modalities)
    for text in video.paths:
        path = Path(text)
        for form in formats:
            target = path
            try:
                target = _place(catalog, path, form, out, bounds, short)
                state = write_sidecar(target, form, sheet, dry=dry)
            except FileRefused as refused:
                yield ExportResult(target, form.name, "failed", str(refused))
            else:
                if state is not None:
                    yield ExportResult(target, form.name, state)


def _place(
    catalog: Catalog, video: Path, form: Format, out: Path | None, bounds: Sequence[Path], short: bool
) -> Path:
    """Where the sidecar of a video goes."""
    if out is None:
        _within(video, bounds)
        if not video.parent.is_dir():
            raise FileRefused(f"{safe(video.parent)} is not there now; plug it in, or use --out FOLDER")
        return files.sidecar_path(video, form, short=short)
    inside = Path(_below(catalog, os.path.normpath(video)))
    folder = out / (inside.parent if not inside.is_absolute() else "")
    below = [folder, *folder.parents]
    for part in below[: below.index(out)]:
        if part.is_symlink():
            raise FileRefused(f"{safe(part)} is a symbolic link, which is never followed; move it away")
    brief = (form.stem or short) and files.same_stem_file(video) is None
    return folder / ((video.stem if brief else video.name) + form.suffix)


def _within(video: Path, bounds: Sequence[Path]) -> None:
    """Refuse a video beside which the user has not asked for files. Where it really lies decides."""
    if not any(_real(video).is_relative_to(bound) for bound in bounds):
        raise FileRefused(
            f"{safe(video)} lies outside of the library's folder, so nothing is written beside it; "
            "name it or its folder, or use --out FOLDER"
        )


def _real(path: Path) -> Path:
    """Where a folder really lies, or a video: the folder decides where its sidecar goes, not its own link."""
    return Path(os.path.realpath(path)) if path.is_dir() else Path(os.path.realpath(path.parent), path.name)


def write_sidecar(path: Path, form: Format, sheet: VideoExport, *, dry: bool = False) -> str | None:
    """Merge one sheet into one sidecar. None: there was nothing to say, and no file that says otherwise."""
    module = form.load()
    old = files.open_old(path, MOST_BYTES)
    before = None
    if old is not None:
        with old.handle:
            before = old.handle.read(MOST_BYTES + 1)
    if before is None and not (sheet.words if form.name == "vtt" else sheet.tags):
        return None
    try:
        after = module.merge(sheet, before)
    except BadFile as error:
        raise FileRefused(f"{safe(path)} {error}; it was left as it is") from None
    if after == before:
        return "unchanged"
    if not dry:
        make_folder(path.parent)
        files.replace_file(path, lambda handle: _fill(handle, after), old.state if old else None)
    return "written" if before is None else "merged"


def _fill(handle: BinaryIO, data: bytes) -> None:
    handle.write(data)


def _library_file(
    path: Path, form: Format, sheets: Iterable[VideoExport], hashes: frozenset[str], dry: bool
) -> ExportResult:
    """Merge all sheets into one file of the whole library."""
    module = form.load()
    old = None
    try:
        old = files.open_old(path, module.MOST_BYTES)
        if not dry:
            make_folder(path.parent)
            before = old.handle if old else None
            write: Callable[[BinaryIO], None] = lambda out: module.write(out, sheets, hashes, before)  # noqa: E731
            files.replace_file(path, write, old.state if old else None)
    except FileRefused as refused:
        return ExportResult(path, form.name, "failed", str(refused))
    except BadFile as error:
        return ExportResult(path, form.name, "failed", f"{safe(path)} {error}; it was left as it is")
    finally:
        if old is not None:
            old.handle.close()
    return ExportResult(path, form.name, "merged" if old else "written")


def make_folder(folder: Path) -> None:
    """Make a folder of an export, and those above it."""
    missing = [part for part in (folder, *folder.parents) if not os.path.lexists(part)]
    try:
        for part in reversed(missing):
            part.mkdir(exist_ok=True)
        if not folder.is_dir():
            raise FileRefused(f"{safe(folder)} is no folder, so nothing can be written into it")
    except OSError as error:
        raise FileRefused(
            f"{safe(folder)} cannot be made ({(error.strerror or 'no reason given').lower()})"
        ) from None
