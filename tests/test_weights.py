"""The table of weights and `find`: what is here, what is not and what to do, and that nothing is rehashed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tagline.experts import base, storage
from tagline.experts.weights import registry
from tagline.experts.weights.registry import WeightsChanged, WeightsEntry, WeightsMissing, WeightsRefused

COMMIT = "a" * 40


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with nothing: no weights, no cache, no settings; and a machine without a network."""
    for variable in ("TAGLINE_WEIGHTS", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def no_network(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    return tmp_path


def fill(folder: Path, names: tuple[str, ...], value: float = 1.0) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".safetensors"):
            save_file({"a": np.full(8, value, np.float32)}, path)
        else:
            path.write_text("{}")
    return folder


def lock(name: str, **line: Any) -> None:
    home = registry.weights_home()
    storage.write_atomic(home / "lock.json", json.dumps({**registry.read_lock(), name: line}))


def test_the_table_is_complete_and_says_where_everything_is_from() -> None:
    table = registry.entries()
    assert len(table) >= 12
    for name, entry in table.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)
        assert entry.licence
        assert entry.form in ("safetensors", "files", "yolo", "whisper", "state")
        assert entry.size > 0
        if entry.collection == registry.PUBLIC:
            assert sum(map(bool, (entry.url, entry.hub, entry.wheels))) == 1
            # A branch moves; a commit does not.
            assert entry.hub is None or re.fullmatch(r"[0-9a-f]{40}", entry.revision or "")
            assert entry.url is None or entry.url.startswith("https://")
            assert entry.form in ("safetensors", "files") or entry.url or entry.wheels
        for wheel in entry.wheels:
            assert re.fullmatch(r"[0-9a-f]{64}", wheel.sha256)
            assert wheel.version
            # Whatever comes from strangers' packages is known to the last bit.
            assert all(len(entry.sha256[file]) == 64 for _, file in wheel.files)
        for file, known in entry.sha256.items():
            assert file in entry.published
            assert re.fullmatch(r"[0-9a-f]{8,64}", known)
        assert entry.pinned or [file for file in entry.files if file.endswith(".safetensors")]
    for members in registry.groups().values():
        assert set(members) <= set(table)


def test_every_expert_that_needs_weights_has_defaults() -> None:
    for expert in ("object", "person", "scene", "motion"):
        assert expert in base.BUILT_IN
        for name in registry.defaults_of(expert):
            assert name in registry.entries()
        assert registry.for_expert(expert) == registry.defaults_of(expert)[0]
    # One Whisper, the one that is heard with by default; openai-whisper's is pulled by its own name.
    assert sorted(registry.defaults_of("speech")) == ["minilm", "whisper-base-ct2"]
    with pytest.raises(WeightsMissing, match="`tagline models pull whisper-base`"):
        registry.find("whisper-base")
    assert registry.for_expert("scene", role="zero-shot") == registry.for_expert("appearance")
    assert registry.for_expert("speech", role="keywords") != registry.for_expert("speech", role="asr")
    with pytest.raises(WeightsMissing, match="no weights for speech"):
        registry.for_expert("speech", collection="elsewhere")


def test_what_speaks_is_the_whole_sentence() -> None:
    with pytest.raises(WeightsMissing) as error:
        registry.find("yolo11n")
    said = "weights yolo11n (5.4 MB, AGPL-3.0) are not here; run `tagline models pull object`"
    assert str(error.value) == said
    # What is no default is fetched by its own name.
    with pytest.raises(WeightsMissing, match="`tagline models pull whisper-small`"):
        registry.find("whisper-small")
    with pytest.raises(WeightsMissing, match="`tagline models list`"):
        registry.find("no-such-weights")


def test_weights_of_the_hub_are_found_where_other_programs_keep_them(homes: Path) -> None:
    entry = registry.entries()["clip-vit-b-32-laion2b"]
    assert entry.hub
    repository = homes / "hf" / "hub" / f"models--{entry.hub.replace('/', '--')}"
    folder = fill(repository / "snapshots" / str(entry.revision), ("open_clip_config.json",))
    with pytest.raises(WeightsMissing, match="577 MB, MIT"):
        registry.find(entry.name)  # half of it is nothing
    fill(folder, entry.files)
    with pytest.raises(WeightsChanged, match=r"open_clip_model\.safetensors has another hash"):
        registry.find(entry.name)  # its sha256 is known, and these are not its bytes


def test_the_lock_says_which_commit_of_a_branch_was_pulled(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = WeightsEntry(
        "b",
        (("object", "x"),),
        registry.PUBLIC,
        "MIT",
        8,
        "safetensors",
        ("model.safetensors",),
        "o/n",
        "main",
    )
    monkeypatch.setattr(registry, "_public", lambda: (entry,))
    repository = homes / "hf" / "hub" / "models--o--n"
    old = fill(repository / "snapshots" / COMMIT, entry.files, 1)
    new = fill(repository / "snapshots" / ("b" * 40), entry.files, 2)
    storage.write_atomic(repository / "refs" / "main", "b" * 40)
    assert registry.find("b").path == new
    lock("b", files={}, revision=COMMIT)
    assert registry.find("b").path == old


@pytest.fixture
def tiny(homes: Path) -> Path:
    """whisper-tiny as a pull leaves it."""
    folder = fill(registry.weights_home() / "whisper-tiny", ("config.json", "model.safetensors"))
    lock("whisper-tiny", files={name: storage.hash_file(folder / name) for name in storage.files_of(folder)})
    return folder


def test_found_weights_say_what_they_are(tiny: Path) -> None:
    found = registry.find("whisper-tiny")
    assert (found.name, found.path, found.model) == ("whisper-tiny", tiny, tiny / "model.safetensors")
    assert found.config() == {}
    parts = "".join(
        f"{name}\0{hashlib.sha256((tiny / name).read_bytes()).hexdigest()}\n"
        for name in ("config.json", "model.safetensors")
    )
    assert found.sha256 == hashlib.sha256(parts.encode()).hexdigest()
    # The same weights by path are the same weights.
    assert registry.find(str(tiny)).sha256 == found.sha256
    assert registry.find(tiny).path == tiny


def test_one_changed_bit_is_noticed(tiny: Path) -> None:
    path = tiny / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(WeightsChanged, match=r"whisper-tiny .*model\.safetensors.*--again"):
        registry.find("whisper-tiny")


def test_a_bit_that_hides_behind_the_old_time_is_noticed_by_a_fresh_look(tiny: Path) -> None:
    registry.find("whisper-tiny")
    path = tiny / "model.safetensors"
    facts, raw = path.stat(), bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    entry = registry.entries()["whisper-tiny"]
    with pytest.raises(WeightsChanged):
        registry.check_hashes(entry, tiny, fresh=True)


def test_large_files_are_read_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    original = hashlib.file_digest

    def count(file: Any, kind: str) -> Any:
        read.append(file.name)
        return original(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", count)
    first = registry.find("whisper-tiny").sha256
    read.clear()
    assert registry.find("whisper-tiny").sha256 == first
    assert read == []
    os.utime(tiny / "config.json", ns=(1, 1))
    assert registry.find("whisper-tiny").sha256 == first
    assert [Path(str(name)).name for name in read] == ["config.json"]


def test_a_broken_or_read_only_memory_of_hashes_costs_nothing_but_time(tiny: Path, homes: Path) -> None:
    expected = registry.find("whisper-tiny").sha256
    store = homes / "cache" / "tagline" / "hashes.json"
    for text in ("", "[]", '{"x": 3}', "{"):
        store.write_text(text)
        assert registry.find("whisper-tiny").sha256 == expected
    store.unlink()
    store.mkdir()  # cannot be written, whoever runs this
    assert registry.find("whisper-tiny").sha256 == expected


def test_a_lock_that_cannot_be_read_is_said(tiny: Path) -> None:
    (registry.weights_home() / "lock.json").write_text("{")
    with pytest.raises(WeightsMissing, match=r"lock\.json cannot be read"):
        registry.find("whisper-tiny")


def test_local_files_and_folders_are_taken_and_pickles_are_not(tmp_path: Path) -> None:
    folder = fill(tmp_path / "mine", ("model.safetensors", "config.json"))
    found = registry.find(folder / "model.safetensors")
    assert found.model == folder / "model.safetensors"
    assert found.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert found.config() == {}
    pickle = tmp_path / "mine.pt"
    pickle.write_bytes(b"\x80\x02.")
    with pytest.raises(WeightsRefused, match="--allow-pickle"):
        registry.find(pickle)
    assert registry.find(pickle, allow_pickle=True).path == pickle


def test_the_hash_of_a_folder_knows_names_and_contents(tmp_path: Path) -> None:
    folder = fill(tmp_path / "mine", ("model.safetensors", "sub/config.json"))
    first = registry.find(folder).sha256
    (folder / ".hidden").write_text("an editor's leavings")
    assert registry.find(folder).sha256 == first
    (folder / "sub" / "config.json").rename(folder / "config.json")
    second = registry.find(folder).sha256
    assert second != first
    (folder / "config.json").write_text('{"a": 1}')
    assert registry.find(folder).sha256 not in (first, second)


def test_a_folder_with_a_loop_or_a_pipe_in_it_is_no_trap(tmp_path: Path) -> None:
    folder = fill(tmp_path / "mine", ("model.safetensors",))
    before = registry.find(folder).sha256
    (folder / "again").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert registry.find(folder).sha256 == before


def test_a_folder_more_on_the_shelf_is_an_entry_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PLAYHOUSE_FOLDER", tmp_path)
    assert registry.defaults_of("object", registry.PLAYHOUSE) == ()
    folder = fill(tmp_path / "eye", ("model.safetensors", "config.json"))
    card = {
        "expert": "object",
        "role": "detector",
        "licence": "Apache-2.0",
        "sha256": {name: storage.hash_file(folder / name) for name in ("model.safetensors", "config.json")},
    }
    (folder / "entry.json").write_text(json.dumps(card))
    name = registry.for_expert("object", registry.PLAYHOUSE, role="detector")
    found = registry.find(name)
    assert (name, found.path) == ("playhouse-eye", folder)
    (folder / "config.json").write_text('{"changed": 1}')
    with pytest.raises(WeightsChanged, match="git checkout benchmarks/playhouse/weights"):
        registry.find(name)


def test_the_weights_that_come_with_the_package_are_whole() -> None:
    for entry in registry.entries().values():
        if entry.collection == registry.PLAYHOUSE:
            assert registry.find(entry.name).sha256
