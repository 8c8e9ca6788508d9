"""Pulling weights from a stand-in hub that breaks off, lies, goes silent and sends other bytes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save

from experts import commands, weights
from experts.stock import convert, fetch, pull
from experts.weights import Entry

torch = pytest.importorskip("torch")

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


def entry(name: str, expert: str, **facts: Any) -> Entry:
    facts = {"files": ("config.json", "model.safetensors"), "form": "safetensors", **facts}
    licence, size = facts.pop("licence", "MIT"), facts.pop("size", 60_000)
    return Entry(name, ((expert, "only"),), weights.PUBLIC, licence, size, **facts)


ENTRIES = (
    entry("state", "motion", url=f"https://{STATE}", form="state"),
    entry("listener", "speech", url=f"https://{LISTENER}", form="whisper", licence="AGPL-3.0"),
    entry("picture", "scene", hub="some/picture", revision="main"),
)


def without_a_child(source: Path, folder: Path, form: str, name: str) -> None:
    """Starting a process that loads torch takes seconds; tests of the child itself ask for `child`."""
    {"state": convert._state, "whisper": convert._whisper}[form](source, folder, name)


@pytest.fixture
def child(place: hub.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert as users do: in the guarded process."""
    monkeypatch.setattr(pull, "convert", convert.convert)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Place]:
    """A user with nothing, a table of three small entries, and a world that consists of one server."""
    for variable in ("TAGLINE_WEIGHTS", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HF_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(weights, "_public", lambda: ENTRIES)
    monkeypatch.setattr(weights, "PLAYHOUSE_FOLDER", tmp_path / "no shelf")
    monkeypatch.setattr(fetch, "PAUSE", 0.001)
    monkeypatch.setattr(pull, "convert", without_a_child)
    with hub.serve() as server:
        monkeypatch.setenv("TAGLINE_MIRROR", server.url)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.files[STATE] = CHECKPOINT
        server.repository("some/picture", COMMIT, REPOSITORY)
        yield server


def part(name: str = "state", file: str = "state.pth") -> Path:
    return weights.weights_home() / ".parts" / name / f"{file}.part"


def fetched(place: hub.Place, size: int | None = None, most: int | None = None) -> bytes:
    target = weights.weights_home() / "x"
    fetch.fetch(f"{place.url}/{STATE}", target, size=size, most=most)
    assert not target.with_name("x.part").exists()
    return target.read_bytes()


def put(place: hub.Place, chosen: Entry) -> weights.Found:
    """Pull an entry that is not in the table of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "_public", lambda: (chosen,))
        return pull.pull(chosen)


# The transfer


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [hub.Break(1000)],
        [hub.Break(1000), hub.Break(1), hub.Break(7000)],
        [hub.Status(503), hub.Status(429), hub.Break(0)],
        [hub.Lie(100)],
        [hub.Status(302, "/files.example/elsewhere")],
    ],
    ids=["plain", "broken once", "broken thrice", "busy", "promises more", "redirected"],
)
def test_whatever_happens_on_the_way_the_bytes_are_the_same(
    place: hub.Place, faults: list[hub.Fault]
) -> None:
    place.files["files.example/elsewhere"] = CHECKPOINT
    place.faults[STATE] = faults
    assert fetched(place) == CHECKPOINT


def test_a_broken_transfer_goes_on_where_it_stopped(place: hub.Place) -> None:
    place.faults[STATE] = [hub.Break(1000), hub.Break(2000)]
    assert fetched(place) == CHECKPOINT
    assert place.gets(STATE) == [None, "bytes=1000-", "bytes=3000-"]


def test_a_server_that_stays_broken_is_said_and_the_part_is_kept(place: hub.Place) -> None:
    place.faults[STATE] = [hub.Break(5000), *[hub.Status(503)] * (fetch.TRIES - 1)]
    with pytest.raises(fetch.FetchFailed, match=r"broke off after 5000 bytes.*503.*goes on from there"):
        fetched(place)
    place.asked.clear()
    assert fetched(place) == CHECKPOINT
    assert place.gets(STATE) == ["bytes=5000-"]


def test_a_part_of_a_file_that_has_changed_is_not_used(place: hub.Place) -> None:
    place.faults[STATE] = [hub.Break(5000), *[hub.Status(503)] * (fetch.TRIES - 1)]
    with pytest.raises(fetch.FetchFailed):
        fetched(place)
    place.files[STATE] = bytes(len(CHECKPOINT))
    assert fetched(place) == bytes(len(CHECKPOINT))


@pytest.mark.parametrize("attribute", ["etag", "ranges"])
def test_a_server_that_cannot_go_on_sends_all_again(place: hub.Place, attribute: str) -> None:
    setattr(place, attribute, False)
    place.faults[STATE] = [hub.Break(5000)]
    assert fetched(place) == CHECKPOINT


def test_silence_is_a_broken_transfer(place: hub.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PATIENCE", 0.2)
    place.faults[STATE] = [hub.Silent(2.0)]
    assert fetched(place) == CHECKPOINT


@pytest.mark.parametrize(
    ("fault", "limits", "said"),
    [
        (hub.Status(404), {}, "answers 404"),
        (hub.Status(403), {}, "answers 403"),
        (None, {"size": 10}, "should have 10"),
        (None, {"most": 1000}, "more than it may"),
        (hub.Endless(), {"most": 50_000}, "more than it should"),
        (hub.Status(302, "ftp://127.0.0.1/x"), {}, "not safe to follow"),
        (hub.Status(302, "file:///etc/passwd"), {}, "not allowed"),
    ],
)
def test_what_cannot_be_right_is_said_in_a_sentence(
    place: hub.Place, fault: hub.Fault | None, limits: dict[str, int], said: str
) -> None:
    place.faults[STATE] = [fault] if fault else []
    with pytest.raises(fetch.FetchFailed, match=said):
        fetched(place, **limits)
    assert not (weights.weights_home() / "x").exists()


def test_an_address_must_be_one_of_the_web(tmp_path: Path) -> None:
    with pytest.raises(fetch.FetchFailed, match="not an address on the web"):
        fetch.fetch("file:///etc/passwd", tmp_path / "x")


def test_a_full_disk_is_said_before_anything_is_fetched(
    place: hub.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage(10, 10, 5 << 20))
    for chosen in ENTRIES:
        with pytest.raises(pull.PullFailed, match="5 MB are free"):
            pull.pull(chosen)
    assert place.asked == []


# Weights at one address: fetched, checked, converted


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
    assert weights.find("state") == first  # what was here is still here
    assert not part().parent.joinpath("state.pth").exists()


def test_a_known_hash_is_checked_at_the_first_pull(place: hub.Place) -> None:
    right = hashlib.sha256(CHECKPOINT).hexdigest()
    known = entry("state", "motion", url=f"https://{STATE}", form="state", sha256={"state.pth": right[:8]})
    place.faults[STATE] = [hub.Other()]
    with pytest.raises(pull.PullFailed, match=f"not {right[:8]}"):
        pull.pull(known)
    assert weights.here(known) is None
    assert pull.pull(known).path


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


def test_yolo_gives_up_its_layers_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
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


# Weights of a hub


def test_the_hub_cache_looks_as_its_own_library_makes_it(place: hub.Place) -> None:
    place.faults["some/picture/resolve/" + COMMIT + "/model.safetensors"] = [hub.Break(10_000)]
    found = pull.pull(ENTRIES[2])
    from huggingface_hub import try_to_load_from_cache

    cache = weights.hub_cache()
    for name, content in REPOSITORY.items():
        path = try_to_load_from_cache("some/picture", name, cache_dir=cache, revision="main")
        assert isinstance(path, str)
        assert Path(path).read_bytes() == content
        assert Path(path).resolve().name == hashlib.sha256(content).hexdigest()
    assert found.path == cache / "models--some--picture" / "snapshots" / COMMIT
    assert weights.locked("picture")["revision"] == COMMIT
    assert place.gets(f"some/picture/resolve/{COMMIT}/model.safetensors") == [None, "bytes=10000-"]


@pytest.mark.parametrize("fault", [hub.Other(), hub.Lie(-1000), hub.Lie(1000)])
def test_a_hub_that_sends_other_bytes_leaves_nothing_behind(place: hub.Place, fault: hub.Fault) -> None:
    path = f"some/picture/resolve/{COMMIT}/model.safetensors"
    place.faults[path] = [fault] * (fetch.TRIES + 1)
    place.ranges = False
    with pytest.raises(pull.PullFailed, match="picture: "):
        pull.pull(ENTRIES[2])
    assert weights.here(ENTRIES[2]) is None
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
    assert weights.here(ENTRIES[2]) is None
    assert not (
        weights.hub_cache() / "models--some--picture" / "blobs" / hashlib.sha256(content).hexdigest()
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
    (weights.weights_home() / "lock.json").unlink()
    assert not weights.check_hashes(ENTRIES[2], weights.find("picture").path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place.asked.clear()
    pull.pull(ENTRIES[2])
    assert weights.check_hashes(ENTRIES[2], weights.find("picture").path)
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
    assert [weights.find("state"), weights.find("picture")] == online
    assert [pull.pull(ENTRIES[0]), pull.pull(ENTRIES[2])] == online
    with pytest.raises(pull.PullFailed, match="HF_HUB_OFFLINE is set"):
        pull.pull(ENTRIES[1])
    assert pull.pull_if_agreed(["listener"]) == []


def test_nothing_is_fetched_by_itself_before_the_user_said_so(place: hub.Place) -> None:
    assert pull.pull_if_agreed(["state", "picture"]) == []
    assert place.asked == []
    pull.agree(True)
    assert pull.pull_if_agreed(["state", "nonsense"]) == ["state"]
    assert pull.pull_if_agreed(["state"]) == []
    pull.agree(False)
    assert pull.pull_if_agreed(["picture"]) == []


# The commands


def run(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(commands.models, arguments, input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_person_is_told_what_comes_from_where_and_asked(place: hub.Place) -> None:
    code, said = run("pull", "motion", answer="n\n")
    assert code == 1
    assert f"state (0.1 MB, MIT) from https://{STATE}" in said
    assert place.asked == []
    code, said = run("pull", "motion")
    assert (code, "add --yes" in said) == (1, True)
    code, said = run("pull", "motion", answer="y\n")
    assert (code, "state is here" in said) == (0, True)


def test_list_says_what_is_here_and_under_which_licence(place: hub.Place) -> None:
    run("pull", "state", "--yes")
    code, said = run("list")
    assert code == 0
    lines = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert "here" in lines["state"]
    assert "yes" in lines["state"]
    assert "absent" in lines["listener"]
    assert "AGPL-3.0" in lines["listener"]
    rows = {row["name"]: row for row in json.loads(run("list", "--json")[1])}
    assert (rows["state"]["here"], rows["state"]["verified"]) == (True, "yes")
    assert (rows["listener"]["here"], rows["listener"]["licence"]) == (False, "AGPL-3.0")
    (weights.find("state").path / "config.json").write_text("{ }")
    assert "CHANGED" in run("list")[1]


def test_one_that_fails_does_not_stop_the_others(place: hub.Place) -> None:
    code, said = run("pull", "all", "--yes")
    assert code == 3
    assert f"listener: {place.url}/{LISTENER} answers 404" in said
    assert "state is here" in said
    assert "picture is here" in said
    assert run("pull", "listener", "--yes")[0] == 1
    assert run("pull", "nonsense", "--yes")[0] == 2


def test_verify_reads_every_byte(place: hub.Place) -> None:
    assert run("verify")[0] == 4
    run("pull", "state", "picture", "--yes")
    code, said = run("verify")
    assert (code, said.splitlines()) == (0, ["state: ok", "picture: ok"])
    path = weights.find("state").model
    raw, facts = bytearray(path.read_bytes()), path.stat()
    raw[-1] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    code, said = run("verify")
    assert code == 3
    assert "tagline models pull state --again" in said
    assert run("pull", "state", "--again", "--yes")[0] == 0
    assert run("verify")[0] == 0
    assert run("verify", "listener")[0] == 1


def test_the_word_of_the_user_is_remembered(place: hub.Place) -> None:
    assert run("pull", "state", "--yes", "--always")[0] == 0
    assert pull.agreed()
    assert run("pull", "picture")[0] == 0  # no question any more
    assert run("pull", "picture", "--never")[0] == 0
    assert not pull.agreed()
