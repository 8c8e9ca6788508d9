"""What a scenario sounds like: voices from the bank, ambience under them, sometimes a tune.

Everything is whole-number arithmetic on noise and a sine table, so every machine hears the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.playhouse.draw.drawing import wave
from tagline.benchmarks.playhouse.draw.inventory import SCENES
from tagline.benchmarks.playhouse.world import voices
from tagline.benchmarks.playhouse.world.scenario import Scenario

RATE = voices.RATE
Wide = npt.NDArray[np.int64]
Sound = npt.NDArray[np.int16]

_STEPS = 4096
_SINE = np.array([round(wave(i / _STEPS) * 32767) for i in range(_STEPS)], np.int64)


def sound(scenario: Scenario) -> Sound | None:
    """int16 [S], mono, 16 kHz, as long as the pictures; None for a video without sound."""
    if not scenario.sound:
        return None
    rng = np.random.Generator(np.random.PCG64(scenario.seed))
    total = round(scenario.duration * RATE)
    mixed = np.zeros(total, np.int64)
    # A general recogniser loses words to noise that people hardly notice, so it is softer under speech.
    soft = 4 if scenario.speech else 1
    for shot in scenario.shots:
        start, end = round(shot.start * RATE), min(round(shot.end * RATE), total)
        loud = int(rng.integers(120, 400)) // soft
        mixed[start:end] += level(_AMBIENCE[SCENES[shot.scene].sound](rng, end - start), loud)
        if shot.weather == "rain":
            mixed[start:end] += level(_rain(rng, end - start), 200 // soft)
    if scenario.music:
        mixed += level(tune(rng, total, scenario.music), 90 if scenario.speech else 1100)
    for said in scenario.speech:
        start = round(said.start * RATE)
        spoken = voices.recording_sound(said.recording)[: total - start]
        mixed[start : start + len(spoken)] += spoken
    return np.clip(mixed, -32000, 32000).astype(np.int16)


def level(samples: Wide, loudness: int) -> Wide:
    """Scaled to a root mean square of `loudness`, in whole numbers."""
    power = int(np.sum(samples * samples)) // max(len(samples), 1)
    root = max(int(power**0.5), 1)
    return samples * loudness // root


def sine(hertz: float, count: int, start: float = 0.0) -> Wide:
    """A tone of 32767 at its peaks."""
    step = round(hertz * 65536 / RATE)
    phase = np.arange(count, dtype=np.int64) * step + round(start * 65536)
    return _SINE[(phase >> 4) % _STEPS]


def noise(rng: np.random.Generator, count: int) -> Wide:
    return rng.integers(-8000, 8001, count, dtype=np.int64)


def smooth(samples: Wide, width: int) -> Wide:
    """The sum of the `width` samples before each: takes the high tones away, and stays a whole number."""
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([samples[:width], samples]))])
    return (total[width:] - total[:-width])[: len(samples)]


def _swell(count: int, hertz: float, start: float) -> Wide:
    """Rises and falls between 0 and 65534."""
    return sine(hertz, count, start) + 32767


def _waves(rng: np.random.Generator, count: int) -> Wide:
    return (smooth(noise(rng, count), 6) * _swell(count, 0.14, rng.random())) >> 16


def _wind(rng: np.random.Generator, count: int) -> Wide:
    rough = smooth(smooth(noise(rng, count), 24), 17)
    return (rough * (_swell(count, 0.21, rng.random()) + _swell(count, 0.53, rng.random()))) >> 17


def _birds(rng: np.random.Generator, count: int) -> Wide:
    heard = smooth(noise(rng, count), 12) // 24
    for _ in range(max(count // 9000, 1)):
        length = int(rng.integers(700, 1800))
        at = int(rng.integers(0, max(count - length, 1)))
        length = min(length, count - at)
        step = np.linspace(2600 + 1400 * rng.random(), 3000 + 1800 * rng.random(), length)
        phase = np.cumsum(np.rint(step * 65536 / RATE).astype(np.int64))
        fade = np.minimum(np.arange(length), np.arange(length)[::-1]) * 4
        heard[at : at + length] += (_SINE[(phase >> 4) % _STEPS] * np.minimum(fade, 1200)) >> 13
    return heard


def _traffic(rng: np.random.Generator, count: int) -> Wide:
    rumble = smooth(smooth(noise(rng, count), 48), 31) >> 3
    return (rumble * (_swell(count, 0.11, rng.random()) + 32767)) >> 16


def _hum(rng: np.random.Generator, count: int) -> Wide:
    return sine(50, count) + (sine(100, count) >> 1) + noise(rng, count) // 4


def _crowd(rng: np.random.Generator, count: int) -> Wide:
    murmur = smooth(noise(rng, count), 16) - smooth(noise(rng, count), 40) // 2
    return (murmur * (_swell(count, 1.7, rng.random()) + _swell(count, 2.9, rng.random()) + 40000)) >> 17


def _rain(rng: np.random.Generator, count: int) -> Wide:
    fine = noise(rng, count)
    return fine - smooth(fine, 5) // 5


_AMBIENCE: dict[str, Callable[[np.random.Generator, int], Wide]] = {
    "waves": _waves,
    "wind": _wind,
    "birds": _birds,
    "traffic": _traffic,
    "hum": _hum,
    "crowd": _crowd,
}

_TUNES = {
    "cheerful": ((0, 4, 7, 12), (5, 9, 12, 17), (7, 11, 14, 19), (0, 7, 4, 12)),
    "sad": ((0, 3, 7, 12), (-4, 0, 3, 8), (-2, 2, 5, 10), (0, 3, 7, 3)),
}


def tune(rng: np.random.Generator, count: int, mood: str) -> Wide:
    """A plucked melody over four chords: quick and major, or slow and minor."""
    beat = RATE // 5 if mood == "cheerful" else RATE // 2
    base = 262.0 if mood == "cheerful" else 196.0
    played = np.zeros(count + 2 * beat, np.int64)
    for number in range(count // beat):
        chord = _TUNES[mood][(number // 8) % 4]
        half_tones = chord[int(rng.integers(0, 4))]
        length = 2 * beat
        fade = (np.arange(length, 0, -1, dtype=np.int64) << 14) // length
        # Twelve equal steps to an octave, from a table of whole hundredths.
        hertz = round(base * 2 ** (half_tones / 12), 2)
        note = (sine(hertz, length) + (sine(2 * hertz, length) >> 2)) * fade >> 14
        played[number * beat : number * beat + length] += note
    return played[:count]
