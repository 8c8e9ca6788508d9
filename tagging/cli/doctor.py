"""`tagline doctor`: what this installation can do, and what to do where it cannot."""

from __future__ import annotations

import click

from tagline.tagging.cli.options import library_option
from tagline.tagging.cli.output import console, to_json
from tagline.tagging.printable import safe

STYLES = {"ok": ("green", "ok"), "note": ("yellow", "note"), "broken": ("bold red", "broken")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@library_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, library: str | None) -> None:
    """Check this installation and show what to do.

    Looks at versions (the FFmpeg that is really loaded, too), devices, packages, experts, weights and free
    space. Ends with 1 if something that is needed does not work.

    \b
    tagline doctor
    tagline doctor --json
    """
    from tagline.tagging.pipeline.doctor import BROKEN, NOTE, examine

    checks = examine(library)
    broken = [check for check in checks if check.state == BROKEN]
    if as_json:
        rows = [
            {
                "topic": check.topic,
                "state": check.state,
                "finding": check.finding,
                "remedy": check.fix,
                **check.more,
            }
            for check in checks
        ]
        click.echo(to_json({"works": not broken, "checks": rows}, indent=2))
        ctx.exit(1 if broken else 0)

    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for check in checks:
        style, word = STYLES[check.state]
        table.add_row(Text(word, style), Text(check.topic, "bold"), Text(safe(check.finding)))
        if check.fix and check.state != "ok":
            table.add_row("", "", Text(f"→ {safe(check.fix)}", style))
    screen = console()
    screen.print(table)
    notes = sum(check.state == NOTE for check in checks)
    if broken:
        word = "thing does" if len(broken) == 1 else "things do"
        screen.print(Text(f"{len(broken)} needed {word} not work", "bold red"))
    elif notes:
        screen.print("everything needed works; the notes say what more could be had")
    else:
        screen.print("everything works")
    ctx.exit(1 if broken else 0)
