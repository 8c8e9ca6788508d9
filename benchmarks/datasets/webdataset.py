"""WebDataset shards: tars in which the files of one sample share their name up to the first dot.

    000017.mp4  000017.txt  000017.json

`.txt` is a caption, `.json` an object with the columns of plain.py. The videos are laid into a folder for
each shard, since a catalog knows videos by their files. A tar is a stranger's: it is looked through as a
whole before anything is written, and refused as a whole if it holds a link, a device, a sparse file, a path
that leads out of it, or more than the disk can take. Nothing that is there already is overwritten.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tagline.benchmarks.datasets.dataset import BadAnnotations, Dataset, Item, PublishedCount, split_counts
from tagline.benchmarks.datasets.plain import items_of
from tagline.tagging.pipeline.walk import ENDINGS
from tagline.tagging.printable import safe

SHARDS = (".tar", ".tar.gz", ".tgz")
TEXTS = (".txt", ".json")
MAX_TEXT = 1 << 20  # bytes of one of them
MAX_TEXTS = 1 << 28  # bytes of all of a shard
MAX_MEMBERS = 1_000_000
MIN_FREE = 1 << 28  # bytes that stay free on the disk
COPY_CHUNK = 1 << 20


def read(where: Path, into: Path | None = None) -> Dataset:
    """The samples of every shard below `where`; with `into`, their videos are laid there."""
    shards = [where] if where.is_file() else sorted(p for p in where.rglob("*") if p.name.endswith(SHARDS))
    if not shards:
        raise BadAnnotations(f"{safe(where)} has no shards that end in .tar, .tar.gz or .tgz")
    made = Dataset("webdataset", [], [])
    used: dict[str, Path] = {}
    for shard in shards:
        name = shard.name.split(".")[0] or "shard"
        if used.setdefault(name, shard) != shard:
            raise BadAnnotations(f"{safe(shard)} and {safe(used[name])} have one name; rename one of them")
        made.items += _samples(shard, name, into, made.notes)
    captions = sum(len(item.captions) for item in made.items)
    made.counts = [
        PublishedCount("shards", None, len(shards)),
        PublishedCount("videos", None, len(made.items)),
        *split_counts(made.items),
        PublishedCount("captions", None, captions),
    ]
    return made


@dataclass(slots=True)
class _Sample:
    """The files of one sample: its video in the tar, and what its texts hold."""

    video: tarfile.TarInfo | None = None
    ending: str = ""
    texts: dict[str, bytes] = field(default_factory=dict)


def _samples(shard: Path, name: str, into: Path | None, notes: list[str]) -> Iterator[Item]:
    """The samples of one shard that have a video."""
    try:
        with tarfile.open(shard) as archive:
            samples = _checked_members(archive, shard, into)
            for key, sample in samples.items():
                if sample.video is None:
                    continue
                # One folder for each shard, with no folders in it: the sample's own become part of its name.
                file = key.replace("/", "_").lstrip(".") + sample.ending
                if into is not None and not _write_video(archive, sample.video, into / name, file):
                    shown = safe(into / name / file)
                    notes.append(f"{shown} is there with another content; the sample is left out")
                    continue
                yield _item(f"{name}/{key}", f"{name}/{file}", sample, f"{safe(shard)} ({safe(key, 60)})")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise BadAnnotations(f"{safe(shard)} cannot be read ({error})") from error


def _checked_members(archive: tarfile.TarFile, shard: Path, into: Path | None) -> dict[str, _Sample]:
    """What is in a tar; refuses all of it if one member is not plain and harmless.

    The texts are read on the way: going back in a compressed tar would mean to unpack it again.
    """
    samples: dict[str, _Sample] = {}
    room, texts = _room(into), MAX_TEXTS
    for number, member in enumerate(archive):
        why = None if member.isdir() else _refusal(member)
        room -= member.size
        if why or room < 0 or texts < 0 or number >= MAX_MEMBERS:
            why = (
                why or f"and what is before it is more than {'the disk' if room < 0 else 'a shard'} may hold"
            )
            raise BadAnnotations(f"{safe(shard)} is refused: {safe(member.name, 60)} {why}")
        path = PurePosixPath(member.name)
        stem, dot, ending = path.name.partition(".")
        if member.isdir() or not stem or not dot:
            continue
        sample = samples.setdefault(str(path.parent / stem), _Sample())
        ending = f".{ending.lower()}"
        if ending in ENDINGS and sample.video is None:
            sample.video, sample.ending = member, ending
        elif ending in TEXTS:
            sample.texts[ending] = _opened(archive, member).read()
            texts -= member.size
    return samples


def _room(into: Path | None) -> int:
    """Bytes that may be unpacked."""
    if into is None:
        return sys.maxsize
    into.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(into).free - MIN_FREE


def _refusal(member: tarfile.TarInfo) -> str | None:
    """Why a member must not be laid onto a disk."""
    path = PurePosixPath(member.name)
    if not member.isreg() or member.issparse():
        return "is a link, a device or a sparse file"
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
        return "leads out of its folder"
    if "\0" in member.name or len(os.fsencode(member.name)) > 200:
        return "has no name that a file could have"
    ending = "." + path.name.partition(".")[2].lower()
    if ending in TEXTS and member.size > MAX_TEXT:
        return f"is larger than {MAX_TEXT >> 20} MB"
    return None


def _item(key: str, file: str, sample: _Sample, where: str) -> Item:
    row: dict[str, Any] = {}
    if ".json" in sample.texts:
        row = _row(sample.texts[".json"], where)
    if ".txt" in sample.texts:
        row["caption"] = sample.texts[".txt"].decode("utf-8", "replace").strip()
    (item,) = items_of([({**row, "video": file}, where)])
    return replace(item, key=key, names=(file,))


def _row(content: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadAnnotations(f"{where}: its .json cannot be read ({error})") from error
    if not isinstance(row, dict):
        raise BadAnnotations(f"{where}: its .json should be an object")
    return {str(key).lower(): value for key, value in row.items()}


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise BadAnnotations(f"{safe(member.name, 60)} is no plain file")
    return file


def _write_video(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str) -> bool:
    """Write a video under a new name, whole or not at all. False: another content has the name already."""
    if folder.is_symlink():
        raise BadAnnotations(f"{safe(folder)} is a link; videos are laid into plain folders only")
    folder.mkdir(exist_ok=True)
    target = folder / name
    if os.path.lexists(target):
        return _same(archive, member, target)
    handle, part = tempfile.mkstemp(prefix=".part-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as out, _opened(archive, member) as file:
            shutil.copyfileobj(file, out, COPY_CHUNK)
            if out.tell() != member.size:
                raise BadAnnotations(f"the tar ends in the middle of {safe(member.name, 60)}")
        Path(part).chmod(0o644)
        try:
            os.link(part, target)  # unlike a rename, never over a file that came in between
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            Path(part).rename(target)
    finally:
        Path(part).unlink(missing_ok=True)
    return True


def _same(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> bool:
    if target.is_symlink() or not target.is_file() or target.stat().st_size != member.size:
        return False
    with _opened(archive, member) as file, target.open("rb") as there:
        while block := file.read(COPY_CHUNK):
            if there.read(len(block)) != block:
                return False
    return True
