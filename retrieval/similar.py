"""From a video or a picture to the videos that are like it, and from a video to the sentences that fit it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tagline.experts.tags import Modality, Tag
from tagline.retrieval.embed.encode import NAME
from tagline.retrieval.embed.query_encoder import Encoder, open_encoder, search_model_of
from tagline.retrieval.embed.search_model import SearchModel
from tagline.retrieval.embed.text_tower import Floats
from tagline.retrieval.index.base import Index, unpack
from tagline.retrieval.index.update import open_index
from tagline.tagging.catalog import vectors
from tagline.tagging.catalog.lookup import find_video
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.ml.splits import split_of
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog

MAX_NAMED = 4  # of each sense in a sentence
MAX_TEXTS = 400  # sentences that are tried
IMAGE_ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"))


class NotEmbedded(CatalogError):
    """There is no vector to compare with. The message says what to do."""


@dataclass(frozen=True, slots=True)
class SimilarVideo:
    """A video that is like another, and the stretch of it that is most so."""

    video: Video
    score: float  # cosine of the two videos
    start: float  # seconds
    end: float


@dataclass(frozen=True, slots=True)
class FittingText:
    """A sentence that fits a video."""

    text: str
    score: float  # cosine
    own: bool  # written about this very video


@dataclass(frozen=True, slots=True)
class Description:
    """What a video is about."""

    video: Video
    sentence: str  # made of its tags; "" where it has none
    texts: tuple[FittingText, ...]  # the library's sentences that fit best
    embedded: bool  # whether there is a model to compare by


def similar_to(
    catalog: Catalog, what: Video | int | str | os.PathLike[str], count: int = 10
) -> list[SimilarVideo]:
    """The videos most like a video of the library, or like any video or picture file, never itself.

    Raises NotEmbedded, VideoNotFound, Unreadable or BadImage.
    """
    vector, itself = vector_of_anything(catalog, what)
    return similar(catalog, vector, count, without=itself)


def vector_of_anything(
    catalog: Catalog, what: Video | int | str | os.PathLike[str]
) -> tuple[Floats, int | None]:
    """The vector of what was named, [D], and its id if it is a video of the library."""
    video = what if isinstance(what, Video) else catalog.find(what)
    if video is None and not isinstance(what, (int, Video)):
        path = Path(what).expanduser()
        if path.is_file():
            if path.suffix.lower() not in IMAGE_ENDINGS:
                return vector_of_file(catalog, path), None
            encoder = open_encoder(catalog)
            if encoder is None:
                raise NotEmbedded(f"{catalog.name} has no vectors yet; run `tagline index`")
            return encoder.image(path), None
    video = video or find_video(catalog, what)
    return vector_of(catalog, video), video.id


def describe(catalog: Catalog, video: Video, count: int = 5) -> Description:
    """A sentence made of a video's tags, and the sentences of the library that fit it best."""
    encoder = open_encoder(catalog)
    texts = () if encoder is None else tuple(fitting_texts(catalog, encoder, video, count))
    return Description(video, sentence(catalog.tags(video.id)), texts, encoder is not None)


def vector_of(catalog: Catalog, video: Video) -> Floats:
    """The vector of a video of the library, [D]. Raises NotEmbedded."""
    choice = SearchModel.of_catalog(catalog)
    if choice is None:
        raise NotEmbedded(f"{catalog.name} has no vectors yet; run `tagline index`")
    page = next(catalog.vectors.pages(vectors.VIDEO, choice.fingerprint, [video.id]), None)
    if page is not None:
        return page.values[0]
    failed = [failure.reason for failure in catalog.failures(video.id) if failure.expert in ("", NAME)]
    why = f"could not be embedded: {failed[0]}" if failed else "has no vector yet; run `tagline index`"
    raise NotEmbedded(f"{safe(video.label, 80)} {why}")


def vector_of_file(catalog: Catalog, path: Path) -> Floats:
    """The vector of a video that is not in the library, [D], without tags. Raises Unreadable."""
    from tagline.experts.decode.decoder import Decoder

    choice = SearchModel.of_catalog(catalog)
    if choice is None:
        raise NotEmbedded(f"{catalog.name} has no vectors yet; run `tagline index`")
    model = search_model_of(choice)
    with Decoder(jobs=1) as decoder:
        footage = decoder.read(path, model.samplings)
        try:
            return np.asarray(model.embed(footage, []).whole.values, np.float32)
        finally:
            footage.close()


def similar(
    catalog: Catalog,
    vector: Floats,
    count: int = 10,
    *,
    without: int | None = None,
    index: Index | None = None,
) -> list[SimilarVideo]:
    """The videos nearest to a vector, nearest first; `without`: the id of one that is left out."""
    index = index or open_index(catalog)
    if index is None:
        raise NotEmbedded(f"{catalog.name} has no vectors yet; run `tagline index`")
    found: list[SimilarVideo] = []
    # Some rows may be of videos that are gone or forgotten since.
    ids, scores = index.search(vector[None], count + 50)
    for number, score in zip(unpack(ids[0])[0].tolist(), scores[0].tolist(), strict=True):
        video = catalog.video(number) if number != without and number >= 0 else None
        if video is not None and video.paths and len(found) < count:
            found.append(SimilarVideo(video, score, *_best_span(catalog, index.fingerprint, video, vector)))
    return found


def _best_span(catalog: Catalog, fingerprint: str, video: Video, vector: Floats) -> tuple[float, float]:
    page = next(catalog.vectors.pages(vectors.SPAN, fingerprint, [video.id]), None)
    if page is None:
        return 0.0, video.duration or 0.0
    start, end = page.spans[int(np.argmax(page.values @ vector))].tolist()
    return start, end


def fitting_texts(catalog: Catalog, encoder: Encoder, video: Video, count: int = 5) -> list[FittingText]:
    """The sentences of the library that fit a video best: its captions, or such as are written from tags."""
    from tagline.retrieval.tune import probe_queries

    queries = probe_queries.caption_queries(catalog, MAX_TEXTS) or probe_queries.tag_queries(
        catalog, MAX_TEXTS
    )
    own = [caption.text for caption in catalog.captions(video.id) if caption.text]
    if split_of(catalog, video.id) == "test":
        own = []
    about = {query.text: query.video == video.id for query in queries} | dict.fromkeys(own, True)
    if not about:
        return []
    texts = list(about)
    scores = encoder.texts(texts) @ vector_of(catalog, video)
    best = np.argsort(-scores, kind="stable")[:count]
    return [FittingText(texts[i], float(scores[i]), about[texts[i]]) for i in best]


def sentence(tags: Sequence[Tag]) -> str:
    """What the experts saw and heard, in one sentence: "a boy and a ball at the beach; running; …"."""
    by_modality = {modality: _surest(tags, modality) for modality in Modality}
    shown = [f"“{text}”" for text in by_modality[Modality.SCREEN]]
    seen = _listed([_one(text) for text in (*by_modality[Modality.PERSON], *by_modality[Modality.OBJECT])])
    scene = by_modality[Modality.SCENE][:1]
    picture = f"{seen or 'something'} at the {scene[0]}" if scene else seen
    parts = [
        picture,
        _listed(by_modality[Modality.MOTION]),
        f"somebody speaks of {_listed(by_modality[Modality.SPEECH])}" if by_modality[Modality.SPEECH] else "",
        f"there is {_listed(by_modality[Modality.SOUND])} to be heard" if by_modality[Modality.SOUND] else "",
        f"the screen says {_listed(shown)}" if shown else "",
        _listed(
            [*by_modality[Modality.HUMAN], *by_modality[Modality.GENERATED], *by_modality[Modality.TITLE]]
        ),
    ]
    whole = "; ".join(part for part in parts if part)
    return f"{whole[0].upper()}{whole[1:]}." if whole else ""


def _surest(tags: Sequence[Tag], modality: Modality) -> list[str]:
    best: dict[str, float] = {}
    for tag in tags:
        if tag.modality == modality:
            best[tag.text] = max(tag.score, best.get(tag.text, 0.0))
    return sorted(best, key=lambda text: (-best[text], text))[:MAX_NAMED]


def _one(text: str) -> str:
    return f"{'an' if text[:1].lower() in 'aeiou' else 'a'} {text}"


def _listed(texts: Sequence[str]) -> str:
    """ "a, b and c" """
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))
