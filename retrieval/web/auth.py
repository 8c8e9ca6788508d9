"""Who may ask at all: host, origin, site and token are checked before anything else is looked at.

The token is never a cookie: a browser sends those to every port of a host, so any other server on this
computer would be handed it. It comes behind the # of the printed address, which no browser sends, the page
keeps it where only pages of this very address and port can read, and shows it as a bearer. What a browser
fetches by itself, pictures and films, carries a key in its address instead, which opens these alone.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

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
BY_ADDRESS = ("/media/", "/previews/", "/strips/")  # what a browser fetches by itself
KEY_HEADER = b"media-key"


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """What opens the doors. hosts: the names under which this server may be addressed, with their port."""

    hosts: frozenset[str]
    token: str
    public_reading: (
        bool  # on the loopback address anybody here may read; elsewhere reading asks for the token
    )

    @property
    def media_key(self) -> str:
        """Opens pictures and films, and nothing else; the token cannot be told from it."""
        return hmac.new(self.token.encode(), b"pictures and films", "sha256").hexdigest()[:40]


def auth_settings(hosts: Iterable[str], port: int, token: str, *, open_reading: bool) -> AuthSettings:
    names = {name.lower() for name in hosts}
    with_port = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    return AuthSettings(frozenset(with_port), token, open_reading)


class AuthMiddleware:
    """Wraps an application: refuses what must not come in, and dresses what goes out."""

    def __init__(self, app: ASGIApp, keys: AuthSettings) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        connection = HTTPConnection(scope)
        authorised = self._bearer(connection)

        gives_key = authorised and not self.keys.public_reading

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((n.encode(), v.encode()) for n, v in SECURITY_HEADERS.items() if n.encode() not in own),
                    *([(KEY_HEADER, self.keys.media_key.encode())] if gives_key else []),
                    *([] if b"cache-control" in own else [(b"cache-control", b"no-store")]),
                ]
            await send(message)

        try:
            self._check(scope, connection, authorised)
        except Problem as problem:
            await _refuse(dressed, problem)
            return
        if not self._may_read(scope, authorised):
            await _refuse(
                dressed, Problem(401, "open the address that `tagline serve` printed, with its token")
            )
            return
        await self.app(scope, receive, dressed)

    def _check(self, scope: Scope, connection: HTTPConnection, authorised: bool) -> None:
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
        if scope["method"] not in SAFE_METHODS and not authorised:
            raise Problem(
                403, "changing something takes the token: open the address that `tagline serve` printed"
            )

    def _may_read(self, scope: Scope, authorised: bool) -> bool:
        """The page's own files hold nothing of the library: they ask for the token themselves."""
        path = scope["path"]
        if self.keys.public_reading or authorised or path == "/" or path.startswith("/static/"):
            return True
        return path.startswith(BY_ADDRESS) and self._takes_key_out(scope)

    def _takes_key_out(self, scope: Scope) -> bool:
        """Whether the address has the key of pictures and films; it is no parameter of theirs."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in pairs if name == "key"]
        scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != "key"]).encode()
        return len(given) == 1 and _same(given[0], self.keys.media_key)

    def _bearer(self, connection: HTTPConnection) -> bool:
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and _same(token.strip(), self.keys.token)


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


async def _refuse(send: Send, problem: Problem) -> None:
    body = json.dumps({"error": problem.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
