"""The speech expert: what is said, word by word, and its keywords as tags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tagline.experts import weights
from tagline.experts.footage import SOUND_RATE, Footage, Sampling, Sound
from tagline.experts.hearing import keywords, listeners
from tagline.experts.hearing.keywords import Keyword, Keywords
from tagline.experts.hearing.listeners import Heard, Listener
from tagline.experts.hearing.voice import Samples, Stretch, VoiceActivity, joined, numbers_only
from tagline.experts.tags import Modality, Report, Tag, Word
from tagline.experts.weighed import WeighedExpert

PAUSE = 0.6  # seconds; speech with shorter pauses is heard as one stretch


@dataclass(frozen=True)
class SpeechSettings:
    """What can be set of the speech expert."""

    collection: str = "public"  # or "playhouse": which weights are used where none are named
    listener: str = "auto"  # "whisper", "pocketsphinx", or Whisper if its weights are here
    weights: str | None = None  # of Whisper: a name of the weights table, or a folder of `save_whisper`
    language: str | None = None  # what is spoken, as a code ("en"); None: Whisper finds out
    embedder: str = "auto"  # for keywords: "minilm", "clip", "none", a folder, or the best that is here
    keywords: int = 6  # of about a minute of speech, at most
    most: int = 40  # keywords of a video, at most
    min_score: float = 0.2  # a keyword below this is no tag
    min_probability: float = 0.3  # a word heard with less makes no keyword; it stays in the transcript
    gap: float = 10.0  # seconds; a keyword said again within this is one tag, not two
    voice: float = 0.5  # probability of speech from which on somebody speaks
    allow_pickle: bool = False  # read pickled weights of the user's own


class SpeechExpert(WeighedExpert):
    """Voice activity, then a listener over the stretches of all videos of the batch, then keywords."""

    name: ClassVar[str] = "speech"
    modality: ClassVar[Modality] = Modality.SPEECH
    version: ClassVar[str] = "1"
    Settings: ClassVar[type] = SpeechSettings
    roles: ClassVar[dict[str, str]] = {"listener": "weights", "keywords": "embedder"}

    needs: tuple[Sampling, ...] = (Sound(),)

    def missing(self) -> str | None:
        try:
            self._choose()
        except (weights.WeightsMissing, ValueError) as error:
            return f"not run: {error}"
        return None

    def fingerprint(self) -> str:
        s = self.settings
        said = [s.keywords, s.most, s.min_score, s.min_probability, s.gap, s.language]
        held: list[str | None]
        try:
            listener, model = self._choose()
            held = [listener.identity, model.identity if model is not None else None]
        except (weights.WeightsMissing, ValueError):
            held = []
        text = json.dumps([self.name, self.version, said, VoiceActivity(s.voice).identity, held])
        return hashlib.sha256(text.encode()).hexdigest()

    def load(self, device: str) -> None:
        self.listener, model = self._choose()
        self.voice = VoiceActivity(self.settings.voice)
        self.keywords = Keywords(model, per_passage=self.settings.keywords, most=self.settings.most)
        self.voice.load()
        self.listener.load(device)
        self.keywords.load(device)

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        sounds = [None if footage.sound is None else numbers_only(footage.sound) for footage in batch]
        spoken = [self._stretches(sound) for sound in sounds]
        heard = self.listener.hear(
            [
                [] if sound is None else [stretch.of(sound) for stretch in stretches]
                for sound, stretches in zip(sounds, spoken, strict=True)
            ]
        )
        return [self._report(*each) for each in zip(batch, spoken, heard, strict=True)]

    def _choose(self) -> tuple[Listener, keywords.TextModel | None]:
        """The listener and the text model that would be used now. Raises weights.WeightsMissing."""
        s = self.settings
        listener, self._instead_of = listeners.choose(
            s.listener,
            s.weights,
            collection=s.collection,
            language=s.language,
            allow_pickle=s.allow_pickle,
        )
        model = keywords.choose(s.embedder, collection=s.collection, allow_pickle=s.allow_pickle)
        return listener, model

    def _stretches(self, sound: Samples | None) -> list[Stretch]:
        if sound is None or not len(sound):
            return []
        longest = self.listener.longest
        return joined(self.voice(sound, longest), longest=longest, gap=PAUSE)

    def _report(self, footage: Footage, stretches: Sequence[Stretch], heard: Heard) -> Report:
        words = [
            _later(word, footage.sound_start + stretch.start / SOUND_RATE)
            for stretch, found in zip(stretches, heard.words, strict=True)
            for word in found
        ]
        report = Report(words=words, notes=_unread(footage))
        if footage.sound is None:
            return report
        report.facts = {
            "listener": self.listener.name,
            "language": heard.language,
            "speech_seconds": round(sum(stretch.seconds for stretch in stretches), 2),
        }
        if not stretches:
            return report
        found = self.keywords(words, self.settings.min_probability)
        report.tags = self._tags(found)
        report.facts["keywords"] = self._by_what()
        report.notes += self._remarks(heard, len(stretches))
        return report

    def _tags(self, found: Sequence[Keyword]) -> list[Tag]:
        tags = []
        for keyword in found:
            if keyword.score < self.settings.min_score:
                continue
            for start, end in keywords.spans(keyword.said, self.settings.gap):
                best = keyword.best if start <= keyword.best <= end else start
                tags.append(Tag(keyword.text, self.modality, keyword.score, start, end, self.name, best))
        return sorted(tags, key=lambda tag: (tag.start, tag.text))

    def _by_what(self) -> str:
        model = self.keywords.model
        return "counting words" if model is None else f"KeyBERT with {model.name}"

    def _remarks(self, heard: Heard, stretches: int) -> list[str]:
        """What people should know of how it was heard."""
        said = []
        if self._instead_of is not None:
            said.append(f"heard by {self.listener.name}, English only: {self._instead_of}")
        if self.keywords.model is None and self.settings.embedder != "none":
            said.append(
                "keywords by counting words: no text model is here; run `pip install 'tagline[minilm]'`"
            )
        if heard.doubted:
            said.append(f"{heard.doubted} of {stretches} stretches of speech could not be made out")
        if heard.lost:
            said.append(f"the recogniser died over {heard.lost} of {stretches} stretches of speech")
        return said


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
