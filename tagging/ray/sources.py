"""Sources: videos in buckets, on web servers and in folders, listed and brought to where they are decoded.

Addresses come from the user alone: typed, or line by line in a list that the user names. Nothing that is
read from a file is ever taken for an address, a web server's redirection least of all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from tagline.tagging.catalog.records import Place
from tagline.tagging.pipeline.walk import ENDINGS, Walk, content_hash, same_file
from tagline.tagging.printable import safe
from tagline.tagging.ray import ClusterError

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
PERCENT_ENCODED = "path:"  # before a path that is not UTF-8
AT_ONCE = 4 << 20  # bytes
LONGEST = 8192  # characters of a line in a list


class FetchError(Exception):
    """A source that could not be brought here. The message follows its name."""


@dataclass(frozen=True, slots=True)
class VideoSource:
    """One video somewhere. `stamp` changes when it does: an ETag or a time; "" where nobody says."""

    url: str  # an absolute path where it lies on a file system that every node sees
    size: int = 0  # bytes; 0: not known before it is read
    stamp: str = ""

    @property
    def remote(self) -> bool:
        return is_url(self.url)

    @property
    def place(self) -> Place | None:
        """What a catalog calls a local file."""
        return None if self.remote else Place(self.url, self.size, int(self.stamp or 0))


@dataclass(slots=True)
class Listing:
    """What was named: the videos, and what could not be listed, in sentences."""

    sources: list[VideoSource]
    troubles: list[str]


def is_url(text: str) -> bool:
    return "://" in text


def to_text(url: str) -> str:
    """The address as a table can hold it: a path that is not UTF-8 is percent-encoded."""
    try:
        url.encode("utf-8")
    except UnicodeEncodeError:
        return PERCENT_ENCODED + quote_from_bytes(os.fsencode(url))
    return url


def from_text(text: str) -> str:
    """What `to_text` made a text of."""
    return (
        os.fsdecode(unquote_to_bytes(text.removeprefix(PERCENT_ENCODED)))
        if text.startswith(PERCENT_ENCODED)
        else text
    )


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system and path of an address or a local path. Raises ClusterError with a sentence."""
    import fsspec

    scheme = url.split("://")[0] if is_url(url) else "file"
    if "::" in url or scheme not in {*PACKAGES, "file"}:
        raise ClusterError(
            f"{safe(url, 120)} is no address that is read here: s3://, gs://, http(s):// or a path"
        )
    package = PACKAGES.get(scheme)
    if package is not None and find_spec(package) is None:
        raise ClusterError(f"{scheme}:// needs {package}; run `pip install 'tagline[cluster]'`")
    # A redirection would let a server choose where we go next, the inside of this network included.
    more = {"allow_redirects": False} if scheme in ("http", "https") else {}
    fs, path = fsspec.core.url_to_fs(url, **more)
    return fs, str(path)


def list_sources(named: Sequence[str]) -> Listing:
    """Every video in what was named: folders, buckets, single videos, and lists of these."""
    listing = Listing([], [])
    for name in named:
        if is_url(name):
            _from_address(name, listing)
        elif _is_list(name):
            _from_list(Path(name), listing)
        else:
            _from_folder(name, listing)
    listing.sources = list({source.url: source for source in listing.sources}.values())
    return listing


def _is_list(name: str) -> bool:
    path = Path(name)
    return path.is_file() and path.suffix.lower() not in ENDINGS


def _from_list(path: Path, listing: Listing) -> None:
    """A text file: one address, path or folder a line; # begins a remark."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        raise ClusterError(f"the list {safe(path)} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if len(entry) > LONGEST or "\0" in entry:
            raise ClusterError(f"line {number} of {safe(path)} is no path and no address")
        if is_url(entry):
            _from_address(entry, listing)
        else:
            _from_folder(os.path.join(path.parent, entry), listing)  # noqa: PTH118 (odd names stay as they are)


def _from_folder(name: str, listing: Listing) -> None:
    walk = Walk([name])
    listing.sources += [VideoSource(place.path, place.size, str(place.mtime_ns)) for place in walk]
    listing.troubles += walk.troubles


def _from_address(url: str, listing: Listing) -> None:
    fs, path = filesystem(url)
    if url.startswith(("http://", "https://")):  # no listing to be had: each address is one video
        listing.sources.append(VideoSource(url))
        return
    scheme = url.split("://")[0]
    try:
        if Path(path).suffix.lower() in ENDINGS and fs.isfile(path):
            found = {path: fs.info(path)}
        else:
            found = fs.find(path, detail=True)
    except Exception as error:  # each service has errors of its own
        listing.troubles.append(f"{safe(url, 120)} cannot be listed: {_in_words(error)}")
        return
    videos = {key: info for key, info in sorted(found.items()) if Path(key).suffix.lower() in ENDINGS}
    for key, info in videos.items():
        stamp = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or ""
        listing.sources.append(
            _local(key)
            if scheme == "file"
            else VideoSource(f"{scheme}://{key}", int(info.get("size") or 0), str(stamp))
        )
    if not videos:
        listing.troubles.append(f"there are no videos at {safe(url, 120)}")


def _local(path: str) -> VideoSource:
    facts = Path(path).stat()
    return VideoSource(path, facts.st_size, str(facts.st_mtime_ns))


@contextmanager
def fetch(source: VideoSource, folder: str | None = None) -> Iterator[tuple[Path, str]]:
    """The source as a plain file here, and its content's sha256. A copy is deleted afterwards.

    Raises Unfetched with a reason that follows its name.
    """
    if not source.remote:
        place = source.place
        assert place is not None
        if not same_file(place):
            raise FetchError("changed or went away since it was listed; the next run reads it again")
        try:
            digest = content_hash(source.url)
        except OSError as error:
            raise FetchError(f"cannot be read ({(error.strerror or str(error)).lower()})") from error
        yield Path(source.url), digest
        return
    handle, name = tempfile.mkstemp(prefix="tagline-", suffix=Path(source.url).suffix[:8], dir=folder)
    os.close(handle)
    try:
        digest = _copy(source, Path(name))
        yield Path(name), digest
    finally:
        Path(name).unlink(missing_ok=True)


def _copy(source: VideoSource, path: Path) -> str:
    """Bring a source here block by block, within what the disk has; returns its sha256."""
    fs, key = filesystem(source.url)
    digest = hashlib.sha256()
    most = shutil.disk_usage(path.parent).free // 2
    # In one stream from a web server: few of them can be asked for parts.
    how = {"block_size": 0} if source.url.startswith("http") else {"cache_type": "readahead"}
    try:
        with fs.open(key, "rb", **how) as there, path.open("wb") as here:
            _no_redirection(there)
            while block := there.read(AT_ONCE):
                most -= len(block)
                if most < 0:
                    raise FetchError("is larger than half of the room left on the node that reads it")
                digest.update(block)
                here.write(block)
    except FetchError:
        raise
    except Exception as error:  # each service has errors of its own
        raise FetchError(f"cannot be fetched ({_in_words(error)})") from error
    return digest.hexdigest()


def _no_redirection(there: Any) -> None:
    """A web server that sends us elsewhere is not obeyed."""
    status = getattr(getattr(there, "r", None), "status", 200)
    if 300 <= status < 400:
        raise FetchError("is a redirection; put the address that it leads to into the list")


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {safe(text, 160)}" if text else type(error).__name__
