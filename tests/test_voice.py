"""Voice activity: silence, noise and music are no speech; speech is; broken samples do no harm."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import music, noise, read_sound, silence, tone

from tagline.experts.asr.vad import SCAN_SAMPLES, Segment, VoiceActivity, finite_only, join_segments
from tagline.experts.footage import SOUND_RATE


@pytest.fixture(scope="module")
def voice() -> VoiceActivity:
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


def test_loading_leaves_the_threads_of_torch_alone():
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        VoiceActivity().load()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


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


def test_blocks_say_what_the_library_says_frame_by_frame(voice, data: Path):
    import silero_vad
    import torch

    speech = np.tile(read_sound(data / "audio" / "jfk.flac"), 2)  # more than one block
    plain = silero_vad.get_speech_timestamps(
        torch.from_numpy(speech),
        silero_vad.load_silero_vad(onnx=True),
        min_speech_duration_ms=250,
        speech_pad_ms=200,
    )
    assert [(each.start, each.end) for each in voice(speech)] == [(p["start"], p["end"]) for p in plain]
