"""`tagline eval`: options and output of retrieval.evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.retrieval.cli.opening import opened
from tagline.tagging.cli.options import library_option
from tagline.tagging.cli.output import emit, output_options, requested_output

if TYPE_CHECKING:
    from tagline.retrieval.evaluate import SearchEvaluation

COLUMNS = ("system", "R@1", "95 %", "R@5", "R@10", "median rank", "queries", "videos")
EXISTING = click.Path(exists=True, path_type=Path)


@click.command(name="eval")
@click.argument("model", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--queries", type=EXISTING, help="CSV with the columns query and video.")
@click.option("--use", is_flag=True, help="Search with MODEL from now on, unless it is worse.")
@click.option("--force", is_flag=True, help="With --use: even if it is worse.")
@library_option
@output_options
@click.pass_context
def eval_(
    ctx: click.Context,
    model: Path | None,
    queries: Path | None,
    use: bool,
    force: bool,
    library: str | None,
) -> None:
    """Measure how well your own videos are found, before and after training.

    Queries with known answers are run through search as it is, through the model in use, and through MODEL (a
    folder that `tagline train table` wrote) with its initial and its trained weights. They come from a CSV,
    else from captions that no model was trained on, else from tags that people gave.

    \b
    tagline eval --library ~/Videos
    tagline eval --queries mine.csv --library ~/Videos
    tagline eval ~/Videos/.tagline/models/table-msrvtt --library ~/Videos
    tagline eval models/mine --use --library ~/Videos

    With --use the library is embedded with MODEL and searched by it, if the sum of its R@1, R@5 and R@10 is
    not below that of the model in use, or where there is none, of the same model before training.
    """
    if (use or force) and model is None:
        raise click.UsageError("--use and --force need a MODEL")
    if force and not use:
        raise click.UsageError("--force is for --use")
    from tagline.experts.weights.registry import WeightsMissing
    from tagline.retrieval import evaluate
    from tagline.tagging.ml.config import BadConfig
    from tagline.tagging.ml.trainer import to_stderr

    with opened(library) as videos:
        try:
            result = videos.evaluate(queries, model=model, progress=to_stderr)
        except (BadConfig, WeightsMissing, evaluate.NoEvalQueries) as error:
            raise click.ClickException(str(error)) from None
        _print_result(result)
        if use and model is not None:
            better, why = evaluate.may_replace(result)
            if not better and not force:
                raise click.ClickException(f"not put to use: {why}; with --force it is used all the same")
            click.echo(f"in use: {videos.use(model, progress=to_stderr)}", err=True)
    if result.left_out:
        for path, reason in result.left_out:
            click.echo(f"skipping {path}: {reason}", err=True)
        ctx.exit(3)


def _print_result(result: SearchEvaluation) -> None:
    emit([_row(result, way) for way in result.systems], COLUMNS)
    if requested_output().for_programs:
        return
    from tagline.retrieval.evaluate import IN_USE, TRAINED, UNTRAINED

    click.echo(f"{result.queries.origin}; the right one among {result.candidates} videos", err=True)
    for note in result.queries.notes:
        click.echo(note, err=True)
    for name in (UNTRAINED, IN_USE):
        found = result.difference(name, TRAINED)
        if found is not None:
            click.echo(
                f"R@1 against {name}: {found.value:+.1f} "
                f"({found.low:+.1f} to {found.high:+.1f}), p {found.p:.3f}",
                err=True,
            )


def _row(result: SearchEvaluation, system: Any) -> dict[str, Any]:
    figures = system.figures
    limits = figures.intervals.get("r1")
    return {
        "system": system.name,
        "R@1": round(figures.r1, 1),
        "95 %": f"{limits.low:.1f} to {limits.high:.1f}" if limits else "",
        "R@5": round(figures.r5, 1),
        "R@10": round(figures.r10, 1),
        "median rank": figures.mdr,
        "queries": figures.queries,
        "videos": result.candidates,
    }
