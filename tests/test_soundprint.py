"""Vectors of sound: mel bands against their formula, the same for louder, nothing for silence."""

from __future__ import annotations

import fakes
import numpy as np
import pytest

from tagline.experts.base import Expert
from tagline.experts.footage import Footage
from tagline.experts.sound import BANDS, VECTOR_SIZE, SoundExpert, describe_sound, log_mel

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


def test_the_expert_keeps_vectors_and_says_nothing() -> None:
    expert = SoundExpert()
    assert isinstance(expert, Expert)
    loud, mute = expert(
        [Footage("a", fakes.facts_of({}), {}, tone(440.0)), Footage("b", fakes.facts_of({}), {}, None)]
    )
    assert [(v.start, v.end) for v in loud.vectors] == [(0.0, 0.96), (0.96, 1.92)]
    assert not loud.tags
    assert not mute.vectors
    assert mute.notes == ["there is no sound to compare"]
