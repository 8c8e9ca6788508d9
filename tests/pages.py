"""The page over a small library of stand-ins or of real films, for the tests of the web."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import fakes
from filming import Film, shoot
from starlette.testclient import TestClient

from tagline.experts.footage import Coverage, Footage, Sampling, Uniform
from tagline.experts.panel import Panel
from tagline.experts.tags import Modality, Report, Sighting, Tag, Word
from tagline.retrieval.web.api.state import AppState
from tagline.retrieval.web.app import build
from tagline.retrieval.web.auth import auth_settings
from tagline.tagging.catalog.location import catalog_home
from tagline.tagging.catalog.records import Look, Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run

TOKEN = "a token for the tests"
VIDEOS = {
    "dog.mp4": {
        "tags": {"object": ["dog", ("cat", 0.4, 2.0, 4.0)], "scene": ["beach"]},
        "created": "2021-05-01",
    },
    "talk.mp4": {
        "tags": {"object": ["cat"]},
        "words": "we speak about space telescopes",
        "created": "2023-01-07",
    },
    "sign.mp4": {"tags": {"screen": ["exit"], "scene": [("beach", 0.5, 1.0, 3.0)]}, "duration": 75.0},
}


@dataclass
class World:
    """A library with its page. `client` shows the token as the page does."""

    folder: Path
    catalog: Catalog
    desk: AppState
    client: TestClient

    def ids(self) -> dict[str, str]:
        """name: the id on the page"""
        return {hit["name"]: hit["id"] for hit in self.client.get("/api/search?k=100").json()["hits"]}

    def decide(self, key: str, **verdict: Any) -> Any:
        return self.client.post(
            f"/api/videos/{key}/verdicts", json=verdict, headers={"origin": "http://testserver"}
        )


@contextlib.contextmanager
def world(folder: Path, videos: Mapping[str, Mapping[str, Any]] = VIDEOS, **keys: Any) -> Iterator[World]:
    with fakes.library(folder, videos) as catalog, page_over(catalog, **keys) as (desk, client):
        yield World(folder, catalog, desk, client)


@contextlib.contextmanager
def page_over(catalog: Catalog, *, open_reading: bool = True) -> Iterator[tuple[AppState, TestClient]]:
    """The page of a catalog, asked in this process."""
    assert catalog.file is not None
    with contextlib.closing(AppState(catalog_home(catalog.file), jobs=1)) as desk:
        keys = auth_settings(["testserver"], 80, TOKEN, open_reading=open_reading)
        client = TestClient(
            build(desk, keys, "0"),
            base_url="http://testserver",
            headers={"authorization": f"Bearer {TOKEN}"},
            raise_server_exceptions=False,
        )
        yield desk, client


@contextlib.contextmanager
def served(catalog: Catalog, *, open_reading: bool = True) -> Iterator[str]:
    """The page of a catalog on a real socket; gives the address to open."""
    import asyncio

    import uvicorn

    from tagline.retrieval.web.server import TimeoutProtocol, listen

    assert catalog.file is not None
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    with contextlib.closing(AppState(catalog_home(catalog.file), jobs=1)) as desk:
        app = build(desk, auth_settings(["127.0.0.1"], port, TOKEN, open_reading=open_reading), "0")
        server = uvicorn.Server(
            uvicorn.Config(
                app, http=TimeoutProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1
            )
        )
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}/#token={TOKEN.replace(' ', '%20')}"
        finally:
            server.should_exit = True
            thread.join(10)
            listening.close()


class Looker:
    """An expert that says of every film what it was told to say, as often as it is run."""

    name: ClassVar[str] = "looker"
    modality = Modality.OBJECT
    needs: tuple[Sampling, ...] = (Uniform(2, side=32),)

    def __init__(self, version: str = "1") -> None:
        self.version = version

    def missing(self) -> str | None:
        return None

    def fingerprint(self) -> str:
        return hashlib.sha256(self.version.encode()).hexdigest()

    def load(self, device: str) -> None:
        pass

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [self._look(footage) for footage in batch]

    def _look(self, footage: Footage) -> Report:
        name = Path(footage.path).stem
        said = {"corner": ("bright corner", 0.9, 0.0, 2.0), "bar": ("moving bar", 0.6, 1.0, 2.0)}
        tags = [
            Tag(*said[word][:1], self.modality, *said[word][1:], self.name, best=said[word][2])
            for word in said
        ]
        sightings = [Sighting(tag.text, tag.score, tag.start, (0.0, 0.0, 0.33, 0.33)) for tag in tags]
        words = [
            Word(word, i * 0.5, i * 0.5 + 0.4, 0.9)
            for i, word in enumerate(f"this is {name} speaking".split())
        ]
        return Report(tags=tags, sightings=sightings, words=words)


def films(folder: Path, kinds: Mapping[str, Film]) -> Catalog:
    """Real films and their catalog, made by a real run."""
    for name, film in kinds.items():
        shoot(folder / name, film)
    catalog = Catalog.open(folder)
    look_again(catalog, "1")
    return catalog


def look_again(catalog: Catalog, version: str) -> None:
    """Run another version of the expert over everything."""
    made = plan(catalog, [catalog.root], [Looker(version)])
    assert made.jobs
    run(made, Panel(made.experts, jobs=1))


def look(tags: Sequence[Tag], expert: str = "object") -> Look:
    """What an expert may say, for a catalog that is filled by hand."""
    return Look(expert, Modality.OBJECT, "1", "f" * 64, Report(tags=list(tags)), coverage=Coverage(1, 1))


def place(path: Path) -> Place:
    facts = path.stat()
    return Place(str(path), facts.st_size, facts.st_mtime_ns)
