"""`tagline tag` and `tagline plan` as a user meets them: what they say, write, and end with."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import folder_runs
import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from sentences import assert_a_sentence

from tagline.benchmarks.fixtures import stub_experts
from tagline.benchmarks.robustness.kill9 import make_video
from tagline.retrieval.cli.main import cli
from tagline.tagging.catalog.records import Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.cli import progress as shown
from tagline.tagging.pipeline import plan as planning
from tagline.tagging.pipeline.progress import Progress
from tagline.tagging.pipeline.walk import Walk
from tagline.tagging.printable import safe

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def fake_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.use_fakes(monkeypatch)
    monkeypatch.delenv("TAGLINE_LIBRARY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("tagline.tagging.library._device", lambda *_: "cpu")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    films = tmp_path / "films"
    fakes.write_video(films / "a.mp4", tags={"object": ["dog", "cat"]}, words="hello there")
    fakes.write_video(films / "sub" / "b.mp4", tags={"screen": ["EXIT"]})
    return films


def tagline(*words: Any) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_a_first_and_a_second_run(films: Path) -> None:
    first = tagline("tag", films)
    assert first.exit_code == 0, first.output
    lines = first.stdout.splitlines()
    assert lines[0] == "2 tagged, 0 unchanged, 0 failed, in 1 s"
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["expert", "videos", "tags", "failed"],
        ["object", "2", "2", "0"],
        ["scene", "2", "0", "0"],
    ]
    assert "tagline show VIDEO" in lines[-1]
    assert (films / ".tagline" / "catalog.sqlite").is_file()
    second = tagline("tag", films)
    assert second.exit_code == 0
    assert second.stdout == "0 tagged, 2 unchanged, 0 failed, in 1 s\n"


@pytest.mark.parametrize("others", [False, True])
def test_a_fresh_library_is_walked_once_unless_another_program_was_as_fast(
    films: Path, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    walks = []

    class Counted(Walk):
        def __iter__(self) -> Iterator[Place]:
            walks.append(self.folders)
            yield from super().__iter__()
            if others and len(walks) == 1:
                folder_runs.look(films)

    monkeypatch.setattr(planning, "Walk", Counted)
    result = tagline("tag", films)
    assert result.exit_code == 0, result.output
    if others:  # the walks: ours, theirs inside it, ours again
        assert len(walks) == 3
        assert result.stdout.startswith("0 tagged, 2 unchanged, 0 failed")
    else:
        assert len(walks) == 1
        assert result.stdout.startswith("2 tagged, 0 unchanged, 0 failed")


def test_a_run_says_first_that_the_decoder_is_not_locked_in(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagline.experts.decode import sandbox

    monkeypatch.setattr(sandbox, "lacking", lambda: sandbox.NO_FILTER)
    assert tagline("tag", films).output.splitlines()[0] == f"note: {sandbox.NO_FILTER}"
    assert sandbox.NO_FILTER not in tagline("plan", films).output
    monkeypatch.setattr(sandbox, "lacking", lambda: "")
    assert "note:" not in tagline("tag", films, "--retry").output


def test_the_answer_in_json(films: Path) -> None:
    fakes.write_video(films / "bad.mp4", unreadable="the moov is missing")
    answer = tagline("tag", films, "--json")
    assert answer.exit_code == 3
    data = json.loads(answer.stdout)
    assert (data["found"], data["tagged"], data["failed"], data["stopped"]) == (3, 2, 1, False)
    assert data["failures"] == [
        {"path": str(films / "bad.mp4"), "expert": None, "reason": "the moov is missing"}
    ]
    assert data["experts"]["object"]["tags"] == 2
    again = json.loads(tagline("tag", films, "--json").stdout)
    assert (again["tagged"], again["unchanged"], again["failed_before"]) == (0, 2, 1)


def test_plan_and_dry_run_leave_no_trace(films: Path) -> None:
    for words in (("plan", films), ("tag", films, "--dry-run")):
        answer = tagline(*words)
        assert answer.exit_code == 0, answer.output
        assert answer.stdout.splitlines()[:2] == [f"2 video files in {films}", "object: 2 videos, new"]
        assert not (films / ".tagline").exists()
    data = json.loads(tagline("plan", films, "--only", "speech", "--json").stdout)
    assert data["looks"] == [{"expert": "speech", "why": "new", "videos": 2}]
    assert data["seconds"] is None
    assert tagline("tag", films).exit_code == 0
    assert tagline("plan", films).stdout.splitlines() == [f"2 video files in {films}", "2 unchanged"]
    added = tagline("tags", "add", films / "a.mp4", "Anna", "--library", films)
    assert added.exit_code == 0, added.output
    assert "the fused tags" in tagline("plan", films).stdout.splitlines()[-1]
    assert json.loads(tagline("plan", films, "--json").stdout)["fused_tags"]
    assert not json.loads(tagline("plan", films, "--only", "speech", "--json").stdout)["fused_tags"]


def test_only_include_and_exclude(films: Path) -> None:
    assert tagline("tag", films, "--only", "object, scene", "--exclude", "sub").exit_code == 0
    assert sorted(fakes.FakeExpert.looked) == [(name, str(films / "a.mp4")) for name in ("object", "scene")]
    fakes.FakeExpert.looked.clear()
    assert tagline("tag", films, "--include", "b.*", "--only", "object").exit_code == 0
    assert fakes.FakeExpert.looked == [("object", str(films / "sub" / "b.mp4"))]


def test_a_file_may_be_named_by_itself(films: Path) -> None:
    assert tagline("tag", films / "a.mp4").exit_code == 0
    with Catalog.open(films) as catalog:
        assert [v.paths for v in catalog.videos()] == [[str(films / "a.mp4")]]


def test_the_library_may_be_elsewhere(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    fakes.write_video(other / "c.mp4", tags={"object": ["newt"]})
    answer = tagline("tag", films, other)
    assert answer.exit_code == 2
    assert "--library" in answer.stderr
    assert tagline("tag", films, other, "--library", tmp_path / "lib").exit_code == 0
    assert not (films / ".tagline").exists()
    monkeypatch.setenv("TAGLINE_LIBRARY", str(tmp_path / "lib"))
    assert json.loads(tagline("tag", other, "--json").stdout)["unchanged"] == 1
    with Catalog.open(tmp_path / "lib") as catalog:
        assert len(list(catalog.videos())) == 3


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["/no/such/folder"], 2, "there is no folder '/no/such/folder'"),
        (["films", "--only", "smell"], 2, "there is no expert called 'smell'; there are object, scene"),
        (["films", "--config", "none.toml"], 2, "none.toml cannot be read: No such file"),
        (["empty"], 4, "no videos in"),
        (["films", "--jobs", "0"], 2, "0 is not in the range"),
        ([], 2, "Missing argument 'FOLDER...'"),
    ],
)
def test_mistakes_end_in_a_sentence(
    films: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, sentence: str
) -> None:
    (films.parent / "empty").mkdir()
    monkeypatch.chdir(films.parent)
    answer = tagline("tag", *words)
    assert_a_sentence(answer, code, sentence)
    assert sentence in answer.stderr
    assert not (films.parent / "empty" / ".tagline").exists(), "a mount point stays clean"


def test_an_empty_mount_point_deletes_nothing(films: Path, tmp_path: Path) -> None:
    """A26: exit 3, a message, and everything is still there."""
    library = tmp_path / "lib"
    assert tagline("tag", films, "--library", library).exit_code == 0
    away = films.rename(tmp_path / "away")
    for there in (False, True):
        if there:
            films.mkdir()
        answer = tagline("tag", films, "--library", library)
        assert answer.exit_code == 3, answer.output
        assert "2 known files in" in answer.output
        assert "Nothing was removed" in answer.output
    films.rmdir()
    away.rename(films)
    answer = tagline("tag", films, "--library", library)
    assert (answer.exit_code, answer.stdout) == (0, "0 tagged, 2 unchanged, 0 failed, in 1 s\n")


def test_names_cannot_move_the_cursor(films: Path) -> None:
    """A5: whatever a file is called, the terminal gets letters."""
    for number, name in enumerate((b"\x1b[2J\x07.mp4", b"a\nb.mp4", "\u202egpj.mp4".encode(), b"\xff.mp4")):
        path = os.fsdecode(os.fsencode(films) + b"/" + name)
        fakes.write_video(Path(path), unreadable="broken \x1b[31m here", salt=number)
    answer = tagline("tag", films)
    assert answer.exit_code == 3
    for line in (answer.stdout, answer.stderr):
        assert "\x1b" not in line
        assert "\u202e" not in line
    for name in (r"\x1b[2J\x07.mp4", r"a\x0ab.mp4", r"\u202egpj.mp4", r"\xff.mp4"):
        assert sum(name in line for line in answer.stdout.splitlines()) == 1
    data = json.loads(tagline("tag", films, "--retry", "--json").stdout)
    assert [item["path"] for item in data["failures"]] == sorted(item["path"] for item in data["failures"])


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("plain name.mp4", "plain name.mp4"),
        ("Zürich 日本 😀.mp4", "Zürich 日本 😀.mp4"),
        ("a\x1b[31mb\r\n\t", r"a\x1b[31mb\x0d\x0a\x09"),
        ("\u202e\u2066\u200b\u2028", r"\u202e\u2066\u200b\u2028"),
        ("\udcff\x9b", r"\xff\x9b"),
    ],
)
def test_safe_names(name: str, written: str) -> None:
    assert safe(name) == written
    assert len(safe("x" * 500, 40)) == 40


# ---- settings


def configure(films: Path, text: str) -> None:
    (films / "tagline.toml").write_text(text, encoding="utf-8")


def test_the_library_s_settings_are_used(films: Path) -> None:
    configure(films, '[tag]\nexperts = ["object", "screen"]\n[experts.object]\nconfidence = 0.95\n')
    answer = tagline("tag", films)
    assert answer.exit_code == 0, answer.output
    rows = [line.split()[:3] for line in answer.stdout.splitlines()[1:4]]
    assert rows[1:] == [["object", "2", "0"], ["screen", "2", "1"]]
    configure(films, '[experts.object]\nuse = "scene"\n[tag]\nexperts = ["object"]\n')
    assert json.loads(tagline("plan", films, "--json").stdout)["looks"][0]["expert"] == "scene"


def test_weights_of_a_collection_reach_every_expert(films: Path) -> None:
    assert tagline("tag", films).exit_code == 0
    data = json.loads(tagline("plan", films, "--weights", "playhouse", "--json").stdout)
    assert {look["why"] for look in data["looks"]} == {"other weights or settings"}
    assert len(data["looks"]) == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tag", "is not valid TOML"),
        ("[tags]\n", "has a section [tags]; there are [tag] and [experts.NAME]"),
        ("[tag]\nbatches = 3\n", "[tag] has no setting 'batches'; it has experts, device, batch, jobs"),
        ("[tag]\nbatch = 0\n", "batch in [tag] must be a whole number above 0"),
        ("[tag]\nexperts = 3\n", "experts in [tag] must be a list of names"),
        ("experts = 3\n", "experts must be a section"),
        ("[experts.object]\nsmell = 1\n", "the expert object cannot be set so"),
        ('[experts.object]\nuse = "nose"\n', "there is no expert called 'nose'"),
        ("[experts.object]\nallow_pickle = true\n", "lies with the videos and may not set allow_pickle"),
        ('[tag]\nexperts = ["object", "smell"]\n', "there is no expert called 'smell'"),
        ('[experts.object]\nuse = "scene"\n', "two experts are called scene"),
    ],
)
def test_wrong_settings_are_said(films: Path, text: str, sentence: str) -> None:
    configure(films, text)
    answer = tagline("tag", films)
    assert answer.exit_code == 2
    assert sentence in answer.stderr
    assert not (films / ".tagline").exists()


def test_an_expert_without_weights_is_said_by_name(films: Path) -> None:
    missing = "not run: weights x.pt (5.4 MB) are not here; run `tagline models pull object`"
    configure(films, f'[experts.object]\nabsent = "{missing}"\n')
    answer = tagline("tag", films)
    assert answer.exit_code == 0
    assert f"object: {missing}" in answer.stdout.splitlines()
    configure(films, f'[experts.object]\nabsent = "{missing}"\n[tag]\nexperts = ["object"]\n')
    fakes.write_video(films / "new.mp4", salt="new")
    answer = tagline("tag", films)
    assert answer.exit_code == 1
    assert "no expert can run here, so nothing was looked at" in answer.stderr


def test_those_that_lack_weights_alone_say_in_one_line_what_these_cost(films: Path) -> None:
    def absent(name: str, weights: str) -> str:
        why = f"not run: weights {weights} are not here; run `tagline models pull {name}`"
        return f"[experts.{name}]\nabsent = '{why}'\n"

    configure(films, absent("object", "x (5.4 MB, AGPL-3.0)") + absent("scene", "y (30.0 MB, MIT)"))
    answer = tagline("tag", films)
    assert answer.exit_code == 0
    assert [line for line in answer.stdout.splitlines() if "not run" in line] == [
        "object, scene: not run: weights x (5.4 MB, AGPL-3.0), y (30.0 MB, MIT) are not here; "
        "run `tagline models pull object scene`"
    ]


def test_those_that_lack_the_same_library_share_a_line() -> None:
    lacking = {name: f"not run: {name} needs torch; run X" for name in ("scene", "motion")}
    lines = shown._not_run_lines({**lacking, "screen": "not run: another reason"})
    assert list(lines) == ["scene, motion: not run: needs torch; run X", "screen: not run: another reason"]


# ---- catalogs that cannot be used


def test_a_newer_catalog_and_a_foreign_one_are_refused(films: Path) -> None:
    assert tagline("tag", films).exit_code == 0
    file = films / ".tagline" / "catalog.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    answer = tagline("tag", films)
    assert (answer.exit_code, "newer tagline" in answer.stderr) == (1, True)
    answer = tagline("tag", films, "--library", films / "a.mp4")
    assert (answer.exit_code, "no catalog (file is not a database)" in answer.stderr) == (1, True)


# ---- what is shown meanwhile


def test_a_terminal_gets_two_lines_and_a_pipe_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "EVERY", 0.0)
    state = Progress(total=40, done=10, failed=1, skipped=2, path="x", started=time.monotonic() - 30)
    pipe, terminal = io.StringIO(), io.StringIO()
    with shown.ProgressDisplay(console=Console(file=pipe, width=100)) as lines:
        lines.stage("object", 8)
        lines.progress(state)
    assert pipe.getvalue() == "10/40 files, 20 a minute, 90 s left, 1 failed, 2 copied or moved\n".replace(
        "90 s", "2 min"
    )
    with shown.ProgressDisplay(console=Console(file=terminal, width=100, force_terminal=True)) as lines:
        lines.progress(state)
        lines.stage("object", 8)
    assert "object: 8 at once" in terminal.getvalue()
    assert "20 a minute" in terminal.getvalue()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("number", "times", "code"), [(signal.SIGINT, 1, 130), (signal.SIGINT, 2, 130), (signal.SIGTERM, 1, 143)]
)
def test_ctrl_c_once_finishes_what_is_in_hand_and_twice_stops(
    tmp_path: Path, number: int, times: int, code: int
) -> None:
    """The real command on real files, with an expert that takes its time."""
    films = tmp_path / "films"
    films.mkdir()
    for name in range(6):
        make_video(films / f"{name}.mp4", name)
    packages = stub_experts.install(tmp_path / "packages")
    (packages / "slow.py").write_text(
        "import time\nfrom tagline.benchmarks.fixtures.stub_experts import ChangeExpert\n"
        "class Slow(ChangeExpert):\n    name = 'slow'\n    def tag_one(self, footage):\n"
        "        print('looking', flush=True); time.sleep(1.0); return super().tag_one(footage)\n",
        encoding="utf-8",
    )
    with (packages / "tagline_light-1.dist-info" / "entry_points.txt").open("a") as file:
        file.write("slow = slow:Slow\n")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tagline",
            "tag",
            str(films),
            "--only",
            "slow",
            "--device",
            "cpu",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"looking\n"
    process.send_signal(number)
    if times == 2:
        time.sleep(0.3)
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (out, err)
    assert b"finishing what is in hand" in err
    assert b"the next run goes on from here" in (out if times == 1 else err)
    assert b"Traceback" not in err
    with Catalog.open(films) as catalog:
        written = len(list(catalog.videos()))
    assert written == (1 if times == 1 else 0), "the first batch is one video"


def test_a_pickle_needs_a_person_who_says_so(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Trusting(fakes.FakeObjects):
        def __init__(self, *, allow_pickle: bool = False, **settings: Any) -> None:
            asked.append(allow_pickle)
            super().__init__(**settings)

    monkeypatch.setattr(fakes, "FakeObjects", Trusting)
    assert tagline("tag", films, "--only", "object").exit_code == 0
    assert asked[-1] is False
    assert (
        tagline("tag", films, "--only", "object", "--allow-pickle", "--weights", "playhouse").exit_code == 0
    )
    assert asked[-1] is True


def test_copies_are_not_counted_as_unchanged(films: Path) -> None:
    first = next(path for path in sorted(films.iterdir()) if path.suffix == ".mp4")
    (films / "copy.mp4").write_bytes(first.read_bytes())
    said = tagline("tag", films).stdout.splitlines()[0]
    assert "2 tagged, 0 unchanged, 1 copied or moved, 0 failed" in said
