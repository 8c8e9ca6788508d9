"""Pulling weights: the hash that holds, the cache as the hub's library makes it, and who may fetch when."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import hub
import pytest
import torch
from pull_world import CHECKPOINT, COMMIT, ENTRIES, REPOSITORY, STATE, entry, pickled

from tagline.experts.weights import fetch, pull, registry


def part(name: str = "state", file: str = "state.pth") -> Path:
    return registry.weights_home() / ".parts" / name / f"{file}.part"


# Weights at one address


def test_what_is_here_is_not_fetched_again(place: hub.Place) -> None:
    first = pull.pull(ENTRIES[0])
    place.asked.clear()
    assert pull.pull(ENTRIES[0]) == first
    assert place.asked == []


def test_the_hash_of_the_first_pull_holds_ever_after(place: hub.Place) -> None:
    first = pull.pull(ENTRIES[0])
    assert pull.pull(ENTRIES[0], again=True) == first
    place.files[STATE] = pickled({"model_state": {"a": torch.zeros(3)}})
    with pytest.raises(pull.PullFailed, match=r"state\.pth has the sha256"):
        pull.pull(ENTRIES[0], again=True)
    assert registry.find("state") == first  # what was here is still here
    assert not part().parent.joinpath("state.pth").exists()


def test_a_known_hash_is_checked_at_the_first_pull(place: hub.Place) -> None:
    right = hashlib.sha256(CHECKPOINT).hexdigest()
    known = entry("state", "motion", url=f"https://{STATE}", form="state", sha256={"state.pth": right[:8]})
    place.faults[STATE] = [hub.Other()]
    with pytest.raises(pull.PullFailed, match=f"not {right[:8]}"):
        pull.pull(known)
    assert registry.local_folder(known) is None
    assert pull.pull(known).path


# Weights of a hub


def test_the_hub_cache_looks_as_its_own_library_makes_it(place: hub.Place) -> None:
    place.faults["some/picture/resolve/" + COMMIT + "/model.safetensors"] = [hub.Break(10_000)]
    found = pull.pull(ENTRIES[2])
    from huggingface_hub import try_to_load_from_cache

    cache = registry.hub_cache()
    for name, content in REPOSITORY.items():
        path = try_to_load_from_cache("some/picture", name, cache_dir=cache, revision="main")
        assert isinstance(path, str)
        assert Path(path).read_bytes() == content
        assert Path(path).resolve().name == hashlib.sha256(content).hexdigest()
    assert found.path == cache / "models--some--picture" / "snapshots" / COMMIT
    assert registry.read_lock("picture")["revision"] == COMMIT
    assert place.gets(f"some/picture/resolve/{COMMIT}/model.safetensors") == [None, "bytes=10000-"]


@pytest.mark.parametrize("fault", [hub.Other(), hub.Lie(-1000), hub.Lie(1000)])
def test_a_hub_that_sends_other_bytes_leaves_nothing_behind(place: hub.Place, fault: hub.Fault) -> None:
    path = f"some/picture/resolve/{COMMIT}/model.safetensors"
    place.faults[path] = [fault] * (fetch.TRIES + 1)
    place.ranges = False
    with pytest.raises(pull.PullFailed, match="picture: "):
        pull.pull(ENTRIES[2])
    assert registry.local_folder(ENTRIES[2]) is None
    place.faults.clear()
    assert pull.pull(ENTRIES[2]).path


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", b'{"model_type": "vit", "auto_map": {"AutoModel": "evil--x.Y"}}', "auto_map"),
        ("model.safetensors", pickled({"a": 1}), "clothes"),
    ],
)
def test_what_must_not_be_loaded_is_not_kept(place: hub.Place, file: str, content: bytes, said: str) -> None:
    place.repository("some/picture", COMMIT, {**REPOSITORY, file: content})
    with pytest.raises(pull.PullFailed, match=said):
        pull.pull(ENTRIES[2])
    assert registry.local_folder(ENTRIES[2]) is None
    assert not (
        registry.hub_cache() / "models--some--picture" / "blobs" / hashlib.sha256(content).hexdigest()
    ).exists()


def test_a_hub_that_is_not_there_is_said(place: hub.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.files.clear()
    with pytest.raises(pull.PullFailed, match="404"):
        pull.pull(ENTRIES[2])
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(pull.PullFailed, match="cannot be reached"):
        pull.pull(ENTRIES[2])


def test_what_another_program_fetched_is_taken_over(
    place: hub.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull.pull(ENTRIES[2])
    (registry.weights_home() / "lock.json").unlink()
    assert not registry.check_hashes(ENTRIES[2], registry.find("picture").path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place.asked.clear()
    pull.pull(ENTRIES[2])
    assert registry.check_hashes(ENTRIES[2], registry.find("picture").path)
    assert place.asked == []


# Offline, and who may fetch


def test_without_a_network_the_same_weights_and_no_try_to_reach_one(
    place: hub.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = [pull.pull(ENTRIES[0]), pull.pull(ENTRIES[2])]
    place.asked.clear()

    def unreachable(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [registry.find("state"), registry.find("picture")] == online
    assert [pull.pull(ENTRIES[0]), pull.pull(ENTRIES[2])] == online
    with pytest.raises(pull.PullFailed, match="HF_HUB_OFFLINE is set"):
        pull.pull(ENTRIES[1])
