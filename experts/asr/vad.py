"""Voice activity detection: the segments of a sound in which somebody speaks; only these are transcribed.

The detector is Silero's sixth, as the ONNX file inside the package faster-whisper, run by ONNX Runtime: the
same for every ASR backend, with no torch in the process. The file is found in the installed package and
the package is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.experts import extras, storage
from tagline.experts.footage import SOUND_RATE

Samples = npt.NDArray[np.float32]  # [S], mono, 16 kHz

SCAN_SAMPLES = 1 << 22  # samples looked at in one go, so that a long sound needs no second copy

PACKAGE, MODEL = "faster_whisper", "assets/silero_vad_v6.onnx"
WINDOW, CONTEXT, STATE = 512, 64, 128  # samples a probability, samples seen before it, size of the memory
BLOCK = 1024  # windows in one call: half a minute of sound

# As Silero's own code has them.
HYSTERESIS = 0.15  # how far below the threshold the probability must fall before speech has ended
PAUSE = 0.1  # seconds that it stays there


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
    """Silero's voice activity detector; about a hundredth of the sound's length on a CPU."""

    def __init__(self, threshold: float = 0.5, shortest: float = 0.25, pad: float = 0.2) -> None:
        """threshold: probability of speech, 0..1; shortest: seconds; pad: seconds kept around speech."""
        self.threshold, self.shortest, self.pad = threshold, shortest, pad
        self._session: Any = None

    @cached_property
    def model(self) -> Path:
        """The network's file. Raises ExtraMissing where the package that has it is not installed."""
        extras.require("voice activity detection", PACKAGE)
        found = find_spec(PACKAGE)
        assert found is not None
        assert found.origin is not None
        return Path(found.origin).parent / MODEL

    @property
    def identity(self) -> str:
        return f"silero {storage.hash_file(self.model)[:16]} {self.threshold} {self.shortest} {self.pad}"

    @property
    def label(self) -> str:
        return f"silero {storage.hash_file(self.model)[:12]}"

    def load(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # it has no use for more
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(self.model), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, sound: Samples, longest: float = float("inf")) -> list[Segment]:
        """Stretches of speech in order, none longer than `longest` seconds, cut at pauses where it can be.

        sound: float32 [S]; samples that are no number must be gone (`finite_only`).
        """
        runs = speech_runs(
            self.probabilities(sound),
            self.threshold,
            pause=math.ceil(PAUSE * SOUND_RATE / WINDOW),
            shortest=self.shortest * SOUND_RATE / WINDOW,
            longest=(longest - 2 * self.pad) * SOUND_RATE / WINDOW,
        )
        segments = [Segment(start * WINDOW, min(end * WINDOW, len(sound))) for start, end in runs]
        return padded(segments, round(self.pad * SOUND_RATE), len(sound))

    def probabilities(self, sound: Samples) -> Samples:
        """Probability of speech for each 32 ms: float32 [ceil(S / 512)]."""
        if self._session is None:
            self.load()
        hidden = cell = np.zeros((1, 1, STATE), np.float32)
        found = [np.zeros(0, np.float32)]
        for windows in _windows(sound):
            chances, hidden, cell = self._session.run(None, {"input": windows, "h": hidden, "c": cell})
            found.append(chances.reshape(-1))
        return np.concatenate(found)


def _windows(sound: Samples) -> Iterator[Samples]:
    """Blocks of windows, each with the samples before it: float32 [<= BLOCK, CONTEXT + WINDOW]."""
    before = np.zeros(CONTEXT, np.float32)
    for start in range(0, len(sound), BLOCK * WINDOW):
        samples = sound[start : start + BLOCK * WINDOW]
        count = math.ceil(len(samples) / WINDOW)
        block = np.zeros((count, CONTEXT + WINDOW), np.float32)
        filled = np.pad(samples, (0, count * WINDOW - len(samples))).reshape(count, WINDOW)
        block[:, CONTEXT:] = filled
        block[0, :CONTEXT], block[1:, :CONTEXT] = before, filled[:-1, -CONTEXT:]
        before = filled[-1, -CONTEXT:]
        yield block


def speech_runs(
    probabilities: Sequence[float] | Samples, threshold: float, *, pause: int, shortest: float, longest: float
) -> list[tuple[int, int]]:
    """Runs of windows (first, one after the last) in which somebody speaks.

    A run begins where the probability reaches the threshold and ends where it stays clearly below for
    `pause` windows. One no longer than `shortest` is dropped; one longer than `longest` is cut in its
    longest pause, else where it gets too long.
    """
    found: list[tuple[int, int]] = []
    start: int | None = None
    quiet: int | None = None  # where a pause began that is not long enough yet
    pauses: list[tuple[int, int]] = []  # within the run: (begin, end)
    for at, chance in enumerate(probabilities):
        if chance >= threshold:
            if start is None:
                start, pauses = at, []
            elif quiet is not None:
                pauses.append((quiet, at))
            quiet = None
        elif start is not None and quiet is None and chance < max(threshold - HYSTERESIS, 0.01):
            quiet = at
        if start is None:
            continue
        if quiet is not None and at - quiet >= pause:
            found.append((start, quiet))
            start = quiet = None
        elif at - start >= longest:
            end, again = max(pauses, key=lambda each: each[1] - each[0], default=(at, at))
            found.append((start, end))
            start, pauses = again, [each for each in pauses if each[0] > again]
    if start is not None:
        found.append((start, len(probabilities) if quiet is None else quiet))
    return [(begin, end) for begin, end in found if end - begin > shortest]


def padded(segments: Sequence[Segment], pad: int, length: int) -> list[Segment]:
    """Each with up to `pad` samples more at both ends; two that would overlap share what lies between."""
    starts = [max(0, each.start - pad) for each in segments]
    ends = [min(length, each.end + pad) for each in segments]
    for i in range(1, len(segments)):
        if ends[i - 1] > starts[i]:
            ends[i - 1] = starts[i] = (segments[i - 1].end + segments[i].start) // 2
    return [Segment(start, end) for start, end in zip(starts, ends, strict=True)]


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
