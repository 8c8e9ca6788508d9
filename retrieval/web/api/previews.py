"""Pictures and previews: made on demand in the decoder's guarded child, and cached."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tagline.experts.footage import Uniform, Unreadable, View
from tagline.retrieval.web.api.contract import Problem
from tagline.retrieval.web.api.media import MediaFile
from tagline.retrieval.web.api.state import AppState, OpenedVideo
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog

TILES = 8  # pictures of a strip, at the midpoints of as many equal parts
TILE_SIDE = 144  # pixels of the shorter side
PREVIEW_SECONDS = 12.0  # seconds of one preview
VERSION = "1"  # raise it when the same video gives other pictures
BROWSER_SECONDS = 3600  # seconds for which a browser keeps what it was given
RETRY_SECONDS = 300.0  # seconds after which what could not be made is tried again


class FailureCache:
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
            self._known[name] = time.monotonic() + RETRY_SECONDS, reason
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return Problem(422, reason)


_failures = FailureCache()


def strip(state: AppState, args: Mapping[str, Any]) -> MediaFile:
    """The film strip of a video: eight pictures side by side, one JPEG."""

    def make(video: Video, opened: OpenedVideo) -> bytes:
        wanted = Uniform(TILES, TILE_SIDE)
        footage = state.decoder.read(opened.path, [wanted])
        try:
            return _jpeg(_row(footage.view(wanted), footage.facts.duration or 0.0))
        finally:
            footage.close()

    return _cached(state, args["id"], f"strip {TILES} {TILE_SIDE}", "image/jpeg", make)


def preview(state: AppState, args: Mapping[str, Any]) -> MediaFile:
    """Twelve seconds of a video as an MP4 that any browser plays."""
    start = args["part"] * PREVIEW_SECONDS

    def make(video: Video, opened: OpenedVideo) -> bytes:
        if video.duration is not None and start > 0 and start >= video.duration:
            raise Problem(404, "the video ends before that part")
        zero = video.facts.start if video.facts else 0.0
        return state.decoder.preview(opened.path, start, PREVIEW_SECONDS, zero=zero)

    return _cached(state, args["id"], f"preview {PREVIEW_SECONDS:g} {args['part']}", "video/mp4", make)


def _cached(
    state: AppState, key: str, what: str, kind: str, make: Callable[[Video, OpenedVideo], bytes]
) -> MediaFile:
    with state.catalog() as catalog:
        video = state.video(catalog, key)
        opened = state.open_file(catalog, video)
    name = f"{VERSION} {what} {video.hash}"
    try:
        _failures.check(name)
        tag, descriptor = state.cache.get(name, lambda: _checked(state, video, opened, make))
    except Unreadable as error:
        raise _failures.remember(name, f"the video {error}") from error
    finally:
        opened.close()
    return MediaFile(descriptor, kind, tag, BROWSER_SECONDS)


def _checked(
    state: AppState, video: Video, opened: OpenedVideo, make: Callable[[Video, OpenedVideo], bytes]
) -> bytes:
    """The child opens the file by its name; what was made of one that was swapped meanwhile is dropped."""
    content = make(video, opened)
    with state.catalog() as catalog:
        _check_unchanged(state, catalog, video, opened)
    return content


def _check_unchanged(state: AppState, catalog: Catalog, video: Video, opened: OpenedVideo) -> None:
    again = state.open_file(catalog, video)
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
