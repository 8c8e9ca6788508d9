"""`tagline train ranker`: a thin skin over tagging.ranker.train."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--data", "library", required=True, metavar="LIBRARY", help="A folder that people tagged.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--out", metavar="FOLDER", help="Where the ranker goes; by default beside the catalog.")
@click.option("--device", metavar="NAME", help="cpu keeps off the GPU.")
def ranker(library: str, settings: tuple[str, ...], out: str | None, device: str | None) -> None:
    """Train a ranker on the tags that people gave: which of many tags fit a video.

    It learns from frames, sound, titles, speech and texts on the screen; videos of the split "test" are never
    looked at. From then on `tagline tag` lets it speak, too, and a tag that somebody adds later needs no
    training.

    \b
    tagline train ranker --data ~/Videos
    tagline train ranker --data ~/Videos --set negatives=100 --set epochs=30
    """
    from tagline.tagging.configuring import BadConfig, with_settings
    from tagline.tagging.ranker.config import RankerConfig

    try:
        config = with_settings(RankerConfig(), settings)
    except BadConfig as error:
        raise click.UsageError(str(error)) from None
    from tagline.experts.devices import choose_device
    from tagline.tagging.catalog import Catalog, CatalogError
    from tagline.tagging.neighbours.reading import read_snapshot, training_and_validation
    from tagline.tagging.owned import without_links
    from tagline.tagging.ranker.expert import install_ranker
    from tagline.tagging.ranker.train import train
    from tagline.tagging.training import to_stderr

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
