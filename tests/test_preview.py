"""Previews: a stretch of any readable file as H.264 and AAC, with the right pictures at the right time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from filming import Film, picture, shoot

from tagline.experts.decode.decoder import Decoder
from tagline.experts.footage import Unreadable


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(1) as decoder:
        yield decoder


def played(data: bytes) -> tuple[list[float], list[np.ndarray[Any, Any]], dict[str, str]]:
    with av.open(io.BytesIO(data)) as container:
        names = {stream.type: stream.codec_context.name for stream in container.streams}
        frames = list(container.decode(video=0))
        return [float(f.time) for f in frames], [f.to_ndarray(format="rgb24") for f in frames], names


@pytest.mark.parametrize(
    "film",
    [
        Film("mpeg4", ".avi", count=75, sound="mp2"),
        Film("libvpx-vp9", ".webm", count=75, sound="libopus"),
        Film("mpeg2video", ".mpg", count=75),
    ],
    ids=lambda film: film.suffix,
)
def test_what_browsers_do_not_play_becomes_h264_with_the_same_pictures(
    film: Film, decoder: Decoder, tmp_path: Path
) -> None:
    path = shoot(tmp_path / "film", film)
    data = decoder.preview(path, 1.0, 1.0, zero=zero_of(decoder, path))
    times, pictures, names = played(data)
    assert names == {"video": "h264", **({"audio": "aac"} if film.sound else {})}
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(1.0, abs=0.09)
    for time, shown in zip(times[::6], pictures[::6], strict=True):
        number = 25 + round(time * 25)
        errors = {n: np.abs(picture(film, n).astype(int) - shown).mean() for n in (number - 12, number)}
        assert errors[number] < 14
        assert errors[number] < errors[number - 12]


def zero_of(decoder: Decoder, path: Path) -> float:
    return decoder.read(path, ()).facts.start


def test_a_turned_video_is_upright_and_small(decoder: Decoder, tmp_path: Path) -> None:
    film = Film(rotation=90, width=160, height=96, count=30)
    _, pictures, _ = played(decoder.preview(shoot(tmp_path / "film", film), 0.0, 1.0, side=48))
    assert pictures[0].shape == (80, 48, 3)


def test_sound_stays_with_the_pictures(decoder: Decoder, tmp_path: Path) -> None:
    film = Film(count=75, sound="aac", sound_gap=(0.9, 1.4))
    data = decoder.preview(shoot(tmp_path / "film", film), 0.25, 2.0)
    with av.open(io.BytesIO(data)) as container:
        wave = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    loud = [float(np.abs(wave[i : i + 480]).max()) for i in range(0, len(wave) - 480, 480)]  # 10 ms each
    beeps = [i for i, level in enumerate(loud) if level > 0.3 and (i == 0 or loud[i - 1] <= 0.3)]
    # Beeps stand at every half second of the film; the one at 1.0 s was cut out.
    assert [round(i / 100 + 0.25, 1) for i in beeps] == [0.5, 1.5, 2.0]


def test_what_is_no_video_is_refused_in_words(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\nfile:///etc/passwd\n")
    with pytest.raises(Unreadable, match="is a playlist"):
        decoder.preview(path, 0.0, 1.0)
