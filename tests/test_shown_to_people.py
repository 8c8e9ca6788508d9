"""Foreign text on its way out: names, tags, transcripts and errors reach a terminal or a pipe as text."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path
from typing import Any

import click
import fakes
import pytest
from click.testing import CliRunner

from tagline.benchmarks.quality import house
from tagline.experts import printable
from tagline.retrieval.cli.main import COMMANDS, LazyGroup, cli

# A window's title, a colour, a cleared screen by C1, back over what was written, text turned round.
EVIL = "a\x1b]0;pwned\x07\x1b[31m\x9b2J\x08\r\u202egnp\u2066\u2028.mp4"
OBEYED = "\x1b\x07\x08\x9b\r\u202e\u2066\u2028\x00"
ROOT = Path(__file__).parent.parent

# Each command with arguments that quote names, of files that are there or of things that are not.
RUNS: list[tuple[str, ...]] = [
    ("tag", "{folder}"),
    ("tag", "{folder}", "--json"),
    ("tag", EVIL),
    ("tag", "{folder}", "--only", EVIL),
    ("tag", "{folder}", "--config", EVIL),
    ("tag", "{folder}", "--device", EVIL),
    ("tag", EVIL, "--cluster", EVIL),
    ("plan", "{folder}"),
    ("plan", EVIL),
    ("show", "{video}", "--library", "{folder}"),
    ("show", "{video}", "--library", "{folder}", "--json"),
    ("show", "{video}", "--library", "{folder}", "--transcript"),
    ("show", "{video}", "--library", "{folder}", "--csv"),
    ("show", EVIL),
    ("tags", "list", "--library", "{folder}"),
    ("tags", "list", "--library", "{folder}", "--nl"),
    ("tags", "accept", "{video}", EVIL, "--library", "{folder}"),
    ("tags", "add", "{video}", EVIL, "--library", "{folder}"),
    ("tags", "rename", EVIL, "x" + EVIL, "--library", "{folder}"),
    ("tags", EVIL),
    ("search", EVIL, "--library", "{folder}"),
    ("search", "dog", "--library", "{folder}"),
    ("search", "dog", "--library", "{folder}", "--json"),
    ("search", "dog", "--library", EVIL),
    ("index", "--library", "{folder}", "--model", EVIL),
    ("index", "--library", EVIL),
    ("similar", EVIL, "--library", "{folder}"),
    ("describe", EVIL, "--library", "{folder}"),
    ("serve", "--library", EVIL),
    ("serve", "--host", EVIL),
    ("explain", "dog", "{video}", "--library", "{folder}"),
    ("explain", EVIL, EVIL, "--library", "{folder}"),
    ("tune", "--library", EVIL),
    ("export", "--format", "json", "--library", "{folder}", "--dry-run"),
    ("export", EVIL, "--library", "{folder}"),
    ("import", EVIL, "--library", "{folder}"),
    ("import", "{folder}", "--library", "{folder}"),
    ("catalog", EVIL),
    ("catalog", "import", EVIL, "--library", EVIL),
    ("approve", EVIL),
    ("models", "pull", EVIL),
    ("models", "verify", EVIL),
    ("models", "bundle", EVIL, "--out", EVIL),
    ("doctor", EVIL),
    ("selftest", EVIL),
    ("train", "table", EVIL),
    ("train", EVIL),
    ("eval", "--library", EVIL),
    ("bench", "run", EVIL),
    ("bench", EVIL),
    (EVIL,),
    ("--" + EVIL,),
]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.use_fakes(monkeypatch)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "videos"
    content: dict[str, Any] = {
        "tags": {"object": ["dog", EVIL], "screen": [EVIL]},
        "words": f"hello {EVIL} dog",
        "title": EVIL,
    }
    fakes.library(folder, {EVIL: content, "bad" + EVIL: {"unreadable": f"says {EVIL}"}}).close()
    fakes.write_video(folder / f"new{EVIL}", **content)
    fakes.write_video(folder / f"raises{EVIL}", raises={"object": EVIL})
    return folder


def test_every_command_is_tried() -> None:
    assert {run[0] for run in RUNS} >= set(COMMANDS)


@pytest.mark.parametrize(
    "number", range(len(RUNS)), ids=[" ".join(run)[:40].encode("unicode_escape").decode() for run in RUNS]
)
def test_nothing_that_a_terminal_obeys_comes_out_of_a_command(library: Path, number: int) -> None:
    values = {"{folder}": str(library), "{video}": str(library / EVIL)}
    done = CliRunner().invoke(cli, [values.get(part, part) for part in RUNS[number]])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    for written in (done.stdout_bytes, done.stderr_bytes):
        text = written.decode("utf-8")
        assert not [sign for sign in OBEYED if sign in text], text


@click.command()
@click.argument("way")
def careless(way: str) -> None:
    """A command that shows whatever it is given, in every way there is."""
    if way == "print":
        print(EVIL)
    elif way == "error":
        raise click.ClickException(EVIL)
    elif way == "log":
        import logging

        record = logging.LogRecord("x", logging.WARNING, "x", 1, "%s", (EVIL,), None)
        assert logging.lastResort is not None
        logging.lastResort.handle(record)
    elif way == "write":
        sys.stdout.writelines([EVIL, "\n"])
        sys.stderr.write(EVIL)
    elif way == "table":
        from rich.table import Table

        table = Table()
        table.add_column(EVIL)
        table.add_row(EVIL)
        printable.console().print(table)
        printable.console(stderr=True, force_terminal=True).print(f"[red]{EVIL}", style="bold")
    elif way == "traceback":
        import traceback

        try:
            raise ValueError(EVIL)
        except ValueError:
            traceback.print_exc()
    else:
        click.echo(EVIL)
        click.echo(EVIL.encode("utf-8", "replace").decode(), err=True)


@pytest.mark.parametrize("way", ["print", "error", "log", "write", "table", "traceback", "echo"])
def test_a_command_that_takes_no_care_is_safe_all_the_same(way: str) -> None:
    class Group(LazyGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            return careless

    done = CliRunner().invoke(Group("x"), ["careless", way], color=True)
    text = done.stdout + done.stderr
    if way == "table":  # rich's own colours go past
        assert "\x1b[1m" in text
        text = text.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "pwned" in text
    assert not [sign for sign in OBEYED if sign in text], text


def test_a_terminal_that_knows_only_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    """click encodes by itself there, and comes by the same place."""
    written = io.BytesIO()
    terminal = io.TextIOWrapper(written, "ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    printable.guard_streams()
    printable.guard_streams()
    click.echo(f"é{EVIL}")
    sys.stdout.flush()
    assert written.getvalue().startswith(b"?a\\x1b]0;pwned\\x07")


def test_names_that_are_not_utf_8_and_words_that_need_their_joiners() -> None:
    assert printable.safe_lines("caf\udce9\tx\ny") == "caf\\xe9\tx\ny"
    assert printable.safe("caf\udce9\tx\ny") == "caf\\xe9\\x09x\\x0ay"
    assert printable.safe_lines("می\u200cخواهم") == "می\u200cخواهم"


def test_nobody_makes_a_console_or_a_way_out_of_their_own() -> None:
    found = []
    for name, path in house.modules(ROOT).items():
        if name == "tagline.experts.printable":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = ast.unparse(node) if isinstance(node, ast.Call | ast.Attribute) else ""
            if text.startswith(
                ("Console(", "sys.__std", "click.style(", "click.secho(", "click.get_binary_stream(")
            ):
                found.append(f"{name}: {text}")
    assert found == []
