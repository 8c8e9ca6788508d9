"""`tagline bench`: measure, and see what was measured."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import click

from benchmarks import records

# Loaded when called.
ELSEWHERE = {"playhouse": "benchmarks.playhouse.commands", "prepare": "benchmarks.datasets.commands"}


class _Bench(click.Group):
    """Also offers the commands of the playhouse and of the data sets."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(ELSEWHERE[cmd_name]), cmd_name)
        return command


@click.group(cls=_Bench)
def bench() -> None:
    """Measure, and see what was measured.

    \b
    tagline bench list                 every measurement, one line each
    tagline bench run startup          measure one and keep the record
    tagline bench show startup --json  the record
    tagline bench prepare msvd ...     a data set's annotations into a catalog
    """


@bench.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """Name every measurement and say when it was last taken."""
    rows = []
    for name, (_, line) in records.MEASUREMENTS.items():
        record = records.read(name)
        rows.append({"name": name, "what": line, "measured": record["date"] if record else None})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(map(len, records.MEASUREMENTS))
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {(row['measured'] or 'not yet')[:10]:<10}  {row['what']}")


@bench.command()
@click.argument("name")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the measurement.")
@click.option("--seed", help="Short for --set seed=N.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record.")
def run(name: str, settings: tuple[str, ...], seed: str | None, as_json: bool) -> None:
    """Measure NAME and keep the record."""
    options = dict(_pair(setting) for setting in settings)
    if seed is not None:
        options["seed"] = seed
    try:
        record = records.run(name, options)
    except records.UnknownMeasurement as error:
        raise click.UsageError(str(error)) from None
    _print(record, as_json)


@bench.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record.")
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show the record of NAME."""
    if name not in records.MEASUREMENTS:
        raise click.UsageError(f"there is no measurement {name!r}; `tagline bench list` names them all")
    record = records.read(name)
    if record is None:
        click.echo(f"{name} has not been measured yet: `tagline bench run {name}`", err=True)
        ctx.exit(4)
    _print(record, as_json)


def _pair(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--set wants KEY=VALUE, not {setting!r}")
    return key, value


def _print(record: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    click.echo(f"{record['name']}  ({record['date'][:10]}, commit {record['commit']})")
    width = max(map(len, record["values"]), default=0)
    for key, value in record["values"].items():
        click.echo(f"  {key:<{width}}  {value}")
