"""Media: an opened file on its way out, whole or in the ranges that were asked for."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from tagline.retrieval.web.api.contract import Problem, problem_response
from tagline.retrieval.web.api.payloads import media_type
from tagline.retrieval.web.api.state import AppState

CHUNK = 256 << 10  # bytes read at a time
STREAMS = 64  # bodies of more than one chunk that are sent at once; a browser asks for six at most
OF_ONE = 16  # of these, to one address that is not this computer's own

_RANGE = r"(?:\d{1,18}-\d{0,18}|-\d{1,18})"
_RANGES = re.compile(rf"bytes=[ \t]*{_RANGE}(?:[ \t]*,[ \t]*{_RANGE})*[ \t]*", re.ASCII | re.IGNORECASE)


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
    """Places for bodies of more than one chunk: too many readers at once are turned away with 429.

    A place is taken until the last chunk is handed over or the connection has ended. One chunk alone takes
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


def respond(request: Request, media: MediaFile, streams: Streams) -> Response:
    """The response to a request for this file: 200, 206, 304 or 416; 429 where no stream is free."""
    headers = {"etag": f'"{media.tag}"', "cache-control": f"private, max-age={media.fresh}"}
    known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    if headers["etag"] in known:
        os.close(media.descriptor)
        return Response(status_code=304, headers=headers)
    return _OpenedFileResponse(media, headers, streams)


class _OpenedFileResponse(FileResponse):
    """Sends the very file that was opened and verified, whatever has its name by now, and closes it."""

    chunk_size = CHUNK
    max_ranges = 16  # more are an attack or a mistake, and get the whole file

    def __init__(self, media: MediaFile, headers: Mapping[str, str], streams: Streams) -> None:
        self.descriptor, self.streams = media.descriptor, streams
        super().__init__(
            f"/dev/fd/{media.descriptor}",
            headers=headers,
            media_type=media.kind,
            stat_result=os.fstat(media.descriptor),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as held:
            held.callback(os.close, self.descriptor)

            async def send_in_place(message: Message) -> None:
                if message["type"] == "http.response.start" and scope["method"] != "HEAD":
                    length = int(Headers(raw=message["headers"]).get("content-length", 0))
                    if length > CHUNK:
                        held.enter_context(self.streams.place(*_ends(scope)))
                await send(message)

            try:
                await super().__call__(_without_bad_range(scope), receive, send_in_place)
            except Problem as problem:
                await problem_response(problem)(scope, receive, send)


def _ends(scope: Scope) -> tuple[str, str]:
    """The addresses of who asks and of this server."""
    client, server = scope.get("client") or ("", None), scope.get("server") or ("", None)
    return client[0], server[0]


def _without_bad_range(scope: Scope) -> Scope:
    """Without a Range that RFC 9110 asks to ignore: of another unit or method, or not well formed."""
    header = Headers(scope=scope).get("range")
    if header is None:
        return scope
    ordered = all(int(first) <= int(last) for first, last in re.findall(r"(\d+)-(\d+)", header[:1000]))
    if scope["method"] == "GET" and len(header) <= 1000 and _RANGES.fullmatch(header) and ordered:
        return scope
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}
