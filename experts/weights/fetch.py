"""Fetch one file over HTTP: goes on where a broken transfer stopped, leaves no half file in its place."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tagline.experts.storage import write_atomic

FetchProgress = Callable[[int, int | None], None]  # bytes that are here, bytes in all where known

CHUNK = 1 << 20
SPARE = 64 << 20  # bytes that stay free on the disk
TRIES = 5  # in a row without a new byte
PATIENCE = 30.0  # seconds without a byte
PAUSE = 0.2  # seconds before the second try; it doubles from there


class FetchFailed(Exception):
    """What went wrong, as one sentence for people."""


class _Broken(Exception):
    """A transfer that broke off and may be taken up again."""


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    most: int | None = None,
    progress: FetchProgress | None = None,
) -> None:
    """Bring `url` to `target`. What has come so far lies in `target`.part, and survives this process.

    `size` is how many bytes there must be, `most` how many there may be. A part is taken up again only
    if the server says that the file is still the same one (If-Range); else it starts from nothing.
    """
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    tries = 0
    while True:
        had = _length(part)
        try:
            _transfer(url, part, size, most, progress)
            break
        except _Broken as error:
            tries = 1 if _length(part) > had else tries + 1
            if tries >= TRIES:
                here = _length(part)
                raise FetchFailed(
                    f"the transfer of {url} broke off after {here} bytes ({error}); "
                    "run the same command again, it goes on from there"
                    if here
                    else f"{url} cannot be reached ({error}); is there a network?"
                ) from error
            time.sleep(PAUSE * 2 ** (tries - 1))
    part.replace(target)
    _notes(part).unlink(missing_ok=True)


def room_for(folder: Path, size: int) -> None:
    """Raise FetchFailed unless `size` bytes fit where `folder` is or will be."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < size + SPARE:
        raise FetchFailed(
            f"{size >> 20} MB are needed in {folder} and {free >> 20} MB are free; make room and run it again"
        )


def mirrored(url: str) -> str:
    """The address to ask: with TAGLINE_MIRROR=https://mirror, https://a/b is at https://mirror/a/b."""
    mirror = os.environ.get("TAGLINE_MIRROR")
    return f"{mirror.rstrip('/')}/{url.split('://', 1)[1]}" if mirror else url


def _transfer(
    url: str, part: Path, size: int | None, most: int | None, progress: FetchProgress | None
) -> None:
    """One try: ask for what is missing, and append it."""
    notes = _read_notes(part, url)
    here = _length(part) if notes else 0
    headers = {"User-Agent": "tagline", "Accept-Encoding": "identity"}
    if here:
        headers |= {"Range": f"bytes={here}-", "If-Range": notes["same"]}
    try:
        reply = _opener(url).open(urllib.request.Request(url, headers=headers), timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is longer than the file: it is another file's
            part.unlink(missing_ok=True)
            raise _Broken("the part that was here did not fit") from error
        if error.code in (408, 425, 429, 500, 502, 503, 504):
            raise _Broken(f"the server said {error.code}") from error
        raise FetchFailed(f"{url} answers {error.code} {error.reason}; look whether it has moved") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_why(error)) from error
    with reply:
        here, total = _where(reply, here)
        _check_size(url, total, size, most)
        if here == 0:
            _write_notes(part, url, reply)
        if total is not None:
            room_for(part.parent, total - here)
        _append(reply, part, here, total, most, progress)
    # A length that the server did not say is known only now.
    _check_size(url, _length(part), size, most)


def _append(
    reply: Any,
    part: Path,
    here: int,
    total: int | None,
    most: int | None,
    progress: FetchProgress | None,
) -> None:
    with part.open("r+b" if here else "wb") as file:
        file.truncate(here)
        file.seek(here)
        while True:
            try:
                # read1 gives what has come; read would lose it when the line breaks meanwhile.
                chunk = reply.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Broken(_why(error)) from error
            if not chunk:
                break
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise FetchFailed(f"{part} cannot be written ({error.strerror}); make room") from error
            here += len(chunk)
            if most is not None and here > most:
                raise FetchFailed(f"{reply.url} sends more than it should ({most} bytes); it was given up")
            if progress:
                progress(here, total)
        os.fsync(file.fileno())
    if total is not None and here < total:
        raise _Broken(f"{here} of {total} bytes came")


def _where(reply: Any, asked_from: int) -> tuple[int, int | None]:
    """From which byte the reply goes on, and how long the whole file is."""
    length = reply.headers.get("Content-Length", "")
    if reply.status != 206:
        return 0, int(length) if length.isdigit() else None
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", reply.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != asked_from:
        raise FetchFailed(f"{reply.url} answers with a part that nobody asked for; try another mirror")
    return asked_from, int(match[3])


def _check_size(url: str, total: int | None, size: int | None, most: int | None) -> None:
    if size is not None and total is not None and total != size:
        raise FetchFailed(f"{url} has {total} bytes and should have {size}; it is not what was published")
    if most is not None and total is not None and total > most:
        raise FetchFailed(f"{url} has {total} bytes, more than it may ({most}); it is not what was published")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https, and from a plain address to a plain one (a mirror at home); never down from https."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urllib.parse.urlsplit(newurl).scheme not in ("https", urllib.parse.urlsplit(req.full_url).scheme):
            raise FetchFailed(f"{req.full_url} leads to {newurl}, which is not safe to follow")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    if urllib.parse.urlsplit(url).scheme not in ("https", "http"):
        raise FetchFailed(f"{url} is not an address on the web; look at TAGLINE_MIRROR and HF_ENDPOINT")
    return urllib.request.build_opener(_Redirects())


def _notes(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_notes(part: Path, url: str) -> dict[str, str]:
    """What the server said of the file that the part is of; nothing if it is of another address."""
    try:
        notes = json.loads(_notes(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if part.exists() and notes.get("url") == url and notes.get("same") else {}


def _write_notes(part: Path, url: str, reply: Any) -> None:
    etag = reply.headers.get("ETag", "")
    # A weak ETag does not promise the same bytes, so such a file cannot be taken up again.
    same = etag if etag and not etag.startswith("W/") else reply.headers.get("Last-Modified", "")
    write_atomic(_notes(part), json.dumps({"url": url, "same": same}))


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return (
        "no answer for a while" if isinstance(reason, TimeoutError) else str(reason) or type(error).__name__
    )
