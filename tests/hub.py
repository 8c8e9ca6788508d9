"""A stand-in for the places that weights come from: a small server on loopback that can also misbehave.

with hub.serve() as place:
    place.files["host/path/x.pt"] = b"..."        # found under TAGLINE_MIRROR=place.url
    place.repository("org/name", commit, {...})   # found under HF_ENDPOINT=place.url
    place.faults["host/path/x.pt"] = [Break(1000), ...]   # one for each GET, then it behaves
"""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK = 4096


@dataclass(frozen=True)
class Break:
    """The line goes dead after so many bytes of the body."""

    after: int


@dataclass(frozen=True)
class Lie:
    """Content-Length says so many bytes more (or fewer) than there are."""

    by: int


@dataclass(frozen=True)
class Other:
    """Other bytes of the same length."""


@dataclass(frozen=True)
class Silent:
    """So many seconds without a byte, in the middle."""

    seconds: float


@dataclass(frozen=True)
class Status:
    """An answer without a body."""

    code: int
    location: str | None = None


@dataclass(frozen=True)
class Endless:
    """A body that never ends and whose length nobody says."""


Fault = Break | Lie | Other | Silent | Status | Endless


@dataclass
class Place:
    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range
    etag: bool = True
    ranges: bool = True

    def repository(self, name: str, commit: str, files: dict[str, bytes], branch: str = "main") -> None:
        """Files of a hub's repository, under a commit and a branch."""
        for revision in (commit, branch):
            for file, content in files.items():
                path = f"{name}/resolve/{revision}/{file}"
                self.files[path] = content
                self.headers[path] = {"X-Repo-Commit": commit, "X-Linked-Size": str(len(content))}

    def gets(self, path: str) -> list[str | None]:
        """The Range of every GET of a path, in order."""
        return [asked for method, where, asked in self.asked if method == "GET" and where == path]


@contextmanager
def serve() -> Iterator[Place]:
    place = Place("")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = self.path.lstrip("/")
            place.asked.append((self.command, path, self.headers.get("Range")))
            queue = place.faults.get(path, [])
            fault = queue.pop(0) if body and queue else None
            if isinstance(fault, Status):
                self.close_connection = True
                self.send_response(fault.code)
                if fault.location:
                    self.send_header("Location", fault.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = place.files.get(path)
            if content is None:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            same = f'"{hashlib.sha256(content).hexdigest()}"'
            start = self.wanted_from(same, len(content))
            sent = bytes(len(content)) if isinstance(fault, Other) else content
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if place.etag:
                self.send_header("ETag", same)
            for key, value in place.headers.get(path, {}).items():
                self.send_header(key, value)
            said = len(content) - start + (fault.by if isinstance(fault, Lie) else 0)
            if not isinstance(fault, Endless):
                self.send_header("Content-Length", str(said))
            if fault:
                self.close_connection = True
                self.send_header("Connection", "close")
            self.end_headers()
            if body:
                self.send(sent[start:], fault)

        def wanted_from(self, same: str, length: int) -> int:
            asked = self.headers.get("Range", "")
            if not place.ranges or not asked or self.headers.get("If-Range") != same:
                return 0
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            return start if start < length else 0

        def send(self, content: bytes, fault: Fault | None) -> None:
            try:
                while isinstance(fault, Endless):
                    self.wfile.write(bytes(CHUNK))
                if isinstance(fault, Break):
                    content = content[: fault.after]
                half = len(content) // 2 if isinstance(fault, Silent) else len(content)
                self.wfile.write(content[:half])
                self.wfile.flush()
                if isinstance(fault, Silent):
                    time.sleep(fault.seconds)
                    self.wfile.write(content[half:])
            except (BrokenPipeError, ConnectionResetError):
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    place.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        server.server_close()
