"""Weights and settings of unknown origin."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

from tagline.experts.attacks.selftest import Cases, Unexpected
from tagline.experts.weights import bundles, check, convert

CASES = Cases()


class _Runs:
    """A pickle that makes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def _archive(content: object) -> bytes:
    """As torch writes its checkpoints."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(content, 2))
        archive.writestr("x/version", "3\n")
    return file.getvalue()


@CASES.case("A10", "pickles, also under another name, and headers that cannot be")
def _pickles(folder: Path) -> str:
    mark = folder / "mark"
    files = {
        "a.pt": _archive(_Runs(mark)),
        "b.safetensors": _archive(_Runs(mark)),
        "c.bin": pickle.dumps(_Runs(mark)),
        "d.safetensors": struct.pack("<Q", 1 << 60) + b"{}",
        "e.safetensors": struct.pack("<Q", 200_002) + b"[" * 100_001 + b"]" * 100_001,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
        try:
            check.check_file(folder / name)
        except check.UnsafeWeights:
            continue
        raise Unexpected(f"{name} was taken")
    if mark.exists():
        raise Unexpected("what a pickle names was called")
    return f"{len(files)} refused"


@CASES.case("A11", "settings that name code to run")
def _settings(folder: Path) -> str:
    keys = ("auto_map", "trust_remote_code", "_attn_implementation_internal", "tokenizer_kwargs")
    for key in keys:
        path = folder / "config.json"
        path.write_text(json.dumps({"model_type": "bert", key: {"AutoModel": "evil.py"}}), encoding="utf-8")
        try:
            check.read_config(path)
        except check.UnsafeWeights:
            continue
        raise Unexpected(f"{key} was taken")
    return f"{len(keys)} refused"


@CASES.case("A12", "bundles with paths elsewhere and links")
def _bundles(folder: Path) -> str:
    for number, (name, kind) in enumerate(
        {
            "../out": tarfile.REGTYPE,
            "/out": tarfile.REGTYPE,
            "a": tarfile.SYMTYPE,
            "b": tarfile.CHRTYPE,
        }.items()
    ):
        path = folder / f"{number}.tar"
        with tarfile.open(path, "w") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        try:
            bundles.import_bundle(path)
        except bundles.BundleFailed:
            continue
        raise Unexpected(f"a bundle with {name} was taken")
    return "4 refused whole"


@CASES.case("A31", "a pickle that names something to call, when it is converted")
def _conversion(folder: Path) -> str:
    source, mark = folder / "x.pth", folder / "mark"
    source.write_bytes(_archive({"model_state": _Runs(mark)}))
    try:
        convert.convert(source, folder / "out", "state", "x")
    except convert.ConvertFailed as reason:
        if mark.exists():
            raise Unexpected("it was called") from None
        return str(reason)
    raise Unexpected("it was converted")


@CASES.case("A45", "what a conversion leaves behind")
def _leavings(folder: Path) -> str:
    source = folder / "x.pth"
    source.write_bytes(_archive({"model_state": {"a": 1}}))
    mine, programs = folder / "temporary", Path(check.__file__).parents[1]
    mine.mkdir()
    before, usual = set(programs.rglob("*.pyc")), tempfile.tempdir
    tempfile.tempdir = str(mine)
    try:
        with suppress(convert.ConvertFailed):  # it holds no tensor
            convert.convert(source, folder / "out", "state", "x")
    finally:
        tempfile.tempdir = usual
    new = {*mine.rglob("*"), *(folder / "out").iterdir(), *programs.rglob("*.pyc")} - before
    if new:
        raise Unexpected(f"{len(new)} files, such as {min(new)}")
    return "nothing"
