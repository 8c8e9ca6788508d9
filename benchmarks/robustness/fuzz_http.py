"""fuzz-http: thousands of requests to the page's server, well-formed or not. None may bring about a fault."""

from __future__ import annotations

import json
import random
import re
import select
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tagline.experts.attacks.mutate import mutate
from tagline.retrieval.web.api.contract import Param, Route
from tagline.retrieval.web.api.routes import ROUTES

PATIENCE = 30.0  # seconds for an answer
SOON = 0.2
LISTED = 10  # faults that are remembered

_LINES = """
dog
a red car on the beach
a cat - dog
" OR *
NEAR(a b)
'; DROP TABLE tag
<svg onload=alert(1)>
%00
%ff%fe
1/0
NaN
-Infinity
1e400
0x10
object:dog
:
-
*
{id}
{"a": 1}
null
file:///etc/passwd
"""
TEXTS = [
    *_LINES.splitlines(),
    *("\0", "a\0b", "\u202egpj.exe", "\U0001f600" * 30, "e\u0301" * 40, "\u0661\u0662", "\r\nX: 1", "\u2028"),
    *("../" * 20, "[" * 500, "a" * 121, "x" * 3_000),
]
NUMBERS = f"0 1 -1 24 100 1000000 1000001 {'9' * 18} {'9' * 30} 1.5 -0 1e3 +1".split()
VALUES: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e308, -1e308, 2**53, 2**70, float("nan"), float("inf"), [], {}, [[]]),
    *({"a": {}}, ["accept"], "", "dog", "accept", "object", "human", "\ud800", "\0", "x" * 121, "x" * 5_000),
]
_HEADER_LINES = """Range: bytes=0-99
Range: bytes=-1
Range: bytes=99999999999-
Range: bytes=5-1
Range: bytes=0-,0-
Range: lines=1-2
If-Range: x
Expect: 100-continue
If-None-Match: *
If-Modified-Since: never
Accept-Encoding: gzip, br;q=9
Content-Type: text/plain
Transfer-Encoding: chunked
Transfer-Encoding: gzip
Content-Length: -1
Content-Length: 99999999
Upgrade: websocket
Connection: Upgrade, close
Origin: null
Origin: http://evil.example
Sec-Fetch-Site: cross-site
Cookie: token=x
Authorization: Bearer
Authorization: Basic eA==
X-Forwarded-For: 10.0.0.1
Host: evil.example"""
HEADERS = [
    *_HEADER_LINES.splitlines(),
    "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(200)),
    "X: " + "a" * 9_000,
    "X: \xff\xfe",
    "A: b\n c: d",
]
METHODS = "GET GET GET POST HEAD PUT DELETE OPTIONS PATCH TRACE get G\0T".split(" ")
PATHS = ("/", "/static/main.js", "/static/../../etc/passwd", "//", "/%2e%2e/", "*", "/a" * 2_000)
BODIES = (b"[" * 4_000, b"\xff\xfe", b'{"a":' * 600, b"0" * 4_000, b'{"text": "\\ud800"}', b" ")


@dataclass(slots=True)
class HttpTally:
    """What was answered."""

    statuses: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0  # of those that were well-formed
    faults: list[str] = field(default_factory=list)

    @property
    def server_errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status.startswith("5"))


def run(port: int, token: str, ids: Sequence[str], numbers: range, seed: int) -> HttpTally:
    """Ask these numbers' requests, one after the other, each on a connection of its own."""
    tally = HttpTally()
    for number in numbers:
        draw = random.Random(f"{seed} {number}")
        request, whole = _request(draw, port, token, ids)
        try:
            status = _ask(port, request, whole)
        except OSError as error:  # the server hung up, which only what is no request allows it
            status = f"{type(error).__name__}" if isinstance(error, TimeoutError) or whole else "hung up"
            tally.unanswered += whole or isinstance(error, TimeoutError)
        if not status and whole:
            tally.unanswered += 1
        tally.statuses[status or "no answer"] += 1
        if (status.startswith("5") or (whole and not status[:1].isdigit())) and len(tally.faults) < LISTED:
            tally.faults.append(f"{number}: {status or 'no answer'}: {request[:300]!r}")
    return tally


def _ask(port: int, request: bytes, whole: bool) -> str:
    """The status of the answer, which is read to its end; "" where there is none.

    Of what is not whole we soon say that nothing more comes, by closing our side, so that the server need not
    wait for it.
    """
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as line:
        line.sendall(request)
        if not whole and not select.select([line], [], [], SOON)[0]:
            line.shutdown(socket.SHUT_WR)
        head = b""
        while piece := line.recv(1 << 16):
            head += piece[: 100 - len(head)]
        found = re.match(rb"(?:HTTP/1\.1 100 \r\n.*?\r\n\r\n)?HTTP/1\.1 (\d{3})", head, re.DOTALL)
        return found[1].decode() if found else ""


def _request(draw: random.Random, port: int, token: str, ids: Sequence[str]) -> tuple[bytes, bool]:
    """The bytes of a request, and whether it is one."""
    route = draw.choice(ROUTES)
    path = "/".join(quote(_id(draw, ids)) if part == "{id}" else part for part in route.path.split("/"))
    method = route.method if draw.random() < 0.8 else draw.choice(METHODS)
    if draw.random() < 0.1:
        path = draw.choice(PATHS)
    query = _query(draw, route)
    body = _body(draw, route) if route.changes or draw.random() < 0.1 else b""
    lines = [f"{method} {path}{query} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    if draw.random() < 0.9:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    odd = draw.random() < 0.4
    lines += draw.sample(HEADERS, draw.choice((1, 1, 2, 4))) if odd else []
    request = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
    whole = not odd and method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH") and len(path) < 2_000
    if draw.random() < 0.25:
        return mutate(request, draw), False
    return request, whole


def _id(draw: random.Random, ids: Sequence[str]) -> str:
    wrong: Sequence[Callable[[], str]] = (
        lambda: draw.choice(TEXTS).encode("utf-8", "replace").decode(),
        lambda: "a" * draw.choice((19, 20, 21, 64)),
        lambda: draw.choice(ids)[:-1],
        lambda: draw.choice(ids).upper(),
    )
    return draw.choice(ids) if draw.random() < 0.8 else draw.choice(wrong)()


def _query(draw: random.Random, route: Route) -> str:
    named = [param for param in route.of("query") if param.required or draw.random() < 0.4]
    pairs = [(param.name, _value(draw, param)) for param in named]
    if draw.random() < 0.1:
        pairs.append((draw.choice(("x", "q", "k", "", "q[]", "\0")), draw.choice(TEXTS)))
    if draw.random() < 0.05 and pairs:
        pairs *= draw.choice((2, 20))
    text = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)
    return f"?{text}" if text or draw.random() < 0.05 else ""


def _value(draw: random.Random, param: Param) -> str:
    """Often one that may be, else anything."""
    if param.choices and draw.random() < 0.7:
        return draw.choice(param.choices)
    if param.kind != "string" and draw.random() < 0.9:
        return draw.choice(NUMBERS)
    return draw.choice(("2024-01-01", "2024-02-31", "0000-00-00")) if param.pattern else draw.choice(TEXTS)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"))


def _body(draw: random.Random, route: Route) -> bytes:
    held = {param.name: _of_body(draw, param) for param in route.of("body") if draw.random() < 0.8}
    if draw.random() < 0.1:
        held[draw.choice(("x", "", "__proto__", "text"))] = draw.choice(VALUES)
    text = json.dumps(held if draw.random() < 0.9 else draw.choice(VALUES))
    how = draw.random()
    if how < 0.1:
        return mutate(text.encode(), draw)
    if how < 0.15:
        return draw.choice(BODIES)
    return text.encode()


def _of_body(draw: random.Random, param: Param) -> Any:
    if draw.random() < 0.3:
        return draw.choice(VALUES)
    if param.choices:
        return draw.choice(param.choices)
    if param.kind == "string":
        return draw.choice(TEXTS)
    return draw.choice((0, 1, 2.5, 10**6, -1, 2**53))
