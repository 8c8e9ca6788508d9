"""Voice activity detection: the segments of a sound in which somebody speaks; only these are transcribed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.experts.footage import SOUND_RATE

Samples = npt.NDArray[np.float32]  # [S], mono, 16 kHz

SCAN_SAMPLES = 1 << 22  # samples looked at in one go, so that a long sound needs no second copy


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a sound, in samples; `end` is the first sample that no longer belongs to it."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / SOUND_RATE

    def of(self, sound: Samples) -> Samples:
        """Its samples, without a copy."""
        return sound[self.start : self.end]


class VoiceActivity:
    """silero-vad, whose model comes inside its wheel; about a thousandth of the sound's length on a CPU."""

    def __init__(self, threshold: float = 0.5, shortest: float = 0.25, pad: float = 0.2) -> None:
        """threshold: probability of speech, 0..1; shortest: seconds; pad: seconds kept around speech."""
        self.threshold, self.shortest, self.pad = threshold, shortest, pad
        self._model: Any = None
        self._to_segments: Any = None

    @property
    def identity(self) -> str:
        return f"silero-vad {version('silero-vad')} {self.threshold} {self.shortest} {self.pad}"

    def load(self) -> None:
        import torch

        threads = torch.get_num_threads()
        import silero_vad

        # Its import leaves the whole process with one thread; the other experts want theirs back.
        torch.set_num_threads(threads)
        self._model = silero_vad.load_silero_vad(sequence=True)
        self._to_segments = silero_vad.get_speech_timestamps_from_probs

    def __call__(self, sound: Samples, longest: float = float("inf")) -> list[Segment]:
        """Stretches of speech in order, none longer than `longest` seconds, cut at pauses where it can be.

        sound: float32 [S]; samples that are no number must be gone (`numbers_only`).
        """
        if self._model is None:
            self.load()
        found = self._to_segments(
            self.probabilities(sound),
            sampling_rate=SOUND_RATE,
            threshold=self.threshold,
            min_speech_duration_ms=round(1000 * self.shortest),
            speech_pad_ms=round(1000 * self.pad),
            max_speech_duration_s=longest,
            audio_length_samples=len(sound),
        )
        return [Segment(int(each["start"]), int(each["end"])) for each in found]

    def probabilities(self, sound: Samples) -> Samples:
        """Probability of speech for each 32 ms: float32 [ceil(S / 512)]."""
        if self._model is None:
            self.load()
        return self._model.audio_forward(sound)


def finite_only(sound: Samples) -> Samples:
    """The sound, with silence where a sample is no number or absurdly loud: a copy only where needed.

    Float sound can hold anything, and one such sample would silence the detector for the rest.
    """
    fine = (
        bool((np.abs(sound[start : start + SCAN_SAMPLES]) < 1e3).all())  # false for NaN, too
        for start in range(0, len(sound), SCAN_SAMPLES)
    )
    if all(fine):
        return sound
    return np.where(np.abs(sound) < 1e3, sound, np.float32(0.0))


def join_segments(segments: Sequence[Segment], *, longest: float, gap: float) -> list[Segment]:
    """Neighbours no more than `gap` seconds apart become one, as long as it stays within `longest` seconds.

    A listener hears a sentence better than its pieces.
    """
    whole: list[Segment] = []
    for segment in segments:
        last = whole[-1] if whole else None
        if (
            last is not None
            and segment.start - last.end <= gap * SOUND_RATE
            and segment.end - last.start <= longest * SOUND_RATE
        ):
            whole[-1] = Segment(last.start, segment.end)
        else:
            whole.append(segment)
    return whole
