"""`tagline train`: options and output of table.train, and the settings of every model."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagline.tagging.cli.train import ranker, tagger

if TYPE_CHECKING:
    from tagline.table.config import TableConfig
    from tagline.table.train import TrainedTable

PARTLY, NOTHING = 3, 4
# Where each model's settings are, what loads and names its presets, and the one that `train` takes by itself.
MODELS = {
    "table": ("tagline.table.config", "load_preset", "preset_names", "msrvtt"),
    "tagger": ("tagline.tagging.generator.config", "load_preset", "preset_names", "small"),
}


@click.group()
def train() -> None:
    """Train a model on your own library.

    \b
    tagline train table --data ~/Videos                      find videos by sentences like yours
    tagline train table --data ~/Videos --set epochs=10      with another setting
    tagline train tagger --data ~/Videos                     write tags like those that people gave
    tagline train ranker --data ~/Videos                     choose the tags that fit, out of many
    tagline train settings playhouse                         the settings and their values
    """


train.add_command(tagger)
train.add_command(ranker)


@train.command()
@click.option("--data", "library", required=True, metavar="LIBRARY", help="A tagged folder with captions.")
@click.option("--preset", default="msrvtt", show_default=True, metavar="NAME", help="Where settings start.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--out", metavar="FOLDER", help="Where the model goes; by default beside the catalog.")
@click.option("--device", metavar="NAME", help="cpu keeps off the GPU.")
@click.option("--cluster", metavar="ADDRESS", help="Train on the nodes of a Ray cluster: HOST:PORT or auto.")
@click.option("--workers", type=click.IntRange(1), help="Processes on the cluster; else one a GPU or node.")
@click.pass_context
def table(
    ctx: click.Context,
    library: str,
    preset: str,
    settings: tuple[str, ...],
    out: str | None,
    device: str | None,
    cluster: str | None,
    workers: int | None,
) -> None:
    """Train TABLE: video and text towers with tags as anchors between them.

    The videos need captions (`tagline bench prepare plain`) and should be tagged (`tagline tag`). A tenth
    of them is kept back to choose the best checkpoint; videos of the split "test" are never looked at.
    The same command again goes on where a run was interrupted. Several GPUs: start it with torchrun.

    \b
    tagline train table --data ~/Videos
    tagline train table --data msrvtt/ --preset msrvtt --set bf16=false
    tagline train table --data ~/Videos --preset playhouse --set modalities=object,speech --out models/mine
    torchrun --nproc-per-node 4 -m tagline train table --data msrvtt/
    tagline train table --data /shared/msrvtt --out /shared/models/mine --cluster head:6379
    """
    from tagline.table.config import load_preset as named
    from tagline.tagging.ml.config import BadConfig, with_settings

    try:
        config = with_settings(named(preset), settings)
    except BadConfig as error:
        raise click.UsageError(str(error)) from None
    if workers and not cluster:
        raise click.UsageError("--workers goes with --cluster; on one machine use torchrun")
    if cluster:
        ctx.exit(_on_cluster(cluster, workers, library, config, out, preset, device))
    from tagline.experts.weights.registry import WeightsMissing
    from tagline.table.train import train_library
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ml.trainer import NonFinite, to_stderr

    try:
        with Catalog.open(library, create=False) as catalog:
            result = train_library(catalog, config, preset, out, device=device, say=to_stderr)
    except (BadConfig, CatalogError, NonFinite, WeightsMissing) as error:
        raise click.ClickException(str(error)) from None
    _print_result(result.details)
    for path, why in result.left_out:
        click.echo(f"skipping {path}: {why}", err=True)
    if result.left_out:
        ctx.exit(PARTLY)


def _on_cluster(
    address: str,
    workers: int | None,
    library: str,
    config: TableConfig,
    out: str | None,
    preset: str,
    device: str | None,
) -> int:
    """The same training, one process for each worker; library and folder lie where every node sees them."""
    from functools import partial

    from tagline.table.ray import on_cluster, train_here
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ml.config import as_dict
    from tagline.tagging.ml.result import own_folder
    from tagline.tagging.ray import ClusterError

    try:
        with Catalog.open(library, create=False) as catalog:
            folder = own_folder(catalog, f"table-{preset}", out).resolve()
        work = partial(train_here, str(Path(library).resolve()), as_dict(config), str(folder), device)
        result = on_cluster(address, work, folder, workers=workers, gpu=_has_gpus(device))
    except (CatalogError, ClusterError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"text to video  R@1 {result['t2v_r1']:.1f}  video to text  R@1 {result['v2t_r1']:.1f}")
    click.echo(result["folder"])
    if result["left_out"]:
        click.echo(f"{result['left_out']} videos could not be read", err=True)
    return PARTLY if result["left_out"] else 0


def _has_gpus(device: str | None) -> bool:
    """Whether the workers shall have GPUs: what holds on this machine is taken to hold on all."""
    if device == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


@train.command()
@click.argument("preset", required=False)
@click.option(
    "--of", "model", type=click.Choice(list(MODELS)), default="table", show_default=True, help="The model."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, the form of a preset's file.")
def settings(preset: str | None, model: str, as_json: bool) -> None:
    """Show the settings of a preset.

    \b
    tagline train settings
    tagline train settings clip4clip-meanp --json
    tagline train settings --of tagger paper
    """
    from tagline.tagging.ml.config import BadConfig, as_dict

    room, load, names, usual = MODELS[model]
    configs = import_module(room)
    try:
        found = as_dict(getattr(configs, load)(preset or usual))
    except BadConfig as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for part, values in found.items():
        for key, value in values.items():
            click.echo(f"{part}.{key} = {json.dumps(value)}")
    click.echo(f"presets: {', '.join(getattr(configs, names)())}", err=True)


def _print_result(outcome: TrainedTable) -> None:
    """The result, for people: figures with their intervals, and where the model is."""
    for name, way in (("text to video", outcome.validation.t2v), ("video to text", outcome.validation.v2t)):
        low, high = way.intervals["r1"].low, way.intervals["r1"].high
        click.echo(
            f"{name}  R@1 {way.r1:.1f} ({low:.1f} to {high:.1f})  R@5 {way.r5:.1f}  R@10 {way.r10:.1f}  "
            f"median rank {way.mdr:g}  of {way.queries} held-out queries"
        )
    click.echo(str(outcome.folder))
