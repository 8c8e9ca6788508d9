"""The commands `index`, `similar` and `describe`: make the library's vectors, and ask with a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from tagline.experts.printable import safe, say
from tagline.retrieval.cli.opening import opened
from tagline.tagging.cli.options import NothingFound, library_option
from tagline.tagging.cli.output import emit, output_options, requested_output, to_json

if TYPE_CHECKING:
    from tagline.retrieval.embed.encode import EmbedResult
    from tagline.retrieval.index.update import IndexUpdate
    from tagline.retrieval.library import Library

PARTLY, NOTHING, INTERRUPTED = 3, 4, 130
MAX_FAILURES_SHOWN = 20  # failures that the table lists
SIMILAR_COLUMNS = ("score", "video", "start", "end")
TEXT_COLUMNS = ("score", "text", "own")


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=str), metavar="[FOLDER]")
@click.option("--model", metavar="FOLDER", help="A TABLE model, as `tagline train table` writes.")
@click.option("--weights", metavar="COLLECTION", help="CLIP alone, with these weights: public or playhouse.")
@click.option("--retry", is_flag=True, help="Try again what failed before.")
@click.option("--rebuild", is_flag=True, help="Make the index anew from the catalog's vectors.")
@click.option("--milvus", metavar="ADDRESS", help="Keep the index in Milvus: rows.db or http://HOST:19530.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option("--cluster", metavar="ADDRESS", help="Build on a Ray cluster; FOLDER is then where shards are.")
@click.option("--out", metavar="FOLDER", help="With --cluster: where the index goes; every node must see it.")
@click.option("--source", metavar="EXPERT", help="With --cluster: whose vectors; by default scene.")
@library_option
@click.pass_context
def index(ctx: click.Context, folder: str | None, library: str | None, **options: Any) -> None:
    """Make a tagged library searchable by meaning.

    Every video and every span of it becomes a vector; only what is new or stale is looked at. The model that
    was chosen once stays until another is named.

    \b
    tagline index ~/Videos
    tagline index ~/Videos --weights playhouse
    tagline index ~/Videos --model models/mine --json
    tagline index ~/Videos --milvus http://milvus:19530
    tagline index s3://bucket/shards --cluster head:6379 --out /shared/index
    """
    cluster, out, source = (options.pop(name) for name in ("cluster", "out", "source"))
    if cluster is not None:
        from tagline.retrieval.cli import ray

        ctx.exit(ray.index(folder, cluster, out, source, options["as_json"]))
    if out or source:
        raise click.UsageError("--out and --source go with --cluster")

    if options["model"] and options["weights"]:
        raise click.UsageError("give either --model or --weights")
    try:
        with opened(library, [folder] if folder else []) as videos:
            ctx.exit(_index(videos, **options))
    except KeyboardInterrupt:
        click.echo("stopped; the next run goes on from here", err=True)
        ctx.exit(INTERRUPTED)


def _index(library: Library, *, as_json: bool, **options: Any) -> int:
    from tagline.experts.weights.registry import WeightsMissing
    from tagline.retrieval.index.base import BadIndex
    from tagline.tagging.cli.progress import ProgressDisplay
    from tagline.tagging.ml.config import BadConfig
    from tagline.tagging.pipeline.settings import SettingsError

    try:
        with ProgressDisplay(quiet=as_json) as lines:
            result = library.index(**options, progress=lines.progress)
    except (WeightsMissing, BadConfig, SettingsError, BadIndex) as error:
        raise click.ClickException(str(error)) from error
    outcome = result.embedded
    if as_json:
        click.echo(to_json(_as_data(outcome, result.indexes), indent=1))
    else:
        _table(outcome, result.indexes)
    if result.empty and not outcome.failures:
        click.echo("there is nothing to search here yet; run `tagline tag FOLDER` first", err=True)
        return NOTHING
    return PARTLY if outcome.failures or outcome.absent else 0


def _as_data(outcome: EmbedResult, updates: Sequence[IndexUpdate]) -> dict[str, Any]:
    choice = outcome.choice
    return {
        "model": {"kind": choice.kind, "name": choice.name, "fingerprint": choice.fingerprint},
        "embedded": outcome.progress.tagged,
        "spans": outcome.spans,
        "unchanged": outcome.unchanged,
        "absent": outcome.absent,
        "failed": len(outcome.failures),
        "failures": [{"path": path, "reason": reason} for path, reason in outcome.failures],
        "indexes": [
            {
                "level": str(one.level),
                "rows": one.rows,
                "added": one.added,
                "removed": one.removed,
                "built": one.built,
                "exact": one.exact,
                "recall_at_10": one.recall,
            }
            for one in updates
        ],
        "seconds": round(outcome.seconds, 3),
    }


def _table(outcome: EmbedResult, updates: Sequence[IndexUpdate]) -> None:
    from tagline.tagging.pipeline.plan import duration

    parts = [f"{outcome.progress.tagged} embedded", f"{outcome.unchanged} unchanged"]
    parts += [f"{len(outcome.failures)} failed"] + [f"{outcome.absent} not there"] * bool(outcome.absent)
    say(f"{', '.join(parts)}, in {duration(outcome.seconds)}; model {outcome.choice.name}")
    if outcome.before is not None:
        say(f"it takes the place of {outcome.before.name}; `tagline eval` compares how search finds now")
    rows = [
        {
            "index": f"{one.level}s",
            "rows": one.rows,
            "added": one.added,
            "removed": one.removed,
            "answers": "exact" if one.exact else "approximate",
            "recall@10": one.recall if one.recall is None else f"{one.recall:.3f}",
        }
        for one in updates
    ]
    emit(rows, tuple(rows[0]))
    for path, reason in outcome.failures[:MAX_FAILURES_SHOWN]:
        say(f"failed: {path}: {reason}")
    if len(outcome.failures) > MAX_FAILURES_SHOWN:
        click.echo(
            f"and {len(outcome.failures) - MAX_FAILURES_SHOWN} more; `tagline index --json` lists them"
        )
    if outcome.progress.tagged:
        click.echo("`tagline search WORDS` now finds by meaning, too")


@click.command()
@click.argument("what", metavar="VIDEO_OR_IMAGE")
@click.option("-k", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many.")
@library_option
@output_options
@click.pass_context
def similar(ctx: click.Context, what: str, count: int, library: str | None) -> None:
    """Find videos that are like a video or a picture.

    VIDEO_OR_IMAGE is a video of the library (a path, a part of its name, or its id), or any video or
    picture file.

    \b
    tagline similar holiday.mp4
    tagline similar ~/Pictures/beach.jpg -k 3
    """
    with opened(library) as videos, _as_sentence():
        found = videos.similar(what, count)
    rows = [
        {
            "score": round(one.score, 4),
            "video": one.video.paths[0],
            "id": one.video.id,
            "start": round(one.start, 3),
            "end": round(one.end, 3),
        }
        for one in found
    ]
    if not rows and not requested_output().for_programs:
        click.echo(f"nothing is like {safe(what, 80)}", err=True)
    if requested_output().for_programs or rows:
        emit(rows, SIMILAR_COLUMNS)
    ctx.exit(0 if rows else NOTHING)


@click.command()
@click.argument("video")
@click.option("-k", "count", type=click.IntRange(1, 100), default=5, show_default=True, help="How many.")
@library_option
@output_options
def describe(video: str, count: int, library: str | None) -> None:
    """Describe a video in sentences.

    One sentence from its tags, and those sentences of the library that fit it best.

    \b
    tagline describe holiday.mp4
    tagline describe holiday --json
    """
    with opened(library) as videos, _as_sentence():
        found = videos.describe(video, count)
        looked = bool(videos.catalog.runs(found.video.id))
    rows = [{"score": round(one.score, 4), "text": one.text, "own": one.own} for one in found.texts]
    summary = found.sentence
    if requested_output().kind == "json":
        click.echo(
            to_json(
                {"video": found.video.hash, "id": found.video.id, "tags": summary, "fits": rows}, indent=2
            )
        )
        return
    if not requested_output().for_programs:
        if not summary and not rows:
            unseen = "no expert has looked at this video yet; run `tagline tag`"
            raise NothingFound("the experts found nothing to describe in this video" if looked else unseen)
        click.echo(summary or "no expert has tagged it")
        if not found.embedded:
            click.echo("run `tagline index` to see the sentences that fit it")
    emit(rows, TEXT_COLUMNS)


@contextmanager
def _as_sentence() -> Iterator[None]:
    """What can go wrong with models, indexes and pictures ends in a sentence."""
    from tagline.experts.footage import Unreadable
    from tagline.retrieval.embed.query_encoder import BadImage, EncoderMissing
    from tagline.retrieval.index.base import BadIndex

    try:
        yield
    except (EncoderMissing, BadIndex, BadImage) as error:
        raise click.ClickException(str(error)) from error
    except Unreadable as error:
        raise click.ClickException(f"the video cannot be read: it {error}") from error
