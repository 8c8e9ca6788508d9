"""Sound that never ends behind a few pictures: it is cut, and said to be; the pictures stay."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import Limits
from tagline.experts.footage import Footage, Sound, Uniform

SECONDS = 60

# By the child's clock, each piece of sound takes a second to decode.
SLOW_EARS = """
import types
from tagline.experts.decode import guard, reader, soundtrack
clock, monotonic = [0.0], reader.time.monotonic
reader.time = types.SimpleNamespace(monotonic=lambda: clock[0] + monotonic())
put = soundtrack.Soundtrack._put
def slow(self, frame, shift):
    clock[0] += 1
    put(self, frame, shift)
soundtrack.Soundtrack._put = slow
guard.main()
"""
# Here it is reading that takes the time: a hundredth of a second for every packet.
SLOW_DISK = """
import types
from tagline.experts.decode import guard, reader
clock, monotonic = [0.0], reader.time.monotonic
reader.time = types.SimpleNamespace(monotonic=lambda: clock[0] + monotonic())
packets = reader.packets_of
def slow(container, streams):
    for packet in packets(container, streams):
        clock[0] += 0.1
        yield packet
reader.packets_of = slow
guard.main()
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures in the first second, and a minute of sound."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("mp2", rate=48_000)
        for number in range(3):
            picture = np.full((48, 64, 3), 80 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number * 8, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for first in range(0, SECONDS * 48_000, 1152):
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo"
            )
            silence.sample_rate, silence.pts, silence.time_base = 48_000, first, Fraction(1, 48_000)
            container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return path


def read(film: Path, child: str, limits: Limits) -> Footage:
    program = film.with_name("child.py")
    program.write_text(child)
    with Decoder(jobs=1, limits=limits, child=program) as decoder:
        return decoder.read(film, (Uniform(3), Sound()))


def test_sound_that_takes_too_long_is_cut_and_the_pictures_stay(film: Path) -> None:
    footage = read(film, SLOW_EARS, Limits(seconds=500))
    assert len(footage.view(Uniform(3)).times) == 3
    assert footage.coverage.sound == "partly"
    assert not footage.coverage.complete
    # half of the time that is there: 200 of 2,500 pieces
    assert footage.coverage.notes == ["sound incomplete: it goes on too long, and was cut after 5 seconds"]
    assert footage.sound is not None
    assert len(footage.sound) == pytest.approx(201 * 1152 / 3, rel=0.09)


def test_sound_beyond_the_limit_is_not_even_decoded(film: Path) -> None:
    footage = read(film, SLOW_EARS, Limits(seconds=500, sound_seconds=2.0))
    assert len(footage.view(Uniform(3)).times) == 3
    assert footage.coverage.notes == ["sound incomplete: it goes on too long, and was cut after 2 seconds"]


def test_a_file_that_cannot_be_read_to_its_end_gives_what_was_read(film: Path) -> None:
    footage = read(film, SLOW_DISK, Limits(seconds=200))
    assert len(footage.view(Uniform(3)).times) == 3
    assert footage.coverage.sound == "partly"
    said = re.compile(r"the file goes on for longer than 1[0-9]{2} s can read")  # real time counts along
    assert any(map(said.fullmatch, footage.coverage.notes))
