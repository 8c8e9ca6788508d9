"""`tagline bench playhouse`: make the procedural videos and describe them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

NAMES = ("tiny", "demo", "bench", "large")


@click.group()
def playhouse() -> None:
    """A world of short videos in which everything is known.

    \b
    tagline bench playhouse render tiny /tmp/tiny     eight videos and their truth
    tagline bench playhouse card demo --out /tmp/card what is in a set, and a sheet to look at
    tagline bench playhouse experts --only scene      train the scene expert anew
    """


@playhouse.command()
@click.argument("name", type=click.Choice(NAMES))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--seed", type=click.IntRange(0, 149), default=0, show_default=True, help="Another set of this size."
)
@click.option("--jobs", type=click.IntRange(1), help="Processes at work; by default one a core.")
def render(name: str, folder: Path, seed: int, jobs: int | None) -> None:
    """Make the videos of the set NAME in FOLDER, with truth.json beside them.

    Videos that are there already stay, so an interrupted run goes on where it stopped.

    \b
    tagline bench playhouse render tiny /tmp/tiny
    tagline bench playhouse render bench ~/playhouse --jobs 4
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tagline.benchmarks.playhouse.truth import sets
    from tagline.experts.printable import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True)) as shown:
        task = shown.add_task(f"Rendering {name}", total=None)
        try:
            made = sets.render_set(
                name, folder, jobs, seed, lambda done, total: shown.update(task, completed=done, total=total)
            )
        except sets.OtherSet as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"{len(made.specs)} videos in {folder}, what is true of them in {folder / sets.TRUTH}")


@playhouse.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--seed", type=click.IntRange(0, 149), default=0, show_default=True, help="Another set of this size."
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Also write sheet.png and tags.png here."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def card(name: str, seed: int, out: Path | None, as_json: bool) -> None:
    """Print the datasheet of the set NAME; nothing needs to be rendered for it.

    \b
    tagline bench playhouse card bench
    tagline bench playhouse card demo --out /tmp/card
    """
    from tagline.benchmarks.playhouse.truth import card as sheet
    from tagline.benchmarks.playhouse.truth import sets
    from tagline.benchmarks.playhouse.truth.truth import truth

    specs = sets.videos(name, seed)
    truths = [truth(spec.seed) for spec in specs]
    parts: dict[str, Any] = {
        "world": sheet.world(),
        "set": sheet.counts(truths),
        "user tags": sheet.tags(truths),
        "examples": sheet.examples(truths),
    }
    if out is not None:
        picked = specs[:: max(len(specs) // 36, 1)][:36]
        parts["files"] = [str(sheet.sheet(picked, out / "sheet.png"))]
        uses = sheet.tag_counts(known.user_tags for known in truths)
        parts["files"].append(str(sheet.plot(uses, out / "tags.png")))
    if as_json:
        click.echo(json.dumps(parts, indent=2, ensure_ascii=False))
        return
    _print(parts)


@playhouse.command()
@click.option("--only", metavar="NAMES", help="Only these: object,person,scene,motion,clip.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Where to, if not into the package."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the training.")
@click.option("--minutes", type=click.FloatRange(0.1), help="So long at most for each, drawing not counted.")
def experts(only: str | None, out: Path | None, seed: int, minutes: float | None) -> None:
    """Train the experts' models anew, on train seeds, and put them where `--weights playhouse` finds them.

    Object and person are one training. The time that it will take is printed first; training frames
    are drawn once and cached. A GPU is used where there is one.

    \b
    tagline bench playhouse experts --only scene --out /tmp/weights
    tagline bench playhouse experts --only object,person --minutes 20
    """
    import math
    import os
    import time

    from tagline.benchmarks.playhouse.train import recipes

    try:
        chosen = recipes.chosen_recipes(only)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for recipe in chosen:
        wait = min(recipe.expected(), (minutes or math.inf) + recipe.material / 60)
        name = ", ".join(recipe.makes)
        click.echo(f"{name}: {recipe.what}, about {wait:.0f} minutes on {os.cpu_count()} cores", err=True)
    for recipe in chosen:
        begun, name = time.monotonic(), recipe.makes[0]
        recipe.train(
            recipes.weights_folder(out),
            seed,
            minutes or math.inf,
            lambda line, name=name: click.echo(f"{name}: {line}", err=True),  # type: ignore[misc]
        )
        took = (time.monotonic() - begun) / 60
        for made in recipe.makes:
            click.echo(f"{recipes.weights_folder(out) / made}  {took:.1f} min")


@playhouse.command()
@click.argument("world", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def standin(world: Path, folder: Path) -> None:
    """Lay the rendered set in WORLD out in FOLDER as MSR-VTT: its names, its annotation formats.

    For trying the whole way to the papers' tables without the genuine videos.

    \b
    tagline bench playhouse standin /tmp/tiny /tmp/vtt
    """
    from tagline.benchmarks.datasets.dataset import BadAnnotations
    from tagline.benchmarks.datasets.playhouse import write_msrvtt_standin

    try:
        annotations, videos = write_msrvtt_standin(world, folder)
    except BadAnnotations as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"annotations in {annotations}, videos in {videos}")


def _print(parts: dict[str, Any]) -> None:
    for heading in ("world", "set", "user tags"):
        click.echo(heading.upper())
        width = max(map(len, parts[heading]))
        for key, value in parts[heading].items():
            click.echo(f"  {key:<{width}}  {value}")
    click.echo("EXAMPLES")
    for example in parts["examples"]:
        click.echo(f"  {example['title']}   {'  '.join('#' + tag for tag in example['user tags'])}")
        for caption in example["captions"]:
            click.echo(f"    - {caption}")
    click.echo(NOTES)
    for path in parts.get("files", []):
        click.echo(f"wrote {path}")


NOTES = """
The topics were chosen with the recogniser in mind: words that pocketsphinx's general English model
misses in most voices were replaced before anything was trained or measured. One composition in eight
(scene with motion, person with object), the rarest places and characters, and the fourth sentence of
each topic appear in test videos only. Voices: flite's rms, kal16, awb and slt. The papers print no
slope of their tag distributions; the counts that they print fit -1.13 (CREATE-210k) and -1.08 (Pexel)."""
