"""HTTP ranges of one file against plain slicing, and that it is always the file that was opened."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tagline.retrieval.web.api.media import CHUNK, MediaFile, Streams, respond

DATA = bytes(range(100))


@dataclass
class Sender:
    """One file, opened anew for each request."""

    path: Path
    streams: Streams = field(default_factory=Streams)
    opened: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = TestClient(Starlette(routes=[Route("/", self._answer)]))

    def _answer(self, request: Request) -> Response:
        self.opened.append(os.open(self.path, os.O_RDONLY))
        return respond(request, MediaFile(self.opened[-1], "video/mp4", "tag"), self.streams)

    def get(self, **headers: str) -> Response:
        return self.client.get("/", headers={name.replace("_", "-"): text for name, text in headers.items()})


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    path = tmp_path_factory.mktemp("media") / "a.mp4"
    path.write_bytes(DATA)
    sender = Sender(path)
    yield sender
    number = path.stat().st_ino
    for descriptor in sender.opened:
        with contextlib.suppress(OSError):  # closed, unless something else has its number by now
            assert os.fstat(descriptor).st_ino != number


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=0-", slice(0, 100)),
        ("bytes=90-200", slice(90, 100)),
        ("bytes=-10", slice(90, 100)),
        ("bytes=-1000", slice(0, 100)),
        ("Bytes=5-6", slice(5, 7)),
        ("bytes=0-5,3-9", slice(0, 10)),
    ],
)
def test_one_range(sender: Sender, header: str, body: slice) -> None:
    answer = sender.get(range=header)
    assert (answer.status_code, answer.content) == (206, DATA[body])
    assert answer.headers["content-range"] == f"bytes {body.start}-{body.stop - 1}/100"
    assert answer.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    "header",
    [
        "bytes=5-2",
        "bytes=0-1,5-2",
        "bytes=abc",
        "bytes=",
        "bytes=-",
        "bytes=1-2-3",
        "bytes=+1-2",
        "lines=0-1",
        "bytes",
        f"bytes={'9' * 5000}-",
        "bytes=" + ",".join(f"{i}-{i}" for i in range(0, 100, 5)),  # a storm of ranges
    ],
)
def test_a_header_that_is_not_well_formed_or_asks_too_much_is_ignored(sender: Sender, header: str) -> None:
    answer = sender.get(range=header)
    assert (answer.status_code, answer.content) == (200, DATA)


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0", "bytes=100-,200-"])
def test_what_lies_behind_the_end_cannot_be_satisfied(sender: Sender, header: str) -> None:
    answer = sender.get(range=header)
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == "bytes */100"


RANGE = st.tuples(st.one_of(st.none(), st.integers(0, 99)), st.integers(1, 130))


@given(st.lists(RANGE, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_bytes_are_those_that_slicing_gives(sender: Sender, specs: list[tuple[int | None, int]]) -> None:
    specs = [(a, b) if a is None or a <= b else (b, a) for a, b in specs]
    cuts = [DATA[-b:] if a is None else DATA[a : b + 1] for a, b in specs]
    answer = sender.get(range="bytes=" + ", ".join(f"{'' if a is None else a}-{b}" for a, b in specs))
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.status_code == 206
    kind, _, boundary = answer.headers["content-type"].partition("; boundary=")
    if not boundary:
        assert answer.content in DATA
        assert set(answer.content) == set(b"".join(cuts))
        return
    assert kind == "multipart/byteranges"
    parts = answer.content.split(f"--{boundary}".encode())
    assert parts[-1] == b"--"
    found = []
    for part in parts[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        first, last = map(int, re.findall(rb"Content-Range: bytes (\d+)-(\d+)/100", head)[0])
        assert body == DATA[first : last + 1] + b"\r\n"
        found += DATA[first : last + 1]
    assert set(found) == set(b"".join(cuts))
    assert len(found) == len(set(found)), "no byte is sent twice"


def test_who_knows_the_file_already_and_who_knew_another_one(sender: Sender) -> None:
    tag = sender.get().headers["etag"]
    assert sender.get(if_none_match=f'"other", {tag}').status_code == 304
    assert sender.get(if_none_match='"other"').content == DATA
    assert sender.get(range="bytes=0-3", if_range=tag).content == DATA[:4]
    assert sender.get(range="bytes=0-3", if_range='"other"').content == DATA
    head = sender.client.head("/", headers={"range": "bytes=0-3"})
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "100")


def test_the_file_that_was_opened_is_sent_even_if_another_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"verified")
    sender = Sender(path)

    def swapped(request: Request) -> Response:
        response = sender._answer(request)
        (tmp_path / "b.mp4").write_bytes(b"a stranger's")
        (tmp_path / "b.mp4").replace(path)
        return response

    client = TestClient(Starlette(routes=[Route("/", swapped)]))
    assert client.get("/").content == b"verified"


def test_only_bodies_of_more_than_one_chunk_take_a_place(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    path.write_bytes(b"x" * (3 * CHUNK))
    sender = Sender(path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tagline.retrieval.web.api.media.STREAMS", 0)
        refused = sender.get()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "error" in refused.json()
        assert sender.get(range=f"bytes=0-{CHUNK}").status_code == 429
        assert sender.get(range=f"bytes=0-{CHUNK - 1}").status_code == 206
        assert sender.client.head("/").headers["content-length"] == str(3 * CHUNK)
    assert len(sender.get().content) == 3 * CHUNK
    assert not sender.streams.to
