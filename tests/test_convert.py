"""Pickles that come in as safetensors: in a process that can reach nothing, and as the experts read them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hub
import pytest
import torch
from pull_world import CHECKPOINT, ENTRIES, LISTENER, STATE, TENSORS, entry, pickled
from safetensors.torch import load_file

from experts import weights
from experts.stock import convert, pull
from experts.weights import Entry


@pytest.fixture
def child(place: hub.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert as users do: in the guarded process."""
    monkeypatch.setattr(pull, "convert", convert.convert)


def put(place: hub.Place, chosen: Entry) -> weights.Found:
    """Pull an entry that is not in the table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_public", lambda: (chosen,))
        return pull.pull(chosen)


@pytest.mark.usefixtures("child")
def test_a_pickle_comes_in_as_safetensors(place: hub.Place) -> None:
    seen: list[tuple[str, str, int, int | None]] = []
    found = pull.pull(ENTRIES[0], progress=lambda *args: seen.append(args))
    tensors = load_file(found.model)
    assert set(tensors) == set(TENSORS)
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert found.config() == {"name": "state"}
    assert sorted(path.name for path in found.path.iterdir()) == ["config.json", "model.safetensors"]
    assert seen[-1] == ("state", "state.pth", len(CHECKPOINT), len(CHECKPOINT))
    # Nothing is left of the pickle, and its hash is on record.
    assert not list(weights.weights_home().rglob("*.pth"))
    published = hashlib.sha256(CHECKPOINT).hexdigest()
    assert weights.locked("state")["published"] == {"state.pth": published}
    assert weights.check_hashes(ENTRIES[0], found.path, fresh=True)


@pytest.mark.usefixtures("child")
def test_whisper_keeps_its_dimensions(place: hub.Place) -> None:
    state = {"decoder.x": torch.ones(2, dtype=torch.float16)}
    place.files[LISTENER] = pickled({"dims": {"n_mels": 80, "n_vocab": 51865}, "model_state_dict": state})
    found = pull.pull(ENTRIES[1])
    assert found.config() == {"name": "listener", "dims": {"n_mels": 80, "n_vocab": 51865}}
    assert load_file(found.model)["decoder.x"].dtype == torch.float16


def test_converted_weights_are_what_the_experts_read(place: hub.Place, tmp_path: Path) -> None:
    """The real architectures, from checkpoints of the published form to models that answer alike."""
    from whisper.model import ModelDimensions, Whisper

    from experts import motion
    from experts.hearing import listeners

    mover = motion.build_motion("x3d_xs").eval()
    place.files[STATE] = pickled({"model_state": mover.state_dict(), "epoch": 1})
    xs = entry("x3d-xs", "motion", url=f"https://{STATE}", form="state", size=16 << 20)
    loaded, plan = motion.load_motion(put(place, xs))
    assert plan.arch == "x3d_xs"
    clips = torch.rand(1, 3, plan.window.length, 160, 160)
    with torch.inference_mode():
        assert torch.equal(mover(clips), loaded.eval()(clips))

    ear = Whisper(ModelDimensions(80, 1500, 24, 6, 1, 51865, 448, 24, 6, 4))
    dims = vars(ear.dims)
    place.files[LISTENER] = pickled({"dims": dims, "model_state_dict": ear.half().state_dict()})
    heard = listeners.load_whisper(
        put(place, entry("whisper-tiny", "speech", url=f"https://{LISTENER}", form="whisper", size=16 << 20))
    )
    assert vars(heard.dims) == dims
    assert torch.equal(heard.decoder.token_embedding.weight, ear.decoder.token_embedding.weight.float())


class Touch:
    """A pickle that writes a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.usefixtures("child")
def test_a_pickle_that_wants_to_run_something_does_not(place: hub.Place, tmp_path: Path) -> None:
    place.files[STATE] = pickled({"model_state": TENSORS, "surprise": Touch(tmp_path / "touched")})
    with pytest.raises(pull.PullFailed, match=r"state\.pth cannot be converted.*Unpickling"):
        pull.pull(ENTRIES[0])
    assert not (tmp_path / "touched").exists()
    assert weights.here(ENTRIES[0]) is None


def test_the_child_that_converts_can_reach_nothing(tmp_path: Path) -> None:
    """The guard itself, for whatever gets past the unpickler: each of these must fail in the child."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        tries = {
            "socket": f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)",
            "program": "import subprocess; subprocess.run(['true'])",
            "shell": "import os; assert os.system('true') == 0",
            "remove": f"import os; os.remove({str(tmp_path / 'precious')!r})",
            "disk": f"open({str(tmp_path / 'large')!r}, 'wb').write(bytes(8 << 20))",
        }
        (tmp_path / "precious").touch()
        for name, code in tries.items():
            whole = f"from experts.stock import convert\nconvert._guard(10)\n{code}\nprint('done')"
            done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True)
            assert done.returncode != 0, name
            assert "done" not in done.stdout
    assert (tmp_path / "precious").exists()


def test_no_token_of_the_user_reaches_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert "secret" not in json.dumps(convert._environment("/nowhere"))


# Not importorskip: it is imported by us alone, which keeps it off the network.
@pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is an extra")
def test_yolo_gives_up_its_layers_and_nothing_else(tmp_path: Path) -> None:
    from experts.seeing import yolo

    model = yolo.build_yolo("yolo11n.yaml", classes=2)
    model.names = {0: "cat", 1: "dog"}  # type: ignore[assignment]
    source = tmp_path / "tiny.pt"
    torch.save({"ema": None, "model": model.half(), "train_args": {"imgsz": 320}, "epoch": -1}, source)
    convert.convert(source, tmp_path / "out", "yolo", "tiny")
    loaded, names, size = yolo.load_yolo(tmp_path / "out")
    assert (names, size) == (["cat", "dog"], 320)
    for key, value in model.float().state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])

    torch.save({"model": model, "surprise": Touch(tmp_path / "touched")}, source)
    with pytest.raises(convert.ConvertFailed, match=r"names posix\.system, which is no layer"):
        convert.convert(source, tmp_path / "evil", "yolo", "tiny")
    assert not (tmp_path / "touched").exists()
