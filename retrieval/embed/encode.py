"""Embedding: every video and every span of it as a unit vector.

The vectors lie in the catalog, under a fingerprint of the model and of the way in which spans are cut. A
video is embedded anew when either is another, or when the tags that the model read of it have changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tagline.experts.tags import Embedding, Tag
from tagline.retrieval.embed.search_model import (
    APPEARANCE,
    CHOICE,
    CLASSES,
    TABLE,
    SearchModel,
    VideoEmbedder,
    VideoVectors,
)
from tagline.tagging.ml.config import digest
from tagline.tagging.pipeline.progress import Progress

if TYPE_CHECKING:
    from tagline.experts.footage import Footage, Unreadable
    from tagline.tagging.catalog.read import CatalogReader
    from tagline.tagging.catalog.records import Video
    from tagline.tagging.catalog.write import Catalog

CLASSIFIER = "efficientnet-lite2"  # whose classes stand in for CLIP
NAME = "search"  # under which the catalog keeps what could not be embedded
MAX_SAMPLED = 100_000  # texts of the library among which these are chosen
SAMPLE_QUERIES = 100  # queries by which an approximate index is tuned


@dataclass(slots=True)
class EmbedResult:
    """How embedding a library ended."""

    choice: SearchModel
    progress: Progress
    before: SearchModel | None = None  # a model of another kind, whose vectors were replaced
    spans: int = 0  # vectors of spans that were made
    unchanged: int = 0
    absent: int = 0  # videos none of whose files is there
    failures: list[tuple[str, str]] = field(default_factory=list)  # (path, reason), earlier ones as well
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _EmbedJob:
    video: Video
    path: Path
    tags: list[Tag]
    upstream: str


def embed(
    catalog: Catalog,
    model: VideoEmbedder,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    *,
    retry: bool = False,
    jobs: int | None = None,
) -> EmbedResult:
    """Embed what is new or stale. Each video is written down at once; what ends the run, the next goes on.

    While a library is embedded by another model than before, search goes on with the old vectors until
    the new ones are complete. `retry`: try again what failed before.
    """
    from tagline.experts.decode.decoder import Decoder

    begun = time.monotonic()
    outcome = EmbedResult(model.choice, Progress(0))
    work = _stale(catalog, model, outcome, retry)
    outcome.progress.total = len(work)
    before = SearchModel.of_catalog(catalog)
    outcome.before = before if before is not None and before.kind != model.choice.kind else None
    if before is None:
        catalog.set_meta(CHOICE, model.choice.as_json())
    work = [job for job in work if not _embed_stored(catalog, model, job, outcome, on_progress)]
    if work:
        with Decoder(jobs=jobs) as decoder:
            orders = ((job.path, model.samplings) for job in work)
            with closing(decoder.read_all(orders)) as stream:  # type: ignore[type-var]
                for job, (_, result) in zip(work, stream, strict=True):
                    vectors, reason = _vectors_of(model, job, result)
                    _write_vectors(catalog, model, job, vectors, reason, outcome)
                    on_progress(outcome.progress)
    catalog.set_meta(CHOICE, model.choice.as_json())
    catalog.vectors.drop_other_models(model.choice.fingerprint)
    outcome.seconds = time.monotonic() - begun
    return outcome


def _stale(catalog: Catalog, model: VideoEmbedder, outcome: EmbedResult, retry: bool) -> list[_EmbedJob]:
    """What has to be embedded; the rest is counted in the outcome."""
    fingerprint = model.choice.fingerprint
    done = catalog.vectors.embedded_videos(fingerprint)
    failed = {
        (failure.video_id, failure.expert): failure
        for failure in catalog.failures()
        if failure.expert in ("", NAME) and failure.video_id is not None
    }
    work = []
    for video in catalog.videos():
        if video.facts is not None and not video.facts.has_pictures:
            continue  # found by what is said and heard in it
        tags = model.tags_read(catalog.tags(video.id))
        upstream = _upstream(tags, model.upstream(catalog, video))
        unreadable, before = failed.get((video.id, "")), failed.get((video.id, NAME))
        same = before is not None and before.fingerprint == digest(fingerprint, upstream)
        failure_before = unreadable or (before if same else None)
        paths = [Path(path) for path in video.paths]
        if video.id in done and done[video.id][0] == upstream:
            outcome.unchanged += 1
        elif not paths:
            outcome.absent += 1
        elif failure_before is not None and not retry:
            outcome.failures.append((str(paths[0]), failure_before.reason))
        else:
            there = next((path for path in paths if path.exists()), paths[0])
            work.append(_EmbedJob(video, there, tags, upstream))
    return work


def _upstream(tags: Sequence[Tag], stored: str) -> str:
    """What else than the pictures a video's vectors depend on."""
    read = [[t.modality, t.text, round(t.score, 6), t.start, t.end] for t in tags]
    return digest(read, stored) if stored else digest(read)


def _embed_stored(
    catalog: Catalog,
    model: VideoEmbedder,
    job: _EmbedJob,
    outcome: EmbedResult,
    on_progress: Callable[[Progress], None],
) -> bool:
    """Embed a video from what an expert kept of its frames; False: it has to be decoded."""
    vectors = model.stored(catalog, job.video)
    if vectors is None or not _hold_numbers(vectors):
        return False
    _write_vectors(catalog, model, job, vectors, "", outcome)
    on_progress(outcome.progress)
    return True


def _write_vectors(
    catalog: Catalog,
    model: VideoEmbedder,
    job: _EmbedJob,
    vectors: VideoVectors | None,
    reason: str,
    outcome: EmbedResult,
) -> None:
    """Write down what came of one video."""
    fingerprint, progress = model.choice.fingerprint, outcome.progress
    with catalog.transaction():
        if vectors is not None:
            catalog.vectors.put_embeddings(
                job.video.id, fingerprint, job.upstream, vectors.whole, vectors.spans
            )
            catalog.clear_failure(job.video.id, NAME)
            outcome.spans += len(vectors.spans)
        else:
            catalog.vectors.drop_embeddings(job.video.id, fingerprint)
            catalog.put_failure(reason, digest(fingerprint, job.upstream), video_id=job.video.id, expert=NAME)
            outcome.failures.append((str(job.path), reason))
    progress.done += 1
    progress.tagged += vectors is not None
    progress.failed += vectors is None
    progress.path, progress.reason = str(job.path), reason or None


def _vectors_of(
    model: VideoEmbedder, job: _EmbedJob, result: Footage | Unreadable
) -> tuple[VideoVectors | None, str]:
    """The vectors of a video, or the reason why there are none: never zeros in their place."""
    from tagline.experts.footage import Unreadable

    if isinstance(result, Unreadable):
        return None, str(result)
    try:
        vectors = model.embed(result, job.tags)
        if not _hold_numbers(vectors):
            return None, "the model made vectors that hold no numbers"
        return vectors, ""
    except Exception as error:  # one bad video must not end the run
        text = str(error).strip().splitlines()
        return None, text[0][:300] if text else type(error).__name__
    finally:
        result.close()


def _hold_numbers(vectors: VideoVectors) -> bool:
    return all(_is_unit(embedding) for embedding in (vectors.whole, *vectors.spans))


def _is_unit(embedding: Embedding) -> bool:
    length = float(np.linalg.norm(embedding.values))
    return bool(np.isfinite(embedding.values).all()) and abs(length - 1) < 1e-3


def model_to_use(catalog: CatalogReader, model: str | None, collection: str | None) -> tuple[str, str]:
    """(kind, name) of the model to embed with: what is asked for, else the one in use, else the best here.

    A library that was embedded by the starter's classes goes over to CLIP once that is here.
    """
    from tagline.experts.weights.registry import PUBLIC, for_expert

    if model is not None:
        return TABLE, str(Path(model).expanduser().absolute()) if Path(model).expanduser().is_dir() else model
    before = SearchModel.of_catalog(catalog)
    if collection is None and before is not None and before.kind != CLASSES:
        return before.kind, before.name
    clip = for_expert(APPEARANCE, collection or PUBLIC)
    if collection is None and not _usable(clip, "torch", "open_clip") and _usable(CLASSIFIER, "onnxruntime"):
        return CLASSES, CLASSIFIER
    return APPEARANCE, clip


def _usable(weights: str, *modules: str) -> bool:
    """Whether weights and the libraries that they need are here."""
    from tagline.experts.weights import registry

    here = registry.local_folder(registry.entries()[weights]) is not None
    return here and all(find_spec(module) is not None for module in modules)


def sample_queries(catalog: CatalogReader, count: int = SAMPLE_QUERIES) -> list[str]:
    """Texts like those that people will search for: captions, else tags, evenly chosen from the library."""
    texts = catalog.distinct_captions(MAX_SAMPLED) or catalog.distinct_tags(MAX_SAMPLED)
    places = np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(int)
    return [texts[place] for place in places]
