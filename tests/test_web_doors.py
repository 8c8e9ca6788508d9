"""The doors: other names, other sites, other people, too much and too slow are turned away."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import fakes
import pages
import pytest
from click.testing import CliRunner
from pages import TOKEN, World

from tagline.retrieval.cli.main import cli
from tagline.retrieval.web import app as app_module
from tagline.retrieval.web import server as server_module
from tagline.retrieval.web.app import ConcurrencyLimit


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pages.world(tmp_path_factory.mktemp("library")) as world:
        yield world


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "testserver.evil", "", "testserver:81", "[::1]"]
)
def test_another_name_is_not_answered(world: World, host: str) -> None:
    for path in ("/", "/api/search", "/static/main.js", "/nothing"):
        assert world.client.get(path, headers={"host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://testserver", "http://testserver:8080", ""]
)
def test_another_site_is_not_answered(world: World, origin: str) -> None:
    headers = {"origin": origin, "authorization": f"Bearer {TOKEN}"}
    assert world.client.get("/api/search", headers=headers).status_code == 403
    done = world.client.post("/api/undo", json={"act": 1}, headers=headers)
    assert done.status_code == 403
    assert not any(name.lower().startswith("access-control") for name in done.headers)


def test_pages_of_other_sites_may_link_here_but_not_look_inside(world: World) -> None:
    cross = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert world.client.get("/", headers=cross).status_code == 200
    key = world.ids()["dog.mp4"]
    for path in ("/api/search", f"/strips/{key}", f"/media/{key}"):
        for site in ("cross-site", "same-site"):
            for mode in ("no-cors", "navigate"):
                headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
                assert world.client.get(path, headers=headers).status_code == 403


def test_a_change_takes_the_token_and_comes_from_here(world: World) -> None:
    path = f"/api/videos/{world.ids()['dog.mp4']}/verdicts"
    body = {"kind": "add", "text": "Anna"}
    here = {"origin": "http://testserver"}
    stranger = type(world.client)(world.client.app, base_url="http://testserver")
    assert stranger.post(path, json=body, headers=here).status_code == 403
    assert stranger.post(path, json=body, headers={"authorization": "Bearer guess"}).status_code == 403
    # A cookie goes along by itself, from wherever somebody is sent here: it opens nothing.
    for name in ("tagline_80", "token", "authorization"):
        cookie = {**here, "cookie": f"{name}={TOKEN.replace(' ', '%20')}; {name}=Bearer {TOKEN}"}
        assert stranger.post(path, json=body, headers=cookie).status_code == 403
    text = world.client.post(
        path, content='{"kind": "add", "text": "x"}', headers={**here, "content-type": "text/plain"}
    )
    assert text.status_code == 415
    assert world.catalog.verdicts.all() == []
    assert stranger.post(path, json=body, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert [v.text for v in world.catalog.verdicts.all()] == ["Anna"]
    world.catalog.decide.undo()


def test_no_answer_sets_a_cookie_which_every_port_of_the_host_would_be_sent(tmp_path: Path) -> None:
    for open_reading in (True, False):
        with pages.world(tmp_path / str(open_reading), open_reading=open_reading) as world:
            key = world.ids()["dog.mp4"]
            for path in ("/", f"/?token={TOKEN}", "/api/search", f"/media/{key}", "/static/main.js", "/no"):
                done = world.client.get(path, follow_redirects=False)
                assert "set-cookie" not in done.headers
                assert TOKEN not in done.text
                assert TOKEN not in str(done.headers)
            assert not world.client.cookies


def test_the_token_is_printed_where_no_browser_sends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the #, as the page reads it."""
    fakes.library(tmp_path, {"a.mp4": {}}).close()
    monkeypatch.setattr(server_module, "serve", lambda app, listening, ready: (ready(), listening.close()))
    command = ["serve", "--library", str(tmp_path), "--port", "0", "--token", "a secret with / and # in it"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    address = urlsplit(re.search(r"http://\S+", done.output)[0])  # type: ignore[index]
    assert (address.path, address.query) == ("/", "")
    assert address.fragment == "token=a%20secret%20with%20%2F%20and%20%23%20in%20it"


def test_where_others_can_reach_it_reading_takes_the_token_too(tmp_path: Path) -> None:
    with pages.world(tmp_path, open_reading=False) as world:
        assert world.client.get("/api/search").status_code == 200
        key = world.ids()["dog.mp4"]
        stranger = type(world.client)(world.client.app, base_url="http://testserver")
        for path in ("/api/search", "/api/openapi.json", f"/media/{key}", f"/strips/{key}", "/nothing"):
            assert stranger.get(path).status_code == 401
        for path in ("/", "/static/main.js"):  # these ask for the token, and hold nothing of the library
            assert stranger.get(path).status_code == 200


def test_a_film_is_opened_by_a_key_in_its_address_that_opens_nothing_else(tmp_path: Path) -> None:
    """A video element sends no header of ours, and a cookie would go to every port."""
    with pages.world(tmp_path, open_reading=False) as world:
        video = world.ids()["dog.mp4"]
        key = world.client.get("/api/search").headers["media-key"]
        assert key not in TOKEN
        stranger = type(world.client)(world.client.app, base_url="http://testserver")
        assert stranger.get(f"/media/{video}?key={key}").status_code == 200
        part = stranger.get(f"/media/{video}?key={key}", headers={"range": "bytes=0-3"})
        assert (part.status_code, len(part.content)) == (206, 4)
        assert stranger.get(f"/previews/{video}?part=0&key={key}").status_code in (200, 422)
        for path in (
            f"/media/{video}?key=guess",
            f"/media/{video}?key={key}&key={key}",
            f"/media/{video}?key=",
        ):
            assert stranger.get(path).status_code == 401
        for path in ("/api/search", f"/api/videos/{video}", "/api/openapi.json"):
            assert stranger.get(f"{path}?key={key}").status_code == 401
            assert stranger.get(path, headers={"authorization": f"Bearer {key}"}).status_code == 401
        assert "media-key" not in stranger.get("/").headers
        body = {"kind": "add", "text": "Anna"}
        done = stranger.post(f"/api/videos/{video}/verdicts?key={key}", json=body)
        assert done.status_code == 403


def test_every_answer_forbids_scripts_of_others(world: World) -> None:
    key = world.ids()["dog.mp4"]
    for path in ("/", "/api/search", "/static/main.js", f"/media/{key}", "/nothing", "/api/search?k=0"):
        headers = world.client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_page_itself_holds_no_script_no_style_and_no_other_address() -> None:
    page = (app_module.STATIC / "index.html").read_text(encoding="utf-8")
    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == page.count('<script type="module" src="/static/')
    for path in app_module.STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "https://" not in text
        assert text.count("http://") == text.count("http://www.w3.org/2000/svg")
        if path.suffix == ".js":
            for word in (
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ):
                assert word not in text, f"{path.name}: {word}"


@pytest.mark.parametrize(
    "path",
    [
        "/api/search?k=1000000000",
        "/api/search?k=-1",
        "/api/search?k=1e3",
        "/api/search?k=٣",
        "/api/search?q=" + "a" * 501,
        "/api/search?q=" + "a" * 5000,
        "/api/search?nonsense=1",
        "/api/search?k=1&k=2",
        "/api/search?modality=smell",
        "/api/search?after=yesterday",
        "/api/search?longer=NaN",
        "/api/search?" + "&".join(["tag=a"] * 40),
        "/api/search?tag=%20",
    ],
)
def test_what_is_beyond_a_bound_is_refused_in_a_sentence(world: World, path: str) -> None:
    done = world.client.get(path)
    assert done.status_code == 400
    assert len(done.json()["error"]) > 10


@pytest.mark.parametrize(
    "query", ['" OR *', "NEAR(a b)", "dog AND NOT", "a\0b", "*", '"""', "col:x", "-dog", "(", "🐕", "\ud800"]
)
def test_nothing_in_a_query_is_syntax(world: World, query: str) -> None:
    done = world.client.get("/api/search", params={"q": query.encode("utf-8", "replace").decode()})
    assert done.status_code == 200


def test_an_address_as_a_query_is_only_words(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        port = trap.getsockname()[1]
        done = world.client.get("/api/search", params={"q": f"http://127.0.0.1:{port}/picture.jpg"})
        assert done.status_code == 200
        with pytest.raises(TimeoutError):
            trap.accept()


def test_bodies_are_small_json_objects(world: World) -> None:
    path = f"/api/videos/{world.ids()['dog.mp4']}/verdicts"
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    for body, status in (
        (b"{" * 3000, 400),
        (b"x" * 10_000, 413),
        (b"[]", 400),
        (b'{"kind": "add", "text": "x", "more": 1}', 400),
        (b'{"kind": "add", "text": ["x"]}', 400),
        (b'{"kind": "add", "text": "x", "start": true}', 400),
        (b'{"kind": "add", "text": "x", "start": NaN}', 400),
        (b'{"kind": "add", "text": "\\u0000 \\u200b"}', 400),
        (b'{"kind": "burn", "text": "x"}', 400),
        (b"\xff\xfe", 400),
    ):
        assert world.client.post(path, content=body, headers=headers).status_code == status, body[:40]
    assert world.catalog.verdicts.all() == []


@pytest.mark.parametrize(
    "key",
    [
        "..%2f..%2fetc%2fpasswd",
        "../../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%2fetc%2fpasswd",
        "....//etc/passwd",
        "1",
        "0" * 20,
        "x2e2e2f",
        "x" + "f" * 400,
        "x" + "f" * 401,
        "a" * 19 + "%00",
    ],
)
def test_only_ids_name_videos(world: World, key: str) -> None:
    for path in (
        f"/media/{key}",
        f"/strips/{key}",
        f"/previews/{key}",
        f"/api/videos/{key}",
        f"/static/{key}",
    ):
        done = world.client.get(path)
        assert done.status_code in (400, 404)
        assert b"root:" not in done.content


def test_files_that_lead_out_or_were_swapped_are_not_served(tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"secret")
    with pages.world(tmp_path / "library") as world:
        ids, folder = world.ids(), world.folder
        original = (folder / "dog.mp4").read_bytes()

        (folder / "talk.mp4").unlink()
        (folder / "talk.mp4").symlink_to(outside)
        done = world.client.get(f"/media/{ids['talk.mp4']}")
        assert done.status_code == 404
        assert "out of the library" in done.json()["error"]

        (folder / "sign.mp4").unlink()
        os.mkfifo(folder / "sign.mp4")
        assert world.client.get(f"/media/{ids['sign.mp4']}").status_code == 404

        (folder / "dog.mp4").write_bytes(b"x" * len(original))  # another content of the same size
        assert world.client.get(f"/media/{ids['dog.mp4']}").status_code == 404
        (folder / "dog.mp4").write_bytes(original)  # the same content at another time
        assert world.client.get(f"/media/{ids['dog.mp4']}").content == original

        (folder / "dog.mp4").rename(folder / "kept.mp4")  # a link within the library stays a video of it
        (folder / "dog.mp4").symlink_to(folder / "kept.mp4")
        assert world.client.get(f"/media/{ids['dog.mp4']}").content == original


def test_too_much_at_once_is_turned_away_and_then_served_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = ConcurrencyLimit(1, 1)
    with gate.entered(), gate.entered():
        with pytest.raises(app_module.Problem) as refused, gate.entered():
            pass
        assert refused.value.status == 429
    with gate.entered():
        pass
    monkeypatch.setattr(
        app_module,
        "concurrency_limits",
        lambda: {k: ConcurrencyLimit(1, 0) for k in ("api", "picture", "media")},
    )
    with pages.page_over(world.catalog) as (_, client):

        async def storm() -> list[int]:
            import httpx

            transport = httpx.ASGITransport(client.app)  # type: ignore[arg-type]
            codes: list[int] = []
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as asker:

                async def one() -> None:
                    codes.append((await asker.get("/api/search")).status_code)

                async with anyio.create_task_group() as group:
                    for _ in range(30):
                        group.start_soon(one)
            return codes

        codes = anyio.run(storm)
        assert set(codes) == {200, 429}
        assert client.get("/api/search").status_code == 200


def test_who_dawdles_is_hung_up_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT", 0.4)
    with pages.served(world.catalog) as address:
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port)) as line:  # type: ignore[arg-type]
            line.settimeout(10)
            line.sendall(b"GET / HTTP/1.1\r\nHost: ")
            with contextlib.suppress(OSError):
                for _ in range(50):
                    line.sendall(b"x")
                    time.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                assert line.recv(10) == b""
        with socket.create_connection((parts.hostname, parts.port)) as line:  # type: ignore[arg-type]
            line.settimeout(10)
            line.sendall(f"GET /api/progress HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            assert line.recv(12) == b"HTTP/1.1 200"


def test_serve_refuses_an_address_that_others_reach_without_a_token(tmp_path: Path) -> None:
    with fakes.library(tmp_path, {"a.mp4": {}}):
        pass
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        done = CliRunner().invoke(cli, ["serve", "--library", str(tmp_path), "--host", host])
        assert done.exit_code == 2
        assert "--token" in done.output
    done = CliRunner().invoke(cli, ["serve", "--library", str(tmp_path), "--token", "short"])
    assert done.exit_code == 2


def test_serve_says_what_is_missing(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["serve", "--library", str(tmp_path)])
    assert done.exit_code == 1
    assert "tagline tag" in done.output


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send there")
def test_serve_prints_one_line_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    import signal
    import urllib.request

    with fakes.library(tmp_path, {"a.mp4": {}}):
        pass
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tagline",
            "serve",
            "--library",
            str(tmp_path),
            "--port",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            address = line.split()[3]
            with urllib.request.urlopen(address, timeout=20) as answer:
                assert b"<title>tagline</title>" in answer.read()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
        assert (process.returncode, out, err.strip()) == (130, "", "interrupted")
