"""`tagline bench`: list, run, show and report measurements; `tagline bench speed`."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.benchmarks.registry import record as records
from tagline.benchmarks.registry import repository

if TYPE_CHECKING:
    from tagline.benchmarks.papers.runs import StudyResult


# The data sets on which the papers' tables are made: benchmarks/papers/studies.py.
STUDIES = ("msrvtt", "msvd", "lsmdc", "didemo", "create", "pexel", "playhouse")

# Loaded when called.
LAZY_COMMANDS = {
    "playhouse": "tagline.benchmarks.cli.playhouse",
    "prepare": "tagline.benchmarks.cli.prepare",
    "speed": "tagline.benchmarks.cli.bench",
}


class LazyBenchGroup(click.Group):
    """Also offers the commands of the playhouse and of the data sets."""

    def invoke(self, ctx: click.Context) -> Any:
        """What only the repository has is said in a sentence."""
        try:
            return super().invoke(ctx)
        except repository.RepositoryOnly as error:
            raise click.ClickException(str(error)) from None
        except ImportError as error:
            if (only := repository.from_import_error(error)) is None:
                raise
            raise click.ClickException(str(only)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *LAZY_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in LAZY_COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(LAZY_COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=LazyBenchGroup)
def bench() -> None:
    """Measure, and see what was measured.

    \b
    tagline bench list                 every measurement, one line each
    tagline bench run startup          measure one and write its record
    tagline bench show startup --json  the record
    tagline bench run msrvtt --library MSRVTT/videos   a data set: tag, train, test, tables
    tagline bench prepare msvd --annotations msvd/     a data set's annotations, counted
    tagline bench speed                every stage against the plain way and the floor
    tagline bench report               all records on one page
    """


@bench.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """List every measurement, with the date of its record.

    \b
    tagline bench list
    tagline bench list --json
    """
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
    click.echo(f"data sets, for the papers' tables: {', '.join(STUDIES)}", err=True)


@bench.command()
@click.argument("name")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change an option.")
@click.option("--seed", help="Short for --set seed=N.")
@click.option("--library", metavar="FOLDER", help="Of a data set: where it was prepared.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Of a data set: results go here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole record.")
def run(
    name: str,
    settings: tuple[str, ...],
    seed: str | None,
    library: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure NAME and write its record; or tag, train and test a data set for the papers' tables.

    \b
    tagline bench run startup
    tagline bench run tagging --set videos=4 --set only=object,scene
    tagline bench run msrvtt --library MSRVTT/videos
    tagline bench run msrvtt --library MSRVTT/videos --set seeds=0 --set table.epochs=1 --set train=500
    tagline bench run playhouse --library ~/playhouse --set tables=all --set baselines=yes

    A data set (msrvtt, msvd, lsmdc, didemo, create, pexel, playhouse) was brought in by `tagline bench
    prepare`. Three seeds by default; the same command again goes on where a run was interrupted.
    The results lie beside the catalog: a page in Markdown, plots, and JSON. Options of a data set:

    \b
    seeds=0,1,2        tables=table-1,op-tsg-7 or all     baselines=yes   also train the baselines' lines
    train=N  test=N    so many videos at most             tag=no       use the tags as they are
    weights=playhouse  whose weights the experts use
    table.preset=NAME  table.KEY=VALUE  tagger.preset=NAME  tagger.KEY=VALUE      settings of the models
    """
    options = dict(_pair(setting) for setting in settings)
    if name in STUDIES:
        if seed is not None:
            options["seeds"] = seed
        _print_result(_study(name, library, options, out), as_json)
        return
    if library is not None or out is not None:
        raise click.UsageError(f"--library and --out are for data sets: {', '.join(STUDIES)}")
    if seed is not None:
        options["seed"] = seed
    _print(_record(name, options), as_json)


def _record(name: str, options: dict[str, str]) -> dict[str, Any]:
    """What is not there yet is said in a sentence."""
    from tagline.experts.weights.registry import WeightsMissing
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.ml.config import BadConfig

    try:
        return records.run(name, options)
    except records.UnknownMeasurement as error:
        raise click.UsageError(str(error)) from None
    except (BadConfig, CatalogError, WeightsMissing) as error:
        raise click.ClickException(str(error)) from None


def _study(name: str, library: str | None, options: dict[str, str], out: Path | None) -> StudyResult:
    """Mistakes and mishaps end in a sentence."""
    from tagline.benchmarks.papers.runs import run_study as run_study
    from tagline.experts.weights.registry import WeightsMissing
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.ml.config import BadConfig
    from tagline.tagging.ml.trainer import NonFinite, to_stderr

    try:
        return run_study(name, library, options, out, to_stderr)
    except (BadConfig, CatalogError, NonFinite, WeightsMissing) as error:
        raise click.ClickException(str(error)) from None


def _print_result(result: StudyResult, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.record, indent=2, ensure_ascii=False))
        return
    for variant, summary in result.record["details"]["summary"].items():
        key = "t2v_r1" if summary["model"] == "table" else "example_f1"
        what = "R@1 text to video" if summary["model"] == "table" else "F1 over videos"
        click.echo(f"{variant:<12} {what} {summary['mean'][key]:.1f}")
    click.echo(str(result.page))


@bench.command()
@click.argument("name")
@click.option("--library", metavar="FOLDER", help="Of a data set: where it was prepared.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record.")
@click.pass_context
def show(ctx: click.Context, name: str, library: str | None, as_json: bool) -> None:
    """Show the record of NAME, or the page of results of a data set.

    \b
    tagline bench show tagging
    tagline bench show evaluation --json
    tagline bench show msrvtt --library MSRVTT/videos
    """
    if name in STUDIES and library is not None:
        _show_study(ctx, name, library, as_json)
        return
    if name not in records.MEASUREMENTS and name not in STUDIES:
        raise click.UsageError(f"there is no measurement {name!r}; `tagline bench list` names them all")
    record = records.read(name)
    if record is None:
        click.echo(f"{name} has not been measured yet: `tagline bench run {name}`", err=True)
        ctx.exit(4)
    _print(record, as_json)


def _show_study(ctx: click.Context, name: str, library: str, as_json: bool) -> None:
    from tagline.benchmarks.papers.runs import PAGE, RESULTS, results_folder_of
    from tagline.tagging.cli.options import open_library

    with open_library(library) as catalog:
        folder = results_folder_of(catalog, name)
    if not (folder / PAGE).is_file():
        click.echo(f"{folder} holds no results; `tagline bench run {name} --library {library}`", err=True)
        ctx.exit(4)
    click.echo((folder / (RESULTS if as_json else PAGE)).read_text(encoding="utf-8"), nl=False)
    if not as_json:
        click.echo(f"\n{folder / PAGE}")


@bench.command()
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Another file than docs/RESULTS.md."
)
@click.option("--check", is_flag=True, help="Only check whether the page is older than the records (exit 1).")
@click.pass_context
def report(ctx: click.Context, out: Path | None, check: bool) -> None:
    """Make docs/RESULTS.md from the records.

    \b
    tagline bench report
    tagline bench report --check
    """
    from tagline.benchmarks import report as making

    path = out or making.page_path()
    if check:
        same = path.is_file() and path.read_text(encoding="utf-8") == making.page()
        if not same:
            click.echo(f"{path} is not what the records say; run `tagline bench report`", err=True)
        ctx.exit(0 if same else 1)
    click.echo(f"{path}{'' if making.write(path) else ': nothing new'}")


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
    and search). All of them take about half an hour on two cores. The record is written as `speed` (with
    --gpu: `speed-gpu`) and stands in docs/RESULTS.md after `tagline bench report`.
    """
    from tagline.benchmarks.speed.stages import NoGpu

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
