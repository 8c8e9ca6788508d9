"""Pools and sources: claims that survive a lost node, what is listed and what is refused, the watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.tagging.pipeline.walk import content_hash
from tagline.tagging.ray import ClusterError, pools
from tagline.tagging.ray.connection import Node
from tagline.tagging.ray.run import with_timeout
from tagline.tagging.ray.sources import FetchError, VideoSource, fetch, from_text, list_sources, to_text

EXPERTS = ("object", "scene", "speech")

nodes = st.lists(
    st.builds(Node, st.integers(1, 64).map(float), st.integers(0, 8).map(float)), min_size=1, max_size=20
)


@given(nodes, st.sampled_from(["cpu", "cuda"]))
def test_every_actor_and_a_task_more_fit_on_what_is_left(machines: list[Node], device: str) -> None:
    made = pools.plan_pools(EXPERTS, machines, device=device)
    cpus = sorted(node.cpus for node in machines)
    left = sum(cpus[:-1]) if len(cpus) > 1 else cpus[0]
    claimed = sum(pool.size * pool.cpus for pool in made)
    assert claimed <= max(left - 1, left / 2) + 1e-9
    assert all(pool.size >= 1 and pool.cpus > 0 for pool in made)
    assert [pool.name for pool in made] == [pools.READ, *EXPERTS]
    gpus = sorted(node.gpus for node in machines)
    assert sum(pool.size * pool.gpus for pool in made) <= sum(gpus[:-1]) + (gpus[0] if len(gpus) == 1 else 0)


@given(nodes)
def test_there_is_an_actor_for_every_cpu(machines: list[Node]) -> None:
    made = pools.plan_pools(EXPERTS, machines)
    assert sum(pool.size for pool in made) == max(len(made), int(sum(node.cpus for node in machines)))


def test_pools_follow_what_stages_cost() -> None:
    made = pools.plan_pools(
        EXPERTS, [Node(20.0)] * 2, seconds={"object": 1.0, "scene": 1.0, "speech": 8.0, "read": 2.0}
    )
    sizes = {pool.name: pool.size for pool in made}
    assert sizes["speech"] > 3 * sizes["object"] >= 3
    assert max(sizes.values()) / min(sizes.values()) <= 8


def test_a_person_may_choose_pools() -> None:
    made = pools.plan_pools(EXPERTS, [Node(8.0)], chosen=pools.parse_pools(["speech=3x2", "read=2"]))
    assert {p.name: (p.size, p.batch) for p in made if p.name in ("speech", "read")} == {
        "speech": (3, 2),
        "read": (2, 4),
    }
    for wrong in ("speech", "speech=", "speech=0", "speech=2x", "=3", "speech=-1"):
        with pytest.raises(ClusterError, match="--pool wants"):
            pools.parse_pools([wrong])
    with pytest.raises(ClusterError, match="the stages are read, object"):
        pools.plan_pools(EXPERTS, [Node(8.0)], chosen=pools.parse_pools(["smell=3"]))


def test_the_watch_speaks_up_and_gives_up() -> None:
    said: list[str] = []
    over = threading.Event()

    def stuck() -> Iterator[int]:
        yield 1
        over.wait(20)

    with pytest.raises(ClusterError, match="nothing has moved"):
        list(with_timeout(stuck(), 0.2, said.append))
    over.set()
    assert len(said) == 1
    assert list(with_timeout(iter(range(5)), 5, said.append)) == [0, 1, 2, 3, 4]

    def broken() -> Iterator[int]:
        yield 1
        raise ClusterError("the weights are others")

    with pytest.raises(ClusterError, match="others"):
        list(with_timeout(broken(), 5, said.append))


# -- sources -------------------------------------------------------------------------------------------


def test_folders_lists_and_files_are_listed_once(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mkv", "notes.txt", "deep/c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    wish = tmp_path / "wanted.list"
    wish.write_text("# mine\n\na.mp4\ndeep\nnot-there.mp4\n")
    found = list_sources([str(wish), str(tmp_path)])
    assert [Path(source.url).name for source in found.sources] == ["a.mp4", "c.mp4", "b.mkv"]
    assert [trouble for trouble in found.troubles if "not-there.mp4" in trouble]
    assert not any(source.remote for source in found.sources)


def test_addresses_of_a_list_are_listed(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="reading from web servers is an extra")
    wish = tmp_path / "wanted.list"
    wish.write_text("https://example.org/x.mp4\n")
    (found,) = list_sources([str(wish)]).sources
    assert (Path(found.url).name, found.remote) == ("x.mp4", True)


@pytest.mark.parametrize(
    "address",
    [
        "simplecache::s3://bucket/x.mp4",
        "ftp://host/x.mp4",
        "reference://x",
        "github://owner:repo@/x.mp4",
        "http://a::file:///etc/passwd",
    ],
)
def test_odd_addresses_are_refused(address: str) -> None:
    with pytest.raises(ClusterError, match="no address that is read here"):
        list_sources([address])


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_any_path_survives_a_table(name: bytes) -> None:
    import os

    path = "/" + os.fsdecode(name)
    text = to_text(path)
    assert text.encode("utf-8")
    assert from_text(text) == path


class _Server(BaseHTTPRequestHandler):
    def __init__(self, asked: list[str], *rest: object) -> None:
        self.asked = asked
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/away.mp4":
            self.send_response(302)
            self.send_header("Location", "/secret.mp4")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = b"film" * 50_000
        self.send_response(200 if self.path.startswith("/film") or self.path == "/secret.mp4" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Server, asked)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_video_on_a_web_server_is_fetched_and_the_copy_deleted(
    web: tuple[str, list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp", reason="http:// needs aiohttp")
    (tmp_path / "same.mp4").write_bytes(b"film" * 50_000)
    with fetch(VideoSource(f"{web[0]}/film.mp4"), str(tmp_path)) as (path, digest):
        assert path.read_bytes() == b"film" * 50_000
        assert digest == content_hash(str(tmp_path / "same.mp4"))
    assert not path.exists()
    with pytest.raises(FetchError, match="cannot be fetched"), fetch(VideoSource(f"{web[0]}/gone.mp4")):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["same.mp4"]


def test_a_redirection_is_not_followed(web: tuple[str, list[str]], tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="http:// needs aiohttp")
    with pytest.raises(FetchError, match="redirect"), fetch(VideoSource(f"{web[0]}/away.mp4"), str(tmp_path)):
        pass
    assert "/secret.mp4" not in web[1]


def test_a_file_that_changed_since_it_was_listed_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    [source] = list_sources([str(path)]).sources
    time.sleep(0.01)
    path.write_bytes(b"other")
    with pytest.raises(FetchError, match="changed"), fetch(source):
        pass
