"""Persons by their faces, with age and gender, by dlib and two small networks without torch.

dlib's detector finds upright faces of 80 pixels and more, seen from the front; frames are enlarged for the
smaller ones. Its five landmarks (corners of the eyes, base of the nose) turn and scale a face to a square
chip, and the networks say of a chip how likely it is male, and how likely each age from 0 to 80 is.

The folder of weights holds age-v1.onnx, gender-v1.onnx and shape_predictor_5_face_landmarks.dat. Davis E.
King's landmarks and Cydral's networks are in the public domain (CC0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tagline.experts.base import BaseExpert
from tagline.experts.footage import Changes, Footage, Pictures, Sampling, View
from tagline.experts.tags import Modality, Report, Sighting, Tag
from tagline.experts.vision.frames import frame_counts, frame_spans, joined, no_frames_note, view_interval

# The mean colour of the pictures that the networks learned from; what they are given is (pixel - MEAN) / 256.
MEAN = np.array([122.782, 117.001, 104.298], np.float32)
AGE_CHIP, GENDER_CHIP = 64, 32  # pixels
PADDING = 0.2  # around the face in a chip, as a share of it
SAME = 0.2  # a face that lies this much over one in the frame before it is the same
Box = tuple[float, float, float, float]  # x, y, width, height as shares of the frame

ONLY_FACES = "persons were looked for by their faces only, seen from the front"


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a frame."""

    score: float  # dlib's, above 0; a clear face has 1 or 2, a doubtful one less than 0.3
    box: Box
    male: float  # 0..1
    age: float  # years, the mean over what the network holds possible


@dataclass(frozen=True)
class FacesSettings:
    """What can be set of the faces expert."""

    collection: str = "public"
    weights: str | None = None
    gender: bool = True  # whether to say man, woman, boy and girl, or only person
    side: int = 640  # pixels of a frame's shorter side: smaller ones are enlarged, at most to the double
    detection: float = 0.3  # dlib's score that two frames of a span must reach,
    detection_sure: float = 1.0  # or one this
    certainty: float = 0.9  # that a face is male or female, averaged over the frames of the span
    child: float = 13.0  # years: below it a boy or a girl,
    adult: float = 19.0  # above it a man or a woman, between them neither is said;
    old: float = 70.0  # nor above this, where the network takes women for men
    rate: float = 1.0  # frames a second, where something changes
    allow_pickle: bool = False


class FacesExpert(BaseExpert):
    """Says person, and man, woman, boy or girl where a face leaves little doubt."""

    name: ClassVar[str] = "faces"
    modality: ClassVar[Modality] = Modality.PERSON
    version: ClassVar[str] = "2"
    Settings: ClassVar[type] = FacesSettings
    roles: ClassVar[dict[str, str]] = {"landmarks": "weights"}
    modules: ClassVar[tuple[str, ...]] = ("dlib",)
    outside_fingerprint: ClassVar[frozenset[str]] = frozenset({"allow_pickle", "collection"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        s = self.settings
        self.sampling = Changes(1 / s.rate, side=s.side)
        self.needs: tuple[Sampling, ...] = (self.sampling,)

    def load(self, device: str) -> None:
        """It works on the processor, whatever the device."""
        self.finder = FaceFinder(self.find("landmarks").path, self.settings.side)

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [self._look(footage) for footage in batch]

    def _look(self, footage: Footage) -> Report:
        view = footage.view(self.sampling)
        if not len(view.times):
            return Report(notes=no_frames_note(0, self.name))
        faces = [self.finder.faces(frame) for frame in view.frames]
        tags, sightings = spans_of(faces, view, footage.facts.duration, self.settings)
        return Report(tags=tags, sightings=sightings, notes=[ONLY_FACES])


class FaceFinder:
    """dlib's detector and landmarks, and the two networks."""

    def __init__(self, folder: Path, side: int) -> None:
        import dlib

        self.side = side
        self.detector = dlib.get_frontal_face_detector()
        self.landmarks = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
        self.chip = dlib.get_face_chip
        self.networks = {name: _session(folder / f"{name}-v1.onnx") for name in ("age", "gender")}

    def faces(self, frame: Pictures) -> list[Face]:
        """The faces in one frame uint8 [H, W, 3], from left to right."""
        picture = enlarged(frame, self.side)
        boxes, scores, _ = self.detector.run(picture, 0, 0.0)
        found = [
            self._face(picture, box, float(score))
            for box, score in zip(boxes, scores, strict=True)
            if score > 0
        ]
        return sorted(found, key=lambda face: face.box)

    def _face(self, picture: Pictures, box: Any, score: float) -> Face:
        height, width = picture.shape[:2]
        shape = self.landmarks(picture, box)
        chips = {
            size: self.chip(picture, shape, size=size, padding=PADDING) for size in (AGE_CHIP, GENDER_CHIP)
        }
        ages = self._ask("age", chips[AGE_CHIP])  # [81]
        male = self._ask("gender", chips[GENDER_CHIP])[1]  # female, male
        where = (box.left() / width, box.top() / height, box.width() / width, box.height() / height)
        return Face(score, where, float(male), float(ages @ np.arange(len(ages), dtype=np.float32)))

    def _ask(self, network: str, chip: Pictures) -> npt.NDArray[np.float32]:
        """What a network says of a chip uint8 [S, S, 3]: probabilities [K]."""
        pixels = ((chip.astype(np.float32) - MEAN) / 256).transpose(2, 0, 1)[None]
        found: npt.NDArray[np.float32] = self.networks[network].run(None, {"images": pixels})[0][0]
        return found


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def enlarged(frame: Pictures, side: int) -> Pictures:
    """The frame with a shorter side of `side` pixels, but no more than twice as large; never smaller."""
    from PIL import Image

    height, width = frame.shape[:2]
    scale = min(2.0, side / min(height, width))
    if scale <= 1:
        return np.ascontiguousarray(frame)
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))


@dataclass(slots=True)
class Track:
    """One face from frame to frame."""

    times: list[float]  # seconds
    faces: list[Face]

    def counts(self, settings: FacesSettings, frames: Mapping[float, int]) -> bool:
        """Whether two frames show it well enough, or one beyond doubt. frames: see `frame_counts`."""
        pairs = zip(self.times, self.faces, strict=True)
        scores = sorted((face.score for at, face in pairs for _ in range(frames[at])), reverse=True)
        return scores[0] >= settings.detection_sure or (len(scores) > 1 and scores[1] >= settings.detection)

    def person(self, settings: FacesSettings) -> tuple[str, float] | None:
        """man, woman, boy or girl, and how certain that is; None where age or gender is in doubt."""
        male = float(np.mean([face.male for face in self.faces]))
        age = float(np.mean([face.age for face in self.faces]))
        certain = max(male, 1 - male)
        if certain < settings.certainty or settings.child <= age <= settings.adult or age > settings.old:
            return None
        words = ("woman", "man") if age > settings.adult else ("girl", "boy")
        return words[male > 0.5], certain


def tracks_of(frames: Sequence[Sequence[Face]], view: View, gap: float) -> list[Track]:
    """The faces of the frames of a view [T], each joined to the one before it that lies most over it.

    gap: seconds that a face may be missing without becoming another one.
    """
    times: list[float] = view.times.tolist()
    number = {time: i for i, time in enumerate(times)}

    def goes_on(track: Track, now: int) -> bool:
        before = track.times[-1]
        if view.until is not None:
            return before < times[now] and joined(view, number[before], now)
        return 0 < times[now] - before <= gap

    tracks: list[Track] = []
    for now, (time, faces) in enumerate(zip(times, frames, strict=True)):
        free = [track for track in tracks if goes_on(track, now)]
        for face in faces:
            best = max(free, key=lambda track: overlap(track.faces[-1].box, face.box), default=None)
            if best is None or overlap(best.faces[-1].box, face.box) < SAME:
                tracks.append(Track([time], [face]))
                continue
            free.remove(best)
            best.times.append(time)
            best.faces.append(face)
    return tracks


def overlap(one: Box, other: Box) -> float:
    """Common area of two boxes over the area of both together, 0 to 1."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, across) * max(0.0, down)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def spans_of(
    frames: Sequence[Sequence[Face]], view: View, duration: float | None, settings: FacesSettings
) -> tuple[list[Tag], list[Sighting]]:
    """Tags, and the sightings in them. frames: the faces of each frame of the view."""
    otherwise = 1 / settings.rate
    counts = frame_counts(view)
    sightings: list[Sighting] = []
    for track in tracks_of(frames, view, 2.5 * view_interval(view, otherwise)):
        if not track.counts(settings, counts):
            continue
        said = track.person(settings) if settings.gender else None
        for time, face in zip(track.times, track.faces, strict=True):
            seen = 1 - math.exp(-2 * face.score)
            sightings.append(Sighting("person", seen, time, face.box))
            if said:
                sightings.append(Sighting(said[0], min(seen, said[1]), time, face.box))
    sightings.sort(key=lambda one: (one.time, one.text, one.box or ()))
    tags = frame_spans(
        sightings,
        view,
        duration,
        Modality.PERSON,
        FacesExpert.name,
        min_frames=1,
        otherwise=otherwise,
    )
    return tags, sightings
