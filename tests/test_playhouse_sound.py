"""The playhouse's sound: the bank of voices, and that a recogniser of real English hears the topics."""

from __future__ import annotations

import numpy as np
import pytest

from tagline.benchmarks.playhouse.render import sound
from tagline.benchmarks.playhouse.world import voices
from tagline.benchmarks.playhouse.world.scenario import scenario
from tagline.benchmarks.playhouse.world.sentences import TOPICS, sentences


def test_the_bank_is_small_and_complete() -> None:
    assert voices.RECORDINGS.stat().st_size <= 4_000_000
    assert len(TOPICS) >= 60
    spoken = {(line.topic, line.text) for line in voices.recordings()}
    assert spoken == {(topic, text) for topic in TOPICS for text in sentences(topic)}
    for topic in TOPICS:
        assert {line.voice for line in voices.recordings_about(topic, True)} == {"rms", "kal16", "awb", "slt"}


def test_no_sentence_gives_another_topic_away() -> None:
    for topic in TOPICS:
        for text in sentences(topic):
            assert {word for word in text.split() if word in TOPICS} == {topic}


def test_the_last_sentence_of_each_topic_is_for_test_videos() -> None:
    assert all(line.which != voices.TEST_ONLY for line in voices.recordings_about("volcano", False))
    train = {said.recording.text for seed in range(250) for said in scenario(seed).speech}
    test = {said.recording.text for seed in range(20_000_000, 20_000_250) for said in scenario(seed).speech}
    kept = {sentences(topic)[voices.TEST_ONLY] for topic in TOPICS}
    assert not train & kept
    assert len(test & kept) > 10


def test_word_times_are_inside_the_recording_and_in_order() -> None:
    for line in voices.recordings():
        assert [word for word, _, _ in line.words] == line.text.split()
        times = [time for _, start, end in line.words for time in (start, end)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= line.seconds + 0.05
    line = voices.recordings()[0]
    samples = voices.recording_sound(line)
    assert abs(len(samples) / voices.RATE - line.seconds) < 0.1
    assert np.abs(samples.astype(int)).max() > 5000


def test_sound_is_as_long_as_the_pictures_and_louder_where_somebody_speaks() -> None:
    louder = 0
    for seed in range(12):
        world = scenario(seed)
        heard = sound.sound(world)
        if not world.sound:
            assert heard is None
            continue
        assert heard is not None
        assert heard.dtype == np.int16
        assert len(heard) == round(world.duration * sound.RATE)
        assert np.array_equal(heard, sound.sound(world))
        if world.speech:
            said = world.speech[0]
            spoken = np.zeros(len(heard), bool)
            for one in world.speech:
                spoken[round(one.start * sound.RATE) : round(one.end * sound.RATE)] = True
            assert said.end <= world.duration
            power = heard.astype(float) ** 2
            assert power[spoken].mean() > 4 * power[~spoken].mean()
            louder += 1
    assert louder >= 3


@pytest.mark.parametrize("mood", ["cheerful", "sad"])
def test_a_tune_plays_throughout(mood: str) -> None:
    played = sound.tune(np.random.Generator(np.random.PCG64(1)), 5 * sound.RATE, mood)
    assert len(played) == 5 * sound.RATE
    seconds = np.abs(sound.level(played, 1000)).reshape(5, -1)
    assert (seconds.max(axis=1) > 500).all()


def test_smoothing_sums_the_samples_before() -> None:
    samples = np.arange(50, dtype=np.int64) ** 2
    made = sound.smooth(samples, 4)
    assert len(made) == 50
    assert made[10] == samples[6:10].sum()
    tone = sound.sine(440.0, 16000)
    assert abs(int(np.abs(np.fft.rfft(tone)).argmax()) - 440) <= 1


def test_a_recogniser_of_real_english_hears_the_topics() -> None:
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=voices.RATE, loglevel="FATAL")
    asked = heard = 0
    for seed in range(20_700_000, 20_700_100):
        world = scenario(seed)
        samples = sound.sound(world)
        if not world.speech or samples is None:
            continue
        start, end = world.speech[0].start, world.speech[-1].end
        samples = samples[round(start * sound.RATE) : round(end * sound.RATE)]
        decoder.start_utt()
        decoder.process_raw(samples.tobytes(), full_utt=True)
        decoder.end_utt()
        words = decoder.hyp().hypstr.split() if decoder.hyp() else []
        topics = {said.recording.topic for said in world.speech}
        asked += len(topics)
        heard += len(topics & set(words))
        if asked >= 6:
            break
    assert heard / asked >= 0.6  # few draws of what is nearly 0.9 over many
