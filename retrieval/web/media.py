"""Media: bytes of an opened file on their way out, whole or in the stretches that were asked for."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from retrieval.web import ranges
from retrieval.web.answers import media_type
from retrieval.web.desk import Desk
from retrieval.web.ranges import NotSatisfiable, Stretch

PIECE = 256 << 10  # bytes read at a time


@dataclass(frozen=True, slots=True)
class Made:
    """An opened file and how to send it. Whoever answers closes it."""

    descriptor: int
    kind: str  # media type
    tag: str  # differs when the bytes do
    fresh: int = 0  # seconds for which nobody need ask again


def original(desk: Desk, ask: Mapping[str, Any]) -> Made:
    """The video's own file."""
    with desk.catalog() as catalog:
        video = desk.video(catalog, ask["id"])
        opened = desk.open_file(catalog, video)
    return Made(opened.descriptor, media_type(opened.path.name), f"{opened.size:x}-{opened.mtime_ns:x}")


def answer(request: Request, made: Made, readers: CapacityLimiter) -> Response:
    """The response to a request for this file: 200, 206, 304 or 416."""
    size = os.fstat(made.descriptor).st_size
    tag = f'"{made.tag}"'
    headers = {"accept-ranges": "bytes", "etag": tag, "cache-control": f"private, max-age={made.fresh}"}
    if tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
        return _Sent(made, [], headers, 304, readers)
    header = request.headers.get("range")
    if request.headers.get("if-range", tag) != tag or request.method == "HEAD":
        header = None
    try:
        wanted = ranges.parse(header, size)
    except NotSatisfiable:
        headers["content-range"] = f"bytes */{size}"
        return _Sent(made, [], headers, 416, readers)
    if wanted is None:
        headers |= {"content-length": str(size), "content-type": made.kind}
        whole: list[Stretch | bytes] = [] if request.method == "HEAD" else [(0, size)]
        return _Sent(made, whole, headers, 200, readers)
    if len(wanted) == 1:
        first, end = wanted[0]
        headers["content-range"] = f"bytes {first}-{end - 1}/{size}"
        headers |= {"content-length": str(end - first), "content-type": made.kind}
        return _Sent(made, [wanted[0]], headers, 206, readers)
    boundary = secrets.token_hex(12)
    headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
    headers["content-length"] = str(ranges.parts_length(wanted, size, made.kind, boundary))
    parts: list[Stretch | bytes] = []
    for stretch in wanted:
        parts += [ranges.part_head(stretch, size, made.kind, boundary), stretch, b"\r\n"]
    return _Sent(made, [*parts, ranges.closing(boundary)], headers, 206, readers)


class _Sent(StreamingResponse):
    """Sends pieces of a file and closes it, however the sending ends."""

    def __init__(
        self,
        made: Made,
        parts: list[Stretch | bytes],
        headers: dict[str, str],
        status: int,
        readers: CapacityLimiter,
    ) -> None:
        self.descriptor = made.descriptor
        super().__init__(self._pieces(parts, readers), status, headers)

    async def _pieces(self, parts: list[Stretch | bytes], readers: CapacityLimiter) -> AsyncIterator[bytes]:
        for part in parts:
            if isinstance(part, bytes):
                yield part
                continue
            place, end = part
            while place < end:
                piece = await anyio.to_thread.run_sync(
                    os.pread, self.descriptor, min(PIECE, end - place), place, limiter=readers
                )
                if not piece:
                    raise OSError("the file became shorter while it was being sent")
                place += len(piece)
                yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self.descriptor)
