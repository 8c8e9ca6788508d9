"""The docs: every command that they show exists, with its options, and every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tagline.benchmarks.cli.bench import STUDIES
from tagline.benchmarks.registry.record import MEASUREMENTS, read
from tagline.retrieval.cli.main import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown_commands() -> list[tuple[str, str]]:
    """Every line of a shell block that begins with `tagline`, with the page that shows it."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("tagline "):
                    found.append((page.name, line))
    return found


def words_of(line: str) -> list[str]:
    """The words after `tagline`, up to a pipe, a redirection or a comment."""
    words = shlex.split(line, comments=True)[1:]
    for mark in ("|", ">", "&&", ";"):
        if mark in words:
            words = words[: words.index(mark)]
    return words


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_commands_in_the_docs_are_commands(page: str, line: str) -> None:
    words = words_of(line)
    command: click.Command = cli
    context = click.Context(cli, info_name="tagline")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{page}: {line}: there is no command {name!r}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    known = {
        name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)
    }
    for word in words:
        if word.startswith("-") and word != "-" and not re.fullmatch(r"-\d+", word):
            assert word.partition("=")[0] in known, f"{page}: {line}: {command.name} has no option {word}"
    if "bench run" in line:
        assert words[0] in MEASUREMENTS or words[0] in STUDIES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_figures_in_the_readme_are_those_of_the_records() -> None:
    """A row that names a measurement shows its keys with their values: `lost` 0."""
    rows = [
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "bench run" in line
    ]
    assert rows
    for row in rows:
        name = re.search(r"bench run ([\w-]+)", row)
        assert name, row
        record = read(name[1])
        assert record is not None, f"the README shows {name[1]}, but it was never measured"
        for key, shown in re.findall(r"`(\w+)` (-?[\d.]*\d|true|false)", row):
            value = record["values"][key]
            if isinstance(value, bool):
                assert shown == str(value).lower(), row
            else:
                digits = len(shown.partition(".")[2])
                assert round(float(value), digits) == pytest.approx(float(shown)), f"{row}: {key} is {value}"
