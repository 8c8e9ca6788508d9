"""A library as the retrieval systems read it: every video's words and vectors, and its tags by people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tagline.experts.tags import HUMAN_SOURCE, Modality
from tagline.tagging.ml.config import Schedule
from tagline.tagging.ml.data import Example, Frames
from tagline.tagging.ml.splits import LEARNED_FROM, hold_out, split_of
from tagline.tagging.neighbours.memory import TaggedVideo

if TYPE_CHECKING:
    from tagline.tagging.catalog.read import CatalogReader

FRAME_SOURCES = ("appearance", "scene")  # vectors of CLIP's frames: the generator's, or the scene expert's
SOUND_SOURCE = "sound"


@dataclass(frozen=True, slots=True)
class LibrarySnapshot:
    """The videos of a catalog, all lists in the same order."""

    ids: list[int]
    examples: list[Example]  # `tags`: what people say
    tagged_videos: list[TaggedVideo]
    splits: list[str]  # "train", "val", "test", or "" where no data set says
    frames_by: tuple[str, str] = ("", "")  # source of the frame vectors, and its fingerprint

    def memory_rows(self) -> list[int]:
        """Rows that others may learn from: somebody judged them, and they are kept for no test."""
        return [
            i
            for i, (known, split) in enumerate(zip(self.tagged_videos, self.splits, strict=True))
            if split in LEARNED_FROM and (known.tags or known.rejected)
        ]


def read_snapshot(catalog: CatalogReader) -> LibrarySnapshot:
    """Everything that similarity needs, in the order of ids."""
    source, mark, frames = _frames(catalog)
    _, sounds = _vectors(catalog, SOUND_SOURCE)
    library = LibrarySnapshot([], [], [], [], (source, mark))
    for video in catalog.videos():
        facts: Mapping[str, object] = next(
            (run.facts for run in catalog.runs(video.id) if run.expert == "uploader"), {}
        )
        tags = catalog.tags(video.id)
        judged = {v.text: v.kind for v in catalog.verdicts.of(video.id)}
        accepted = {catalog.canonical(text) for text, kind in judged.items() if kind == "accept"}
        own_tags = dict.fromkeys(
            t.text
            for t in tags
            if t.modality == Modality.HUMAN or t.source == HUMAN_SOURCE or t.text in accepted
        )
        rejected = {catalog.canonical(text) for text, kind in judged.items() if kind == "reject"} - set(
            own_tags
        )
        spoken = [word.text for word in catalog.words(video.id)]
        written = dict.fromkeys(t.text for t in tags if t.modality == Modality.SCREEN)
        title = video.title or str(facts.get("title") or "")
        library.ids.append(video.id)
        library.examples.append(
            Example(
                video.label,
                video.hash,
                title,
                tuple(own_tags),
                frames.get(video.id),
                " ".join([*spoken, *written]),
                sounds.get(video.id),
            )
        )
        library.tagged_videos.append(TaggedVideo(video.hash, tuple(own_tags), tuple(sorted(rejected))))
        library.splits.append(split_of(catalog, video.id))
    return library


def training_and_validation(library: LibrarySnapshot) -> tuple[list[Example], list[Example]]:
    """What is learned from, and what chooses and calibrates: tagged videos, none of the split "test".

    Where no data set says which videos are for validation, a tenth of them by a hash of their content.
    """
    tagged = [(one, split) for one, split in zip(library.examples, library.splits, strict=True) if one.tags]
    learn = [one for one, split in tagged if split in LEARNED_FROM]
    validation = [one for one, split in tagged if split == "val"]
    if validation:
        return learn, validation
    usual = Schedule()  # as the generator holds them out
    return hold_out(learn, usual.validation, usual.validation_most)


def _frames(catalog: CatalogReader) -> tuple[str, str, dict[int, Frames]]:
    """The frame vectors of the source that knows most videos."""
    found = [(source, *_vectors(catalog, source)) for source in FRAME_SOURCES]
    source, fingerprint, frames = max(found, key=lambda one: len(one[2]))
    return (source, fingerprint, frames) if frames else ("", "", {})


def _vectors(catalog: CatalogReader, source: str) -> tuple[str, dict[int, Frames]]:
    """Each video's vectors of a source, by the model that made most of them, and that model's mark."""
    known = catalog.vectors.sources().get(source, {})
    if not known:
        return "", {}
    newest_model = max(known, key=lambda fingerprint: known[fingerprint])
    every = catalog.vectors.read(source, fingerprint=newest_model)
    if not len(every.ids):
        return "", {}
    edges = np.flatnonzero(np.diff(every.ids, prepend=-1))
    ends = [*edges[1:].tolist(), len(every.ids)]
    return newest_model, {
        int(every.ids[start]): every.values[start:end]
        for start, end in zip(edges.tolist(), ends, strict=True)
    }
