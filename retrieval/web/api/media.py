"""Media: bytes of an opened file on their way out, whole or in the stretches that were asked for."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tagline.retrieval.web.api import ranges
from tagline.retrieval.web.api.contract import Problem
from tagline.retrieval.web.api.payloads import media_type
from tagline.retrieval.web.api.ranges import NotSatisfiable, Stretch
from tagline.retrieval.web.api.state import AppState

CHUNK = 256 << 10  # bytes read at a time
STREAMS = 64  # bodies of more than one piece that are sent at once; a browser asks for six at most
OF_ONE = 16  # of these, to one address that is not this computer's own


@dataclass(frozen=True, slots=True)
class MediaFile:
    """An opened file and how to send it. Whoever answers closes it."""

    descriptor: int
    kind: str  # media type
    tag: str  # differs when the bytes do
    fresh: int = 0  # seconds for which nobody need ask again


def original(state: AppState, args: Mapping[str, Any]) -> MediaFile:
    """The video's own file."""
    with state.catalog() as catalog:
        video = state.video(catalog, args["id"])
        opened = state.open_file(catalog, video)
    return MediaFile(opened.descriptor, media_type(opened.path.name), f"{opened.size:x}-{opened.mtime_ns:x}")


class Streams:
    """Places for bodies that are sent piece by piece: too many readers at once are turned away with 429.

    A place is taken until the last piece is handed over or the connection has ended. One piece alone takes
    none, as no other quick answer does: these are there for everybody while every place is taken.
    """

    def __init__(self) -> None:
        self.to = Counter[str]()  # address: its streams

    @contextmanager
    def place(self, client: str, host: str) -> Iterator[None]:
        """client, host: the two ends of the connection; the same where it comes from this computer."""
        most = STREAMS if client == host else OF_ONE
        if self.to.total() >= STREAMS or self.to[client] >= most:
            raise Problem(429, "too many videos are being sent at once; try again in a moment")
        self.to[client] += 1
        try:
            yield
        finally:
            self.to[client] -= 1
            self.to += Counter()  # without those that have none


def respond(request: Request, media: MediaFile, readers: CapacityLimiter, streams: Streams) -> Response:
    """The response to a request for this file: 200, 206, 304 or 416; Problem where no stream is free."""
    with ExitStack() as held:
        held.callback(os.close, media.descriptor)
        status, headers, parts = _wanted(request, media)
        if sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts) > CHUNK:
            held.enter_context(streams.place(*_ends(request)))
        return _FileResponse(media.descriptor, parts, headers, status, readers, held.pop_all())


def _ends(request: Request) -> tuple[str, str]:
    """The addresses of who asks and of this server."""
    here = request.scope.get("server") or ("", None)
    return request.client.host if request.client else "", here[0]


def _wanted(request: Request, made: MediaFile) -> tuple[int, dict[str, str], list[Stretch | bytes]]:
    """Status, headers and the parts of the body."""
    size = os.fstat(made.descriptor).st_size
    tag = f'"{made.tag}"'
    headers = {"accept-ranges": "bytes", "etag": tag, "cache-control": f"private, max-age={made.fresh}"}
    if tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return 304, headers, []
    header = request.headers.get("range")
    if request.headers.get("if-range", tag) != tag or request.method == "HEAD":
        header = None
    try:
        wanted = ranges.parse(header, size)
    except NotSatisfiable:
        return 416, headers | {"content-range": f"bytes */{size}"}, []
    if wanted is None:
        headers |= {"content-length": str(size), "content-type": made.kind}
        return 200, headers, [] if request.method == "HEAD" else [(0, size)]
    if len(wanted) == 1:
        first, end = wanted[0]
        headers["content-range"] = f"bytes {first}-{end - 1}/{size}"
        headers |= {"content-length": str(end - first), "content-type": made.kind}
        return 206, headers, [wanted[0]]
    boundary = secrets.token_hex(12)
    headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
    headers["content-length"] = str(ranges.parts_length(wanted, size, made.kind, boundary))
    parts: list[Stretch | bytes] = []
    for stretch in wanted:
        parts += [ranges.part_head(stretch, size, made.kind, boundary), stretch, b"\r\n"]
    return 206, headers, [*parts, ranges.closing(boundary)]


class _FileResponse(StreamingResponse):
    """Sends pieces of a file and lets go of what it held, however the sending ends."""

    def __init__(
        self,
        descriptor: int,
        parts: list[Stretch | bytes],
        headers: dict[str, str],
        status: int,
        readers: CapacityLimiter,
        held: ExitStack,
    ) -> None:
        self.descriptor, self.held = descriptor, held
        super().__init__(self._pieces(parts, readers), status, headers)

    async def _pieces(self, parts: list[Stretch | bytes], readers: CapacityLimiter) -> AsyncIterator[bytes]:
        for part in parts:
            if isinstance(part, bytes):
                yield part
                continue
            place, end = part
            while place < end:
                piece = await anyio.to_thread.run_sync(
                    os.pread, self.descriptor, min(CHUNK, end - place), place, limiter=readers
                )
                if not piece:
                    raise OSError("the file became shorter while it was being sent")
                place += len(piece)
                yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.held:
            await super().__call__(scope, receive, send)
