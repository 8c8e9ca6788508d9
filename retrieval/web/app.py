"""The application: the table of routes, the static files and the bounds, as something that uvicorn serves."""

from __future__ import annotations

import hashlib
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path_
from starlette.types import ASGIApp

from tagline.retrieval.web.api.contract import (
    MAX_BODY,
    PROBLEMS,
    Problem,
    Route,
    openapi,
    problem_response,
    read_body,
    read_query,
)
from tagline.retrieval.web.api.media import MediaFile, Streams, respond
from tagline.retrieval.web.api.routes import ROUTES
from tagline.retrieval.web.api.schemas import SCHEMAS
from tagline.retrieval.web.api.state import AppState
from tagline.retrieval.web.auth import AuthMiddleware, AuthSettings

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
BODY_TIMEOUT = 10.0  # seconds for a body to arrive
QUEUE_TIMEOUT = 8.0  # seconds that a request waits for its turn


@dataclass
class ConcurrencyLimit:
    """How much of one kind is done at once, and how much may wait for it; more is turned away with 429."""

    at_once: int
    waiting: int
    inside: int = 0

    def __post_init__(self) -> None:
        self.limiter = CapacityLimiter(self.at_once)

    @contextmanager
    def entered(self) -> Iterator[None]:
        if self.inside >= self.at_once + self.waiting:
            raise Problem(429, "too much is asked at once; try again in a moment")
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One's turn, when it comes; who waits too long for it is turned away, too."""
        with anyio.move_on_after(QUEUE_TIMEOUT) as waited:
            await self.limiter.acquire()
        if waited.cancelled_caught:
            raise Problem(429, "too much is asked at once; try again in a moment")
        try:
            yield
        finally:
            self.limiter.release()


def concurrency_limits() -> dict[str, ConcurrencyLimit]:
    return {
        "api": ConcurrencyLimit(3, 30),
        "picture": ConcurrencyLimit(4, 30),
        "media": ConcurrencyLimit(8, 56),
    }


def build(state: AppState, auth: AuthSettings, version: str) -> ASGIApp:
    """The whole page over one library."""
    kinds, streams = concurrency_limits(), Streams()
    routes = [
        Path_(route.path, _endpoint(route, state, kinds, streams), methods=[route.method]) for route in ROUTES
    ]
    described = json.dumps(openapi(ROUTES, SCHEMAS, version), indent=1).encode()
    routes.append(Path_("/api/openapi.json", _fixed(described, "application/json")))
    for path in sorted(STATIC.iterdir()):
        address = "/" if path.name == "index.html" else f"/static/{path.name}"
        routes.append(Path_(address, _fixed(path.read_bytes(), TYPES[path.suffix])))
    handlers: dict[Any, Any] = {HTTPException: _http_error, Exception: _server_error}
    return AuthMiddleware(Starlette(routes=routes, exception_handlers=handlers), auth)


def _fixed(body: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    """Something that does not change while the server runs."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}

    async def endpoint(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)

    return endpoint


def _endpoint(
    route: Route, state: AppState, kinds: dict[str, ConcurrencyLimit], streams: Streams
) -> Callable[[Request], Awaitable[Response]]:
    gate = kinds[route.kind]

    async def endpoint(request: Request) -> Response:
        try:
            with gate.entered():
                ask = {
                    param.name: param.from_text(request.path_params[param.name]) for param in route.of("path")
                }
                ask |= read_query(route, request.query_params.multi_items())
                if route.changes:
                    ask |= read_body(route, await _body(request))
                async with gate.turn():
                    if (
                        not route.changes and await request.is_disconnected()
                    ):  # somebody who types has already asked for more
                        return Response(status_code=204)
                    given = await anyio.to_thread.run_sync(route.run, state, ask, limiter=CapacityLimiter(1))
            if isinstance(given, MediaFile):
                return respond(request, given, streams)
            return JSONResponse(given)
        except Problem as problem:
            return problem_response(problem)

    return endpoint


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "the body is to be application/json")
    data = b""
    try:
        with anyio.fail_after(BODY_TIMEOUT):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY:
                    raise Problem(413, f"the body may have {MAX_BODY} bytes at most")
    except TimeoutError:
        raise Problem(400, "the body did not arrive in time") from None
    except ClientDisconnect:  # nobody is there to read this
        raise Problem(400, "the body did not arrive") from None
    return data


async def _http_error(request: Request, error: HTTPException) -> Response:
    message = {404: "there is nothing here", 405: "that is not done here"}.get(error.status_code)
    text = message or PROBLEMS.get(error.status_code, "that cannot be answered")
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _server_error(request: Request, error: Exception) -> Response:
    """A fault of this program: told to who runs it, not to who asks."""
    traceback.print_exception(error, file=sys.stderr)
    return JSONResponse({"error": "that went wrong here; the terminal of `tagline serve` says how"}, 500)
