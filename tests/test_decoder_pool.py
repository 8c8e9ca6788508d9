"""The pool of decoding children: how far it reads ahead, what it leaves behind, children that go wrong."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from filming import ALL, Film, shoot

from tagline.experts.attacks.hostile import bad_child
from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import Limits
from tagline.experts.footage import Footage, Sampling, Sound, Uniform, Unreadable


def test_orders_are_drawn_in_this_thread_and_not_far_ahead(tmp_path: Path) -> None:
    import threading

    path = shoot(tmp_path / "film", Film(count=5))
    drawn: list[int] = []

    def orders() -> Iterator[tuple[Path, tuple[Sampling, ...]]]:
        for number in range(40):
            assert threading.current_thread() is threading.main_thread()
            drawn.append(number)
            yield (path if number % 3 else tmp_path / f"gone{number}.mp4"), (Uniform(1, side=16),)

    seen: list[Any] = []
    with Decoder(jobs=2, limits=Limits(ahead=5)) as decoder:
        for _, result in decoder.read_all(orders()):
            seen.append(result)
            assert len(drawn) <= len(seen) + 5
    assert [isinstance(result, Unreadable) for result in seen] == [n % 3 == 0 for n in range(40)]
    assert str(seen[0]) == "is not there"


def mapped() -> int:
    """How many videos' memory this process has mapped (Linux; 0 elsewhere)."""
    if sys.platform != "linux":
        return 0
    return sum("memfd:footage" in m.path for m in psutil.Process().memory_maps(grouped=False))


def test_what_lies_ready_is_bounded_in_bytes(tmp_path: Path) -> None:
    path = shoot(tmp_path / "film", Film(count=5))
    gc.collect()
    before = mapped()
    limits = Limits(ahead_bytes=40_000)  # a picture has 18,432
    with Decoder(jobs=1, limits=limits) as decoder:
        results = decoder.read_all((path, (Uniform(1),)) for _ in range(12))
        first = next(results)
        time.sleep(0.5)
        assert decoder._all
        assert mapped() - before <= 5
        assert len([first, *results]) == 12


def test_stopping_early_ends_the_children_and_leaves_nothing(tmp_path: Path) -> None:
    path = shoot(tmp_path / "film", Film(count=40))
    before = {p.pid for p in psutil.Process().children()}
    gc.collect()
    mapped_before = mapped()
    with Decoder(jobs=2) as decoder:
        for _, result in decoder.read_all((path, ALL) for _ in range(50)):
            assert isinstance(result, Footage)
            break
    assert {p.pid for p in psutil.Process().children()} <= before
    del result
    gc.collect()
    assert mapped() <= mapped_before


def test_footage_is_read_only_and_outlives_the_pool_until_closed(tmp_path: Path) -> None:
    with Decoder(jobs=1) as decoder:
        footage = decoder.read(shoot(tmp_path / "film", Film(count=9, sound="aac")), (Uniform(2), Sound()))
    frames = footage.view(Uniform(2)).frames
    for array in (frames, footage.sound, footage.view(Uniform(2)).times):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    footage.close()
    footage.close()
    assert footage.views == {}
    assert frames.sum() > 0  # what somebody still holds stays valid


def test_a_child_that_dies_or_hangs_costs_one_file(tmp_path: Path) -> None:
    shoot(tmp_path / "good", Film(count=5))
    names = ["good", "crash", "good", "hang", "crash", "good"]
    for name in ("crash", "hang"):
        (tmp_path / f"{name}.mp4").write_text(name)
    child = bad_child(tmp_path / "child.py")
    with Decoder(jobs=2, limits=Limits(seconds=6), child=child) as decoder:
        orders = [(tmp_path / f"{name}.mp4", (Uniform(1),)) for name in names]
        results = [result for _, result in decoder.read_all(orders)]
        assert decoder.replaced == 3
    assert [isinstance(result, Footage) for result in results] == [name == "good" for name in names]
    assert "crashed" in str(results[1])
    assert str(results[3]) == "took longer than 6 s"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce these limits")
@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("list(bytearray(1 << 20) for _ in range(4000))", "needs more memory than the limit of 0.2 GB"),
        ("__import__('os')._exit(3)", "the decoder crashed on it (exit code 3)"),
        ("sum(0 for _ in iter(int, 1))", "took longer than 5 s"),
        ("1 / 0", "cannot be decoded (ZeroDivisionError: division by zero)"),
    ],
)
def test_why_a_child_failed_is_said_in_words(tmp_path: Path, deed: str, reason: str) -> None:
    child = tmp_path / "child.py"
    child.write_text(
        "from tagline.experts.decode import extract, guard\n"
        f"extract.extract = lambda *_: {deed}\nguard.main()\n"
    )
    path = shoot(tmp_path / "film", Film(count=5))
    with Decoder(jobs=1, limits=Limits(seconds=5, memory=200 << 20), child=child) as decoder:
        with pytest.raises(Unreadable) as error:
            decoder.read(path, (Uniform(1),))
        assert str(error.value) == reason


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        "{}",
        '{"facts": 1}',
        '{"facts": {"duration": 1, "width": 1, "height": 1, "fps": [1, 0]}, "views": []}',
        '{"facts": {"duration": 1, "width": 4, "height": 4, "fps": [1, 1], "codec": "x", "rotation": 0, '
        '"colour": "", "has_sound": false}, "sound": null, "coverage": {}, '
        '"views": [{"place": 4096, "shape": [1, 4, 4, 3], "times": [0.0]}]}',
        '{"facts": {"duration": 1, "width": 4, "height": 4, "fps": [1, 1], "codec": "x", "rotation": 0, '
        '"colour": "", "has_sound": false}, "sound": null, "coverage": {}, '
        '"views": [{"place": 0, "shape": [-1, 4, 4, 3], "times": [0.0]}]}',
    ],
)
def test_a_child_is_not_believed(tmp_path: Path, answer: str) -> None:
    """A child that a file has taken over may answer anything: that is one unreadable file, no more."""
    child = tmp_path / "child.py"
    child.write_text(
        "import json, os, socket, sys\n"
        "from tagline.experts.decode import buffer, guard\n"
        "channel = socket.socket(fileno=int(sys.argv[1]))\n"
        "while guard.receive(channel) is not None:\n"
        "    store = buffer.SharedMemory()\n"
        "    os.ftruncate(store.fd, 4096)\n"
        f"    guard.send(channel, json.loads({answer!r}), store.fd)\n"
    )
    path = tmp_path / "x.mp4"
    path.write_bytes(b"x")
    with Decoder(jobs=1, child=child) as decoder:
        for _ in range(2):
            with pytest.raises(Unreadable, match="nonsense"):
                decoder.read(path, (Uniform(1),))


def test_children_are_replaced_after_many_files(tmp_path: Path) -> None:
    path = shoot(tmp_path / "film", Film(count=3))
    with Decoder(jobs=1, limits=Limits(files=2)) as decoder:
        pids = []
        for _ in range(5):
            decoder.read(path, (Uniform(1),))
            pids += [child.process.pid for child in decoder._all]
        assert len(set(pids)) >= 2
        assert decoder.replaced == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tie a child's life to its parent's")
def test_children_die_with_their_parent_and_not_of_ctrl_c(tmp_path: Path) -> None:
    program = (
        "import sys, time, signal\n"
        "from pathlib import Path\n"
        "from tagline.experts.decode.decoder import Decoder\n"
        "from tagline.experts.footage import Uniform\n"
        f"decoder = Decoder(jobs=1, child=Path({str(bad_child(tmp_path / 'child.py'))!r}))\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "import threading\n"
        f"path = Path({str(tmp_path / 'hang.mp4')!r})\n"
        "path.write_bytes(b'hang')\n"
        "threading.Thread(target=lambda: decoder.read(path, (Uniform(1),)), daemon=True).start()\n"
        "while not decoder._all: time.sleep(0.01)\n"
        "time.sleep(1)\n"
        "print([c.process.pid for c in decoder._all][0], flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        os.killpg(parent.pid, signal.SIGINT)
        time.sleep(0.3)
        assert child.is_running()
        parent.kill()
        parent.wait()
        _, alive = psutil.wait_procs([child], timeout=10)
        assert not alive
    finally:
        parent.kill()
        parent.wait()


def test_the_child_loads_no_model_library(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(
        "import sys\n"
        "from tagline.experts.decode import extract, guard\n"
        "from tagline.experts.footage import Unreadable\n"
        "def watch(*_):\n"
        "    raise Unreadable(' '.join(sorted({'av', 'torch', 'transformers'} & set(sys.modules))))\n"
        "extract.extract = watch\n"
        "guard.main()\n"
    )
    path = shoot(tmp_path / "film", Film(count=3))
    with Decoder(jobs=1, child=child) as decoder, pytest.raises(Unreadable, match=r"^av$"):
        decoder.read(path, (Uniform(1),))
