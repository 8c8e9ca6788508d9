"""`index --cluster`, `serve --cluster` and `catalog ask`: thin skins over building and serving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagline.tagging.cli.cluster import catalog
from tagline.tagging.cli.options import NothingFound
from tagline.tagging.cli.output import emit, output_options, to_json
from tagline.tagging.printable import safe
from tagline.tagging.ray import LOCAL, ClusterError, require_ray

if TYPE_CHECKING:
    from tagline.retrieval.index.base import Vectors
    from tagline.retrieval.ray.index_shard import Location, ShardedIndex


SOURCE = "scene"  # the expert whose vectors of CLIP lie in the shards


@contextmanager
def _as_sentence() -> Iterator[None]:
    from tagline.retrieval.index.base import BadIndex
    from tagline.tagging.catalog.schema import CatalogError

    try:
        require_ray()
        yield
    except (ClusterError, BadIndex, CatalogError) as error:
        raise click.ClickException(str(error)) from error


def index(shards: str | None, address: str, out: str | None, source: str | None, as_json: bool) -> int:
    """Build an index in pieces; returns the exit code."""
    if shards is None or out is None:
        raise click.UsageError(
            "--cluster wants the SHARDS that `tagline tag --cluster` wrote, and --out FOLDER"
        )
    with _as_sentence():
        from tagline.retrieval.ray.build import build_sharded_index
        from tagline.tagging.catalog.approvals import approve
        from tagline.tagging.ray.sources import is_url

        if is_url(shards):  # who names it here has approved it, and the index will name it
            approve(shards.rstrip("/"))
        head = build_sharded_index(
            shards, Path(out), source or SOURCE, address, say=lambda line: click.echo(line, err=True)
        )
    data = {"rows": head.rows, "shards": len(head.shards), "probes": head.probes, "folder": out}
    click.echo(to_json(data) if as_json else f"{head.rows} rows in {len(head.shards)} shards in {safe(out)}")
    return 0


def serve(address: str, folder: str | None, replicas: int, stop: bool) -> int:
    """Put an index in pieces on Ray Serve, or take it off; returns the exit code. It stays when this ends."""
    if folder is None:
        raise click.UsageError("--cluster wants --index: the folder that `tagline index --cluster` wrote")
    if address == LOCAL:
        raise click.UsageError("a local cluster ends with the command; start one with `ray start --head`")
    with _as_sentence():
        from tagline.retrieval.ray import serving
        from tagline.retrieval.ray.index_shard import ShardedIndex
        from tagline.tagging.ray.connection import connected

        head = ShardedIndex.read(Path(folder))
        with connected(address):
            if stop:
                serving.stop(Path(folder))
                click.echo(f"{len(head.shards)} shards are not served any more")
                return 0
            serving.start(Path(folder), replicas=replicas)
    click.echo(f"{head.rows} rows in {len(head.shards)} shards are served by {replicas} replicas each")
    return 0


@catalog.command()
@click.argument("index_folder", metavar="INDEX")
@click.argument("words", nargs=-1, required=True)
@click.option("--cluster", "address", required=True, metavar="ADDRESS", help="Where it is served.")
@click.option("--weights", metavar="COLLECTION", help="Whose weights of CLIP: public or playhouse.")
@click.option("--config", metavar="FILE", help="The settings that the videos were tagged with.")
@click.option("-k", "count", type=click.IntRange(1, 1000), default=10, help="How many at most.")
@output_options
def ask(
    index_folder: str,
    words: tuple[str, ...],
    address: str,
    weights: str | None,
    config: str | None,
    count: int,
) -> None:
    """Find what a sentence describes in an index that `tagline serve --cluster` serves.

    The sentence goes through the same CLIP that looked at the frames: with other weights it is refused.

    \b
    tagline catalog ask /shared/index a dog on the beach --cluster head:6379
    """
    with _as_sentence():
        from tagline.retrieval.ray.index_shard import ShardedIndex
        from tagline.retrieval.ray.serving import ServedIndex
        from tagline.tagging.ray.connection import connected

        head = ShardedIndex.read(Path(index_folder))
        query = _encode_query(head, " ".join(words), weights, config)
        with connected(address):
            served = ServedIndex(Path(index_folder), head.fingerprint)
            ids, scores = served.search(query, count)
            valid = ids[0] >= 0
            locations = served.locations(ids[0][valid])
        rows = _rows(head, locations, scores[0][valid].tolist())
    emit(rows, ("score", "url", "start", "end"))
    if not rows:
        raise NothingFound("the index is empty")


def _encode_query(head: ShardedIndex, sentence: str, weights: str | None, config: str | None) -> Vectors:
    """A sentence as the expert's own CLIP writes it, float32 [1, D]."""
    from tagline.tagging.pipeline.settings import SettingsError
    from tagline.tagging.pipeline.settings import load_settings as settings

    try:
        expert = settings(config).build(head.source, collection=weights)
    except SettingsError as error:
        raise ClusterError(str(error)) from error
    if expert.fingerprint() != head.fingerprint:
        why = expert.missing() or "other weights or settings"
        raise ClusterError(
            f"the expert {head.source} here is not the one that the index was made with ({why}); "
            "name its weights or settings with --weights or --config"
        )
    expert.load("cpu")
    towers = getattr(expert, "towers", None)
    if towers is None:
        raise ClusterError(f"the expert {head.source} has no tower for texts, so sentences cannot be asked")
    found: Vectors = towers.encode_texts([sentence])
    return found


def _rows(head: ShardedIndex, locations: list[Location], scores: list[float]) -> list[dict[str, object]]:
    """Hits with the addresses of their videos, where the shards still say them."""
    from tagline.tagging.catalog import approvals
    from tagline.tagging.ray import query as asking
    from tagline.tagging.ray.shards import ShardStore
    from tagline.tagging.ray.sources import is_url

    if is_url(head.source_url) and not approvals.is_approved(head.source_url):
        raise ClusterError(
            f"the index names {safe(head.source_url, 200)}, which you have not approved, so it is not asked; "
            f"if you trust it, run `tagline approve {safe(head.source_url, 200)}`"
        )
    store = ShardStore(head.source_url)
    where = asking.addresses(store, store.parts(), {location.video for location in locations})
    return [
        {"score": score, "url": where.get(spot.video, spot.video), "start": spot.start, "end": spot.end}
        for spot, score in zip(locations, scores, strict=True)
    ]
