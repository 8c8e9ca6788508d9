"""The front door: every command is there, says what it is for, and mistakes end in a sentence."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tagline.retrieval.cli.main import COMMANDS, cli

# Filters and forms of answers of the one, how and where the other works: people and programs ask for each.
MOST_OPTIONS = {"search": 16, "tag": 14}


def every_command(group: click.Group = cli, before: str = "") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found.append((f"{before}{name}", command))
        if isinstance(command, click.Group):
            found += every_command(command, f"{before}{name} ")
    return found


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_front_door_says_what_the_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.get_short_help_str(200).rstrip(".") == COMMANDS[name][1].rstrip(".")


@pytest.mark.parametrize(("name", "command"), every_command())
def test_every_command_explains_itself(name: str, command: click.Command) -> None:
    answer = CliRunner().invoke(cli, [*name.split(), "--help"])
    assert answer.exit_code == 0, answer.output
    assert command.help, name
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    undescribed = [option.name for option in options if not option.help]
    assert undescribed == []
    if not isinstance(command, click.Group):
        assert f"tagline {name}" in command.help, f"the help of {name} shows no example"
    most = MOST_OPTIONS.get(name, 12)
    assert len(options) <= most, f"{name} has {len(options)} options; more belongs into the configuration"


def test_an_unknown_command_is_a_usage_error() -> None:
    answer = CliRunner().invoke(cli, ["tga"])
    assert answer.exit_code == 2
    assert "No such command" in answer.output
