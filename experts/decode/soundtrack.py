"""Soundtrack: the sound as mono 16 kHz, every piece where its timestamp says. Runs in the child only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from tagline.experts.footage import SOUND_RATE

Samples = npt.NDArray[np.float32]
SOUND_GAP = Fraction(1, 20)  # seconds by which a timestamp must be late to mean a gap in the sound


class Soundtrack:
    """Decodes packet after packet and hands the samples to `write(sample number, samples)`.

    Sample 0 is the first of the track. Gaps are never written: the place holds silence. Timestamps that
    are early are not believed: sound cannot overlap, and some AVI files have nonsense there. What would
    come after `most` seconds, or once `too_late` says so, is left out and not even decoded.
    """

    def __init__(
        self,
        stream: Any,
        write: Callable[[int, Samples], None],
        most: float,
        too_late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.stream, self.write = stream, write
        self.most = int(most * SOUND_RATE)
        self.too_late = too_late
        self.codec = stream.codec_context
        self.codec.thread_count = 1
        self.start: Fraction | None = None  # seconds by the file's clock, of the first sample
        self.length = 0  # samples
        self.errors = 0
        self.cut = False
        self._resampler: Any = None
        self._segment_start = Fraction(0)  # when the present piece began
        self._given = self._got = Fraction(0)  # seconds of it that went in; samples that came out

    def __call__(self, packet: Any, shift: Fraction) -> None:
        """Take one packet; None at the end. shift: seconds to add to its timestamp."""
        if packet is not None and (self.cut or self.too_late()):
            self.cut = True
            return
        try:
            for frame in self.codec.decode(packet):
                self._put(frame, shift)
        except av.error.MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):  # ValueError: the kind of sound changed under way
            self.errors += 1
            self._finish()
        if packet is None:
            self._finish()

    def _put(self, frame: Any, shift: Fraction) -> None:
        at = None if frame.pts is None else frame.pts * Fraction(self.stream.time_base) + shift
        due = self._segment_start + self._given
        if self._resampler is None or (at is not None and at - due > SOUND_GAP):
            self._finish()
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SOUND_RATE)
            self._segment_start = due if at is None or (self.start is not None and at < due) else at
            self._given = self._got = Fraction(0)
        self._given += Fraction(frame.samples, frame.sample_rate)
        frame.pts = None
        self._collect(self._resampler.resample(frame))

    def _collect(self, frames: Sequence[Any]) -> None:
        for frame in frames:
            samples = np.nan_to_num(frame.to_ndarray().reshape(-1).astype(np.float32, copy=False))
            if self.start is None:
                self.start = self._segment_start
            at = round((self._segment_start - self.start) * SOUND_RATE) + int(self._got)
            self._got += len(samples)
            self.cut |= at + len(samples) > self.most
            samples = samples[: max(0, self.most - at)]
            if len(samples):
                self.write(at, samples)
                self.length = max(self.length, at + len(samples))

    def _finish(self) -> None:
        resampler, self._resampler = self._resampler, None
        if resampler is not None:
            with suppress(av.error.FFmpegError, ValueError):
                self._collect(resampler.resample(None))
