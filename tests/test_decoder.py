"""The decoder against a plain decode of everything: pictures, sound, clocks, what a file says of itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filming import ALL, Film, picture, plain, shoot

from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import Limits
from tagline.experts.footage import Footage, PerSecond, PerShot, Sampling, Sound, Uniform, Unreadable, Windows

DATA = os.environ.get("TAGLINE_TEST_DATA")

FILMS = {
    "h264 with B-frames": Film(options={"g": "25", "bf": "3"}, count=80),
    "h264 open GOPs": Film(
        suffix=".mkv", options={"x264-params": "open-gop=1:keyint=12:bframes=3"}, count=80
    ),
    "h264 intra refresh": Film(options={"x264-params": "intra-refresh=1:keyint=20"}, count=80),
    "h264 in MPEG-TS": Film(suffix=".ts", options={"g": "20"}),
    "h264 in AVI": Film(suffix=".avi", options={"g": "20", "bf": "3"}),
    "h264 in FLV": Film(suffix=".flv", options={"g": "20"}),
    "hevc": Film("libx265", options={"x265-params": "log-level=none:keyint=20"}),
    "hevc in layers": Film("libx265", options={"x265-params": "log-level=none:temporal-layers=2:keyint=40"}),
    "hevc, 10 bit": Film("libx265", format="yuv420p10le", options={"x265-params": "log-level=none"}),
    "vp8": Film("libvpx", ".webm", options={"g": "20"}),
    "vp9": Film("libvpx-vp9", ".webm", options={"g": "20", "cpu-used": "8"}),
    "vp9 with alpha": Film("libvpx-vp9", ".webm", format="yuva420p", count=20, options={"cpu-used": "8"}),
    "av1": Film("libsvtav1", ".mkv", 128, 96, options={"preset": "12", "g": "20"}),
    "mpeg1": Film("mpeg1video", ".mpg", options={"g": "12", "bf": "2"}),
    "mpeg2 in MPEG-TS": Film("mpeg2video", ".ts", options={"g": "12", "bf": "2"}),
    "mpeg4 in AVI": Film("mpeg4", ".avi", options={"g": "12"}),
    "mpeg4 with B-frames in AVI": Film("mpeg4", ".avi", options={"g": "12", "bf": "2"}),
    "motion JPEG": Film("mjpeg", ".avi", format="yuvj420p", count=20),
    "GIF": Film("gif", ".gif", format="rgb8", count=20),
    "variable frame rate": Film(stamps=[i * 400 + (i * i % 7) * 50 + (i > 30) * 9000 for i in range(60)]),
    "late first picture": Film(stamps=[20_000 + i * 512 for i in range(60)], options={"bf": "0"}),
    "odd size": Film(width=97, height=63, format="yuv444p"),
    "turned": Film(rotation=-90, count=20),
    "one picture": Film(count=1),
    "fragments": Film(container={"movflags": "frag_keyframe+empty_moov"}, options={"g": "10"}),
    "an edit list": Film(
        stamps=[512 * i - 2560 for i in range(60)], container={"avoid_negative_ts": "disabled"}
    ),
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(jobs=1) as pool:
        yield pool


def check(decoder: Decoder, path: Path, samplings: tuple[Sampling, ...] = ALL) -> Footage:
    """Every view must hold what a plain decode shows at the times that the sampling means."""
    footage = decoder.read(path, samplings)
    assert footage.coverage.complete, footage.coverage
    times, frames = plain(path)
    start = Fraction(footage.facts.start).limit_denominator(1_000_000_000)
    clock = np.array([float(t - start) for t in times])
    assert footage.facts.duration is not None
    for sampling in samplings:
        view = footage.view(sampling)
        shown = np.array([int(np.abs(clock - t).argmin()) for t in view.times])
        assert np.abs(clock[shown] - view.times).max() < 1e-6
        for number, frame in zip(shown, view.frames, strict=True):
            np.testing.assert_array_equal(frame, frames[number])
    if isinstance(samplings[0], Uniform):
        count, length = samplings[0].count, footage.facts.duration
        exact = Fraction(length).limit_denominator(1_000_000_000)
        wanted = [times[0] + Fraction(2 * i + 1, 2 * count) * exact for i in range(count)]
        expected = [max(0, sum(time <= t for time in times) - 1) for t in wanted]
        assert footage.view(samplings[0]).times.tolist() == pytest.approx(clock[expected].tolist(), abs=1e-6)
    return footage


@pytest.mark.parametrize("name", FILMS)
def test_pictures_equal_a_plain_decode(decoder: Decoder, tmp_path: Path, name: str) -> None:
    check(decoder, shoot(tmp_path / "film", FILMS[name])).close()


REAL = sorted(p.name for p in (Path(DATA) / "videos").iterdir() if p.suffix != ".tsv") if DATA else []
UNREADABLE = {
    "bad_video.mp4": "is cut off or damaged: the index (moov) is missing",
    "result.webm": "is empty (0 bytes)",
    "sample_fragmented_clearkey.mp4": "is encrypted",
    "video_dovi_3840x2160_30fps_dav1_10.mp4": "has a picture in a format that no decoder here knows",
}


@pytest.mark.skipif(not DATA, reason="needs TAGLINE_TEST_DATA")
@pytest.mark.parametrize("name", REAL)
def test_real_files_equal_a_plain_decode(decoder: Decoder, name: str) -> None:
    assert DATA
    path = Path(DATA) / "videos" / name
    if name in UNREADABLE:
        with pytest.raises(Unreadable) as error:
            decoder.read(path, ALL)
        assert str(error.value) == UNREADABLE[name]
    elif path.stat().st_size < 900_000:  # keeps the suite short; the rest differs in length only
        check(decoder, path).close()
    else:
        footage = decoder.read(path, (Uniform(4, side=64), Sound()))
        assert footage.coverage.complete
        footage.close()


@pytest.mark.parametrize("name", ["h264 with B-frames", "vp9", "mpeg4 with B-frames in AVI"])
def test_a_view_does_not_depend_on_what_else_is_asked(decoder: Decoder, tmp_path: Path, name: str) -> None:
    path = shoot(tmp_path / "film", FILMS[name])
    asked: tuple[Sampling, ...] = (*ALL, Uniform(3, side=32), PerSecond(9.0, most=12, side=20), Sound())
    together = decoder.read(path, asked)
    for sampling in asked[:-1]:
        alone = decoder.read(path, (sampling,))
        np.testing.assert_array_equal(alone.view(sampling).times, together.view(sampling).times)
        np.testing.assert_array_equal(alone.view(sampling).frames, together.view(sampling).frames)
        assert alone.facts == together.facts


def test_damage_changes_nothing_that_it_does_not_touch(decoder: Decoder, tmp_path: Path) -> None:
    """The same holds for a damaged file, however differently its pictures are reached."""
    path = shoot(tmp_path / "film", Film(count=100, options={"g": "25", "bf": "2"}))
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(3)
    start, end = content.index(b"mdat") + 4, content.rindex(b"moov") - 4
    for place in rng.integers(start, end, 12):
        content[place] ^= 0xFF
    path.write_bytes(content)
    asked: tuple[Sampling, ...] = (Uniform(5), PerSecond(3.0), Windows(2, 4, 0.08))
    together = decoder.read(path, asked)
    for sampling in asked:
        alone = decoder.read(path, (sampling,)).view(sampling)
        np.testing.assert_array_equal(alone.times, together.view(sampling).times)


def test_what_a_file_says_of_itself(decoder: Decoder, tmp_path: Path) -> None:
    film = Film(
        rotation=-90,
        count=50,
        sound="aac",
        colour=(9, 18),
        metadata={"title": "A\x1b[31m day\nout", "creation_time": "2021-05-06T07:08:09Z"},
    )
    facts = decoder.read(shoot(tmp_path / "film", film), (Uniform(1),)).facts
    assert (facts.width, facts.height, facts.rotation) == (64, 96, 90)
    assert facts.fps == 25
    assert facts.codec == "h264"
    assert facts.colour == "bt2020 hlg"
    assert facts.duration == pytest.approx(2.0)
    assert facts.has_sound
    assert facts.title == "A [31m day out"
    assert facts.created == "2021-05-06T07:08:09+00:00"


def test_turned_pictures_stand_upright(decoder: Decoder, tmp_path: Path) -> None:
    """The file says by how much a player turns counterclockwise; what it stores is the picture unturned."""
    for angle in (0, 90, -90, 180):
        film = Film(rotation=angle, count=5)
        footage = decoder.read(shoot(tmp_path / f"film{angle}", film), (Uniform(1),))
        seen = footage.view(Uniform(1)).frames[0].astype(int)
        filmed = np.rot90(picture(film, 2), angle // 90).astype(int)
        assert seen.shape == filmed.shape
        assert np.abs(seen - filmed).mean() < 12


@pytest.mark.parametrize(("size", "side", "result"), [((96, 64), 32, (32, 48)), ((64, 96), 32, (48, 32))])
def test_the_shorter_side_is_scaled_down(
    decoder: Decoder, tmp_path: Path, size: tuple[int, int], side: int, result: tuple[int, int]
) -> None:
    path = shoot(tmp_path / "film", Film(width=size[0], height=size[1], count=9))
    small, same = Uniform(3, side=side), Uniform(3, side=999)
    footage = decoder.read(path, (small, same, Uniform(3)))
    assert footage.view(small).frames.shape == (3, *result, 3)
    np.testing.assert_array_equal(footage.view(same).frames, footage.view(Uniform(3)).frames)
    whole = footage.view(same).frames.mean(axis=(1, 2))
    assert footage.view(small).frames.mean(axis=(1, 2)) == pytest.approx(whole, abs=3)


@pytest.mark.parametrize(
    "kind", [("aac", ".mp4"), ("libopus", ".webm"), ("mp2", ".ts"), ("pcm_s16le", ".mov")]
)
def test_sound_lies_on_the_clock_of_the_pictures(
    decoder: Decoder, tmp_path: Path, kind: tuple[str, str]
) -> None:
    codec = "libvpx" if kind[1] == ".webm" else "libx264"
    path = shoot(tmp_path / "film", Film(codec, kind[1], sound=kind[0], count=75))
    every = PerSecond(25.0, most=1000)
    footage = decoder.read(path, (every, Sound()))
    assert footage.coverage.sound == "read"
    assert footage.sound is not None
    assert footage.sound.dtype == np.float32
    heard = beeps(footage) - footage.view(every).times[0]
    assert heard[:6] == pytest.approx(np.arange(0, 3, 0.5), abs=0.005)


def beeps(footage: Footage) -> Any:
    """Seconds at which a beep begins."""
    assert footage.sound is not None
    loud = np.flatnonzero(np.abs(footage.sound) > 0.2) / 16_000 + footage.sound_start
    return loud[np.flatnonzero(np.diff(loud, prepend=-1) > 0.2)]


def test_late_sound_and_gaps_in_it(decoder: Decoder, tmp_path: Path) -> None:
    film = Film(suffix=".mkv", sound="pcm_s16le", sound_from=0.9, sound_gap=(1.2, 1.9), count=75)
    footage = decoder.read(shoot(tmp_path / "film", film), (Sound(),))
    assert footage.sound is not None
    assert footage.sound_start == pytest.approx(0.9, abs=0.002)
    assert beeps(footage)[:3] == pytest.approx([1.0, 2.0, 2.5], abs=0.005)


def test_no_sound_is_not_the_same_as_unreadable_sound(decoder: Decoder, tmp_path: Path) -> None:
    silent = decoder.read(shoot(tmp_path / "silent", Film(count=5)), (Uniform(1), Sound()))
    assert (silent.coverage.sound, silent.sound, silent.coverage.complete) == ("absent", None, True)
    path = shoot(tmp_path / "broken", Film(suffix=".mkv", count=25, sound="aac"))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"A_AAC", b"A_ZZZ"))
    broken = decoder.read(path, (Uniform(1), Sound()))
    assert broken.coverage.sound == "unreadable"
    assert not broken.coverage.complete
    assert any("sound missing" in note for note in broken.coverage.notes)
    assert decoder.read(path, (Uniform(1),)).coverage.sound == "not asked"


def test_shots_are_found(decoder: Decoder, tmp_path: Path) -> None:
    path = shoot(tmp_path / "film", Film(count=200, scenes=4))
    view = decoder.read(path, (PerShot(),)).view(PerShot())
    assert view.times.tolist() == pytest.approx([1, 3, 5, 7], abs=0.2)


def test_what_is_cut_off_is_said_not_made_up(decoder: Decoder, tmp_path: Path) -> None:
    path = shoot(tmp_path / "film", Film(count=100, container={"movflags": "faststart"}))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    footage = decoder.read(path, (Uniform(10),))
    view, coverage = footage.view(Uniform(10)), footage.coverage
    assert coverage.wanted == 10
    assert 0 < coverage.read == len(view.times) == len(view.frames) < 10
    assert f"{10 - coverage.read} of 10 frames unreadable" in coverage.notes
    times, frames = plain(path)
    for moment, frame in zip(view.times, view.frames, strict=True):
        number = int(np.abs(np.array(times, float) - moment).argmin())
        np.testing.assert_array_equal(frame, frames[number])


def test_a_view_too_big_for_memory_is_scaled_down_and_says_so(tmp_path: Path) -> None:
    path = shoot(tmp_path / "film", Film(count=20))
    with Decoder(jobs=1, limits=Limits(view_bytes=20_000)) as decoder:
        footage = decoder.read(path, (Uniform(8), Uniform(1, side=32)))
    assert footage.view(Uniform(8)).frames.nbytes <= 20_000
    assert footage.view(Uniform(1, side=32)).frames.shape == (1, 32, 48, 3)
    assert any("scaled down" in note for note in footage.coverage.notes)
