"""`tagline index --cluster` and `tagline serve --cluster`: thin skins over building and serving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tagging.cluster import ClusterError, required
from tagging.names import safe
from tagging.output import to_json

SOURCE = "scene"  # the expert whose vectors of CLIP lie in the shards


@contextmanager
def _in_words() -> Iterator[None]:
    from retrieval.rows import BadIndex

    try:
        required()
        yield
    except (ClusterError, BadIndex) as error:
        raise click.ClickException(str(error)) from error


def index(shards: str | None, address: str, out: str | None, source: str | None, as_json: bool) -> int:
    """Build an index in pieces; returns the exit code."""
    if shards is None or out is None:
        raise click.UsageError(
            "--cluster wants the SHARDS that `tagline tag --cluster` wrote, and --out FOLDER"
        )
    with _in_words():
        from retrieval.cluster.building import build

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
    with _in_words():
        from retrieval.cluster import serving
        from retrieval.cluster.pieces import Head
        from tagging.cluster.joining import joined

        head = Head.read(Path(pieces))
        with joined(address):
            if stop:
                serving.stop(Path(pieces))
                click.echo(f"{len(head.pieces)} pieces are not served any more")
                return 0
            serving.start(Path(pieces), replicas=replicas)
    click.echo(f"{head.rows} rows in {len(head.pieces)} pieces are served by {replicas} replicas each")
    return 0
