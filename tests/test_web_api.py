"""What the page asks its server: hits and counts, one video, evidence, verdicts, the queue, files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import fakes
import pages
import pytest
from filming import Film
from pages import VIDEOS, World

from tagline.retrieval.web.api.cache import MediaCache
from tagline.tagging.catalog.lock import only_writer


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with pages.world(tmp_path) as world:
        yield world


def names(answer: dict) -> list[str]:  # type: ignore[type-arg]
    return [hit["name"] for hit in answer["hits"]]


def test_a_query_finds_the_moment_and_says_why(world: World) -> None:
    found = world.client.get("/api/search", params={"q": "cat"}).json()
    assert names(found) == ["talk.mp4", "dog.mp4"]
    hit = found["hits"][1]
    assert (hit["start"], hit["end"]) == (2.0, 4.0)
    assert hit["why"] == [{"text": "cat", "kind": "object", "start": 2.0, "end": 4.0, "score": 0.4}]
    assert str(world.folder) not in json.dumps(found), "no path leaves the house"
    assert world.client.get("/api/search", params={"q": "submarine"}).json()["total"] == 0


def test_without_a_query_all_videos_are_there_the_newest_first(world: World) -> None:
    found = world.client.get("/api/search").json()
    assert names(found) == ["talk.mp4", "dog.mp4", "sign.mp4"]
    assert names(world.client.get("/api/search?k=1&offset=1").json()) == ["dog.mp4"]


def test_filters_narrow_and_their_counts_say_how_much_is_left(world: World) -> None:
    def ask(query: str) -> list[str]:
        return sorted(names(world.client.get(f"/api/search?{query}").json()))

    facets = world.client.get("/api/search").json()["facets"]
    for modality in facets["modality"]:
        assert len(ask(f"modality={modality['value']}")) == modality["count"]
    for tag in facets["tag"]:
        assert len(ask(f"tag={tag['modality']}:{tag['text']}")) == tag["count"]
    for length in facets["length"]:
        upper = f"&shorter={length['shorter']}" if length["shorter"] else ""
        assert len(ask(f"longer={length['longer']}{upper}")) == length["count"]
    for year in facets["year"]:
        until = int(year["value"]) + 1
        assert len(ask(f"after={year['value']}-01-01&before={until}-01-01")) == year["count"]
    assert ask("tag=object:cat") == ["dog.mp4", "talk.mp4"]
    assert ask("tag=cat&not=beach") == ["talk.mp4"]
    assert ask("q=cat&not=object:dog") == ["talk.mp4"]
    assert ask("q=space&modality=speech") == ["talk.mp4"]
    assert ask("q=space&modality=object") == []
    assert ask("q=beach&longer=60") == ["sign.mp4"]
    assert ask("q=cat&after=2022-01-01") == ["talk.mp4"]


def test_one_video_with_its_lanes_transcript_and_evidence(world: World) -> None:
    key = world.ids()["talk.mp4"]
    video = world.client.get(f"/api/videos/{key}").json()
    assert [lane["modality"] for lane in video["lanes"]] == ["object"]
    words = [word["text"] for line in video["transcript"] for word in line["words"]]
    assert words == "we speak about space telescopes".split()
    evidence = world.client.get(f"/api/videos/{key}/evidence?modality=object&text=cat").json()
    assert [(one["expert"], one["text"]) for one in evidence["experts"]] == [("object", "cat")]
    assert evidence["sightings"] == [{"time": 0.0, "score": 0.9, "box": [0.25, 0.25, 0.5, 0.5]}]
    missing = world.client.get(f"/api/videos/{key}/coverage").json()["not_looked_at"]
    assert any(one["expert"] == "person" for one in missing)


def test_verdicts_are_the_catalogs_and_can_be_taken_back(world: World) -> None:
    key = world.ids()["dog.mp4"]
    [number] = [v.id for v in world.catalog.videos() if v.paths[0].endswith("dog.mp4")]
    done = world.decide(key, kind="reject", text="cat", modality="object").json()
    assert "cat" not in [tag.text for tag in world.catalog.tags(number)]
    assert done["video"]["rejected"] == [{"modality": "object", "text": "cat"}]
    assert names(world.client.get("/api/search?q=cat").json()) == ["talk.mp4"]
    assert names(world.client.get("/api/search?tag=cat").json()) == ["talk.mp4"], "the counts are of now"

    accepted = world.decide(key, kind="accept", text="dog", modality="object").json()
    [row] = [row for lane in accepted["video"]["lanes"] for row in lane["rows"] if row["text"] == "dog"]
    assert (row["by"], row["score"]) == ("person", 1.0)
    added = world.decide(key, kind="add", text="Anna", start=1.0, end=2.5).json()
    spans = [
        s
        for lane in added["video"]["lanes"]
        if lane["modality"] == "human"
        for r in lane["rows"]
        for s in r["spans"]
    ]
    assert [(span["start"], span["end"]) for span in spans] == [(1.0, 2.5)]

    headers = {"origin": "http://testserver"}
    stale = world.client.post("/api/undo", json={"act": done["act"]}, headers=headers)
    assert stale.status_code == 409, "the last decision is another one"
    for act in (added["act"], accepted["act"], done["act"]):
        assert world.client.post("/api/undo", json={"act": act}, headers=headers).status_code == 200
    assert world.catalog.verdicts.all() == []
    assert "cat" in [tag.text for tag in world.catalog.tags(number)]
    assert world.decide(key, kind="reject", text="unicorn").status_code == 404
    assert world.decide(key, kind="add", text="late", start=50.0).status_code == 400


def test_the_queue_begins_with_what_is_least_sure_and_forgets_what_was_judged(world: World) -> None:
    queue = world.client.get("/api/review").json()
    assert {(tag["text"], tag["score"]) for tag in queue["tags"][:2]} == {("cat", 0.4), ("beach", 0.5)}
    before = queue["total"]
    first = queue["tags"][0]
    assert (
        world.decide(first["id"], kind="accept", text=first["text"], modality=first["modality"]).status_code
        == 200
    )
    queue = world.client.get("/api/review").json()
    assert queue["total"] == before - 1
    assert (first["id"], first["text"]) not in [(tag["id"], tag["text"]) for tag in queue["tags"]]
    assert {tag["modality"] for tag in world.client.get("/api/review?modality=scene").json()["tags"]} == {
        "scene"
    }


def test_similar_videos_share_tags_and_say_which(world: World) -> None:
    ids = world.ids()
    found = world.client.get(f"/api/videos/{ids['dog.mp4']}/similar").json()
    assert names(found) == ["talk.mp4", "sign.mp4"]
    assert [[one["text"] for one in hit["why"]] for hit in found["hits"]] == [["cat"], ["beach"]]


def test_tags_are_suggested_from_their_beginning(world: World) -> None:
    tags = world.client.get("/api/tags?q=b").json()["tags"]
    assert tags == [{"modality": "scene", "text": "beach", "count": 2}]


def test_progress_knows_of_a_run_without_getting_in_its_way(world: World) -> None:
    def progress() -> dict:  # type: ignore[type-arg]
        return world.client.get("/api/progress").json()  # type: ignore[no-any-return]

    assert progress()["running"] is False
    assert progress()["videos"] == 3
    assert {one["expert"]: one["videos"] for one in progress()["experts"]}["object"] == 3
    import subprocess
    import sys

    program = (
        "import sys\nfrom tagline.tagging.catalog.lock import only_writer\n"
        "from tagline.tagging.catalog.write import Catalog\n"
        "with Catalog.open(sys.argv[1]) as c, only_writer(c):\n"
        "    print('held', flush=True)\n    sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(world.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert progress()["running"] is True
        process.communicate("\n", timeout=20)
    assert progress()["running"] is False
    with only_writer(world.catalog):  # asking has taken no lock
        pass


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        (None, 200, slice(None)),
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=5-", 206, slice(5, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=9-3", 200, slice(None)),
        ("nonsense", 200, slice(None)),
    ],
)
def test_files_come_in_ranges(world: World, header: str | None, status: int, body: slice) -> None:
    data = (world.folder / "dog.mp4").read_bytes()
    address = f"/media/{world.ids()['dog.mp4']}"
    answer = world.client.get(address, headers={"range": header} if header else {})
    assert (answer.status_code, answer.content) == (status, data[body])
    assert answer.headers["content-type"] == "video/mp4"
    if status == 206:
        first = len(data[: body.start]) if (body.start or 0) >= 0 else len(data) + body.start
        last = first + len(answer.content) - 1
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"


def test_several_ranges_none_and_known_files(world: World) -> None:
    data = (world.folder / "dog.mp4").read_bytes()
    address = f"/media/{world.ids()['dog.mp4']}"
    several = world.client.get(address, headers={"range": "bytes=0-3,10-12"})
    assert several.status_code == 206
    boundary = several.headers["content-type"].partition("boundary=")[2]
    bodies = [
        part.partition(b"\r\n\r\n")[2][:-2] for part in several.content.split(f"--{boundary}".encode())[1:-1]
    ]
    assert bodies == [data[0:4], data[10:13]]
    none = world.client.get(address, headers={"range": f"bytes={len(data)}-"})
    assert (none.status_code, none.headers["content-range"]) == (416, f"bytes */{len(data)}")
    tag = several.headers["etag"]
    assert world.client.get(address, headers={"if-none-match": tag}).status_code == 304
    assert world.client.get(address, headers={"range": "bytes=0-3", "if-range": '"old"'}).status_code == 200
    head = world.client.head(address)
    assert (head.content, int(head.headers["content-length"])) == (b"", len(data))


def test_texts_of_files_stay_texts(tmp_path: Path) -> None:
    evil = "<svg onload=alert(1)>"
    videos = {
        f"{evil}.mp4": {"title": f"{evil}\x1b[31m\u202e", "tags": {"screen": [evil]}, "words": f"{evil} said"}
    }
    with pages.world(tmp_path, videos) as world:
        [key] = world.ids().values()
        answer = world.client.get(f"/api/videos/{key}")
        assert answer.headers["content-type"] == "application/json"
        video = answer.json()
        assert video["name"] == f"{evil}.mp4"
        assert "\x1b" not in video["title"]
        assert "\u202e" not in video["title"]
        assert evil in [row["text"] for lane in video["lanes"] for row in lane["rows"]]


def test_strips_and_previews_are_made_once_and_always_of_one_kind(tmp_path: Path) -> None:
    catalog = pages.films(tmp_path, {"a": Film(count=40), "b": Film("mpeg4", ".avi", count=400, sound="mp2")})
    (tmp_path / "page.mp4").write_text("<html><script>alert(1)</script>")
    with catalog, pages.page_over(catalog) as (desk, client):
        ids = {hit["name"]: hit["id"] for hit in client.get("/api/search").json()["hits"]}
        strip = client.get(f"/strips/{ids['a.mp4']}")
        assert strip.headers["content-type"] == "image/jpeg"
        assert strip.content[:3] == b"\xff\xd8\xff"
        made = sorted(path.name for path in desk.cache.folder_path.iterdir())
        assert (
            client.get(
                f"/strips/{ids['a.mp4']}", headers={"if-none-match": strip.headers["etag"]}
            ).status_code
            == 304
        )
        assert sorted(path.name for path in desk.cache.folder_path.iterdir()) == made
        video = client.get(f"/api/videos/{ids['b.avi']}").json()
        assert video["direct"] is False
        part = client.get(f"/previews/{ids['b.avi']}?part=1", headers={"range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
        assert client.get(f"/previews/{ids['b.avi']}?part=9").status_code == 404
        # A file that is no video, but that the catalog knows: refused in words.
        key = hashlib.sha256((tmp_path / "page.mp4").read_bytes()).hexdigest()
        catalog.save(key, pages.place(tmp_path / "page.mp4"), facts=None, unreadable="is no video")
        refused = client.get(f"/strips/{key[:20]}")
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/json"


def test_a_shelf_keeps_to_its_bound_and_makes_once(tmp_path: Path) -> None:
    import os

    shelf = MediaCache(tmp_path / "shelf", max_bytes=1000)
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return name.encode().ljust(300, b".")

    def read(name: str) -> bytes:
        _, descriptor = shelf.get(name, lambda: make(name))
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    for number, name in enumerate("abc"):
        assert read(name) == make(name)
        made.pop()
        for path in (tmp_path / "shelf").iterdir():
            os.utime(path, (number, number)) if path.stat().st_mtime > 1e6 else None
    assert made == ["a", "b", "c"]
    read("d")
    assert shelf.size <= 1000
    read("d")
    assert made == ["a", "b", "c", "d"]
    read("a")
    assert made == ["a", "b", "c", "d", "a"], "the longest unused went first"
    with pytest.raises(ZeroDivisionError):
        shelf.get("e", lambda: bytes(1 // 0))
    assert not list((tmp_path / "shelf").glob("*.part"))
    assert MediaCache(tmp_path / "shelf", max_bytes=1000).size == shelf.size


def test_renamed_tags_are_found_under_their_new_name(tmp_path: Path) -> None:
    with fakes.library(tmp_path, VIDEOS) as catalog, pages.page_over(catalog) as (_, client):
        catalog.decide.rename("cat", "Mieze")
        tags = client.get("/api/search").json()["facets"]["tag"]
        assert ("object", "Mieze", 2) in [(t["modality"], t["text"], t["count"]) for t in tags]
        assert len(client.get("/api/search?tag=object:mieze").json()["hits"]) == 2
