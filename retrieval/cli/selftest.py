"""`tagline selftest`: attack this installation, on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tagline.experts.attacks.selftest import Result

# Attacks that no command can repeat on somebody's machine in a minute, and where they are tried instead.
ELSEWHERE = {
    "A23": ("text on the screen that gives orders", "test_catalog.py, test_screen.py"),
    "A24": ("an address as a query", "test_web_doors.py"),
    "A25": (
        "kill -9, a full disk, two writers",
        "`tagline bench run attacks`; test_folder_hostile.py",
    ),
    "A29": ("10,000 files", "`tagline bench run soak` and `mutants`"),
    "A30": ("no network", "test_pull.py"),
    "A34": ("models and servers that a folder names", "test_approvals.py"),
    "A35": ("a cache and rows that lead out of the library", "test_owned.py"),
    "A36": ("1,500 readers that stop", "`tagline bench run attacks`; test_web_stalled.py"),
}


@click.command()
@click.option("--hostile", is_flag=True, help="Also attack it in every way that a command can, one by one.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def selftest(ctx: click.Context, hostile: bool, as_json: bool) -> None:
    """Attack this installation with hostile files, weights, sidecars and requests.

    Everything happens in a temporary folder, without the network. A line says of each attack what was tried
    and what happened. Without --hostile only an honest file is read. See docs/security.md.

    \b
    tagline selftest --hostile
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tagline-selftest-") as folder:
        seen = []
        for result in results(Path(folder), hostile):
            seen.append(result)
            if not as_json:
                attack, case, passed, what = result
                click.echo(f"{'ok  ' if passed else 'FAIL'}  {attack:<6}  {case}: {what}")
    failed = sum(not passed for _, _, passed, _ in seen)
    if as_json:
        keys = ("attack", "case", "passed", "seen")
        click.echo(json.dumps([dict(zip(keys, result, strict=True)) for result in seen], indent=2))
    else:
        for attack, (case, where) in ELSEWHERE.items() if hostile else ():
            click.echo(f"--    {attack:<6}  {case}: not tried here, but in {where}")
        click.echo(f"{len(seen) - failed} passed, {failed} failed")
    ctx.exit(1 if failed else 0)


def reachable(folder: Path) -> str:
    """An address that others can reach, without a token."""
    from click.testing import CliRunner

    from tagline.experts.attacks.selftest import Unexpected
    from tagline.retrieval.cli.serve import serve

    for host in ("0.0.0.0", "::", "192.0.2.1"):
        done = CliRunner().invoke(serve, ["--library", str(folder), "--host", host])
        if done.exit_code != 2 or "--token" not in done.output:
            raise Unexpected(f"--host {host} ended with {done.exit_code}")
    return "the page does not start"


CASES = (("A17", "an address that others can reach, without a token", reachable),)


def results(folder: Path, hostile: bool) -> Iterator[Result]:
    """What came of each attack, in a folder of its own; without `hostile`, of an honest video alone."""
    from tagline.experts.attacks import selftest as videos

    if not hostile:
        yield videos.honest(folder)
        return
    from tagline.experts.attacks import children, weights
    from tagline.retrieval.web import attacks as page
    from tagline.tagging.attacks import beside, catalogs

    places = (videos, children, weights, beside, catalogs, page)
    cases = [*(case for place in places for case in place.CASES), *CASES]
    yield from videos.run_cases(folder, sorted(cases, key=lambda case: int(case[0][1:])))
    taken = folder / "taken"
    taken.mkdir()
    yield from videos.taken_over(taken)
