"""Who may ask at all: host, origin, site and token are checked before anything else is looked at."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tagline.retrieval.web.api.contract import MAX_QUERY, Problem

SECURITY_HEADERS = {
    # Scripts, styles, pictures and videos of this server and nothing else; markup never comes out of text.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """What opens the doors. hosts: the names under which this server may be addressed, with their port."""

    hosts: frozenset[str]
    token: str
    cookie: str
    public_reading: (
        bool  # on the loopback address anybody here may read; elsewhere reading asks for the token
    )


def auth_settings(hosts: Iterable[str], port: int, token: str, *, open_reading: bool) -> AuthSettings:
    names = {name.lower() for name in hosts}
    with_port = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    return AuthSettings(frozenset(with_port), token, f"tagline_{port}", open_reading)


class AuthMiddleware:
    """Wraps an application: refuses what must not come in, and dresses what goes out."""

    def __init__(self, app: ASGIApp, keys: AuthSettings) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        connection = HTTPConnection(scope)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((n.encode(), v.encode()) for n, v in SECURITY_HEADERS.items() if n.encode() not in own),
                    *([] if b"cache-control" in own else [(b"cache-control", b"no-store")]),
                ]
            await send(message)

        try:
            self._check(scope, connection)
        except Problem as problem:
            await _refuse(dressed, problem)
            return
        if scope["path"] == "/" and b"token=" in scope["query_string"]:
            await self._log_in(scope, dressed)
            return
        scope["authorised"] = self._has_token(connection)
        if not scope["authorised"] and not self.keys.public_reading:
            await _refuse(
                dressed, Problem(401, "open the address that `tagline serve` printed, with its token")
            )
            return
        await self.app(scope, receive, dressed)

    def _check(self, scope: Scope, connection: HTTPConnection) -> None:
        hosts = connection.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self.keys.hosts:
            raise Problem(403, "this server does not answer to that name")
        if len(scope["query_string"]) > MAX_QUERY or len(scope["path"]) > MAX_QUERY:
            raise Problem(400, f"an address may have {MAX_QUERY} bytes at most")
        own = f"http://{hosts[0].lower()}"
        origins = connection.headers.getlist("origin")
        if origins and (len(origins) > 1 or origins[0].lower() != own):
            raise Problem(403, "this came from another site")
        site = connection.headers.get("sec-fetch-site", "none")
        came_by_link = scope["path"] == "/" and connection.headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not (came_by_link and scope["method"] in SAFE_METHODS):
            raise Problem(403, "this came from another site")
        if scope["method"] not in SAFE_METHODS and not self._may_change(connection, bool(origins)):
            raise Problem(
                403, "changing something takes the token: open the address that `tagline serve` printed"
            )

    def _may_change(self, connection: HTTPConnection, has_origin: bool) -> bool:
        """Other programs show the token itself; the page shows its cookie and where it comes from."""
        return self._bearer(connection) or (has_origin and self._cookie(connection))

    def _has_token(self, connection: HTTPConnection) -> bool:
        return self._bearer(connection) or self._cookie(connection)

    def _bearer(self, connection: HTTPConnection) -> bool:
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._is_token(token.strip())

    def _cookie(self, connection: HTTPConnection) -> bool:
        return self._is_token(connection.cookies.get(self.keys.cookie, ""))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.keys.token.encode())

    async def _log_in(self, scope: Scope, send: Send) -> None:
        """The printed address: its token becomes a cookie that no script can read, and leaves the address."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self._is_token(given):
            await _refuse(
                send, Problem(403, "that token is of another run; open the address printed by this one")
            )
            return
        cookie = f"{self.keys.cookie}={self.keys.token}; Path=/; HttpOnly; SameSite=Strict"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, problem: Problem) -> None:
    body = json.dumps({"error": problem.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
