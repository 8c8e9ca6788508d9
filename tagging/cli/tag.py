"""The commands `tag` and `plan`: thin skins over pipeline.plan.plan and pipeline.run.run."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.fusion.post_process import PostProcessResult
    from tagline.tagging.pipeline.plan import Plan
    from tagline.tagging.pipeline.progress import RunResult
    from tagline.tagging.pipeline.settings import Settings

OK, FAILURE, PARTLY, NOTHING, INTERRUPTED = 0, 1, 3, 4, 130


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


@click.command(short_help="Say what `tag` would do, why, and about how long.")
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
    """Mistakes and mishaps end in a sentence."""
    from tagline.experts.panel import UnknownExpert
    from tagline.tagging.catalog.location import Undecided
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.pipeline.settings import SettingsError

    try:
        return work(**options)
    except (UnknownExpert, SettingsError, Undecided) as error:
        raise click.UsageError(str(error)) from error
    except CatalogError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("stopped; the next run goes on from here", err=True)
        return INTERRUPTED


def _tag(
    folders: Sequence[str],
    *,
    library: str | None,
    config: str | None,
    only: str | None,
    include: Sequence[str],
    exclude: Sequence[str],
    weights: str | None,
    allow_pickle: bool,
    retry: bool,
    as_json: bool,
    device: str | None,
    jobs: int | None,
    dry_run: bool,
    precision: float | None,
) -> int:
    from tagline.experts.decode import sandbox
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.lock import only_writer
    from tagline.tagging.catalog.uploads import has_labels
    from tagline.tagging.pipeline import plan as planning
    from tagline.tagging.pipeline import settings

    home = location.find_catalog_home(folders, library)
    _check_folders(folders, home)
    chosen = settings.load_settings(config, home.root)
    wanted = [name.strip() for name in (only or "").split(",") if name.strip()]
    experts, not_run = chosen.panel(wanted, collection=weights, allow_pickle=allow_pickle)
    if (lacking := sandbox.lacking()) and not dry_run:
        click.echo(f"note: {lacking}", err=True)
    if home.notice and not as_json:
        click.echo(home.notice, err=True)

    def look(catalog: Catalog) -> Plan:
        made = planning.plan(catalog, folders, experts, include=include, exclude=exclude, retry=retry)
        absent = {**not_run, **made.not_run}
        made.not_run = {name: absent[name] for name in chosen.chosen(wanted) if name in absent} or absent
        return made

    alone = bool(set(wanted) & set(settings.CATALOG_EXPERTS))
    again = alone or precision is not None or not wanted
    if dry_run or not home.file.exists():
        with _open_or_empty(home) as catalog:
            made = look(catalog)
            if made.nothing_found:
                return _nothing(made, as_json)
            if dry_run:
                return _print_plan(made, as_json, again and has_labels(catalog))
    with _opened(home) as catalog, only_writer(catalog):
        made = look(catalog)
        if made.nothing_found:
            return _nothing(made, as_json)
        outcome = _run_plan(made, chosen, device, jobs, as_json, alone=alone)
        more = None
        if again and not outcome.stopped:
            more = _post_process(catalog, chosen, weights, precision, outcome)
        return _report(outcome, more, as_json)


def _post_process(
    catalog: Catalog, chosen: Settings, collection: str | None, precision: float | None, outcome: RunResult
) -> PostProcessResult | None:
    """Tags of similar videos and the one list, where people have said something to learn from."""
    from tagline.tagging.catalog.uploads import has_labels

    if not has_labels(catalog):
        if precision is not None:
            outcome.messages.append(
                "no precision can be promised before somebody has tagged or judged some videos; "
                "see `tagline tags`"
            )
        return None
    from tagline.tagging.fusion.post_process import post_process

    found = post_process(catalog, chosen, collection=collection, precision=precision)
    outcome.experts |= found.shares
    return found


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
    wanted = [name.strip() for name in (options["only"] or "").split(",") if name.strip()]
    return tag_on_cluster(
        ClusterOptions(cluster, folders, shards, pools, options["dry_run"], options["as_json"]),
        settings.load_settings(options["config"], root),
        wanted,
        options["device"],
        collection=options["weights"],
        allow_pickle=options["allow_pickle"],
        retry=options["retry"],
    )


def _run_plan(
    made: Plan, chosen: Settings, device: str | None, jobs: int | None, as_json: bool, *, alone: bool
) -> RunResult:
    """alone: there is something to do even if no expert can look at files."""
    from tagline.experts.panel import Panel
    from tagline.tagging.cli.progress import ProgressDisplay
    from tagline.tagging.pipeline import run

    if not made.experts and len(made.jobs) > made.moved and not alone:
        for name, reason in made.not_run.items():
            click.echo(f"{name}: {reason}", err=True)
        raise click.ClickException("no expert can run here, so nothing was looked at")
    panel = Panel(made.experts, device=_device(made, device or chosen.device), jobs=jobs or chosen.jobs)
    panel.batch = chosen.batch
    stop = threading.Event()
    with _interruptible(stop), ProgressDisplay(quiet=as_json) as lines:
        panel.on_stage = lines.stage
        lines.progress(run.Progress(total=len(made.jobs)))
        return run.run(made, panel, lines.progress, stop)


def _report(outcome: RunResult, more: PostProcessResult | None, as_json: bool) -> int:
    from tagline.tagging.cli.progress import print_result

    if as_json:
        click.echo(json.dumps(_outcome_as_data(outcome, more), indent=1))
    else:
        print_result(outcome)
        for line in more.lines() if more is not None else ():
            click.echo(line)
    if outcome.stopped:
        return INTERRUPTED
    return PARTLY if outcome.partly else OK


def _device(made: Plan, wish: str) -> str:
    """Which device computes; torch is only asked where there is something to compute."""
    if wish != "auto" or not made.looks:
        return "cpu" if wish == "auto" else wish
    from tagline.experts.devices import choose_device

    return choose_device(wish)


def _check_folders(folders: Sequence[str], home: Any) -> None:
    """A folder that is not there is a slip of the keyboard, unless the catalog knows videos in it."""
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.pipeline.walk import covers

    absent = [folder for folder in folders if not os.path.lexists(folder)]
    if not absent:
        return
    known: set[str] = set()
    if home.file.exists():
        with Catalog.open(home) as catalog:
            for _, path, _ in catalog.places():
                known.update(folder for folder in absent if covers([os.path.realpath(folder)], path))
    for folder in absent:
        if folder not in known:
            raise click.UsageError(f"there is no folder {safe(folder)!r}")


@contextmanager
def _opened(home: Any) -> Iterator[Catalog]:
    from tagline.tagging.catalog.write import Catalog

    with Catalog.open(home) as catalog:
        yield catalog


@contextmanager
def _open_or_empty(home: Any) -> Iterator[Catalog]:
    """The catalog, or where there is none yet an empty one that leaves no trace."""
    from tagline.tagging.catalog.write import Catalog

    with Catalog.open(home) if home.file.exists() else Catalog.in_memory(home.root) as catalog:
        yield catalog


@contextmanager
def _interruptible(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C: the first finishes what is in hand, the second stops at once."""

    def interrupted(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        click.echo("finishing what is in hand; Ctrl-C again stops at once", err=True)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _nothing(made: Plan, as_json: bool) -> int:
    from tagline.tagging.pipeline.plan import notices

    for line in notices(made):
        click.echo(line, err=True)
    if as_json:
        click.echo(json.dumps({"found": 0}))
    where = ", ".join(safe(folder) for folder in made.folders)
    click.echo(f"no videos in {where}; is a disk not mounted?", err=True)
    return NOTHING


def _print_plan(made: Plan, as_json: bool, again: bool) -> int:
    """again: whether tags of similar videos and the one list follow."""
    from tagline.tagging.pipeline.plan import describe

    if as_json:
        click.echo(json.dumps({**_plan_as_data(made), "fused_tags": again}, indent=1))
    else:
        for line in describe(made):
            click.echo(line)
        if again:
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


def _outcome_as_data(outcome: RunResult, more: PostProcessResult | None) -> dict[str, Any]:
    progress, made = outcome.progress, outcome.plan
    return {
        "fused_tags": more.as_data() if more is not None else None,
        "found": made.found,
        "tagged": progress.tagged,
        "unchanged": made.unchanged + progress.skipped,
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
