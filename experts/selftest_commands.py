"""`tagline selftest`: an honest file must be read; with --hostile, attacks on the decoder must fail."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--hostile", is_flag=True, help="Also make hostile files and see that none does harm.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def selftest(ctx: click.Context, hostile: bool, as_json: bool) -> None:
    """Attack the decoder with hostile files.

    Makes its files in a temporary folder and needs no network. Without --hostile only an honest file is read.

    \b
    tagline selftest --hostile
    """
    import tempfile
    from pathlib import Path

    from tagline.experts.selftest import honest, run_cases

    with tempfile.TemporaryDirectory(prefix="tagline-selftest-") as folder:
        results = run_cases(Path(folder)) if hostile else [honest(Path(folder))]
    if as_json:
        keys = ("attack", "case", "passed", "seen")
        click.echo(json.dumps([dict(zip(keys, result, strict=True)) for result in results], indent=2))
    else:
        for attack, case, passed, seen in results:
            verdict = click.style("ok  ", fg="green") if passed else click.style("FAIL", fg="red", bold=True)
            click.echo(f"{verdict}  {attack:<6}  {case}: {seen}")
    failed = sum(not passed for _, _, passed, _ in results)
    if not as_json:
        click.echo(f"{len(results) - failed} passed, {failed} failed")
    ctx.exit(1 if failed else 0)
