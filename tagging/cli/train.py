"""`tagline train tagger` and `tagline train ranker`."""

from __future__ import annotations

from pathlib import Path

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
    from tagline.experts.devices import choose_device
    from tagline.experts.weights.registry import WeightsMissing
    from tagline.tagging.catalog.files import without_links
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.generator.data import from_catalog
    from tagline.tagging.generator.saving import install_tagger
    from tagline.tagging.generator.train import train as run
    from tagline.tagging.ml.trainer import NonFinite, to_stderr

    try:
        with Catalog.open(library, create=False) as catalog:
            assert catalog.file is not None
            own = catalog.file.parent / "models" / f"tagger-{preset}"
            folder = Path(out).expanduser() if out else without_links(own)
            examples = from_catalog(catalog, config, choose_device(device or "auto"))
        outcome = run(config, examples, folder, device=device, say=to_stderr)
        install_tagger(outcome.folder)
    except (BadConfig, CatalogError, NonFinite, WeightsMissing) as error:
        raise click.ClickException(str(error)) from None
    for name in ("example", "full", "rare"):
        found = outcome.validation[name]
        words = {"example": "over videos", "full": "over tags", "rare": "over rare tags"}[name]
        click.echo(f"F1 {words} {100 * found.f1:.1f}  of {found.count}")
    click.echo(str(outcome.folder))
    for path, why in examples.left_out:
        click.echo(f"skipping {path}: {why}", err=True)
    if examples.left_out:
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
    from tagline.experts.devices import choose_device
    from tagline.tagging.catalog.files import without_links
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ml.trainer import to_stderr
    from tagline.tagging.neighbours.snapshot import read_snapshot, training_and_validation
    from tagline.tagging.ranker.expert import install_ranker
    from tagline.tagging.ranker.train import train

    try:
        with Catalog.open(library, create=False) as catalog:
            assert catalog.file is not None
            own = catalog.file.parent / "models" / "ranker"
            folder = Path(out).expanduser() if out else without_links(own)
            learn, validation = training_and_validation(read_snapshot(catalog))
        made = train(config, learn, validation, device=choose_device(device or "auto"), say=to_stderr)
    except (BadConfig, CatalogError) as error:
        raise click.ClickException(str(error)) from None
    made.model.cpu()
    made.save(folder)
    install_ranker(folder)
    click.echo(f"R-precision {100 * made.results['validation_r_precision']:.1f}  of {len(validation)} videos")
    click.echo(str(folder))
