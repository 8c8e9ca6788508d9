"""Weights carried in a tar: what comes out is what went in, and a hostile tar writes nothing at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save, save_file

from tagline.experts import cli, storage
from tagline.experts.weights import bundles, fetch, registry
from tagline.experts.weights.registry import WeightsEntry

FILES = ("config.json", "model.safetensors")


def entry(name: str, **facts: Any) -> WeightsEntry:
    facts = {"form": "safetensors", "files": FILES, "url": f"https://x.example/{name}.pt", **facts}
    return WeightsEntry(name, (("object", "only"),), registry.PUBLIC, "MIT", 1000, **facts)


EYE = entry("eye", form="state")
EAR = entry("ear", url=None, hub="some/ear", revision="main", files=(*FILES, "1_Pooling/config.json"))


def fill(folder: Path, chosen: WeightsEntry) -> None:
    for name in chosen.files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".safetensors"):
            save_file({chosen.name: np.arange(300, dtype=np.float32)}, path)
        else:
            path.write_text(json.dumps({"model_type": "vit"}))


def write_lock(folder: Path, chosen: WeightsEntry, **more: Any) -> None:
    line = {"files": {name: storage.hash_file(folder / name) for name in chosen.files}, **more}
    storage.write_atomic(
        registry.weights_home() / "lock.json", json.dumps({**registry.read_lock(), chosen.name: line})
    )


class Machines:
    """Two machines: `near` has weights, `far` has none and no network."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.monkeypatch = root, monkeypatch

    def be(self, which: str) -> Path:
        for variable in ("HF_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            self.monkeypatch.setenv(variable, str(self.root / which / variable))
        return self.root / which


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    for variable in ("TAGLINE_WEIGHTS", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(registry, "_public", lambda: (EYE, EAR))
    both = Machines(tmp_path, monkeypatch)
    both.be("near")
    folder = registry.weights_home() / "eye"
    fill(folder, EYE)
    write_lock(folder, EYE, published={"eye.pt": "e" * 64})
    snapshot = registry.hub_cache() / "models--some--ear" / "snapshots" / ("f" * 40)
    fill(snapshot, EAR)
    storage.write_atomic(snapshot.parents[1] / "refs" / "main", "f" * 40)
    write_lock(snapshot, EAR, revision="f" * 40)
    return both


def everything(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "hashes.json")
    return sorted(path.relative_to(folder).as_posix() for path in files)


def test_what_comes_out_is_what_went_in(machines: Machines, tmp_path: Path) -> None:
    near = {name: registry.find(name).sha256 for name in ("eye", "ear")}
    out = tmp_path / "w.tar"
    bundles.bundle(out, ["eye", "ear"])
    machines.be("far")
    assert registry.local_folder(EYE) is None
    assert [taken.name for taken in bundles.import_bundle(out)] == ["eye", "ear"]
    assert {name: registry.find(name).sha256 for name in ("eye", "ear")} == near
    assert registry.check_hashes(EAR, registry.find("ear").path, fresh=True)
    assert registry.read_lock("eye")["published"] == {"eye.pt": "e" * 64}
    # Again changes nothing, and nothing is left lying about.
    bundles.import_bundle(out)
    left = {path.name for path in registry.weights_home().iterdir() if path.suffix != ".turn"}
    assert left == {"lock.json", "eye", "ear"}


def test_the_same_weights_make_the_same_bundle(machines: Machines, tmp_path: Path) -> None:
    bundles.bundle(tmp_path / "a.tar", ["eye", "ear", "eye"])
    os.utime(registry.find("eye").path / "config.json", ns=(1, 1))
    bundles.bundle(tmp_path / "b.tar", ["eye", "ear"])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    # Any tar program can look into it.
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert "ear/1_Pooling/config.json" in tar.getnames()


def test_only_whole_and_unchanged_weights_are_carried(machines: Machines, tmp_path: Path) -> None:
    (registry.find("eye").path / "config.json").write_text("{ }")
    with pytest.raises(bundles.BundleFailed, match="not what was pulled"):
        bundles.bundle(tmp_path / "w.tar", ["ear", "eye"])
    machines.be("far")
    with pytest.raises(bundles.BundleFailed, match="are not here"):
        bundles.bundle(tmp_path / "w.tar", ["eye"])
    with pytest.raises(bundles.BundleFailed, match="no weights called"):
        bundles.bundle(tmp_path / "w.tar", ["nonsense"])
    assert not list(tmp_path.glob("*w.tar*"))


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Any:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


def as_tar(path: Path, members: list[Any], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def honest(**changes: bytes) -> list[Any]:
    """The members of a good bundle of `eye`; `config`, `model` or `manifest` may say other things."""
    contents = {"config.json": b"{}", "model.safetensors": save({"a": np.zeros(3, np.float32)})}
    described = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in contents.items()
    }
    manifest = json.dumps({"format": 1, "weights": {"eye": {"files": described}}}).encode()
    return [
        member("bundle.json", changes.get("manifest", manifest)),
        member("eye/config.json", changes.get("config", contents["config.json"])),
        member("eye/model.safetensors", changes.get("model", contents["model.safetensors"])),
    ]


def without(name: str) -> list[Any]:
    return [(info, content) for info, content in honest() if info.name != name]


def with_pickle_declared() -> list[Any]:
    content = pickle.dumps({"a": 1})
    members = honest(model=content)
    manifest = json.loads(members[0][1])
    manifest["weights"]["eye"]["files"]["model.safetensors"]["sha256"] = hashlib.sha256(content).hexdigest()
    return honest(model=content, manifest=json.dumps(manifest).encode())


HOSTILE: dict[str, Callable[[], list[Any]]] = {
    "up and out": lambda: [*honest(), member("../evil", b"x")],
    "up inside": lambda: [*honest(), member("eye/../../evil", b"x")],
    "absolute": lambda: [*honest(), member("/tmp/evil", b"x")],
    "backslashes": lambda: [*honest(), member("eye\\..\\evil", b"x")],
    "an empty part": lambda: [*honest(), member("eye//config.json", b"x")],
    "symlink": lambda: [*honest(), member("eye/link", kind=tarfile.SYMTYPE, link="/etc/passwd")],
    "symlink in place of a file": lambda: [
        *without("eye/config.json"),
        member("eye/config.json", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    ],
    "hard link": lambda: [*honest(), member("eye/link", kind=tarfile.LNKTYPE, link="eye/config.json")],
    "character device": lambda: [*honest(), member("eye/null", kind=tarfile.CHRTYPE)],
    "block device": lambda: [*honest(), member("eye/disk", kind=tarfile.BLKTYPE)],
    "pipe": lambda: [*honest(), member("eye/pipe", kind=tarfile.FIFOTYPE)],
    "folder": lambda: [*honest(), member("eye/folder", kind=tarfile.DIRTYPE)],
    "a file nobody declared": lambda: [*honest(), member("eye/extra.json", b"{}")],
    "a file of another entry": lambda: [*honest(), member("ear/config.json", b"{}")],
    "a file twice": lambda: [*honest(), member("eye/config.json", b"{}")],
    "too many": lambda: [*honest(), *(member(f"eye/{i}", b"") for i in range(1001))],
    "a file short": lambda: without("eye/config.json"),
    "no manifest": lambda: without("bundle.json"),
    "manifest too long": lambda: honest(manifest=b"{" + b" " * (2 << 20) + b"}"),
    "manifest is no JSON": lambda: honest(manifest=b"{"),
    "manifest is a list": lambda: honest(manifest=b"[]"),
    "manifest is nested": lambda: honest(manifest=b"[" * 200_000),
    "manifest of the future": lambda: honest(manifest=b'{"format": 2, "weights": {}}'),
    "unknown weights": lambda: honest(manifest=b'{"format": 1, "weights": {"eye/../..": {"files": {}}}}'),
    "no hashes": lambda: honest(manifest=b'{"format": 1, "weights": {"eye": {"files": {}}}}'),
    "an empty hash": lambda: honest(
        manifest=b'{"format": 1, "weights": {"eye": {"files": {"config.json": {"sha256": ""}}}}}'
    ),
    "wrong hash": lambda: honest(config=b'{"a": 1}'),
    "a pickle, declared": with_pickle_declared,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_bundle_is_refused_whole(case: str, machines: Machines, tmp_path: Path) -> None:
    source = as_tar(tmp_path / "w.tar", HOSTILE[case]())
    far = machines.be("far")
    far.mkdir()
    before = everything(tmp_path)
    with pytest.raises(bundles.BundleFailed):
        bundles.import_bundle(source)
    assert everything(tmp_path) == before
    assert not Path("/tmp/evil").exists()


def test_the_honest_one_is_taken(machines: Machines, tmp_path: Path) -> None:
    machines.be("far")
    assert bundles.import_bundle(as_tar(tmp_path / "w.tar", honest())) == [EYE]


def test_bombs(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines.be("far")
    # Compressed: a few bytes that become many. A bundle never is.
    with pytest.raises(bundles.BundleFailed, match="is no bundle"):
        bundles.import_bundle(as_tar(tmp_path / "w.tgz", honest(), "w:gz"))
    # Sparse: a header that promises a terabyte of zeros.
    info, _ = member("eye/config.json")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    content = b"1\n0\n1\n".ljust(512, b"\0")
    info.size = len(content)
    sparse = tmp_path / "sparse.tar"
    with tarfile.open(sparse, "w", format=tarfile.PAX_FORMAT) as tar:
        manifest, text = honest()[0]
        tar.addfile(manifest, io.BytesIO(text))
        tar.addfile(info, io.BytesIO(content))
    with pytest.raises(bundles.BundleFailed):
        bundles.import_bundle(sparse)
    # A header that says that a header of a gigabyte follows.
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    path = tmp_path / "long.tar"
    with path.open("wb") as file:
        file.write(long.tobuf(tarfile.GNU_FORMAT))
        file.truncate((1 << 30) + 4096)
    with pytest.raises(bundles.BundleFailed, match="far too long"):
        bundles.import_bundle(path)
    # More than the disk holds.
    usage = type("usage", (), {"free": 1 << 20})
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(bundles.BundleFailed, match="1 MB are free"):
        bundles.import_bundle(as_tar(tmp_path / "w.tar", honest()))


def test_a_bundle_cut_short_or_absent_is_said(machines: Machines, tmp_path: Path) -> None:
    out = tmp_path / "w.tar"
    bundles.bundle(out, ["eye", "ear"])
    raw = out.read_bytes()
    machines.be("far")
    for length in (0, 100, 700, 3000, len(raw) // 2):
        out.write_bytes(raw[:length])
        with pytest.raises(bundles.BundleFailed):
            bundles.import_bundle(out)
        assert not registry.local_folder(EYE)
        assert not registry.local_folder(EAR)
    with pytest.raises(bundles.BundleFailed, match=r"there is no .*gone\.tar"):
        bundles.import_bundle(tmp_path / "gone.tar")


def test_a_bundle_does_not_overrule_what_is_known(machines: Machines, tmp_path: Path) -> None:
    """The bundle vouches for itself only where neither the table nor an earlier pull knows better."""
    monkeypatch, out = machines.monkeypatch, tmp_path / "w.tar"
    bundles.bundle(out, ["eye", "ear"])
    far = machines.be("far")
    known = entry("ear", **{**facts_of(EAR), "sha256": {"model.safetensors": "0" * 64}})
    monkeypatch.setattr(registry, "_public", lambda: (EYE, known))
    with pytest.raises(bundles.BundleFailed, match="the table"):
        bundles.import_bundle(out)
    known = entry("eye", form="state", sha256={"eye.pt": "0" * 64})
    monkeypatch.setattr(registry, "_public", lambda: (known, EAR))
    with pytest.raises(bundles.BundleFailed, match=r"another eye\.pt"):
        bundles.import_bundle(out)
    monkeypatch.setattr(registry, "_public", lambda: (EYE, EAR))
    storage.write_atomic(
        registry.weights_home() / "lock.json", json.dumps({"ear": {"files": {"config.json": "0" * 64}}})
    )
    with pytest.raises(bundles.BundleFailed, match="the first pull"):
        bundles.import_bundle(out)
    assert everything(far) == ["XDG_DATA_HOME/tagline/weights/lock.json"]


def facts_of(chosen: WeightsEntry) -> dict[str, Any]:
    return {"url": chosen.url, "hub": chosen.hub, "revision": chosen.revision, "files": chosen.files}


def test_the_commands(machines: Machines, tmp_path: Path) -> None:
    out = tmp_path / "w.tar"
    result = CliRunner().invoke(cli.models, ["bundle", str(out)])
    assert result.exit_code == 0, result.output
    assert "holds eye (0.0 MB, MIT), ear (0.0 MB, MIT)" in result.output
    machines.be("far")
    result = CliRunner().invoke(cli.models, ["import", str(out)])
    assert (result.exit_code, result.output.splitlines()) == (
        0,
        ["eye (0.0 MB, MIT) is here", "ear (0.0 MB, MIT) is here"],
    )
    assert CliRunner().invoke(cli.models, ["verify"]).exit_code == 0
    machines.be("empty")
    result = CliRunner().invoke(cli.models, ["bundle", str(out)])
    assert (result.exit_code, "no weights are here" in result.output) == (1, True)
    out.write_text("hello")
    result = CliRunner().invoke(cli.models, ["import", str(out)])
    assert (result.exit_code, "is no bundle" in result.output) == (1, True)
