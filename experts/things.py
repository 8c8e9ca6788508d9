"""Things, animals and places among ImageNet's thousand classes, by EfficientNet-Lite2 without torch.

`vision/labels/imagenet_classes.txt` has a line for each class: its everyday name, whether it is an object or
a place, the kinds it belongs to (a Border collie is a dog and an animal), and why to doubt it. The
probability of a kind is the sum over its classes: that it is a dog may be certain where the breed is not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from tagline.experts import storage
from tagline.experts.base import BaseExpert, labels
from tagline.experts.footage import Changes, Footage, Pictures, Sampling, View
from tagline.experts.tags import Embedding, Modality, Report, Sighting, Tag
from tagline.experts.vision import efficientnet
from tagline.experts.vision.efficientnet import CLASSES, SIDE
from tagline.experts.vision.frames import frame_counts, frame_ends, frame_spans, no_frames_note

Probabilities = npt.NDArray[np.float32]  # [N, 1000]: of each frame, how likely each class is

SCALE = 292  # pixels of a frame's shorter side before squares of SIDE are cut out of it, as it was trained
BATCH = 8  # squares at a time: more are not faster on a processor
THREADS = 4  # at most: two videos are read meanwhile
PLAIN = 6.0  # grey levels: a frame whose pixels deviate less from their mean shows nothing to be named

# What the classifier takes a frame for when it shows nothing that it knows: there are more things in the
# world than a thousand, so such an answer needs more than the usual certainty.
DOUBTS = {
    "flat": 0.85,  # drawings, titles and screens: web site, envelope, menu, book jacket
    "dark": 0.85,  # dark or blurred frames: spotlight, theater curtain, stage, bubble
    "worn": 0.85,  # what people wear or hold, guessed because they fill the frame: Windsor tie, wig, stole
}


class Classifier:
    """EfficientNet-Lite2 at work on whole frames.

    folder: config.json with the tensors' "order", and model.safetensors.
    views: "three" squares along the longer side, whose probabilities are averaged, or the "centre" one.
    """

    side = SCALE  # the shorter side of frames to ask the decoder for: more would be thrown away

    def __init__(self, folder: Path, threads: int = 1, views: Literal["three", "centre"] = "three") -> None:
        import onnxruntime
        from safetensors.numpy import load_file

        order = json.loads((folder / "config.json").read_text(encoding="utf-8"))["order"]
        model = efficientnet.efficientnet_lite2(load_file(folder / "model.safetensors"), order)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.views = views
        # Whoever compares probabilities, or vectors made of them, has to know that both came the same way.
        self.identity = identity_of(folder, views)

    def probabilities(self, frames: Pictures) -> Probabilities:
        """uint8 [N, H, W, 3] to float32 [N, 1000], the means over the squares; each row sums to one."""
        means: Probabilities = self.by_square(frames).mean(axis=1, dtype=np.float32)
        return means

    def by_square(self, frames: Pictures) -> Probabilities:
        """uint8 [N, H, W, 3] to float32 [N, V, 1000]: what is in each of a frame's V squares."""
        count = 1 if self.views == "centre" else 3
        if not len(frames):
            return np.zeros((0, count, CLASSES), np.float32)
        squares = (square for frame in frames for square in cut_squares(frame, self.views))
        found = np.concatenate([self._classify(part) for part in _batches(squares)])  # [N * V, 1000]
        return found.reshape(len(frames), count, CLASSES)

    def _classify(self, squares: Pictures) -> Probabilities:
        """uint8 [n, 260, 260, 3] to float32 [n, 1000]."""
        found: Probabilities = self._session.run(None, {"pictures": squares})[0]
        return found


def identity_of(folder: Path, views: str) -> str:
    """What a classifier's probabilities depend on, without loading it."""
    return f"efficientnet-lite2 {storage.hash_file(folder / 'model.safetensors')} {views} {SCALE}"


def cut_squares(frame: Pictures, views: str) -> list[Pictures]:
    """The squares uint8 [260, 260, 3] of one frame uint8 [H, W, 3]: one or three.

    They are 260/292 of the shorter side and lie in its middle; along the longer one at its middle, or at its
    begin, middle and end.
    """
    height, width = frame.shape[:2]
    side = max(1, round(min(height, width) * SIDE / SCALE))
    down, across = height - side, width - side
    middle = (round(down / 2), round(across / 2))
    if views == "centre":
        corners = [middle]
    elif height > width:
        corners = [(top, middle[1]) for top in (0, middle[0], down)]
    else:
        corners = [(middle[0], left) for left in (0, middle[1], across)]
    return [_scaled(frame[top : top + side, left : left + side]) for top, left in corners]


def _scaled(square: Pictures) -> Pictures:
    from PIL import Image

    if square.shape[0] == SIDE:
        return square
    return np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _batches(squares: Iterator[Pictures]) -> Iterator[Pictures]:
    waiting: list[Pictures] = []
    for square in squares:
        waiting.append(square)
        if len(waiting) == BATCH:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """A line of the table of classes."""

    name: str
    modality: Modality  # OBJECT or SCENE
    kinds: tuple[str, ...]
    doubt: str = ""  # a key of DOUBTS


@cache
def class_entries() -> tuple[ClassEntry, ...]:
    """The thousand classes in ImageNet's order."""
    found = []
    for line in labels("imagenet_classes"):
        name, modality, kinds, doubt = (*line.split("\t"), "", "")[:4]
        found.append(ClassEntry(name, Modality(modality), tuple(kinds.split(", ")) if kinds else (), doubt))
    return tuple(found)


def class_names() -> list[str]:
    """The thousand classes in ImageNet's order, each with its everyday name."""
    return [entry.name for entry in class_entries()]


@dataclass(frozen=True, slots=True)
class Label:
    """Something that a tag may say: a class or a kind."""

    text: str
    modality: Modality
    classes: tuple[int, ...]  # whose probabilities are summed
    doubt: str  # of a kind, where all its classes have the same
    fine: bool  # a class whose kind has others, with which it may be confused

    def threshold(self, settings: ThingsSettings) -> float:
        """What two frames must reach for a tag."""
        least = settings.confidence_fine if self.fine else settings.confidence
        return max(least, DOUBTS.get(self.doubt, 0.0))


@cache
def all_labels() -> tuple[Label, ...]:
    """Every class and every kind; a class that is called like a kind (drum) is that kind."""
    members: dict[str, list[int]] = {}
    for number, entry in enumerate(class_entries()):
        for kind in entry.kinds:
            members.setdefault(kind, []).append(number)
    kinds = set(members)
    for number, entry in enumerate(class_entries()):
        members.setdefault(entry.name, [number])
    return tuple(_label(text, numbers, text in kinds) for text, numbers in members.items())


def _label(text: str, numbers: Sequence[int], kind: bool) -> Label:
    # A kind is not made certain by classes that are said of anything, unless it has no others.
    trusted = [number for number in numbers if not class_entries()[number].doubt]
    numbers = trusted or numbers
    entries = [class_entries()[number] for number in numbers]
    doubts = {entry.doubt for entry in entries}
    doubt = doubts.pop() if len(doubts) == 1 else ""
    return Label(text, entries[0].modality, tuple(numbers), doubt, fine=not kind and bool(entries[0].kinds))


def label_scores(by_square: Probabilities) -> Probabilities:
    """float32 [T, V, 1000] to [T, L]: how surely each label is in each frame, 0 to 1.

    Halfway between the mean over the squares and the best of them: a thing may fill one square and be missing
    in the others, and one square alone is more often wrong than three together.
    """
    found = above_chance(by_square)  # [T, V, L]
    return (found.mean(axis=1) + found.max(axis=1)) / 2


def above_chance(probabilities: Probabilities) -> Probabilities:
    """float32 [..., 1000] to [..., L]: how far each label lies above a blind guess, 0 to 1.

    A kind of 396 classes has 0.4 of any frame of which nothing is known, so its sum alone says little.
    """
    members = all_labels()
    found = np.empty((*probabilities.shape[:-1], len(members)), np.float32)
    for column, label in enumerate(members):
        chance = len(label.classes) / CLASSES
        total = probabilities[..., list(label.classes)].sum(axis=-1)
        found[..., column] = np.clip((total - chance) / (1 - chance), 0, 1)
    return found


@dataclass(frozen=True)
class ThingsSettings:
    """What can be set of the things expert."""

    collection: str = "public"
    weights: str | None = None
    views: Literal["three", "centre"] = "three"  # the second takes a third of the time and finds less
    confidence: float = 0.4  # two frames of a span must reach it,
    sure: float = 0.7  # or one this
    confidence_fine: float = 0.6  # instead of `confidence`, for a class with siblings: a breed among dogs
    keep: float = 0.5  # a span goes on while this share of its threshold is reached
    tags: int = 6  # labels a frame at most, kinds among them
    rate: float = 1.0  # frames a second, where something changes
    threads: int | None = None
    allow_pickle: bool = False


class ThingsExpert(BaseExpert):
    """Says objects and places, and hands the classes' probabilities on to the index."""

    name: ClassVar[str] = "things"
    modality: ClassVar[Modality] = Modality.OBJECT
    also: ClassVar[tuple[Modality, ...]] = (Modality.SCENE,)
    version: ClassVar[str] = "2"
    Settings: ClassVar[type] = ThingsSettings
    roles: ClassVar[dict[str, str]] = {"classifier": "weights"}
    modules: ClassVar[tuple[str, ...]] = ()
    outside_fingerprint: ClassVar[frozenset[str]] = frozenset({"threads", "allow_pickle", "collection"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.sampling = Changes(1 / self.settings.rate, side=SCALE)
        self.needs: tuple[Sampling, ...] = (self.sampling,)

    def load(self, device: str) -> None:
        """It works on the processor, whatever the device."""
        threads = self.settings.threads or min(THREADS, os.cpu_count() or 1)
        self.classifier = Classifier(self.find("classifier").path, threads, self.settings.views)

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [self._look(footage) for footage in batch]

    def _look(self, footage: Footage) -> Report:
        view = footage.view(self.sampling)
        if not len(view.times):
            return Report(notes=no_frames_note(0, self.name))
        by_square = self.classifier.by_square(view.frames)
        seen = shows_something(view.frames)
        scores = label_scores(by_square)
        scores[~seen] = 0
        tags, sightings = spans_of(scores, view, footage.facts.duration, self.settings)
        ends = frame_ends(view, 1 / self.settings.rate)
        vectors = [
            Embedding(float(at), float(end), row)
            for at, end, row in zip(view.times[seen], ends[seen], by_square.mean(axis=1)[seen], strict=True)
        ]
        return Report(
            tags=tags, sightings=sightings, vectors=vectors, facts={"classifier": self.classifier.identity}
        )


def spans_of(
    scores: Probabilities, view: View, duration: float | None, settings: ThingsSettings
) -> tuple[list[Tag], list[Sighting]]:
    """Tags, and the sightings in them. scores: float32 [T, L], of every label in every frame.

    A span begins and ends with frames that come near a label's threshold; it counts if two of its frames
    reach the threshold, or one is sure. A video of one frame needs that one to be sure.
    """
    members = all_labels()
    least = np.array([label.threshold(settings) for label in members])  # [L]
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")
    near = (scores >= settings.keep * least) & (ranks < settings.tags)
    counts = frame_counts(view)
    tags: list[Tag] = []
    kept: list[Sighting] = []
    for column in np.flatnonzero((near & (scores >= least)).any(axis=0)):
        label, rows = members[column], np.flatnonzero(near[:, column])
        sightings = [Sighting(label.text, float(scores[row, column]), float(view.times[row])) for row in rows]
        spans = frame_spans(
            sightings,
            view,
            duration,
            label.modality,
            ThingsExpert.name,
            min_frames=1,
            otherwise=1 / settings.rate,
        )
        for span in spans:
            inside = [one for one in sightings if span.start <= one.time <= span.end]
            strong = sum(counts[one.time] for one in inside if one.score >= least[column])
            if strong >= 2 or span.score >= max(settings.sure, least[column]):
                tags.append(span)
                kept += inside
    tags.sort(key=lambda tag: (tag.start, tag.text))
    kept.sort(key=lambda one: (one.time, -one.score, one.text))
    return tags, kept


def shows_something(frames: Pictures) -> npt.NDArray[np.bool_]:
    """[T]: false where a frame is all but one colour, such as black between two scenes."""
    return np.array([frame[::4, ::4].std() >= PLAIN for frame in frames], dtype=np.bool_)
