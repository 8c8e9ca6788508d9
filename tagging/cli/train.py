"""`tagline train tagger` and `tagline train ranker`."""

from __future__ import annotations

import click

PARTLY = 3


@click.command()
@click.option("--data", "library", required=True, metavar="LIBRARY", help="A folder that people tagged.")
@click.option("--preset", default="small", show_default=True, metavar="NAME", help="Where settings start.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--out", metavar="FOLDER", help="Where the tagger goes; by default beside the catalog.")
@click.option("--device", metavar="NAME", help="cpu keeps off the GPU.")
@click.pass_context
def tagger(
    ctx: click.Context,
    library: str,
    preset: str,
    settings: tuple[str, ...],
    out: str | None,
    device: str | None,
) -> None:
    """Train a tagger on the tags that people gave, to write such tags for other videos.

    It learns from titles, frames, and the tags of uploaders and people; videos of the split "test" are
    never looked at. The tagger that comes of it is the one that `tagline tag --only generated` uses.
    The same command again goes on where a run was interrupted. Several GPUs: start it with torchrun.

    \b
    tagline train tagger --data ~/Videos
    tagline train tagger --data ~/Videos --preset paper
    tagline train settings --of tagger                      the settings and their values
    tagline train tagger --data ~/Videos --set use_frames=false --set epochs=40 --out models/titles
    """
    from tagline.tagging.generator.config import load_preset as named
    from tagline.tagging.ml.config import BadConfig, with_settings

    try:
        config = with_settings(named(preset), settings)
    except BadConfig as error:
        raise click.UsageError(str(error)) from None
    from tagline.experts.weights.registry import WeightsMissing
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.generator.train import train_library
    from tagline.tagging.ml.trainer import NonFinite, to_stderr

    try:
        with Catalog.open(library, create=False) as catalog:
            result = train_library(catalog, config, preset, out, device=device, say=to_stderr)
    except (BadConfig, CatalogError, NonFinite, WeightsMissing) as error:
        raise click.ClickException(str(error)) from None
    for name in ("example", "full", "rare"):
        found = result.details.validation[name]
        words = {"example": "over videos", "full": "over tags", "rare": "over rare tags"}[name]
        click.echo(f"F1 {words} {100 * found.f1:.1f}  of {found.count}")
    click.echo(str(result.folder))
    for path, why in result.left_out:
        click.echo(f"skipping {path}: {why}", err=True)
    if result.left_out:
        ctx.exit(PARTLY)


@click.command()
@click.option("--data", "library", required=True, metavar="LIBRARY", help="A folder that people tagged.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--out", metavar="FOLDER", help="Where the ranker goes; by default beside the catalog.")
@click.option("--device", metavar="NAME", help="cpu keeps off the GPU.")
def ranker(library: str, settings: tuple[str, ...], out: str | None, device: str | None) -> None:
    """Train a ranker on the tags that people gave: which of many tags fit a video.

    It learns from frames, sound, titles, speech and texts on the screen; videos of the split "test" are never
    looked at. From then on `tagline tag` uses it, too, and a tag that somebody adds later needs no
    training.

    \b
    tagline train ranker --data ~/Videos
    tagline train ranker --data ~/Videos --set negatives=100 --set epochs=30
    """
    from tagline.tagging.ml.config import BadConfig, with_settings
    from tagline.tagging.ranker.config import RankerConfig

    try:
        config = with_settings(RankerConfig(), settings)
    except BadConfig as error:
        raise click.UsageError(str(error)) from None
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ml.trainer import to_stderr
    from tagline.tagging.ranker.train import train_library

    try:
        with Catalog.open(library, create=False) as catalog:
            result = train_library(catalog, config, out, device=device, say=to_stderr)
    except (BadConfig, CatalogError) as error:
        raise click.ClickException(str(error)) from None
    precision, videos = (result.figures[f"validation_{name}"] for name in ("r_precision", "videos"))
    click.echo(f"R-precision {100 * precision:.1f}  of {videos} videos")
    click.echo(str(result.folder))
