"""Readers that stop in the middle of an answer: others are answered meanwhile, and they lose their places."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fakes
import pages
import pytest

from tagline.retrieval.web import server
from tagline.retrieval.web.api import media
from tagline.retrieval.web.api.contract import Problem
from tagline.retrieval.web.api.media import Streams
from tagline.tagging.catalog.write import Catalog

SIZE = 4 << 20  # bytes of the film: many times what the system holds of a connection
PROGRAM = """
import sys
from tagline.retrieval.cli.main import cli
from tagline.retrieval.web import server
server.STALL, server.MAX_CONNECTIONS, server.GIVES_WAY = float(sys.argv[1]), int(sys.argv[2]), 0.0
cli(["serve", "--library", sys.argv[3], "--port", "0"])
"""


@dataclass
class Serve:
    """`tagline serve` as a program, with one film."""

    port: int
    film: str

    def get(self, address: str, **headers: str) -> int:
        """The status of an answer that is read to its end, within a few seconds."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as asked:
            asked.request("GET", address, headers=headers)
            answer = asked.getresponse()
            answer.read()
            return answer.status

    def stalled(self, request: str) -> tuple[socket.socket, bytes]:
        """A connection that asks, reads twelve bytes and stops; and these bytes."""
        line = socket.socket()
        line.settimeout(20)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", self.port))
        line.sendall(f"GET {request} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        return line, line.recv(12)


@contextlib.contextmanager
def serve(folder: Path, stall: float, connections: int) -> Iterator[Serve]:
    path = fakes.write_video(folder / "film.mp4")
    with path.open("ab") as file:
        file.truncate(SIZE)
    with Catalog.open(folder) as catalog:
        catalog.save("ab" * 32, pages.place(path), facts=fakes.facts_of({}), looks=[pages.look([])])
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(stall), str(connections), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        try:
            found = re.search(r":(\d+)/", process.stdout.readline())
            assert found is not None
            yield Serve(int(found[1]), "ab" * 10)
        finally:
            process.kill()


def answers_others(page: Serve) -> None:
    """Everything but a whole film is there for everybody."""
    for address in ("/", "/static/main.js", "/api/search?q=dog", f"/api/videos/{page.film}"):
        assert page.get(address) == 200
    assert page.get(f"/media/{page.film}", Range="bytes=0-99") == 206


def taken(line: socket.socket) -> int:
    """How many more bytes come out of a connection until its end."""
    size = 0
    with contextlib.suppress(ConnectionError):
        while piece := line.recv(1 << 16):
            size += len(piece)
    return size


def test_hundreds_of_stalled_readers_take_places_from_nobody_but_each_other(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held, serve(tmp_path, stall=60.0, connections=200) as page:
        heads = Counter[bytes]()
        for _ in range(300):
            line, head = page.stalled(f"/media/{page.film}")
            held.enter_context(line)
            heads[head] += 1
        assert heads == {b"HTTP/1.1 200": media.STREAMS, b"HTTP/1.1 429": 300 - media.STREAMS}
        answers_others(page)
        assert page.get(f"/media/{page.film}") == 429


def test_who_reads_nothing_more_is_hung_up_on_and_the_places_are_free_again(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held, serve(tmp_path, stall=0.5, connections=200) as page:
        lines = [held.enter_context(page.stalled(f"/media/{page.film}")[0]) for _ in range(media.STREAMS)]
        time.sleep(2.0)
        assert page.get(f"/media/{page.film}") == 200
        assert all(taken(line) < SIZE for line in lines)


def test_who_reads_slowly_is_served_to_the_end(tmp_path: Path) -> None:
    with serve(tmp_path, stall=0.5, connections=200) as page:
        line, _ = page.stalled(f"/media/{page.film}")
        size = 0
        with line:
            begun = time.monotonic()
            while size < SIZE and (piece := line.recv(SIZE // 50)):
                size += len(piece)
                time.sleep(max(0.0, begun + 3.0 * size / SIZE - time.monotonic()))  # six times the bound
        assert size >= SIZE


@pytest.mark.parametrize("header", ["", "Range: bytes=1-"])
def test_a_file_that_shrinks_while_it_is_sent_breaks_its_connection(tmp_path: Path, header: str) -> None:
    with serve(tmp_path, stall=60.0, connections=200) as page:
        line, _ = page.stalled(f"/media/{page.film} HTTP/1.1\r\n{header or 'X: 1'}\r\nX:")
        with line:
            os.truncate(tmp_path / "film.mp4", SIZE // 2)
            assert SIZE // 4 < taken(line) < SIZE * 3 // 4


def test_where_all_connections_are_taken_one_that_stands_still_gives_way(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held, serve(tmp_path, stall=60.0, connections=40) as page:
        lines = [held.enter_context(page.stalled(f"/media/{page.film}")[0]) for _ in range(60)]
        answers_others(page)
        assert sum(taken(line) < SIZE for line in lines[:20]) == 20


def test_a_short_rest_that_nobody_reads_does_not_hold_its_connection(tmp_path: Path) -> None:
    """Many small answers in a row fill what the system holds; the last one is long since made."""
    with serve(tmp_path, stall=0.5, connections=200) as page:
        again = f"\r\nHost: 127.0.0.1:{page.port}\r\n\r\nGET /api/openapi.json HTTP/1.1"
        line, _ = page.stalled("/api/openapi.json HTTP/1.1" + 100 * again + "\r\nX: ")
        with line:
            time.sleep(2.0)
            assert taken(line) < 100 * 40_000


def test_one_address_of_many_does_not_take_every_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "STREAMS", 3)
    monkeypatch.setattr(media, "OF_ONE", 2)
    streams = Streams()
    with streams.place("10.0.0.2", "10.0.0.1"), streams.place("10.0.0.2", "10.0.0.1"):
        with pytest.raises(Problem) as refused, streams.place("10.0.0.2", "10.0.0.1"):
            pass
        assert refused.value.status == 429
        with streams.place("10.0.0.3", "10.0.0.1"), pytest.raises(Problem), streams.place("::1", "::1"):
            pass
    with contextlib.ExitStack() as own:  # the computer itself may have them all
        for _ in range(3):
            own.enter_context(streams.place("127.0.0.1", "127.0.0.1"))
    assert not streams.to
    assert server.STALL >= 20  # players that are paused read nothing for a while
