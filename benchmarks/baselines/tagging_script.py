"""The plain script that a tagging run is measured against: each library as its own pages show it.

One video after another, one library after another; each opens the file itself, reads it with its own
reader and works picture by picture. Models and thresholds are those of the run it is compared with,
and so is the code that makes spans of findings. `read_*` take a path, `tell_*` what was read: so that
the same frames can be given to both sides when their tags are compared.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts.footage import Windows
from tagline.experts.tags import Modality, Sighting, Tag, Word, to_spans
from tagline.experts.vision.frames import end_with_video, frame_spans, top_classes


@dataclass
class ReadVideo:
    """What a library's reader gave of one video."""

    frames: Any
    times: Any  # seconds
    duration: float


class TaggingScript:
    """All models of the script, loaded. `experts`: those of the other side, for their settings."""

    def __init__(self, weights: dict[str, str], experts: dict[str, Any]) -> None:
        import torch

        self.experts = experts
        self.models: dict[str, Any] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        self.threads = torch.get_num_threads()
        for name in experts:
            getattr(self, f"_load_{name}")(weights)
        torch.set_num_threads(self.threads)

    def video(self, path: Path) -> dict[str, list[Tag]]:
        """The whole of the work on one video."""
        import torch

        tags = {}
        for name in self.experts:
            begun = time.perf_counter()
            tags[name] = getattr(self, f"tag_{name}")(getattr(self, f"read_{name}")(path))
            self.seconds[name] += time.perf_counter() - begun
            # silero's import and each predict of ultralytics leave the process with one thread on two
            # cores. A plain script would not notice; here it must not decide the race.
            torch.set_num_threads(self.threads)
        return tags

    # Objects and persons: ultralytics, YOLO(model)(path), one frame a second by its own stride.

    def _load_object(self, weights: dict[str, str], name: str = "object") -> None:
        from tagline.experts.vision.yolo import load_yolo, ultralytics

        model, names, imgsz = load_yolo(Path(weights[name]))
        wrapped = ultralytics().YOLO("yolo11n.yaml", verbose=False)
        wrapped.model, model.names = model, dict(enumerate(names))
        self.models[name] = (wrapped, imgsz)

    def _load_person(self, weights: dict[str, str]) -> None:
        self._load_object(weights, "person")

    def read_object(self, path: Path) -> Path:
        return path

    read_person = read_object

    def tag_object(self, given: Path | ReadVideo, name: str = "object") -> list[Tag]:
        wrapped, imgsz = self.models[name]
        expert = self.experts[name]
        common = {
            "imgsz": imgsz,
            "conf": expert.settings.confidence,
            "iou": expert.settings.overlap,
            "verbose": False,
        }
        if isinstance(given, Path):
            stride, duration, rate = _rate(given)
            results = list(wrapped.predict(str(given), vid_stride=stride, stream=True, **common))
            times = np.arange(len(results)) * stride / rate
        else:
            times, duration = given.times, given.duration
            results = [wrapped.predict(frame[..., ::-1].copy(), **common)[0] for frame in given.frames]
        sightings = [
            Sighting(wrapped.model.names[int(kind)].lower(), float(score), float(at))
            for at, result in zip(times, results, strict=True)
            for score, kind in zip(result.boxes.conf, result.boxes.cls, strict=True)
        ]
        sightings = [each for each in sightings if expert._wants(each.text)]
        least = expert.settings.min_frames
        return frame_spans(sightings, times, duration, Modality(name), name, min_frames=least)

    def tag_person(self, given: Path | ReadVideo) -> list[Tag]:
        return self.tag_object(given, "person")

    # Scenes: frames with OpenCV, then the transformers pipeline and open_clip's transform on PIL images.

    def _load_scene(self, weights: dict[str, str]) -> None:
        import open_clip
        import torch
        from transformers import pipeline

        expert = self.experts["scene"]
        classify = pipeline("image-classification", model=weights["classifier"], device="cpu")
        clip, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{weights['clip']}")
        clip.eval()
        names = torch.from_numpy(expert.names)  # the categories' vectors are made before the clock starts
        self.models["scene"] = (classify, clip, prepare, names)

    def read_scene(self, path: Path) -> ReadVideo:
        import cv2

        stride, duration, rate = _rate(path)
        video, frames, number = cv2.VideoCapture(str(path)), [], 0
        while video.grab():
            if number % stride == 0:
                frames.append(cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB))
            number += 1
        return ReadVideo(frames, np.arange(len(frames)) * stride / rate, duration)

    def tag_scene(self, given: ReadVideo) -> list[Tag]:
        import torch
        from PIL import Image

        from tagline.experts.scene import joint_scores

        classify, clip, prepare, names = self.models["scene"]
        expert = self.experts["scene"]
        place = {name: row for row, name in enumerate(expert.classifier.labels)}
        seen = np.zeros((len(given.frames), len(place)), np.float32)
        named = np.zeros((len(given.frames), len(names)), np.float32)
        for row, frame in enumerate(given.frames):
            image = Image.fromarray(frame)
            for answer in classify(image, top_k=len(place)):
                seen[row, place[answer["label"].split(",")[0]]] = answer["score"]
            with torch.no_grad():
                vector = clip.encode_image(prepare(image)[None], normalize=True)
                named[row] = (clip.logit_scale.exp() * vector @ names.T).softmax(dim=-1)[0]
        found = joint_scores(seen @ expert.label_matrix, named, expert.known, expert.settings)
        sightings = [
            Sighting(expert.categories[kind], score, float(at))
            for at, frame in zip(given.times, found, strict=True)
            for kind, score in frame
        ]
        least = expert.settings.min_frames
        return frame_spans(sightings, given.times, given.duration, Modality.SCENE, "scene", min_frames=least)

    # Motion: pytorchvideo's EncodedVideo, one window at a time.

    def _load_motion(self, weights: dict[str, str]) -> None:
        from tagline.experts.motion import load_motion
        from tagline.experts.weights.registry import find

        self.models["motion"] = load_motion(find(weights["motion"]))[0].eval()

    def read_motion(self, path: Path) -> ReadVideo:
        import torch
        from pytorchvideo.data.encoded_video import EncodedVideo

        sampling: Windows = self.experts["motion"].sampling
        video = EncodedVideo.from_path(str(path), decode_audio=False)
        span = sampling.length * sampling.step
        # The middles of as many equal parts, as windows are spread on the other side.
        starts = (np.arange(sampling.count) + 0.5) / sampling.count * float(video.duration) - span / 2
        starts = starts.clip(0, max(0.0, float(video.duration) - span))
        windows = []
        for start in starts:
            frames = video.get_clip(start, start + span)["video"]  # float [3, T, H, W]
            picked = torch.linspace(0, frames.shape[1] - 1, sampling.length).long()
            windows.append(frames.index_select(1, picked))
        return ReadVideo(windows, starts, float(video.duration))

    def tag_motion(self, given: ReadVideo) -> list[Tag]:
        import torch

        expert = self.experts["motion"]
        plan = expert.plan
        mean, std = (
            torch.tensor(each).view(3, 1, 1, 1) for each in (plan.preparation.mean, plan.preparation.std)
        )
        height, width = plan.preparation.size
        rows = []
        for window in given.frames:
            shorter = min(window.shape[2:])
            to = [round(side * plan.preparation.scale / shorter) for side in window.shape[2:]]
            scaled = torch.nn.functional.interpolate(window / 255, to, mode="bilinear", align_corners=False)
            top, left = (to[0] - height) // 2, (to[1] - width) // 2
            cut = scaled[:, :, top : top + height, left : left + width]
            with torch.no_grad():
                rows.append(self.models["motion"](((cut - mean) / std)[None])[0].numpy())
        sightings = [
            Sighting(expert.classifier.labels[kind], score, float(start))
            for start, row in zip(given.times, rows, strict=True)
            for kind, score in top_classes(row, expert.settings.tags, expert.settings.confidence)
        ]
        length = plan.window.length * plan.window.step
        between = float(np.median(np.diff(given.times))) if len(given.times) > 1 else 0.0
        tags = to_spans(sightings, Modality.MOTION, "motion", gap=1.5 * max(between, length), tail=length)
        return [end_with_video(tag, given.duration) for tag in tags]

    # Speech: silero, Whisper's transcribe on each stretch, KeyBERT.

    def _load_speech(self, weights: dict[str, str]) -> None:
        import silero_vad

        from tagline.experts.asr.backends import load_whisper
        from tagline.experts.weights.registry import find

        self.models["speech"] = (load_whisper(find(weights["whisper"])), silero_vad.load_silero_vad())

    def read_speech(self, path: Path) -> Any:
        """As whisper.load_audio, which needs the ffmpeg program: its place is taken by PyAV here."""
        import av

        frames = []
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
            for frame in container.decode(audio=0):
                frames += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            frames += [part.to_ndarray()[0] for part in resampler.resample(None)]
        return np.concatenate(frames).astype(np.float32) / 32768

    def tag_speech(self, sound: Any) -> list[Tag]:
        import silero_vad
        import whisper

        from tagline.experts.asr.vad import Segment, join_segments
        from tagline.experts.speech import PAUSE

        asr, voice = self.models["speech"]
        expert = self.experts["speech"]
        found = silero_vad.get_speech_timestamps(sound, voice)
        segments = [Segment(each["start"], each["end"]) for each in found]
        words: list[Word] = []
        for segment in join_segments(segments, longest=expert.backend.longest, gap=PAUSE):
            # Without the times of words, which the other side finds: less work, not more.
            heard = whisper.transcribe(
                asr,
                segment.of(sound),
                language="en",
                fp16=False,
                condition_on_previous_text=False,
            )
            start, end = segment.start / 16_000, segment.end / 16_000
            words += [Word(word, start, end, 1.0) for word in heard["text"].split()]
        return expert._tags(expert.keywords(words, expert.settings.min_probability))

    # Text on screen: RapidOCR on each picture.

    def _load_screen(self, weights: dict[str, str]) -> None:
        from rapidocr import RapidOCR

        settings = {"Global.log_level": "critical", "Global.use_cls": False, "Det.limit_side_len": 480}
        self.models["screen"] = RapidOCR(params=settings)

    def read_screen(self, path: Path) -> ReadVideo:
        import cv2

        _, duration, rate = _rate(path)
        need = self.experts["screen"].sampling
        count = max(1, round(duration / need.interval))
        numbers = {int((each + 0.5) / count * duration * rate) for each in range(count)}
        video, frames, number = cv2.VideoCapture(str(path)), [], 0
        while video.grab():
            if number in numbers:
                frames.append(video.retrieve()[1])
            number += 1
        return ReadVideo(frames, np.array(sorted(numbers)) / rate, duration)

    def tag_screen(self, given: ReadVideo) -> list[Tag]:
        from tagline.experts.screen import clean_line, merge_readings, shorten

        s = self.experts["screen"].settings
        sightings = []
        for at, frame in zip(given.times, given.frames, strict=True):
            found = self.models["screen"](frame)
            for text, score in zip(found.txts or (), found.scores or (), strict=True):
                text = clean_line(text)
                if score >= s.min_score and sum(map(str.isalnum, text)) >= s.min_letters:
                    sightings.append(Sighting(shorten(text, s.longest), float(score), float(at)))
        merged = merge_readings(sightings)
        least = s.min_frames
        return frame_spans(
            merged, np.asarray(given.times), given.duration, Modality.SCREEN, "screen", min_frames=least
        )


def _rate(path: Path) -> tuple[int, float, float]:
    """Frames from one to the next that is looked at, duration in seconds, frames a second."""
    import cv2

    video = cv2.VideoCapture(str(path))
    rate = float(video.get(cv2.CAP_PROP_FPS))
    return round(rate), video.get(cv2.CAP_PROP_FRAME_COUNT) / rate, rate
