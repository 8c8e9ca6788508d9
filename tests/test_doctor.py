"""`tagline doctor`: says what is there, survives what is broken, and names the way out."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import fakes
import pytest
from click.testing import CliRunner

from tagline.tagging.cli.doctor import doctor as command
from tagline.tagging.pipeline import doctor
from tagline.tagging.pipeline.doctor import BROKEN, NOTE, OK, Check


def states(checks: Iterable[Check]) -> dict[str, str]:
    return {check.topic: check.state for check in checks}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Answers of the processes that load libraries, without loading them."""
    answers: dict[str, Any] = {
        "av": {
            "version": "18.1.0",
            "ffmpeg": "8.1",
            "libraries": {},
            "files": ["/x/av.libs/libavcodec.so"],
            "absent": [],
        },
        "torch": {
            "version": "2.14",
            "threads": 2,
            "cuda": "13",
            "devices": [],
            "mps": False,
            "driver": False,
        },
    }
    monkeypatch.setattr(
        doctor, "run_isolated", lambda program: answers["torch" if "torch" in program else "av"]
    )
    return answers


def test_the_ffmpeg_that_is_really_loaded_is_named() -> None:
    (video,) = doctor.decoding()
    av_version = metadata.version("av")
    assert video.state == OK
    assert video.finding.startswith(f"PyAV {av_version} with FFmpeg ")
    assert set(video.more["libraries"]) >= {"libavcodec", "libavformat"}
    if sys.platform.startswith("linux"):
        assert any("libavcodec" in file for file in video.more["files"])


def test_sqlite_with_full_text_search() -> None:
    (check,) = doctor.database()
    assert check.state == OK
    assert sqlite3.sqlite_version in check.finding


def test_this_process_loads_no_heavy_library() -> None:
    code = (
        "import sys\nfrom tagline.tagging.pipeline.doctor import examine\nexamine()\n"
        "print(sorted(set(sys.modules) & {'torch', 'av', 'transformers', 'ultralytics', 'whisper'}))"
    )
    quiet = "import tagline.tagging.pipeline.doctor as d\nd.ask = lambda program: 'not asked'\n"
    done = subprocess.run([sys.executable, "-c", quiet + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("raise ImportError('libcuda.so.1: cannot open')", "ImportError: libcuda.so.1"),
        ("import sys\nsys.exit(3)", "without a word"),
        ("print('noise')\nanswer = {'a': 1}", None),
    ],
)
def test_a_library_that_breaks_costs_one_line(program: str, words: str | None) -> None:
    found = doctor.run_isolated(program)
    assert found == {"a": 1} if words is None else words in str(found)


def test_a_library_that_hangs_costs_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", 0.2)
    assert "longer than" in str(doctor.run_isolated("import time\ntime.sleep(30)"))


def test_a_file_among_the_videos_is_not_taken_for_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('loaded a stranger')")
    monkeypatch.chdir(tmp_path)
    assert doctor.run_isolated("answer = {'a': 1}") == {"a": 1}


def test_broken_libraries_are_told_with_the_way_out(quick: dict[str, Any]) -> None:
    quick["av"], quick["torch"] = "it died", "ImportError: no torch"
    for checks in (list(doctor.decoding()), list(doctor.torch_devices())):
        assert checks[0].state == BROKEN
        assert "pip install" in checks[0].fix


def test_an_old_pyav_a_foreign_ffmpeg_and_missing_codecs(quick: dict[str, Any]) -> None:
    quick["av"] |= {"version": "17.0.1"}
    assert states(doctor.decoding()) == {"video": BROKEN}
    quick["av"] |= {"version": "18.1.0", "absent": ["av1"], "files": ["/usr/lib/libavcodec.so.62"]}
    assert states(doctor.decoding()) == {"video": NOTE, "ffmpeg": NOTE}


def test_accelerators(quick: dict[str, Any]) -> None:
    assert "CPU" in list(doctor.torch_devices())[1].finding
    quick["torch"] |= {"driver": True}
    assert list(doctor.torch_devices())[1].state == NOTE
    quick["torch"] |= {"devices": [("H200", 150 << 30)]}
    assert list(doctor.torch_devices())[1].finding == "H200, 150.0 GB (cuda:0)"


def test_absent_packages_and_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"click": "8", "ultralytics": "8.4"}
    wanted = ["click>=8.2", "torch>=2", "ultralytics>=8 ; extra == 'yolo'", 'tensorboard; extra == "board"']
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    monkeypatch.setattr(doctor, "_version", here.get)
    checks = list(doctor.packages())
    assert [(check.topic, check.state) for check in checks] == [
        ("packages", BROKEN),
        ("extra", OK),
        ("extra", NOTE),
    ]
    assert checks[0].fix == "pip install torch"
    assert checks[2].fix == 'pip install "tagline[board]"'


def test_every_expert_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from tagline.experts import base

    fakes.use_fakes(monkeypatch)
    monkeypatch.setattr(
        base, "BUILT_IN", {"object": "fakes:FakeObjects", "scene": "fakes:Absent", "odd": "no.such:Thing"}
    )
    monkeypatch.setattr(
        fakes, "Absent", lambda: fakes.FakeScenes(absent="weights x are not here; run `pull`"), raising=False
    )
    told = [(check.state, check.finding) for check in doctor.expert_checks() if check.topic == "expert"]
    assert told[0] == (OK, "object: ready")
    assert told[1] == (NOTE, "scene: weights x are not here")
    assert told[2][0] == NOTE
    assert "cannot be set up" in told[2][1]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.library(tmp_path, {"a.mp4": {}}).close()
    for free, state in ((100 << 20, BROKEN), (3 << 30, NOTE), (99 << 30, OK)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(1 << 40, 0, free))
        found = states(doctor.space(str(tmp_path)))
        assert found["library"] == OK
        assert found["room for the library"] == state
        assert found["room for weights"] == state


def test_a_damaged_library_is_told(tmp_path: Path, quick: dict[str, Any]) -> None:
    (tmp_path / ".tagline").mkdir()
    (tmp_path / ".tagline/catalog.sqlite").write_bytes(b"not a database at all" * 100)
    answer = CliRunner().invoke(command, ["--library", str(tmp_path), "--json"])
    assert answer.exit_code == 1
    told = json.loads(answer.output)
    assert told["works"] is False
    (library,) = [check for check in told["checks"] if check["topic"] == "library"]
    assert library["state"] == BROKEN
    assert "catalog" in library["finding"]


def test_the_command_in_words(tmp_path: Path, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 0, 1 << 39))
    fakes.library(tmp_path, {"a.mp4": {}}).close()
    answer = CliRunner().invoke(command, ["--library", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    assert "PyAV 18.1.0 with FFmpeg 8.1" in answer.output
    assert "1 video" in answer.output
    assert max(map(len, answer.output.splitlines())) <= 80
    quick["torch"] = "ImportError"
    answer = CliRunner().invoke(command, ["--library", str(tmp_path)])
    assert answer.exit_code == 1
    assert "→ pip install --force-reinstall torch" in answer.output
    assert "1 needed thing does not work" in answer.output


def test_a_check_that_fails_itself_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> Iterable[Check]:
        raise RuntimeError("boom")

    (check,) = doctor._guarded(explode)
    assert (check.topic, check.state) == ("explode", BROKEN)
    assert "boom" in check.finding


@pytest.mark.parametrize(
    ("count", "text"), [(10, "10 bytes"), (5 << 20, "5 MB"), (3 << 30, "3.0 GB"), (2 << 40, "2.0 TB")]
)
def test_sizes(count: int, text: str) -> None:
    assert doctor.format_bytes(count) == text


def test_what_the_kernel_keeps_a_decoder_from(monkeypatch: pytest.MonkeyPatch) -> None:
    from tagline.experts.decode import landlock, sandbox, syscalls

    monkeypatch.setattr(syscalls, "offered", lambda: True)
    monkeypatch.setattr(landlock, "version", lambda: 7)
    (check,) = doctor.isolation()
    assert (check.state, check.more) == (OK, {"seccomp": True, "landlock": 7})
    monkeypatch.setattr(landlock, "version", lambda: 0)
    assert [(c.state, c.finding) for c in doctor.isolation()] == [(NOTE, sandbox.NO_LANDLOCK)]
    monkeypatch.setattr(syscalls, "offered", lambda: False)
    assert [(c.state, c.finding) for c in doctor.isolation()] == [(NOTE, sandbox.NO_FILTER)]
