"""`tagline show` and `tagline tags`, from the command line down to the catalog."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import fakes
import pytest
from click.testing import CliRunner, Result
from sentences import assert_a_sentence

from tagline.experts.tags import Modality
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.cli.options import open_library
from tagline.tagging.cli.show import show
from tagline.tagging.cli.tags import TimestampParam, tags

Run = Callable[..., Result]
EVIL = "evil\x1b[2J\u202e<svg onload=alert(1)>.mp4"
VIDEOS: dict[str, dict[str, Any]] = {
    "trips/holiday.mp4": {
        "duration": 125.0,
        "title": "Our holiday",
        "tags": {
            "object": ["sky", ("dog", 0.93, 0.5, 20.0), ("dogs", 0.81, 60.0, 90.0)],
            "scene": ["beach"],
            "screen": ["=cmd|' /C calc'!A0"],
        },
        "words": "happy birthday grandma",
    },
    "trips/rome.mp4": {"tags": {"object": ["car"]}},
    "rome.mov": {"tags": {"object": ["car", "pizza"]}, "salt": 1},
    EVIL: {"tags": {"object": ["dog"]}},
    "broken.mp4": {"unreadable": "it has no pictures"},
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    fakes.library(tmp_path, VIDEOS, files=False).close()
    return tmp_path


@pytest.fixture
def run(library: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TAGLINE_LIBRARY", str(library))
    monkeypatch.setenv("COLUMNS", "90")

    def call(*arguments: str) -> Result:
        command = show if arguments[0] == "show" else tags
        answer = CliRunner().invoke(command, arguments[1:] if command is show else arguments)
        assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
        return answer

    return call


def texts(library: Path, name: str, modality: Modality | None = None) -> list[str]:
    with Catalog.open(library) as catalog:
        video = catalog.find(name)
        assert video is not None
        return sorted(t.text for t in catalog.tags(video.id) if modality in (None, t.modality))


def test_show_draws_the_video(run: Run) -> None:
    answer = run("show", "holiday")
    assert answer.exit_code == 0
    lines = answer.output.splitlines()
    assert lines[0].endswith("trips/holiday.mp4")
    assert "Our holiday · 2:05 · 64×36 · 25 fps · h264" in lines[1]
    dog = next(line for line in lines if " dog " in line)
    assert dog.startswith("object")
    assert "93" in dog
    assert "━" in dog
    assert max(map(len, lines)) <= 90
    assert "\x1b" not in answer.output, "no colours where there is no terminal"


def test_show_tells_what_was_not_looked_at(run: Run) -> None:
    told = run("show", "holiday").output.partition("not looked at")[2]
    assert "person" in told
    assert "motion" in told
    assert "  object: " not in told
    assert "things (object, scene): has not looked at it yet" in told, "both senses were missed"
    assert "could not be read: it has no pictures" in run("show", "broken").output


def test_show_with_transcript(run: Run) -> None:
    assert "birthday" not in run("show", "holiday").output
    lines = run("show", "holiday", "--transcript").output.splitlines()
    at = lines.index("what is said")
    assert [line.split() for line in lines[at + 1 : at + 3]] == [["0:00", "happy"], ["0:41", "birthday"]]


def test_show_as_data(run: Run) -> None:
    told = json.loads(run("show", "trips/holiday.mp4", "--json", "--transcript").output)
    assert told["facts"]["duration"] == 125.0
    assert [t["text"] for t in told["tags"] if t["modality"] == "object"] == ["sky", "dog", "dog"]
    assert [word[0] for word in told["words"]] == ["happy", "birthday", "grandma"]
    assert {"person", "motion"} <= {missed["expert"] for missed in told["not_looked_at"]}
    rows = [json.loads(line) for line in run("show", "holiday", "--nl", "-m", "object").output.splitlines()]
    assert [row["text"] for row in rows] == ["sky", "dog", "dog"]
    assert "'=cmd" in run("show", "holiday", "--csv").output


def test_a_video_is_named_by_path_part_or_number(run: Run, library: Path) -> None:
    for named in (str(library / "trips/holiday.mp4"), "trips/holiday.mp4", "HOLIDAY", "liday", "1"):
        assert json.loads(run("show", named, "--json").output)["title"] == "Our holiday", named
    assert json.loads(run("show", "trips/ro", "--json").output)["paths"] == [str(library / "trips/rome.mp4")]


def test_an_ambiguous_name_lists_what_may_be_meant(run: Run) -> None:
    answer = run("show", "rome")
    assert answer.exit_code == 1
    assert "rome.mov (id 3) or trips/rome.mp4 (id 2)" in answer.output
    answer = run("show", "nowhere")
    assert answer.exit_code == 4
    assert "no video here is called 'nowhere'" in answer.output


def test_names_drive_no_terminal(run: Run) -> None:
    for arguments in (("show", "evil"), ("show", "evil", "--json"), ("show", "."), ("reject", "evil", "dog")):
        answer = run(*arguments)
        assert not any(c in answer.output for c in "\x1b\u202e"), arguments
    assert r"called '\x1b[3J'" in run("show", "\x1b[3J").output


def test_list_counts(run: Run) -> None:
    rows = json.loads(run("list", "--json").output)
    counted = {(row["tag"], row["modality"]): (row["videos"], row["spans"]) for row in rows}
    assert counted["dog", "object"] == (2, 3)
    assert counted["car", "object"] == (2, 2)
    assert [row["tag"] for row in rows[:2]] == ["dog", "car"]
    assert {row["modality"] for row in json.loads(run("list", "-m", "scene", "--json").output)} == {"scene"}


def test_list_of_rare_tags_leaves_out_the_common_ones(run: Run) -> None:
    every = {row["tag"] for row in json.loads(run("list", "--json").output)}
    rare = {row["tag"] for row in json.loads(run("list", "--rare", "--json").output)}
    assert rare < every
    assert "dog" not in rare


def test_list_of_nothing_is_exit_four(run: Run) -> None:
    assert run("list", "-m", "motion").exit_code == 4
    answer = run("list", "-m", "motion", "--json")
    assert (answer.exit_code, json.loads(answer.output)) == (4, [])


def test_reject_and_undo(run: Run, library: Path) -> None:
    assert run("reject", "holiday", "Dogs").output == "rejected: Dogs in holiday.mp4\n"
    assert texts(library, "holiday.mp4", Modality.OBJECT) == ["sky"]
    assert texts(library, EVIL) == ["dog"]
    assert run("undo").output == "taken back: reject Dogs in holiday.mp4\n"
    assert texts(library, "holiday.mp4", Modality.OBJECT) == ["dog", "dog", "sky"]
    assert run("undo").exit_code == 4


def test_accept(run: Run) -> None:
    assert run("accept", "holiday", "dog").exit_code == 0
    told = json.loads(run("show", "holiday", "--json", "-m", "object").output)
    assert {(t["text"], t["score"]) for t in told["tags"]} == {("sky", 0.9), ("dog", 1.0)}
    assert "✓" in next(line for line in run("show", "holiday").output.splitlines() if " dog" in line)


@pytest.mark.parametrize("command", ["accept", "reject"])
def test_a_slip_of_the_pen_is_told(run: Run, library: Path, command: str) -> None:
    answer = run(command, "holiday", "dgo")
    assert answer.exit_code == 4
    assert "did you mean 'dog'?" in answer.output
    with Catalog.open(library) as catalog:
        assert catalog.verdicts.all() == []


def test_add_with_and_without_a_span(run: Run, library: Path) -> None:
    assert run("add", "holiday", "Anna", "--from", "1:05", "--to", "80").exit_code == 0
    assert run("add", "holiday", "cake", "-m", "object").exit_code == 0
    assert run("add", "holiday", "end", "--from", "2:00").exit_code == 0
    with Catalog.open(library) as catalog:
        said = {t.text: (t.modality, t.start, t.end) for t in catalog.tags(1) if t.source == "human"}
    assert said == {
        "Anna": (Modality.HUMAN, 65.0, 80.0),
        "cake": (Modality.OBJECT, 0.0, 125.0),
        "end": (Modality.HUMAN, 120.0, 125.0),
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "soon"),
        ("--from", "-1"),
        ("--from", "nan"),
        ("--from", "1:2:3:4"),
        ("--from", "20", "--to", "10"),
        ("--from", "3:00"),
        ("-m", "smell"),
    ],
)
def test_impossible_additions_are_usage_errors(run: Run, library: Path, arguments: tuple[str, ...]) -> None:
    assert run("add", "holiday", "x", *arguments).exit_code == 2
    assert run("add", "holiday", " \n ").exit_code == 2
    with Catalog.open(library) as catalog:
        assert catalog.verdicts.all() == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("65", 65.0), ("65.5", 65.5), ("1:05", 65.0), ("1:00:01.5", 3601.5)]
)
def test_moments(text: str, seconds: float) -> None:
    assert TimestampParam().convert(text, None, None) == seconds


def test_rename_merge_and_alias(run: Run, library: Path) -> None:
    assert run("rename", "beach", "Copacabana").output == "renamed: beach is now Copacabana in 1 video\n"
    assert texts(library, "holiday.mp4", Modality.SCENE) == ["Copacabana"]
    assert run("merge", "car", "dog", "--into", "noisy thing").exit_code == 0
    assert "noisy thing" in texts(library, "rome.mov")
    assert run("undo").output == "taken back: merge car, dog into noisy thing\n"
    assert "car" in texts(library, "rome.mov")
    assert run("alias", "pizza", "food").exit_code == 0
    assert "food" in texts(library, "rome.mov")
    answer = run("rename", "skye", "x")
    assert answer.exit_code == 4
    assert "did you mean" in answer.output
    assert run("alias", "\n", "x").exit_code == 2


def test_a_working_directory_that_is_gone_is_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    answer = run("show", "holiday")
    assert answer.exit_code == 1
    assert "working directory is not there" in answer.output


def test_no_library_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAGLINE_LIBRARY", raising=False)
    answer = CliRunner().invoke(tags, ["list", "--library", str(tmp_path)])
    assert_a_sentence(answer, 1, "run `tagline tag FOLDER` first")
    (tmp_path / "x.db").write_bytes(b"no database" * 100)
    with pytest.raises(click.ClickException), open_library(str(tmp_path / "x.db")):
        pass
