"""A world for pulling weights: a table of three small entries, and the hub that has what they name."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hub
import pytest
import torch
from safetensors.torch import save

from tagline.experts.weights import convert, fetch, pull, registry
from tagline.experts.weights.registry import WeightsEntry

COMMIT = "c" * 40
STATE = "files.example/state.pth"
LISTENER = "files.example/tiny.pt"


def pickled(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def noise(count: int) -> Any:
    return torch.rand(count, generator=torch.Generator().manual_seed(1))


TENSORS = {"layer.weight": noise(6000).reshape(60, 100), "steps": torch.tensor(3)}
CHECKPOINT = pickled({"model_state": TENSORS, "epoch": 3})
REPOSITORY = {
    "config.json": b'{"model_type": "vit", "hidden_size": 4}',
    "model.safetensors": save({"a": noise(20_000)}),
}


def entry(name: str, expert: str, **facts: Any) -> WeightsEntry:
    facts = {"files": ("config.json", "model.safetensors"), "form": "safetensors", **facts}
    licence, size = facts.pop("licence", "MIT"), facts.pop("size", 60_000)
    return WeightsEntry(name, ((expert, "only"),), registry.PUBLIC, licence, size, **facts)


ENTRIES = (
    entry("state", "motion", url=f"https://{STATE}", form="state"),
    entry("listener", "speech", url=f"https://{LISTENER}", form="whisper", licence="AGPL-3.0"),
    entry("picture", "scene", hub="some/picture", revision="main"),
)


def without_a_child(source: Path, folder: Path, form: str, name: str) -> None:
    """Starting a process that loads torch takes seconds; tests of the child itself ask for `child`."""
    with (
        source.open("rb") as pickle,
        (folder / "config.json").open("wb") as config,
        (folder / "model.safetensors").open("wb") as model,
    ):
        convert.write(convert.READERS[form](pickle, name), config, model)


@contextmanager
def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Place]:
    """A user with nothing, a table of three small entries, and a world that consists of one server."""
    for variable in ("TAGLINE_WEIGHTS", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HF_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(folder / variable))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(registry, "_public", lambda: ENTRIES)
    monkeypatch.setattr(registry, "PLAYHOUSE_FOLDER", folder / "no shelf")
    monkeypatch.setattr(fetch, "PAUSE", 0.001)
    monkeypatch.setattr(pull, "convert", without_a_child)
    with hub.serve() as server:
        monkeypatch.setenv("TAGLINE_MIRROR", server.url)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.files[STATE] = CHECKPOINT
        server.repository("some/picture", COMMIT, REPOSITORY)
        yield server
