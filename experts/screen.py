"""The screen expert: text in the picture, line by line, read by rapidocr and merged over frames."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from functools import cache
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tagline.experts import storage
from tagline.experts.base import BaseExpert
from tagline.experts.footage import Changes, Footage, Pictures, Sampling, View
from tagline.experts.tags import Modality, Report, Sighting
from tagline.experts.vision.frames import frame_counts, frame_spans, no_frames_note

Box = tuple[float, float, float, float]  # x, y, width, height as shares of the picture

BLOCK = 8  # pixels; pictures are compared by the means of squares of this side
STILL_DIFFERENCE = 8.0  # of 255; no square differs more: the same picture, but for what compression did to it
MIN_SIMILARITY = 0.8  # least share of equal characters of two readings of one line
SHORT, SURE = 4, 0.9  # lines of fewer letters need this score: folds and leaves look like "66"
THREADS = 2  # of one reader


@dataclass(frozen=True)
class ScreenSettings:
    """What can be set of the screen expert."""

    min_score: float = 0.75  # a line read with less confidence is not a finding
    min_letters: int = 2  # letters and digits; shorter lines are mostly patterns taken for text
    min_frames: int = 1  # a line read in fewer frames of a video is no tag
    longest: int = 120  # characters of a tag
    most_tags: int = 200  # lines of a video, at most: those seen longest
    rate: float = 2.0  # frames a second, where something changes
    side: int | None = 540  # pixels of the shorter side of the frames
    collection: str = "public"  # the models come inside rapidocr's wheel; there are no others


@dataclass(slots=True)
class TextLine:
    """A line of text as it was found in one frame."""

    box: Box
    crop: Any = None  # uint8 [h, w, 3], what is to be read; None where the reading is another line's
    text: str = ""
    score: float = 0.0
    same: TextLine | None = None  # the line of an earlier frame that it still is

    def reading(self) -> tuple[str, float]:
        first = self
        while first.same is not None:
            first = first.same
        return first.text, first.score


class OcrEngine:
    """rapidocr with the models of its wheel, on a few threads. Looks at pictures, one at a time."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        models = model_files()
        settings = {
            "Global.log_level": "critical",
            "Global.use_cls": False,  # pictures are upright
            # Named files are used as they are; rapidocr would compare, and fetch, those it chose itself.
            "Det.model_path": str(models["det"]),
            "Rec.model_path": str(models["rec"]),
            "Det.limit_side_len": 480,  # smaller pictures are enlarged to this, larger ones left alone
            "EngineConfig.onnxruntime.intra_op_num_threads": min(THREADS, os.cpu_count() or 1),
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        self._engine: Any = RapidOCR(params=settings)

    def find(self, picture: Any) -> list[TextLine]:
        """Where lines are. picture: uint8 [H, W, 3]; each line brings its cut-out, upright."""
        from rapidocr.main import RapidOCRError

        fitted, steps = self._engine.preprocess_img(np.ascontiguousarray(picture[..., ::-1]))
        height, width = fitted.shape[:2]
        try:
            crops, found = self._engine.detect_and_crop(fitted, steps)
        except RapidOCRError:  # how it says that there is none
            return []
        edge = steps["padding_1"]
        lines = []
        for crop, corners in zip(crops, found.boxes, strict=True):
            x, y = corners[:, 0] - edge["left"], corners[:, 1] - edge["top"]
            left, top = max(0.0, float(x.min())), max(0.0, float(y.min()))
            right, bottom = min(float(width), float(x.max())), min(float(height), float(y.max()))
            if right > left and bottom > top and min(crop.shape[:2]) > 0:
                box = (left / width, top / height, (right - left) / width, (bottom - top) / height)
                lines.append(TextLine(box, crop))
        return lines

    def read(self, lines: Sequence[TextLine]) -> None:
        """Fill in text and score."""
        if not lines:
            return
        answer: Any = self._engine.recognize_txt([line.crop for line in lines])
        for line, text, score in zip(lines, answer.txts, answer.scores, strict=True):
            line.text, line.score, line.crop = clean_line(text), float(score), None


class ScreenExpert(BaseExpert):
    """Looks for lines in each frame that differs from the one before, and reads each line that is new."""

    name: ClassVar[str] = "screen"
    modality: ClassVar[Modality] = Modality.SCREEN
    version: ClassVar[str] = "2"
    Settings: ClassVar[type] = ScreenSettings
    roles: ClassVar[dict[str, str]] = {}
    modules: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        s = self.settings
        self.sampling = Changes(1 / s.rate, side=s.side)
        self.needs: tuple[Sampling, ...] = (self.sampling,)

    def missing(self) -> str | None:
        for module in ("rapidocr", "onnxruntime"):
            if find_spec(module) is None:
                return f"not run: the screen expert needs {module}; run `pip install {module}`"
        if len(model_files()) < 2:
            return "not run: rapidocr came without its models; run `pip install --force-reinstall rapidocr`"
        return None

    def fingerprint(self) -> str:
        values = {key: value for key, value in asdict(self.settings).items() if key != "collection"}
        hashes = [storage.hash_file(path) for _, path in sorted(model_files().items())]
        text = json.dumps([self.name, self.version, values, hashes, _release()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def weights_used(self) -> list[str]:
        """RapidOCR's are files of its package."""
        return [f"{path.name} {storage.hash_file(path)[:12]}" for _, path in sorted(model_files().items())]

    def load(self, device: str) -> None:
        """onnxruntime's plain build computes on the CPU whatever `device` is: several videos at once."""
        workers = max(1, min(8, (os.cpu_count() or 1) // THREADS))
        self._engines: SimpleQueue[OcrEngine] = SimpleQueue()
        for _ in range(workers):
            self._engines.put(OcrEngine())
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="screen")

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return list(self._threads.map(self._look, batch))

    def _look(self, footage: Footage) -> Report:
        view = footage.view(self.sampling)
        reader = self._engines.get()
        try:
            frames = self._lines(reader, view.frames)
        finally:
            self._engines.put(reader)
        return self._report(footage, view, frames)

    def _lines(self, reader: OcrEngine, frames: Pictures) -> list[list[TextLine]]:
        """The lines of each frame, read."""
        found: list[list[TextLine]] = []
        before = None  # the squares of the frame that was last looked at
        for frame in frames:
            now = block_means(frame)
            change = None if before is None else np.abs(now - before).max(axis=2)
            if change is not None and change.max(initial=0.0) <= STILL_DIFFERENCE:
                found.append([TextLine(line.box, same=line) for line in found[-1]])
                continue
            lines = reader.find(frame)
            if change is not None:
                _recognise_again(lines, found[-1], change)
            found.append(lines)
            before = now
        reader.read([line for lines in found for line in lines if line.same is None])
        return found

    def _report(self, footage: Footage, view: View, frames: Sequence[Sequence[TextLine]]) -> Report:
        s = self.settings
        sightings = []
        for time, lines in zip(view.times, frames, strict=True):
            for line in lines:
                text, score = line.reading()
                letters = sum(map(str.isalnum, text))
                least = s.min_score if letters >= SHORT else max(s.min_score, SURE)
                if score >= least and letters >= s.min_letters:
                    sightings.append(Sighting(shorten(text, s.longest), score, float(time), line.box))
        sightings = merge_readings(sightings)
        notes = no_frames_note(len(view.times), self.name)
        shown = seen_longest(sightings, s.most_tags, frame_counts(view))
        if len(shown) < len(sightings):
            notes.append(f"of the text on screen, only the {s.most_tags} lines seen longest are kept")
        tags = frame_spans(
            shown,
            view,
            footage.facts.duration,
            self.modality,
            self.name,
            min_frames=s.min_frames,
            otherwise=1 / s.rate,
        )
        return Report(tags=tags, sightings=shown, notes=notes)


def block_means(frame: Any) -> npt.NDArray[np.float32]:
    """Means of squares of BLOCK pixels. uint8 [H, W, 3] to float32 [H/8, W/8, 3]; remainders are left out."""
    height, width = (max(1, size // BLOCK) for size in frame.shape[:2])
    whole = frame[: height * BLOCK, : width * BLOCK]
    rows = np.add.reduceat(whole, range(0, len(whole), BLOCK), axis=0, dtype=np.uint32)
    sums = np.add.reduceat(rows, range(0, whole.shape[1], BLOCK), axis=1)
    return (sums / BLOCK**2).astype(np.float32)


def _recognise_again(lines: Sequence[TextLine], before: Sequence[TextLine], change: Any) -> None:
    """Let lines that stand where one stood, on an unchanged ground, be that one. change: [H/8, W/8]."""
    height, width = change.shape
    for line in lines:
        for old in before:
            if _overlap(line.box, old.box) < 0.8:
                continue
            x, y, w, h = line.box
            rows = slice(int(y * height), int(np.ceil((y + h) * height)))
            columns = slice(int(x * width), int(np.ceil((x + w) * width)))
            if change[rows, columns].max(initial=0.0) <= STILL_DIFFERENCE:
                line.same, line.crop = old, None
            break


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / (a[2] * a[3] + b[2] * b[3] - wide * high)


@dataclass(slots=True)
class _Cluster:
    """Readings of what is one line."""

    key: str
    members: list[Sighting] = field(default_factory=list)
    votes: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def best(self) -> str:
        """The reading that most frames agree on, weighed by how sure they are."""
        return max(self.votes, key=lambda text: (self.votes[text], text))


def merge_readings(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Give readings of what is one line, but for an error here and there, the text of the best of them.

    Lines whose digits differ are different lines: a counter, a score, a clock. The order is kept.
    """
    clusters: list[_Cluster] = []
    by_key: dict[str, _Cluster] = {}
    places: list[_Cluster] = []
    for sighting in sightings:
        key = line_key(sighting.text)
        cluster = by_key.get(key)
        if cluster is None:
            cluster = next((each for each in clusters if same_line(each.key, key)), None)
            if cluster is None:
                cluster = _Cluster(key)
                clusters.append(cluster)
            by_key[key] = cluster
        cluster.members.append(sighting)
        cluster.votes[sighting.text] += sighting.score
        places.append(cluster)
    best = {id(cluster): cluster.best for cluster in clusters}
    return [
        Sighting(best[id(cluster)], sighting.score, sighting.time, sighting.box)
        for sighting, cluster in zip(sightings, places, strict=True)
    ]


def same_line(a: str, b: str) -> bool:
    """Whether two keys are readings of one line."""
    if a == b:
        return True
    if min(len(a), len(b)) < 5 or _digits(a) != _digits(b):
        return False
    match = SequenceMatcher(None, a, b, autojunk=False)
    return (
        match.real_quick_ratio() >= MIN_SIMILARITY
        and match.quick_ratio() >= MIN_SIMILARITY
        and match.ratio() >= MIN_SIMILARITY
    )


def line_key(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def seen_longest(
    sightings: Sequence[Sighting], most: int, counts: Mapping[float, int] | None = None
) -> list[Sighting]:
    """Only the sightings of the `most` texts that are in most frames, then most surely read.

    counts: as how many frames each counts, by its time.
    """
    frames: dict[str, set[float]] = defaultdict(set)
    score: dict[str, float] = defaultdict(float)
    for sighting in sightings:
        frames[sighting.text].add(sighting.time)
        score[sighting.text] = max(score[sighting.text], sighting.score)
    length = {text: sum((counts or {}).get(at, 1) for at in times) for text, times in frames.items()}
    kept = set(sorted(frames, key=lambda text: (-length[text], -score[text], text))[:most])
    return [sighting for sighting in sightings if sighting.text in kept]


def clean_line(text: str) -> str:
    """One line without bullets, control, direction or invisible characters. Somebody else wrote it."""
    normal = unicodedata.normalize("NFKC", text)
    visible = ("" if unicodedata.category(char) in HIDDEN else char for char in " ".join(normal.split()))
    return " ".join("".join(visible).lstrip(BULLETS).split())


BULLETS = "•·●○▪■□◦‣➤►▶★☆*-–—>» "
HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))


def shorten(text: str, longest: int) -> str:
    """The text, cut after a whole word where it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    cut = text[: longest - 1]
    return (cut.rpartition(" ")[0] or cut).rstrip() + "…"


@cache
def model_files() -> dict[str, Path]:
    """The models of rapidocr's wheel: "det" finds lines, "rec" reads them."""
    spec = find_spec("rapidocr")
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent / "models"
    found = {part: sorted(folder.glob(f"*_{part}_*.onnx")) for part in ("det", "rec")}
    return {part: files[-1] for part, files in found.items() if files}


def _release() -> str | None:
    return version_of("rapidocr") if find_spec("rapidocr") is not None else None
