"""Pictures and previews: made on demand in the decoder's guarded child, kept on the shelf."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tagline.experts.footage import Uniform, Unreadable, View
from tagline.retrieval.web.contract import Problem
from tagline.retrieval.web.desk import Desk, Opened
from tagline.retrieval.web.media import Made
from tagline.tagging.catalog import Catalog
from tagline.tagging.records import Video

TILES = 8  # pictures of a strip, at the midpoints of as many equal parts
TILE_SIDE = 144  # pixels of the shorter side
PART = 12.0  # seconds of one preview
VERSION = "1"  # raise it when the same video gives other pictures
FRESH = 3600  # seconds for which a browser keeps what it was given
AGAIN = 300.0  # seconds after which what could not be made is tried again


class Failures:
    """What could not be made lately, so that a broken file is not decoded at every look at it."""

    def __init__(self, most: int = 1_000) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._most = most

    def check(self, name: str) -> None:
        with self._lock:
            until, reason = self._known.get(name, (0.0, ""))
        if time.monotonic() < until:
            raise Problem(422, reason)

    def remember(self, name: str, reason: str) -> Problem:
        with self._lock:
            self._known[name] = time.monotonic() + AGAIN, reason
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return Problem(422, reason)


_failures = Failures()


def strip(desk: Desk, ask: Mapping[str, Any]) -> Made:
    """The film strip of a video: eight pictures side by side, one JPEG."""

    def make(video: Video, opened: Opened) -> bytes:
        wanted = Uniform(TILES, TILE_SIDE)
        footage = desk.decoder.read(opened.path, [wanted])
        try:
            return _jpeg(_row(footage.view(wanted), footage.facts.duration or 0.0))
        finally:
            footage.close()

    return _made(desk, ask["id"], f"strip {TILES} {TILE_SIDE}", "image/jpeg", make)


def preview(desk: Desk, ask: Mapping[str, Any]) -> Made:
    """Twelve seconds of a video as an MP4 that any browser plays."""
    start = ask["part"] * PART

    def make(video: Video, opened: Opened) -> bytes:
        if video.duration is not None and start > 0 and start >= video.duration:
            raise Problem(404, "the video ends before that part")
        zero = video.facts.start if video.facts else 0.0
        return desk.decoder.preview(opened.path, start, PART, zero=zero)

    return _made(desk, ask["id"], f"preview {PART:g} {ask['part']}", "video/mp4", make)


def _made(desk: Desk, key: str, what: str, kind: str, make: Callable[[Video, Opened], bytes]) -> Made:
    with desk.catalog() as catalog:
        video = desk.video(catalog, key)
        opened = desk.open_file(catalog, video)
    name = f"{VERSION} {what} {video.hash}"
    try:
        _failures.check(name)
        tag, descriptor = desk.shelf.get(name, lambda: _checked(desk, video, opened, make))
    except Unreadable as error:
        raise _failures.remember(name, f"the video {error}") from error
    finally:
        opened.close()
    return Made(descriptor, kind, tag, FRESH)


def _checked(desk: Desk, video: Video, opened: Opened, make: Callable[[Video, Opened], bytes]) -> bytes:
    """The child opens the file by its name; what was made of one that was swapped meanwhile is dropped."""
    made = make(video, opened)
    with desk.catalog() as catalog:
        _same(desk, catalog, video, opened)
    return made


def _same(desk: Desk, catalog: Catalog, video: Video, opened: Opened) -> None:
    again = desk.open_file(catalog, video)
    try:
        if not again.is_same(opened):
            raise Problem(404, "its file was changed while it was being read")
    finally:
        again.close()


def _row(view: View, duration: float) -> np.ndarray[Any, Any]:
    """The pictures side by side; what could not be read is shown as its nearest neighbour."""
    if len(view.times) == 0:
        raise Unreadable("has no picture that can be decoded")
    middles = (np.arange(TILES) + 0.5) * duration / TILES
    nearest = np.abs(middles[:, None] - view.times[None, :]).argmin(axis=1)  # [TILES]
    return np.concatenate([view.frames[i] for i in nearest], axis=1)


def _jpeg(picture: np.ndarray[Any, Any]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=78, optimize=True)
    return file.getvalue()
