"""`tagline tag --cluster` and `tagline catalog`: runs on a Ray cluster, and what to do with their shards."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.tagging.cli.catalog import check
from tagline.tagging.cli.options import ModalityChoice, NothingFound, library_option
from tagline.tagging.cli.output import emit, output_options, to_json
from tagline.tagging.printable import safe
from tagline.tagging.ray import ClusterError, require_ray

if TYPE_CHECKING:
    from tagline.experts.base import Expert
    from tagline.tagging.pipeline.settings import Settings
    from tagline.tagging.ray.run import ClusterRunResult
    from tagline.tagging.ray.sources import Listing
    from tagline.tagging.ray.stages import RunSpec, SourceResult

OK, PARTLY, NOTHING = 0, 3, 4
SHOWN = 20  # failures that are shown
SHARDS_FOLDER = "shards"  # below .tagline, where nobody says otherwise


@contextmanager
def cluster_errors() -> Iterator[None]:
    """What is wrong with a cluster or its shards is a sentence, never a traceback."""
    try:
        yield
    except ClusterError as error:
        raise click.ClickException(str(error)) from error


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What `tag --cluster` was asked for."""

    address: str
    named: Sequence[str]
    shards: str | None
    pools: Sequence[str]
    dry_run: bool
    as_json: bool


def tag_on_cluster(
    wish: ClusterOptions, settings: Settings, only: Sequence[str], device: str | None, **about: Any
) -> int:
    """Tag on a cluster; returns the exit code. about: collection, allow_pickle, retry, as Order has them."""
    with cluster_errors():
        from tagline.tagging.ray import run
        from tagline.tagging.ray.shards import ShardStore
        from tagline.tagging.ray.sources import list_sources

        require_ray()
        experts, not_run = settings.panel(
            only, collection=about["collection"], allow_pickle=about["allow_pickle"]
        )
        able = _runnable(experts, not_run)
        out = wish.shards or _default_shards(wish.named)
        listing = list_sources(wish.named)
        if not listing.sources:
            return _nothing(wish, listing)
        wanted = device or settings.device
        order = run.run_spec(
            settings, able, [e.name for e in able], device="cpu" if wanted == "auto" else wanted, **about
        )
        if wish.dry_run:
            return _say_plan(wish, ShardStore(out), listing, order)
        outcome = run.run(
            wish.address,
            listing,
            order,
            out,
            chosen=wish.pools,
            batch=settings.batch,
            on_line=_progress(wish.as_json),
            say=lambda text: click.echo(text, err=True),
        )
    return _report(wish, outcome, out, not_run)


def _runnable(experts: Sequence[Expert], not_run: dict[str, str]) -> list[Expert]:
    """The experts that can run here; the others are added to `not_run`."""
    for expert in experts:
        reason = expert.missing()
        if reason is not None:
            not_run[expert.name] = reason
    able = [expert for expert in experts if expert.name not in not_run]
    if not able:
        for name, reason in not_run.items():
            click.echo(f"{name}: {reason}", err=True)
        raise ClusterError("no expert can run here, so nothing was looked at")
    return able


def _default_shards(named: Sequence[str]) -> str:
    """Where shards go if nobody says so: into the one folder that is tagged."""
    from tagline.tagging.catalog.files import FOLDER as HIDDEN

    if len(named) == 1 and "://" not in named[0] and Path(named[0]).is_dir():
        return str(Path(named[0]).resolve() / HIDDEN / SHARDS_FOLDER)
    raise click.UsageError("say with --shards where the results are to go: a folder, s3://... or gs://...")


def _nothing(wish: ClusterOptions, listing: Listing) -> int:
    for line in listing.troubles:
        click.echo(line, err=True)
    click.echo(f"no videos in {', '.join(safe(name, 120) for name in wish.named)}", err=True)
    return NOTHING


def _say_plan(wish: ClusterOptions, store: Any, listing: Listing, order: RunSpec) -> int:
    """What a run would do."""
    from tagline.tagging.ray import run
    from tagline.tagging.ray.shards import HEAD
    from tagline.tagging.ray.stages import DoneInShards

    before = run.read_done(store)[0] if store.fs.exists(f"{store.root}/{HEAD}") else DoneInShards()
    left = run.to_do(listing.sources, before, order)
    facts = {"found": len(listing.sources), "to_do": len(left), "experts": list(order.names)}
    if wish.as_json:
        click.echo(to_json({**facts, "shards": store.url, "troubles": listing.troubles}, indent=1))
    else:
        click.echo(f"{facts['found']} videos, {facts['to_do']} to look at with {', '.join(order.names)}")
        for line in listing.troubles:
            click.echo(line, err=True)
    return PARTLY if listing.troubles else OK


def _progress(quiet: bool) -> Any:
    """A line about every hundredth video, more often at the beginning."""

    def say(line: SourceResult, outcome: ClusterRunResult) -> None:
        for expert, reason in line.failures:
            if len(outcome.failures) <= SHOWN:
                click.echo(
                    f"skipping {safe(line.url, 120)}: {expert + ': ' if expert else ''}{reason}", err=True
                )
        todo = outcome.found - outcome.unchanged
        if outcome.seen in (1, 10, todo) or outcome.seen % 100 == 0:
            click.echo(f"{outcome.seen} of {todo} videos", err=True)

    return (lambda line, outcome: None) if quiet and not sys.stderr.isatty() else say


def _report(wish: ClusterOptions, outcome: ClusterRunResult, out: str, not_run: dict[str, str]) -> int:
    absent = {**not_run, **outcome.broken}
    if wish.as_json:
        click.echo(
            to_json(
                {
                    "found": outcome.found,
                    "unchanged": outcome.unchanged,
                    "seen": outcome.seen,
                    "looked": dict(outcome.looked),
                    "tags": dict(outcome.tags),
                    "failures": [
                        {"url": u, "expert": e or None, "reason": r} for u, e, r in outcome.failures
                    ],
                    "not_run": absent,
                    "troubles": outcome.troubles,
                    "shards": out,
                    "seconds": round(outcome.wall, 3),
                    "work_seconds": {name: round(spent, 3) for name, spent in outcome.seconds.items()},
                    "work_cpu_seconds": {name: round(spent, 3) for name, spent in outcome.cpu.items()},
                },
                indent=1,
            )
        )
    else:
        for name, reason in absent.items():
            click.echo(f"{name}: {reason}", err=True)
        for line in outcome.troubles:
            click.echo(line, err=True)
        emit(
            [
                {"expert": name, "videos": outcome.looked[name], "tags": outcome.tags[name]}
                for name in outcome.looked
            ],
            ("expert", "videos", "tags"),
        )
        failed = f", {len(outcome.failures)} failures" if outcome.failures else ""
        click.echo(
            f"{outcome.seen} videos seen, {outcome.unchanged} unchanged{failed}; results in {safe(out)}"
        )
    return PARTLY if outcome.partly else OK


@click.group()
def catalog() -> None:
    """Check a catalog; bring in the results of a cluster, or ask them.

    \b
    tagline catalog check
    tagline catalog import s3://bucket/shards --library ~/Videos
    tagline catalog query s3://bucket/shards "red car"
    """


catalog.add_command(check)


@catalog.command("import")
@click.argument("shards")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@library_option
def import_(shards: str, as_json: bool, library: str | None) -> None:
    """Bring SHARDS, a folder or an address, into a catalog.

    What the experts found then counts as if this machine had looked itself; what people decided stays. Doing
    it again changes nothing.

    \b
    tagline catalog import ~/Videos/.tagline/shards
    tagline catalog import s3://bucket/shards --library ~/Videos
    """
    from tagline.tagging.catalog.lock import only_writer
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ray.importer import ShardImportResult, import_shards

    brought = ShardImportResult()
    with cluster_errors():
        try:
            with Catalog.open(_home(shards, library)) as into, only_writer(into):
                for brought in import_shards(into, shards):  # noqa: B007 (the last one counts)
                    pass
        except CatalogError as error:
            raise click.ClickException(str(error)) from error
    facts = {name: getattr(brought, name) for name in ("videos", "looks", "known", "failures")}
    if as_json:
        click.echo(to_json(facts))
    else:
        click.echo(", ".join(f"{count} {name}" for name, count in facts.items()))
    if not brought.videos and not brought.failures:
        raise NothingFound(f"there is nothing in {safe(shards)} yet")


def _home(shards: str, library: str | None) -> Any:
    """The library that is meant: named, or the folder in whose .tagline the shards lie."""
    from tagline.tagging.catalog import location

    own = Path(shards).absolute()  # where a link in a stranger's folder leads is not what was named
    if library is None and "://" not in shards and own.parent.name == location.FOLDER:
        return location.catalog_home(own.parent.parent)
    return location.catalog_home(library) if library else location.find_catalog_home()


@catalog.command()
@click.argument("shards")
@click.argument("words", nargs=-1)
@click.option("--modality", "-m", type=ModalityChoice(), help="Only tags of this kind.")
@click.option(
    "--least", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="The lowest score."
)
@click.option("--limit", "-k", type=click.IntRange(1, 100_000), default=100, help="Rows at most.")
@output_options
def query(shards: str, words: tuple[str, ...], modality: str | None, least: float, limit: int) -> None:
    """Ask SHARDS where a tag is, without bringing them in. Without words: which tags there are.

    \b
    tagline catalog query s3://bucket/shards "red car" --least 0.5
    tagline catalog query ~/Videos/.tagline/shards --modality scene --json
    """
    from tagline.tagging.ray import query as asking

    with cluster_errors():
        if words:
            rows = list(
                asking.find_tags(shards, " ".join(words), modality=modality, least=least, limit=limit)
            )
            columns = ("url", "text", "modality", "score", "start", "end", "expert")
        else:
            rows = asking.tag_counts(shards, modality=modality, limit=limit)
            columns = ("text", "modality", "videos", "spans")  # type: ignore[assignment]
    emit(rows, columns)
    if not rows:
        raise NothingFound(f"no tag of {safe(shards)} is called so")


@catalog.command()
@click.argument("shards")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def count(shards: str, as_json: bool) -> None:
    """Count what is in SHARDS.

    \b
    tagline catalog count s3://bucket/shards
    """
    from tagline.tagging.ray import query as asking

    with cluster_errors():
        facts = asking.row_counts(shards)
    if as_json:
        click.echo(to_json(facts))
    else:
        for name, number in facts.items():
            click.echo(f"{number:>12}  {name}")
