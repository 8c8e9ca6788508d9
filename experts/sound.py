"""What a sound track sounds like, as vectors: statistics of its log-mel spectrogram, second by second.

VGGish itself needs weights that none of its packages carries (torchvggish, torch-vggish-yamnet and
panns-inference fetch them when used). This keeps its front end, 64 mel bands from 125 to 7,500 Hz over
25 ms every 10 ms, and puts means, spreads and changes of the bands where the network would be. It tells
rain from a crowd and a guitar from a voice, and knows no names for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tagline.experts.footage import SOUND_RATE, Footage, Sampling, Sound
from tagline.experts.tags import Embedding, Modality, Report

WINDOW, HOP, POINTS = 400, 160, 512  # samples: 25 ms, 10 ms, and the transform's length
BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0  # Hertz
VECTOR_FRAMES = 96  # of one vector: 0.96 s
FLOOR = 1e-4  # below this loudness (root mean square) a second is silent
VECTOR_SIZE = 3 * BANDS

Vectors = npt.NDArray[np.float32]


class SoundExpert:
    """Keeps vectors of the sound, by which videos that sound alike are found. It says no tags itself."""

    name: ClassVar[str] = "sound"
    modality: ClassVar[Modality] = Modality.GENERATED
    version: ClassVar[str] = "1"
    needs: tuple[Sampling, ...] = (Sound(),)

    def missing(self) -> str | None:
        return None

    def fingerprint(self) -> str:
        return hashlib.sha256(repr((self.name, self.version)).encode()).hexdigest()

    def load(self, device: str) -> None:
        """There is nothing to load."""

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [self._one(footage) for footage in batch]

    @staticmethod
    def _one(footage: Footage) -> Report:
        step = VECTOR_FRAMES * HOP / SOUND_RATE
        found = [
            Embedding(footage.sound_start + at, footage.sound_start + at + step, vector)
            for at, vector in timed_vectors(footage.sound)
        ]
        return Report(vectors=found, notes=[] if found else ["there is no sound to compare"])


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
