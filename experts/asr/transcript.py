"""What every ASR backend takes and gives: stretches of speech in, words with times out if believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tagline.experts.asr.vad import Samples
from tagline.experts.tags import Word

ENGLISH = ("en", "english")


@dataclass(slots=True)
class Transcript:
    """What a listener made of the stretches of one sound."""

    words: list[list[Word]]  # of each stretch, in seconds from its start
    language: str | None = None  # code; None: nothing was heard
    rejected: int = 0  # stretches whose text was not believed
    crashed: int = 0  # stretches over which a recogniser died


class AsrBackend(Protocol):
    longest: float  # seconds of sound it takes at once

    @property
    def name(self) -> str:
        """What people read: which program with which model."""

    @property
    def identity(self) -> str:
        """Everything that what it hears depends on, as text."""

    def load(self, device: str) -> None: ...

    def transcribe(self, sounds: Sequence[Sequence[Samples]]) -> list[Transcript]:
        """Several sounds at once, each as its stretches of speech: float32 [S], 16 kHz, in order."""


@dataclass(frozen=True, slots=True)
class WhisperThresholds:
    """When a text of Whisper's is believed. The numbers are those of its authors."""

    no_speech: float = 0.6  # above this probability of silence, and below `confidence`: silence
    confidence: float = -1.0  # least mean log probability of the tokens
    repetition: float = 2.4  # greatest ratio of the text's length to its compressed length

    def silent(self, no_speech_prob: float, avg_logprob: float) -> bool:
        return no_speech_prob > self.no_speech and avg_logprob < self.confidence

    def doubtful(self, avg_logprob: float, compression_ratio: float) -> bool:
        return avg_logprob < self.confidence or compression_ratio > self.repetition or math.isnan(avg_logprob)

    def unsure(self, no_speech_prob: float) -> bool:
        """Whether a courtesy alone ("Thank you.") is more likely made up than heard."""
        return no_speech_prob > self.no_speech / 2
