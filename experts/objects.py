"""The object and the person expert: things, and kinds of people, by a YOLO detector."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tagline.experts import devices
from tagline.experts.base import BaseExpert, labels
from tagline.experts.footage import Changes, Footage, Sampling, View
from tagline.experts.tags import Modality, Report, Sighting
from tagline.experts.vision.frames import batched, frame_spans, no_frames_note


@dataclass(frozen=True)
class DetectorSettings:
    """What can be set of a detector."""

    collection: str = "public"  # or "playhouse": which weights are used where `weights` names none
    weights: str | None = None  # a name of the weights table, a folder of `save_yolo`, or a file
    confidence: float = 0.4  # a box below this score is not a finding
    min_frames: int = 2  # a thing seen in fewer frames of a video is not a tag; its sightings are kept
    overlap: float = 0.7  # boxes of one class that overlap more than this are one
    drop: tuple[str, ...] = ()  # classes to leave out
    only: tuple[str, ...] = ()  # if any are named: the classes to keep
    imgsz: int | None = None  # longer side of what the model sees; None: what it was trained at
    rate: float = 1.0  # frames a second, where something changes
    side: int | None = 480  # pixels of the shorter side of the frames
    batch_size: int | None = None  # frames a forward pass; None: by device
    allow_pickle: bool = False  # read a pickled checkpoint of the user's own


class DetectorExpert(BaseExpert):
    """A detector over frames: the object and the person expert are this with other weights and classes."""

    version: ClassVar[str] = "2"
    Settings: ClassVar[type] = DetectorSettings
    roles: ClassVar[dict[str, str]] = {"detector": "weights"}
    modules: ClassVar[tuple[str, ...]] = ("ultralytics",)  # which brings torch

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        s = self.settings
        self.sampling = Changes(1 / s.rate, side=s.side)
        self.needs: tuple[Sampling, ...] = (self.sampling,)

    def load(self, device: str) -> None:
        from tagline.experts.vision.yolo import Detector
        from tagline.experts.weights.convert import converted

        with converted(self.find("detector").path, "yolo") as folder:
            self.detector = Detector.open(folder, device, imgsz=self.settings.imgsz)
        self.wanted = [self._wants(name) for name in self.detector.names]
        if not any(self.wanted):
            only = ", ".join(self.settings.only)
            raise ValueError(f"the weights of the {self.name} expert know none of its classes ({only})")
        self.batch_size = self.settings.batch_size or devices.batch_size(device, accelerator=64, cpu=8)

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        views = [footage.view(self.sampling) for footage in batch]
        return [
            self._report(footage, view, boxes)
            for footage, view, boxes in zip(batch, views, self._boxes(views), strict=True)
        ]

    def _boxes(self, views: Sequence[View]) -> list[list[Any]]:
        """Boxes [n, 6] of each frame of each view. Only frames of one shape make a batch together."""
        s, detector = self.settings, self.detector
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, view in enumerate(views):
            by_shape[view.frames.shape[1:]].append(index)
        boxes: list[list[Any]] = [[] for _ in views]
        for members in by_shape.values():
            found = batched(
                lambda pictures: detector.detect(pictures, s.confidence, s.overlap),
                (detector.fit(views[i].frames) for i in members if len(views[i].times)),
                self.batch_size,
            )
            with_frames = [i for i in members if len(views[i].times)]
            for index, frames in zip(with_frames, found, strict=True):
                boxes[index] = frames
        return boxes

    def _report(self, footage: Footage, view: View, boxes: Sequence[Any]) -> Report:
        sightings: list[Sighting] = []
        for time, found in zip(view.times, boxes, strict=True):
            relative = self.detector.relative_boxes(found, view.frames.shape[1:3])
            for (x, y, w, h), score, kind in zip(relative, found[:, 4], found[:, 5].astype(int), strict=True):
                if self.wanted[kind]:
                    box = (float(x), float(y), float(w), float(h))
                    text = self.detector.names[kind].lower()
                    sightings.append(Sighting(text, float(score), float(time), box))
        tags = frame_spans(
            sightings,
            view,
            footage.facts.duration,
            self.modality,
            self.name,
            min_frames=self.settings.min_frames,
            otherwise=1 / self.settings.rate,
        )
        return Report(tags=tags, sightings=sightings, notes=no_frames_note(len(view.times), self.name))

    def _wants(self, name: str) -> bool:
        s, name = self.settings, name.lower()
        return name not in s.drop and (not s.only or name in s.only)


class ObjectExpert(DetectorExpert):
    """Things. COCO's class "person" stays among them: that somebody is there is worth a tag even where
    the person expert cannot run or is not sure who it is; `drop=("person",)` leaves it out.
    """

    name: ClassVar[str] = "object"
    modality: ClassVar[Modality] = Modality.OBJECT


# The Open Images classes that say who a person is; the detector knows some 600, the rest is left out.
PERSON_CLASSES = tuple(labels("persons"))


@dataclass(frozen=True)
class PersonSettings(DetectorSettings):
    """As of any detector. Its samplings are those of the object expert, so frames are decoded once."""

    only: tuple[str, ...] = PERSON_CLASSES


class PersonExpert(DetectorExpert):
    """Persons. One who is taken for a man in one frame and a boy in the next gives both tags: the
    number of frames and the scores say which is likelier.
    """

    name: ClassVar[str] = "person"
    modality: ClassVar[Modality] = Modality.PERSON
    Settings: ClassVar[type] = PersonSettings
