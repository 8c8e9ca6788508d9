"""Pickles that come in as safetensors: in a process that can reach nothing, and as the experts read them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hub
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pull_world import CHECKPOINT, ENTRIES, LISTENER, STATE, TENSORS, entry, pickled
from safetensors.torch import load_file
from torch._utils import _rebuild_parameter

from tagline.experts import cli
from tagline.experts.weights import convert, pull, registry
from tagline.experts.weights.registry import WeightsEntry


@pytest.fixture
def child(place: hub.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert as users do: in the guarded process."""
    monkeypatch.setattr(pull, "convert", convert.convert)


def put(place: hub.Place, chosen: WeightsEntry) -> registry.LocalWeights:
    """Pull an entry that is not in the table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_public", lambda: (chosen,))
        return pull.pull(chosen)


@pytest.mark.usefixtures("child")
def test_a_pickle_comes_in_as_safetensors(place: hub.Place) -> None:
    seen: list[tuple[str, str, int, int | None]] = []
    found = pull.pull(ENTRIES[0], progress=lambda *args: seen.append(args))
    tensors = load_file(found.model)
    assert set(tensors) == set(TENSORS)
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    # safetensors sorts; who fills another graph by the order of the file finds it here.
    assert found.config() == {"name": "state", "order": ["layer.weight", "steps"]}
    assert sorted(path.name for path in found.path.iterdir()) == ["config.json", "model.safetensors"]
    assert seen[-1] == ("state", "state.pth", len(CHECKPOINT), len(CHECKPOINT))
    # Nothing is left of the pickle, and its hash is on record.
    assert not list(registry.weights_home().rglob("*.pth"))
    published = hashlib.sha256(CHECKPOINT).hexdigest()
    assert registry.read_lock("state")["published"] == {"state.pth": published}
    assert registry.check_hashes(ENTRIES[0], found.path, fresh=True)


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

    from tagline.experts import motion
    from tagline.experts.asr import backends

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
    heard = backends.load_whisper(
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
    with pytest.raises(pull.PullFailed, match=r"state\.pth cannot be converted: it names posix\.system"):
        pull.pull(ENTRIES[0])
    assert not (tmp_path / "touched").exists()
    assert registry.local_folder(ENTRIES[0]) is None


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
            whole = f"from tagline.experts.weights import convert\nconvert._guard(10)\n{code}\nprint('done')"
            done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True)
            assert done.returncode != 0, name
            assert "done" not in done.stdout
    assert (tmp_path / "precious").exists()


def test_no_token_of_the_user_reaches_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert "secret" not in json.dumps(convert._environment("/nowhere"))


@pytest.mark.usefixtures("child")
def test_what_comes_out_may_not_be_far_larger_than_what_came_in(place: hub.Place) -> None:
    whole = torch.zeros(100_000)
    place.files[STATE] = pickled({"model_state": {str(i): whole for i in range(20)}})
    with pytest.raises(pull.PullFailed, match="far larger than it is"):
        pull.pull(ENTRIES[0])
    # A file that is refused is fetched again the next time, not refused for ever.
    place.files[STATE] = CHECKPOINT
    assert pull.pull(ENTRIES[0]).path


def test_conversion_leaves_nothing_beside_the_programs(tmp_path: Path) -> None:
    """From a copy of the package that has no compiled files yet; `-B` keeps the parent from writing any."""
    package = Path(convert.__file__).parents[1]
    left_out = shutil.ignore_patterns("__pycache__", "playhouse")
    shutil.copytree(package, tmp_path / "copy" / "experts", ignore=left_out)
    (tmp_path / "state.pth").write_bytes(CHECKPOINT)
    code = "from pathlib import Path; from tagline.experts.weights.convert import convert; import sys; " + (
        "convert(Path(sys.argv[1]), Path(sys.argv[2]), 'state', 'state')"
    )
    before = set(tmp_path.rglob("*"))
    subprocess.run(
        [sys.executable, "-B", "-c", code, tmp_path / "state.pth", tmp_path / "out"],
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "copy"), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
    )
    new = {path.relative_to(tmp_path).as_posix() for path in set(tmp_path.rglob("*")) - before}
    assert new == {"out", "out/config.json", "out/model.safetensors"}


# Not importorskip: it is imported by us alone, which keeps it off the network.
needs_ultralytics = pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is an extra")


def detector(classes: int = 2, yaml: str = "yolov8n.yaml") -> Any:
    from tagline.experts.vision import yolo

    model = yolo.build_yolo(yaml, classes=classes)
    model.names = {i: f"class {i}" for i in range(classes)}
    return model


def through_the_child(model: Any, folder: Path, **beside: Any) -> tuple[Any, list[str], int]:
    """Save a model as ultralytics does, convert it, and load what comes out."""
    from tagline.experts.vision import yolo

    source = folder / "tiny.pt"
    torch.save({"ema": None, "model": model.half(), "epoch": -1, **beside}, source)
    model.float()
    convert.convert(source, folder / "out", "yolo", "tiny")
    return yolo.load_yolo(folder / "out")


def answers(model: Any) -> torch.Tensor:
    pictures = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return model.eval()(pictures)[0]


@needs_ultralytics
def test_a_yolo_checkpoint_answers_as_before(tmp_path: Path) -> None:
    """Also one whose layers ultralytics builds otherwise today, and one that has methods hung onto it."""
    model = detector()
    model.model[9].cv1.act = torch.nn.SiLU()  # as all were until ultralytics changed this layer
    model.model[0].forward = model.model[0].forward_fuse  # as old ones have it; the file names `getattr`
    about = {"train_args": {"imgsz": 320}, "fitness": np.float64(0.5)}
    loaded, names, size = through_the_child(model, tmp_path, **about)
    assert (names, size) == (["class 0", "class 1"], 320)
    del model.model[0].forward
    assert torch.equal(answers(model), answers(loaded))
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in loaded.state_dict().items())
    assert loaded.state_dict().keys() == state.keys()


@needs_ultralytics
@pytest.mark.parametrize("change", ["kernel", "layer", "shape", "layer without a name", "architecture"])
def test_a_yolo_that_is_not_what_it_says_is_refused(change: str) -> None:
    """It would load, and find something else."""
    from tagline.experts.pickles.unpickle import Refused
    from tagline.experts.vision.yolo import WrongArchitecture

    model = detector()
    if change == "kernel":
        model.model[9].m.kernel_size = 3
    elif change == "layer":
        model.model[9].cv1.bn = torch.nn.Identity()
    elif change == "shape":
        model.model[0].conv.weight = torch.nn.Parameter(torch.ones(1, 3, 3, 3))
    elif change == "architecture":
        model.yaml["backbone"][0][3] = ["open('touched', 'w')", 3, 2]
    else:
        model.model[0] = torch.nn.LSTM(1, 1)
    with pytest.raises((WrongArchitecture, Refused)):
        convert.READERS["yolo"](io.BytesIO(pickled({"model": model})), "tiny")


class Instead:
    """Pickled as whatever is wanted."""

    def __init__(self, *recipe: Any) -> None:
        self.recipe = recipe

    def __reduce__(self) -> tuple[Any, ...]:
        return self.recipe


def traps(mark: Path) -> dict[str, Any]:
    """Checkpoints that write a file if anything that they name is called with what they say."""
    from ultralytics.nn.tasks import DetectionModel

    code = f"open({str(mark)!r}, 'w')"
    yaml = {"nc": 1, "activation": code, "backbone": [[-1, 1, "Conv", [8, 3, 2]]], "head": []}
    hooked = detector()
    hooked.state_dict = Instead(DetectionModel, (yaml,))  # looked for where a method is expected
    nested = Instead(_rebuild_parameter, (Instead(DetectionModel, (yaml,)), False, {}))
    return {
        "a constructor": {"model": Instead(DetectionModel, (yaml,))},
        "a constructor in a layer": {"model": hooked},
        "a constructor in a tensor": {"model": nested},
        "beside the model": {"model": detector(), "train_args": Instead(DetectionModel, (yaml,))},
        "a program": {"model": detector(), "surprise": Touch(mark)},
    }


@needs_ultralytics
def test_the_traps_do_work(tmp_path: Path) -> None:
    """Read by a loader that calls what is named, each writes its file: the test below can fail."""
    for case in ("a constructor", "a constructor in a layer", "a constructor in a tensor", "a program"):
        mark = tmp_path / case.replace(" ", "-")
        with contextlib.suppress(Exception):
            torch.load(io.BytesIO(pickled(traps(mark)[case])), weights_only=False)
        assert mark.exists(), case


@needs_ultralytics
@pytest.mark.usefixtures("child")
@pytest.mark.parametrize("case", ["a constructor", "a constructor in a tensor"])
def test_no_class_that_a_pickle_names_is_called(
    case: str, place: hub.Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tagline models pull` of a YOLO checkpoint that would run its own program."""
    mark = tmp_path / "touched"
    place.files["files.example/eye.pt"] = pickled(traps(mark)[case])
    eye = entry("eye", "object", url="https://files.example/eye.pt", form="yolo", size=16 << 20)
    monkeypatch.setattr(registry, "_public", lambda: (eye,))
    result = CliRunner().invoke(cli.models, ["pull", "eye", "--yes"])
    assert result.exit_code == 1
    assert "eye.pt cannot be converted: it wants to call ultralytics.nn.tasks.DetectionModel" in result.output
    assert not mark.exists()
    assert registry.local_folder(eye) is None


@needs_ultralytics
@pytest.mark.parametrize("case", ["a constructor in a layer", "beside the model", "a program"])
def test_nowhere_in_a_pickle_is_anything_called(case: str, tmp_path: Path) -> None:
    from tagline.experts.pickles.unpickle import Refused

    with pytest.raises(Refused, match=r"wants to call|names posix"):
        convert.READERS["yolo"](io.BytesIO(pickled(traps(tmp_path / "touched")[case])), "eye")
    assert not (tmp_path / "touched").exists()


@needs_ultralytics
def test_a_users_own_checkpoint_is_read_the_same_way(tmp_path: Path) -> None:
    """`--allow-pickle` lets a file be converted, not run."""
    from tagline.experts.objects import ObjectExpert

    own = tmp_path / "own.pt"
    own.write_bytes(pickled(traps(tmp_path / "touched")["a constructor"]))
    with pytest.raises(convert.ConvertFailed, match=r"own\.pt cannot be converted: it wants to call"):
        ObjectExpert(weights=str(own), allow_pickle=True).load("cpu")
    assert not (tmp_path / "touched").exists()
