"""What a folder names is not asked: models of the hub and servers need the user's own word, by name."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import hub
import numpy as np
import pytest
from click.testing import CliRunner, Result
from embedding import use_fake_embedder
from safetensors.numpy import save_file

from tagline.retrieval.cli.main import cli
from tagline.retrieval.embed.search_model import CHOICE, SearchModel
from tagline.tagging.catalog.write import Catalog

ROOT = Path(__file__).parent.parent
MODEL = "someone/table-model"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[hub.Place]:
    """A hub that has nothing and writes down who asked."""
    with hub.serve() as server:
        yield server


@pytest.fixture
def online(place: hub.Place, tmp_path: Path) -> Any:
    """A command in a process of its own, with a token for the hub and an empty cache."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TAGLINE_"))}
    env = {
        **known,
        "HF_ENDPOINT": place.url,
        "HF_TOKEN": "hf_secret",
        "HF_HOME": str(tmp_path / "hf"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def command(*arguments: object) -> str:
        line = [sys.executable, "-m", "tagline", *map(str, arguments)]
        done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    return command


def library(folder: Path, model: str) -> Path:
    """A library whose catalog says that its vectors were made by this TABLE model."""
    with fakes.library(folder, {"dog.mp4": {"tags": {"object": ["dog"]}}}) as catalog:
        catalog.set_meta(CHOICE, SearchModel("table", model, "f" * 64).as_json())
    return folder


# ---- models of the hub


@pytest.mark.timeout(300)
def test_a_model_that_only_the_catalog_names_is_not_asked_for(
    online: Any, place: hub.Place, films: Path
) -> None:
    library(films, MODEL)
    said = online("search", "dog", "--library", films)
    assert place.asked == []
    assert f"tagline approve {MODEL}" in said
    assert "dog.mp4" in said  # words are found without the model
    # The user's word is kept outside the folder, and then the hub is asked.
    online("approve", MODEL)
    online("search", "dog", "--library", films)
    assert any(MODEL in path for _, path, _ in place.asked)


@pytest.mark.timeout(300)
def test_settings_of_a_model_in_the_folder_do_not_reach_the_hub(
    online: Any, place: hub.Place, films: Path
) -> None:
    from tagline.table.config import ModelConfig
    from tagline.table.saving import CONFIG, KIND, VERSION, WEIGHTS
    from tagline.tagging.ml.config import as_dict

    folder = films / ".tagline" / "models" / "theirs"
    library(films, str(folder))
    folder.mkdir(parents=True)
    save_file({"a": np.zeros(3, np.float32)}, folder / WEIGHTS)
    settings = as_dict(ModelConfig(architecture="hf-hub:someone/clip"))
    (folder / CONFIG).write_text(json.dumps({"kind": KIND, "version": VERSION, "model": settings}))
    said = online("search", "dog", "--library", films)
    assert place.asked == []
    assert "hf-hub:someone/clip" in said


def test_what_open_clip_would_fetch_for_an_architecture_is_not_fetched(
    place: hub.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    from tagline.experts.clip import build_clip

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", place.url)
    with pytest.raises(OSError, match="offline mode"):
        build_clip("xlm-roberta-base-ViT-B-32")
    assert place.asked == []
    assert constants.HF_HUB_OFFLINE is False


def test_what_is_in_the_cache_is_used_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    from tagline.tagging.ml.config import BadConfig
    from tagline.tagging.ml.hub import folder_of

    def unreachable(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / f"models--{MODEL.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("c" * 40)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    names = ("config.json", "model.safetensors")
    # A half of it is not enough.
    with pytest.raises(BadConfig, match="tagline approve"):
        folder_of(MODEL, None, names, "tagline train table", BadConfig, needed=names)
    (snapshot / "model.safetensors").write_bytes(b"weights")
    assert folder_of(MODEL, None, names, "tagline train table", BadConfig, needed=names) == snapshot


# ---- servers


class Listener:
    """A port that counts who comes."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                self.socket.accept()[0].close()
            except OSError:
                return
            self.came += 1


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.socket.close()


@pytest.fixture
def milvus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does what pymilvus does first: it connects. Then it finds nobody."""

    class MilvusException(Exception):
        pass

    def client(address: str, token: str, timeout: float) -> Any:
        host, _, port = address.removeprefix("http://").partition(":")
        socket.create_connection((host, int(port)), timeout).recv(1)
        raise MilvusException("nobody answers")

    MilvusException.__module__ = "pymilvus"
    stand_in = types.ModuleType("pymilvus")
    stand_in.MilvusClient = client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pymilvus", stand_in)
    monkeypatch.setenv("TAGLINE_MILVUS_TOKEN", "secret")


def test_a_server_that_only_an_index_names_sees_no_connection(
    milvus: None, listener: Listener, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_embedder(monkeypatch, tmp_path / "cache")
    fakes.library(films, {"dog.mp4": {"tags": {"object": ["dog"]}}}).close()
    assert run("index", films).exit_code == 0
    address = f"http://127.0.0.1:{listener.port}"
    with Catalog.open(films) as catalog:
        choice = SearchModel.of_catalog(catalog)
    assert choice is not None
    head = {"tagline": "index in milvus", "format": 1, "address": address, "name": "x video"}
    head |= {"fingerprint": choice.fingerprint, "dimensions": 64, "revision": 1}
    for level in ("video", "span"):
        (films / ".tagline" / "search" / f"{level}.milvus.json").write_text(json.dumps(head))
    answer = run("search", "dog", "--library", films)
    assert listener.came == 0
    assert f"tagline approve {address}" in answer.output
    assert "dog.mp4" in answer.output
    # The user's own word, on the command line, is an approval.
    assert "nobody answers" in run("index", films, "--milvus", address).output
    assert listener.came == 1
    assert address in run("approve").output.split()
    assert run("approve", "--forget", address).exit_code == 0
    assert run("approve").output == ""
    assert run("approve", "--forget", address).exit_code == 4


def test_a_bucket_that_only_an_index_in_pieces_names_is_not_asked(listener: Listener) -> None:
    from tagline.retrieval.cli.ray import _rows
    from tagline.retrieval.ray.index_shard import ShardedIndex
    from tagline.tagging.ray import ClusterError

    url = f"http://127.0.0.1:{listener.port}/shards"
    with pytest.raises(ClusterError, match=f"tagline approve {url}"):
        _rows(ShardedIndex("f" * 64, "scene", 4, 1, 1, ("shard-00000",), url), [], [])
    assert listener.came == 0


# ---- the names


def test_a_name_must_be_one(tmp_path: Path) -> None:
    for name in ("", "a\nb", "x" * 2000):
        answer = run("approve", name)
        assert answer.exit_code == 1
        assert "is no name" in answer.output
    assert run("approve").output == ""


def test_a_file_of_names_that_is_damaged_approves_nothing() -> None:
    from tagline.tagging.catalog import approvals

    approvals.approve(MODEL)
    assert approvals.is_approved(MODEL)
    for content in ("{", "[]", '{"approved": 3}', '{"approved": [3]}'):
        approvals.file().write_text(content)
        assert approvals.approved() == []
