"""Voice activity: silence, noise and music are no speech; speech is; broken samples do no harm."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import music, noise, read_sound, silence, tone

from tagline.experts.asr.vad import (
    SCAN_SAMPLES,
    Segment,
    VoiceActivity,
    finite_only,
    join_segments,
    padded,
    speech_runs,
)
from tagline.experts.footage import SOUND_RATE


@pytest.fixture(scope="module")
def voice() -> VoiceActivity:
    pytest.importorskip("faster_whisper", reason="the extra tagline[starter] is absent")
    activity = VoiceActivity()
    activity.load()
    return activity


@pytest.mark.parametrize("make", [silence, tone, music, noise])
def test_nobody_speaks(voice, make):
    assert voice(make(6.0)) == []


def test_no_sound_at_all(voice):
    assert voice(silence(0)) == []
    assert len(voice.probabilities(silence(0))) == 0


def test_one_probability_for_each_32_milliseconds(voice):
    assert len(voice.probabilities(noise(1.0)[:5000])) == 10  # 5000 / 512, rounded up


def test_samples_that_are_no_numbers_become_silence():
    sound = noise(1.0)
    assert finite_only(sound) is sound
    broken = sound.copy()
    broken[100], broken[200], broken[300], broken[-1] = np.nan, np.inf, -np.inf, 1e30
    mended = finite_only(broken)
    assert np.isfinite(mended).all()
    assert mended[100] == mended[200] == mended[300] == mended[-1] == 0
    others = np.setdiff1d(np.arange(len(sound)), [100, 200, 300, len(sound) - 1])
    assert np.array_equal(mended[others], sound[others])


def test_a_broken_sample_late_in_a_long_sound_is_found():
    sound = np.zeros(SCAN_SAMPLES + 10, dtype=np.float32)
    sound[-1] = np.nan
    assert finite_only(sound)[-1] == 0


@st.composite
def stretches(draw):
    """Stretches in order, none longer than ten seconds."""
    at, found = 0, []
    for _ in range(draw(st.integers(0, 12))):
        start = at + draw(st.integers(1, 3 * SOUND_RATE))
        at = start + draw(st.integers(1, 10 * SOUND_RATE))
        found.append(Segment(start, at))
    return found


@given(stretches(), st.floats(0.0, 2.0))
def test_joined_stretches_cover_the_same_speech(found, gap):
    whole = join_segments(found, longest=10.0, gap=gap)
    assert all(each.seconds <= 10.0 for each in whole)
    assert all(a.end <= b.start for a, b in itertools.pairwise(whole))
    for stretch in found:
        assert sum(each.start <= stretch.start and stretch.end <= each.end for each in whole) == 1
    # Whatever lies in a joined stretch and was no speech is a short pause.
    silent = sum(each.seconds for each in whole) - sum(each.seconds for each in found)
    assert silent <= gap * max(0, len(found) - len(whole)) + 1e-6


def test_neighbours_are_joined_as_far_as_they_fit():
    second = SOUND_RATE
    found = [Segment(0, 3 * second), Segment(3 * second, 6 * second), Segment(6 * second, 9 * second)]
    assert join_segments(found, longest=6.0, gap=0.5) == [
        Segment(0, 6 * second),
        Segment(6 * second, 9 * second),
    ]
    assert join_segments(found, longest=2.0, gap=0.5) == found


def test_real_speech_is_found(voice, data: Path):
    speech = read_sound(data / "audio" / "jfk.flac")
    found = voice(speech)
    assert sum(each.seconds for each in found) > 0.7 * len(speech) / SOUND_RATE
    assert all(each.seconds <= 3.0 for each in voice(speech, longest=3.0))
    # Put between silences, it is found where it is.
    between = np.concatenate([silence(5), speech, silence(5)])
    found = voice(between)
    assert found[0].start >= 4.5 * SOUND_RATE
    assert found[-1].end <= len(between) - 4.0 * SOUND_RATE


def test_probabilities_are_those_of_the_library(voice, data: Path):
    from faster_whisper.vad import get_vad_model

    speech = np.tile(read_sound(data / "audio" / "jfk.flac"), 4)  # more than one block
    whole = np.pad(speech, (0, -len(speech) % 512))
    theirs = get_vad_model()(whole).reshape(-1)  # which overwrites the end of the last window with silence
    assert np.allclose(voice.probabilities(speech)[:-1], theirs[:-1], atol=1e-5)


def runs(*probabilities: float, longest: float = 100.0, shortest: float = 0.0) -> list[tuple[int, int]]:
    return speech_runs(probabilities, 0.5, pause=2, shortest=shortest, longest=longest)


def test_a_run_ends_where_it_stays_quiet():
    assert runs() == runs(0.1, 0.4, 0.2) == []
    assert runs(0.1, 0.9, 0.9, 0.1, 0.1, 0.1) == [(1, 3)]
    assert runs(0.9, 0.1, 0.9) == [(0, 3)]  # a pause too short to be one
    assert runs(0.9, 0.4, 0.4, 0.4, 0.9) == [(0, 5)]  # not clearly below
    assert runs(0.9, 0.1, 0.1, 0.1, 0.9, 0.9) == [(0, 1), (4, 6)]
    assert runs(0.9, 0.1, 0.1, 0.1, 0.9, 0.9, shortest=1.0) == [(4, 6)]
    assert runs(0.1, 0.9, 0.2) == [(1, 2)]


def test_a_run_that_is_too_long_is_cut_in_its_longest_pause():
    assert runs(*[0.9] * 7, longest=3.0) == [(0, 3), (3, 6), (6, 7)]
    assert runs(0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9, longest=5.0) == [(0, 2), (3, 7)]


@given(st.lists(st.floats(0, 1), max_size=80), st.floats(4, 20))
def test_runs_are_in_order_and_hold_every_word(probabilities, longest):
    found = speech_runs(probabilities, 0.5, pause=3, shortest=0.0, longest=longest)
    assert all(0 <= start < end <= len(probabilities) for start, end in found)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    assert all(end - start <= longest + 1 for start, end in found)
    within = {at for start, end in found for at in range(start, end)}
    assert {at for at, chance in enumerate(probabilities) if chance >= 0.5} <= within


def test_neighbours_share_what_lies_between_them():
    found = padded([Segment(100, 200), Segment(210, 300), Segment(900, 950)], 50, 960)
    assert found == [Segment(50, 205), Segment(205, 350), Segment(850, 960)]


def test_no_torch_is_needed(voice):
    code = (
        "import sys, numpy\n"
        "from tagline.experts.asr.vad import VoiceActivity\n"
        "VoiceActivity()(numpy.zeros(16000, 'f4'))\n"
        "assert not {'torch', 'faster_whisper'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
