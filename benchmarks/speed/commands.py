"""`tagline bench speed`: every stage against the plain way and the floor."""

from __future__ import annotations

import json

import click

from tagline.benchmarks import records


@click.command()
@click.option("--gpu", is_flag=True, help="Measure on the GPU what a GPU computes.")
@click.option("--parts", metavar="NAMES", help="Only these: decode,tagging,training-step,growth,...")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Make a part smaller.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record.")
def speed(gpu: bool, parts: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Measure every stage as a ratio: to the plain way that one would script otherwise, and to the floor.

    \b
    tagline bench speed
    tagline bench speed --gpu
    tagline bench speed --parts start-up,growth --set sizes=1000,10000
    tagline bench speed --parts tagging --set videos=4

    Parts: decode, tagging (with each expert), training-step, generating, embedding, start-up, growth (index
    and search). All of them take about half an hour on two cores. The record is kept as `speed` (with --gpu:
    `speed-gpu`) and stands in docs/RESULTS.md after `tagline bench report`.
    """
    from tagline.benchmarks.speed.measure import NoGpu

    options = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--set wants KEY=VALUE, not {setting!r}")
        options[key] = value
    if parts is not None:
        options["parts"] = parts
    try:
        record = records.run("speed-gpu" if gpu else "speed", options)
    except NoGpu as error:
        raise click.ClickException(str(error)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    for part in record["details"]["parts"]:
        cells = [f"{part['name']:<16} {part['ours']:.4g} s for {part['unit']}"]
        if part["plain"]:
            cells.append(f"{part['plain'] / part['ours']:.2g} times as fast as {part['plain_way']}")
        if part["floor"]:
            cells.append(f"{part['ours'] / part['floor']:.2g} times {part['floor_is']}")
        click.echo("; ".join(cells))
