"""`index --cluster`, `serve --cluster` and `catalog ask`: thin skins over building and serving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagline.tagging.cluster import LOCAL, ClusterError, required
from tagline.tagging.cluster.commands import catalog
from tagline.tagging.library import NothingFound
from tagline.tagging.names import safe
from tagline.tagging.output import emit, output_options, to_json

if TYPE_CHECKING:
    from tagline.retrieval.cluster.pieces import Head, Spot
    from tagline.retrieval.rows import Vectors

__all__ = ["catalog", "index", "serve"]

SOURCE = "scene"  # the expert whose vectors of CLIP lie in the shards


@contextmanager
def _in_words() -> Iterator[None]:
    from tagline.retrieval.rows import BadIndex
    from tagline.tagging.schema import CatalogError

    try:
        required()
        yield
    except (ClusterError, BadIndex, CatalogError) as error:
        raise click.ClickException(str(error)) from error


def index(shards: str | None, address: str, out: str | None, source: str | None, as_json: bool) -> int:
    """Build an index in pieces; returns the exit code."""
    if shards is None or out is None:
        raise click.UsageError(
            "--cluster wants the SHARDS that `tagline tag --cluster` wrote, and --out FOLDER"
        )
    with _in_words():
        from tagline.retrieval.cluster.building import build
        from tagline.tagging.approvals import approve
        from tagline.tagging.cluster.sources import is_url

        if is_url(shards):  # who names it here has approved it, and the index will name it
            approve(shards.rstrip("/"))
        head = build(
            shards, Path(out), source or SOURCE, address, say=lambda line: click.echo(line, err=True)
        )
    told = {"rows": head.rows, "pieces": len(head.pieces), "probes": head.probes, "folder": out}
    click.echo(to_json(told) if as_json else f"{head.rows} rows in {len(head.pieces)} pieces in {safe(out)}")
    return 0


def serve(address: str, pieces: str | None, replicas: int, stop: bool) -> int:
    """Put an index in pieces on Ray Serve, or take it off; returns the exit code. It stays when this ends."""
    if pieces is None:
        raise click.UsageError("--cluster wants --pieces: the folder that `tagline index --cluster` wrote")
    if address == LOCAL:
        raise click.UsageError("a local cluster ends with the command; start one with `ray start --head`")
    with _in_words():
        from tagline.retrieval.cluster import serving
        from tagline.retrieval.cluster.pieces import Head
        from tagline.tagging.cluster.joining import joined

        head = Head.read(Path(pieces))
        with joined(address):
            if stop:
                serving.stop(Path(pieces))
                click.echo(f"{len(head.pieces)} pieces are not served any more")
                return 0
            serving.start(Path(pieces), replicas=replicas)
    click.echo(f"{head.rows} rows in {len(head.pieces)} pieces are served by {replicas} replicas each")
    return 0


@catalog.command()
@click.argument("pieces")
@click.argument("words", nargs=-1, required=True)
@click.option("--cluster", "address", required=True, metavar="ADDRESS", help="Where it is served.")
@click.option("--weights", metavar="COLLECTION", help="Whose weights of CLIP: public or playhouse.")
@click.option("--config", metavar="FILE", help="The settings that the videos were tagged with.")
@click.option("-k", "count", type=click.IntRange(1, 1000), default=10, help="How many at most.")
@output_options
def ask(
    pieces: str, words: tuple[str, ...], address: str, weights: str | None, config: str | None, count: int
) -> None:
    """Find what a sentence describes in an index that `tagline serve --cluster` serves.

    The sentence goes through the same CLIP that looked at the frames: with other weights it is refused.

    \b
    tagline catalog ask /shared/index a dog on the beach --cluster head:6379
    """
    with _in_words():
        from tagline.retrieval.cluster.pieces import Head
        from tagline.retrieval.cluster.serving import ServedIndex
        from tagline.tagging.cluster.joining import joined

        head = Head.read(Path(pieces))
        query = _encoded(head, " ".join(words), weights, config)
        with joined(address):
            served = ServedIndex(Path(pieces), head.fingerprint)
            ids, scores = served.search(query, count)
            kept = ids[0] >= 0
            spots = served.spots(ids[0][kept])
        rows = _rows(head, spots, scores[0][kept].tolist())
    emit(rows, ("score", "url", "start", "end"))
    if not rows:
        raise NothingFound("the index is empty")


def _encoded(head: Head, sentence: str, weights: str | None, config: str | None) -> Vectors:
    """A sentence as the expert's own CLIP writes it, float32 [1, D]."""
    from tagline.tagging.settings import SettingsError
    from tagline.tagging.settings import load as settings

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


def _rows(head: Head, spots: list[Spot], scores: list[float]) -> list[dict[str, object]]:
    """Hits with the addresses of their videos, where the shards still say them."""
    from tagline.tagging import approvals
    from tagline.tagging.cluster import asking
    from tagline.tagging.cluster.shards import Shelf
    from tagline.tagging.cluster.sources import is_url

    if is_url(head.shards) and not approvals.is_approved(head.shards):
        raise ClusterError(
            f"the index names {safe(head.shards, 200)}, which you have not approved, so it is not asked; "
            f"if you trust it, run `tagline approve {safe(head.shards, 200)}`"
        )
    shelf = Shelf(head.shards)
    where = asking.places(shelf, shelf.parts(), {spot.video for spot in spots})
    return [
        {"score": score, "url": where.get(spot.video, spot.video), "start": spot.start, "end": spot.end}
        for spot, score in zip(spots, scores, strict=True)
    ]
