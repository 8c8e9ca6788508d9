"""Carry weights to a machine without a network: `bundle` writes a tar, `unbundle` reads one with suspicion.

    bundle.json         {"format": 1, "weights": {NAME: {"files": {FILE: {"sha256", "size"}}, …}}}
    NAME/FILE           each file as it lies in the folder of the weights

A bundle is read as foreign ground: what it may hold follows from the table of weights, everything is
checked before the first byte is written, written beside, and swapped in when all of it is right.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tagline.experts import storage
from tagline.experts.weights import check, registry
from tagline.experts.weights.fetch import FetchFailed, room_for
from tagline.experts.weights.pull import swap_in, write_lock
from tagline.experts.weights.registry import WeightsEntry

FORMAT = 1
MANIFEST = "bundle.json"
MANIFEST_MOST = 1 << 20  # bytes
MEMBERS_MOST = 1000
CHUNK = 1 << 20

BundleProgress = Callable[[str, int, int | None], None]  # file, bytes done, bytes in all


class BundleFailed(Exception):
    """Why a bundle was not written or not taken, as one sentence for people."""


def bundle(out: Path, names: Sequence[str], *, progress: BundleProgress | None = None) -> list[WeightsEntry]:
    """Write the weights of these names, all of them here and unchanged, into one tar file."""
    table = registry.entries()
    for name in names:
        if name not in table or table[name].collection != registry.PUBLIC:
            raise BundleFailed(
                f"there are no weights called {name} to carry; `tagline models list` names all"
            )
    entries = [table[name] for name in dict.fromkeys(names)]
    folders = {}
    try:
        for entry in entries:
            folders[entry.name] = registry.find(entry.name).path
            registry.check_hashes(entry, folders[entry.name], fresh=True)
    except registry.WeightsMissing as error:
        raise BundleFailed(str(error)) from error
    manifest = {
        "format": FORMAT,
        "weights": {entry.name: _describe(entry, folders[entry.name]) for entry in entries},
    }
    beside = out.with_name(f".{out.name}.part")
    try:
        with tarfile.open(beside, "w", format=tarfile.USTAR_FORMAT) as tar:
            text = json.dumps(manifest, indent=1, sort_keys=True).encode()
            tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
            for entry in entries:
                for name in entry.files:
                    path = folders[entry.name] / name
                    with path.open("rb") as file:
                        tar.addfile(_member(f"{entry.name}/{name}", path.stat().st_size), file)
                    if progress:
                        progress(f"{entry.name}/{name}", path.stat().st_size, path.stat().st_size)
        beside.replace(out)
    except OSError as error:
        raise BundleFailed(
            f"{out} cannot be written ({error.strerror}); make room or name another"
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return entries


def import_bundle(source: Path, *, progress: BundleProgress | None = None) -> list[WeightsEntry]:
    """Take in the weights of a bundle: all of them, or none and the reason (BundleFailed)."""
    home = registry.weights_home()
    try:
        with source.open("rb") as raw, tarfile.open(fileobj=_Narrow(raw), mode="r:") as tar:
            entries, manifest, members = _inspect(tar, source)
            home.mkdir(parents=True, exist_ok=True)
            room_for(home, sum(member.size for member in members.values()))
            with tempfile.TemporaryDirectory(dir=home, prefix=".import.") as beside:
                for entry in entries:
                    _unpack(tar, entry, manifest[entry.name], members, Path(beside), progress)
                _put_in_place(entries, manifest, Path(beside), home)
    except FileNotFoundError as error:
        raise BundleFailed(
            f"there is no {error.filename or source}; name the bundle that you carried"
        ) from error
    except tarfile.TarError as error:
        raise BundleFailed(
            f"{source} is no bundle ({error}); bring one that `models bundle` wrote"
        ) from error
    except OSError as error:
        raise BundleFailed(f"{error.filename or source} cannot be used ({error.strerror})") from error
    except (FetchFailed, check.UnsafeWeights, registry.WeightsMissing) as error:
        raise BundleFailed(str(error)) from error
    return entries


class _Narrow(io.BufferedIOBase):
    """A file that hands out little at a time, so that no header of a tar can fill the memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0 or size > 4 * CHUNK:
            raise tarfile.ReadError("one of its headers is far too long")
        return self.file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _inspect(
    tar: tarfile.TarFile, source: Path
) -> tuple[list[WeightsEntry], dict[str, Any], dict[str, tarfile.TarInfo]]:
    """Read the whole list of members and refuse the bundle if any of them is not what it may be."""
    members: dict[str, tarfile.TarInfo] = {}
    while (member := tar.next()) is not None:
        if len(members) == MEMBERS_MOST:
            raise BundleFailed(f"{source} holds more files than any bundle has; it was refused whole")
        name = member.name
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
            raise BundleFailed(f"{source} holds {name!r}, which is no plain file; it was refused whole")
        if name.startswith("/") or "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
            raise BundleFailed(
                f"{source} holds {name!r}, which leads out of its folder; it was refused whole"
            )
        if name in members:
            raise BundleFailed(f"{source} holds {name!r} twice; it was refused whole")
        members[name] = member
    described = members.pop(MANIFEST, None)
    if described is None or described.size > MANIFEST_MOST:
        raise BundleFailed(
            f"{source} has no {MANIFEST}, so it is no bundle; bring one that `models bundle` wrote"
        )
    manifest = _read_manifest(tar, described, source)

    table = registry.entries()
    for name in manifest:
        if name not in table or table[name].collection != registry.PUBLIC:
            raise BundleFailed(f"{source} holds {name!r}, which this tagline does not know; update it")
    entries = [entry for entry in table.values() if entry.name in manifest]
    expected = {f"{entry.name}/{file}" for entry in entries for file in entry.files}
    if set(members) != expected:
        odd = sorted(set(members) ^ expected)[0]
        raise BundleFailed(f"{source} and its {MANIFEST} do not agree on {odd!r}; it was refused whole")
    return entries, manifest, members


def _read_manifest(tar: tarfile.TarFile, member: tarfile.TarInfo, source: Path) -> dict[str, Any]:
    file = tar.extractfile(member)
    assert file is not None
    try:
        manifest = json.loads(file.read().decode("utf-8"))
        if manifest["format"] > FORMAT:
            raise BundleFailed(f"{source} was written by a newer tagline; update this one")
        found: dict[str, Any] = manifest["weights"]
        for described in found.values():
            for facts in described["files"].values():
                if not isinstance(facts["sha256"], str) or len(facts["sha256"]) != 64:
                    raise ValueError("a hash is no hash")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleFailed(f"{source} has a {MANIFEST} that cannot be read ({error})") from error
    return found


def _unpack(
    tar: tarfile.TarFile,
    entry: WeightsEntry,
    described: dict[str, Any],
    members: dict[str, tarfile.TarInfo],
    beside: Path,
    progress: BundleProgress | None,
) -> None:
    """Write the files of one entry beside, hashing on the way, and judge them."""
    # A conversion may differ from machine to machine in bytes that mean nothing; the pickle may not.
    first = {} if entry.converted else registry.read_lock(entry.name).get("files", {})
    _same_origin(entry, described)
    for name in entry.files:
        member = members[f"{entry.name}/{name}"]
        target = beside / entry.name / name
        target.parent.mkdir(parents=True, exist_ok=True)
        hashed = hashlib.sha256()
        file = tar.extractfile(member)
        assert file is not None
        with target.open("wb") as out:
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
                out.write(chunk)
                if progress:
                    progress(member.name, out.tell(), member.size)
        known = None if entry.converted else entry.sha256.get(name)
        claimed = described["files"].get(name, {}).get("sha256", "")
        for expected, whose in (
            (claimed, "the bundle"),
            (known, "the table"),
            (first.get(name), "the first pull"),
        ):
            if expected is not None and (not expected or not hashed.hexdigest().startswith(expected)):
                raise BundleFailed(f"{member.name} is not what {whose} says; nothing was taken in")
        check.check_file(target, pinned=entry.pinned)


def _same_origin(entry: WeightsEntry, described: dict[str, Any]) -> None:
    """Converted weights say which pickle they were made from: it must be the known one, or our own first."""
    claimed = described.get("published") or {}
    first = registry.read_lock(entry.name).get("published", {})
    for name in entry.published:
        for expected in (entry.sha256.get(name), first.get(name)):
            if name in claimed and expected and not str(claimed[name]).startswith(expected):
                raise BundleFailed(
                    f"the bundle's {entry.name} was made from another {name}; nothing was taken in"
                )


def _put_in_place(entries: list[WeightsEntry], manifest: dict[str, Any], beside: Path, home: Path) -> None:
    for entry in entries:
        swap_in(beside / entry.name, home / entry.name)
        published = manifest[entry.name].get("published")
        harmless = isinstance(published, dict) and all(isinstance(value, str) for value in published.values())
        write_lock(entry, home / entry.name, published=published if harmless else None)


def _describe(entry: WeightsEntry, folder: Path) -> dict[str, Any]:
    recorded = registry.read_lock(entry.name)
    return {
        "licence": entry.licence,
        "origin": f"{entry.hub}@{recorded.get('revision', entry.revision)}" if entry.hub else entry.origin,
        "published": recorded.get("published", {}),
        "files": {
            name: {"sha256": storage.hash_file(folder / name), "size": (folder / name).stat().st_size}
            for name in entry.files
        },
    }


def _member(name: str, size: int) -> tarfile.TarInfo:
    """The same bundle twice is the same file twice: no times, no owners."""
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member
