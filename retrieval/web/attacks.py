"""Attacks on the page, as anybody can run them: `tagline selftest --hostile`. No server is started."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagline.experts.attacks import hostile
from tagline.experts.attacks.selftest import Cases, Unexpected
from tagline.experts.footage import Facts
from tagline.retrieval.web.api.state import AppState
from tagline.retrieval.web.app import build
from tagline.retrieval.web.auth import auth_settings
from tagline.tagging.catalog.location import catalog_home
from tagline.tagging.catalog.records import Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.walk import content_hash

CASES = Cases()
TOKEN = "the token of the selftest"
EVIL = "<svg onload=alert(1)>.mp4"
Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    app: Any
    video: str  # its id

    def ask(self, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """One request, as a browser on this computer would make it."""
        path, _, query = target.partition("?")
        sent: list[dict[str, Any]] = []
        named = {"host": "127.0.0.1:80", **{name.replace("_", "-"): text for name, text in headers.items()}}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "headers": [(name.encode(), text.encode("utf-8")) for name, text in named.items()],
        }
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        found = {name.decode().lower(): text.decode() for name, text in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(part.get("body", b"") for part in sent[1:]))


@contextmanager
def page(folder: Path, *, open_reading: bool = True) -> Iterator[Page]:
    """The page of a library of one video."""
    path = hostile.honest_video(folder / EVIL)
    facts = Facts(1.0, 64, 48, None, "h264", 0, "", False, title=EVIL)
    with Catalog.open(folder) as catalog:
        state = path.stat()
        place = Place(str(path), state.st_size, state.st_mtime_ns)
        catalog.save(content_hash(str(path)), place, facts=facts, looks=())
        assert catalog.file is not None
        with closing(AppState(catalog_home(catalog.file), jobs=1)) as desk:
            app = build(desk, auth_settings(["127.0.0.1"], 80, TOKEN, open_reading=open_reading), "0")
            bearer = f"Bearer {TOKEN}"
            hits = json.loads(Page(app, "").ask("/api/search", authorization=bearer).body)["hits"]
            yield Page(app, hits[0]["id"])


def expect(answer: Answer, *statuses: int, of: str) -> None:
    if answer.status not in statuses:
        raise Unexpected(f"{of} was answered with {answer.status}")


@CASES.case("A14", "paths instead of ids, and a file that was swapped")
def _paths(folder: Path) -> str:
    with page(folder) as one:
        for key in ("../../etc/passwd", "%2e%2e%2fetc%2fpasswd", "/etc/passwd", "a" * 64, one.video[:-1]):
            expect(one.ask(f"/media/{key}"), 400, 404, of=key)
        expect(one.ask(f"/media/{one.video}"), 200, of="the video")
        (folder / EVIL).unlink()
        (folder / EVIL).symlink_to("/etc/passwd")
        expect(one.ask(f"/media/{one.video}"), 404, of="a link out of the library")
    return "404"


@CASES.case("A15", "another name for this server (DNS rebinding)")
def _names(folder: Path) -> str:
    with page(folder) as one:
        for host in ("evil.example", "127.0.0.1:81", "127.0.0.1.evil.example:80", ""):
            expect(one.ask("/api/search", host=host), 403, of=host)
    return "403"


@CASES.case("A16", "a change from another site, or without the token")
def _sites(folder: Path) -> str:
    body, bearer = b'{"kind": "add", "text": "x"}', f"Bearer {TOKEN}"
    with page(folder) as one:
        for headers in (
            {},
            {"cookie": f"tagline_80={TOKEN}; token={TOKEN}", "origin": "http://127.0.0.1:80"},
            {"authorization": "Bearer guess"},
            {"authorization": bearer, "origin": "http://evil.example"},
            {"authorization": bearer, "origin": "null"},
            {"authorization": bearer, "sec-fetch-site": "cross-site"},
        ):
            done = one.ask(f"/api/videos/{one.video}/verdicts", "POST", body, **headers)
            expect(done, 403, of=f"a change with {headers}")
            if any(name.startswith("access-control") for name in done.headers):
                raise Unexpected("another site may read the answer")
    return "403"


@CASES.case("A18", "queries without end, with syntax, with nonsense")
def _queries(folder: Path) -> str:
    with page(folder) as one:
        for query in ("q=" + "a" * 1_000_000, "k=1000000000", "k=-1", "longer=NaN", "x=1", "k=1&k=2"):
            expect(one.ask(f"/api/search?{query}"), 400, of=query[:40])
        for query in ("%22%20OR%20*", "NEAR(a%20b)", "a%00b", "-dog", "%ff%fe"):
            expect(one.ask(f"/api/search?q={query}"), 200, 400, of=query)
    return "400, or only words"


@CASES.case("A19", "scripts in names and titles")
def _scripts(folder: Path) -> str:
    with page(folder) as one:
        for path in ("/", "/api/search", f"/api/videos/{one.video}", f"/media/{one.video}", "/nothing"):
            headers = one.ask(path).headers
            policy = headers["content-security-policy"]
            if "unsafe" in policy or "*" in policy or headers["x-content-type-options"] != "nosniff":
                raise Unexpected(f"{path} comes with the policy {policy}")
        if one.ask("/api/search").headers["content-type"] != "application/json":
            raise Unexpected("an answer is no JSON")
        if EVIL.encode() in one.ask("/").body:
            raise Unexpected("the page holds what a file is called")
    return "text alone, under a policy that runs none"


@CASES.case("A20", "pictures are made anew")
def _strips(folder: Path) -> str:
    with page(folder) as one:
        strip = one.ask(f"/strips/{one.video}")
        expect(strip, 200, of="a strip")
        if strip.body[:3] != b"\xff\xd8\xff" or strip.headers["content-type"] != "image/jpeg":
            raise Unexpected("a strip is no JPEG")
    return "JPEG"


@CASES.case("A44", "the secret of the page, and the other ports of this host")
def _ports(folder: Path) -> str:
    with page(folder, open_reading=False) as one:
        bearer = f"Bearer {TOKEN}"
        for path in ("/", f"/?token={TOKEN}", "/api/search", f"/media/{one.video}"):
            if "set-cookie" in one.ask(path, authorization=bearer).headers:
                raise Unexpected(f"{path} sets a cookie, which every port of the host is sent")
            cookie = f"tagline_80={TOKEN}; token={TOKEN}"
            if path not in ("/", f"/?token={TOKEN}"):
                expect(one.ask(path, cookie=cookie), 401, of=f"{path} with a cookie")
        key = one.ask("/api/search", authorization=bearer).headers["media-key"]
        expect(one.ask(f"/media/{one.video}?key={key}"), 200, of="a film with its key")
        expect(one.ask(f"/api/search?key={key}"), 401, of="anything else with the key of films")
    return "no cookie; films open by a key that opens nothing else"
