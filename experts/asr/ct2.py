"""Whisper in CTranslate2 through faster-whisper: int8 on the CPU, no torch, and never a download."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts import devices
from tagline.experts.asr import hallucinations
from tagline.experts.asr.transcript import Transcript, WhisperThresholds
from tagline.experts.asr.vad import Samples
from tagline.experts.footage import SOUND_RATE
from tagline.experts.tags import Word
from tagline.experts.weights import registry

FILES = ("model.bin", "config.json", "tokenizer.json")  # without one of these the library asks the hub for it
WINDOW_SECONDS = 30  # seconds of sound that Whisper looks at, always
THREADS = 4  # at most; more make it no faster
LONGEST_TEXT = 224  # tokens of half a minute, as Whisper's own code has it
UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})  # no spaces between words


class FasterWhisperBackend:
    """A stretch at a time, each heard with no memory of the one before, with a beam and without sampling.

    A stretch that cannot be believed is left out, by the same rules as for openai-whisper.
    """

    longest = 28.0  # of the 30 seconds that Whisper looks at
    samples = 3  # stretches of a sound by which its language is told

    def __init__(
        self,
        found: registry.LocalWeights,
        language: str | None = None,
        *,
        thresholds: WhisperThresholds | None = None,
        beam: int = 5,
    ) -> None:
        self.found, self.language, self.beam = found, language, beam
        self.thresholds = thresholds or WhisperThresholds()
        self.model: Any = None

    @property
    def name(self) -> str:
        return f"faster-whisper {version('faster-whisper')} ({Path(self.found.name).name})"

    @property
    def identity(self) -> str:
        programs = [version("faster-whisper"), version("ctranslate2")]
        parts = [programs, self.found.sha256, self.language, self.beam, asdict(self.thresholds)]
        return "faster-whisper " + json.dumps(parts, sort_keys=True)

    def load(self, device: str) -> None:
        """device: is not asked; int8 on the CPU takes a twentieth of the sound's length."""
        from faster_whisper import WhisperModel

        folder = self.found.path
        if absent := [name for name in FILES if not (folder / name).is_file()]:
            raise registry.WeightsMissing(f"{folder} is no Whisper in CTranslate2: it has no {absent[0]}")
        self.model = WhisperModel(
            str(folder),
            device="cpu",
            compute_type="int8",
            cpu_threads=min(THREADS, devices.processors()),
            local_files_only=True,
        )
        known = self.model.supported_languages
        if self.language is not None and len(known) > 1 and self.language.lower() not in known:
            raise ValueError(
                f"Whisper knows no language {self.language!r}; name it by its code, such as en, de, fr"
            )

    def transcribe(self, sounds: Sequence[Sequence[Samples]]) -> list[Transcript]:
        if self.model is None:
            self.load("cpu")
        return [self._one(sound) for sound in sounds]

    def _one(self, sound: Sequence[Samples]) -> Transcript:
        if not sound:
            return Transcript([])
        longest = sorted(range(len(sound)), key=lambda i: (-len(sound[i]), i))[: self.samples]
        encoded = {} if self._known_language() else {i: self._encode(sound[i]) for i in longest}
        language = self._known_language() or self._language(encoded.values())
        transcript = Transcript([])
        for i, segment in enumerate(sound):
            features = encoded.pop(i, None)
            words = self._words(
                self._encode(segment) if features is None else features, len(segment) / SOUND_RATE, language
            )
            transcript.words.append(words or [])
            transcript.rejected += words is None
        transcript.language = language if any(transcript.words) else None
        return transcript

    def _encode(self, segment: Samples) -> Any:
        """A stretch of at most 30 s to what the encoder makes of it: [1, 1500, D]."""
        # The sound is padded, not the spectrogram: silence has a value there.
        sound = np.zeros(WINDOW_SECONDS * SOUND_RATE, np.float32)
        sound[: len(segment)] = segment
        mel = self.model.feature_extractor(sound)[..., : WINDOW_SECONDS * 100]  # [n_mels, 3000]
        return self.model.encode(mel)

    def _known_language(self) -> str | None:
        if not self.model.model.is_multilingual:
            return "en"
        return self.language.lower() if self.language is not None else None

    def _language(self, encoded: Iterable[Any]) -> str:
        """The language of one sound, by the sum of its probabilities over some stretches."""
        sums: dict[str, float] = {}
        for features in encoded:
            for token, chance in self.model.model.detect_language(features)[0]:
                sums[token] = sums.get(token, 0.0) + chance
        return max(sums, key=lambda token: (sums[token], token)).strip("<|>")

    def _words(self, features: Any, seconds: float, language: str) -> list[Word] | None:
        """The words of one stretch; None where there was text that cannot be believed."""
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens

        model = self.model
        tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, "transcribe", language)
        prompt = model.get_prompt(tokenizer, [], without_timestamps=True)
        # Not the library's own `transcribe`: it listens a second time to what follows the last word, and
        # makes up words for the rest of a second that it finds there.
        result = model.model.generate(
            features,
            [prompt],
            beam_size=self.beam,
            max_length=len(prompt) + LONGEST_TEXT,
            suppress_tokens=list(get_suppressed_tokens(tokenizer, [-1])),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
        text = tokenizer.decode(tokens).strip()
        sure = result.scores[0] * len(tokens) / (len(tokens) + 1)  # per token, the end among them
        if not text or self.thresholds.silent(result.no_speech_prob, sure):
            return []
        if self.thresholds.doubtful(sure, get_compression_ratio(text)):
            return None
        words = self._timed(tokenizer, tokens, features, seconds)
        unsure = self.thresholds.unsure(result.no_speech_prob)
        return hallucinations.credible_words(words, seconds, unsure=unsure) or None if words else []

    def _timed(self, tokenizer: Any, tokens: list[int], features: Any, seconds: float) -> list[Word]:
        """When each word was said, by the cross-attention; none outside the stretch."""
        from faster_whisper.transcribe import merge_punctuations

        frames = min(3000, max(2, math.ceil(seconds * 100)))  # of the spectrogram
        aligned = self.model.find_alignment(tokenizer, [tokens], features, frames)[0]
        merge_punctuations(aligned, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
        return to_words(aligned, seconds, spaced=tokenizer.language_code not in UNSPACED)


def to_words(aligned: Sequence[dict[str, Any]], seconds: float, *, spaced: bool) -> list[Word]:
    """The library's words as ours. spaced: the language puts spaces between words, so that what has none
    before it goes on with the word before ("ill", "-disposed")."""
    found: list[Word] = []
    for each in aligned:
        if not each["word"].strip():
            continue
        text, chance = each["word"], float(each["probability"])
        start = min(max(0.0, float(each["start"])), seconds)
        end = min(max(start, float(each["end"])), seconds)
        if spaced and found and not text.startswith(" "):
            last = found.pop()
            found.append(Word(last.text + text.strip(), last.start, end, min(last.probability, chance)))
        else:
            found.append(Word(text.strip(), start, end, chance))
    return found


def is_ct2(folder: Path) -> bool:
    """Whether a folder of a user's own looks like Whisper in CTranslate2."""
    return (folder / "model.bin").is_file()
