"""The reader in this process, for what cannot be seen from outside: which way it takes through a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filming import Film, plain, shoot

from tagline.experts.decode import packets, reader
from tagline.experts.decode.reader import File, Rules, VideoReader
from tagline.experts.decode.sampling import ticks_of
from tagline.experts.footage import Uniform


def rules() -> Rules:
    return Rules(pixels=10**6, streams=9, seconds=60, packets=10**6, duration=1e6, rate=1e4)


def look(path: Path, count: int = 5) -> tuple[VideoReader, dict[int, Any]]:
    opened = VideoReader(File(os.open(path, os.O_RDONLY)), rules())
    line = opened.survey(None)
    seen: dict[int, Any] = {}

    def take(tick: int, frame: Any, stamp: int) -> None:
        seen[tick] = (stamp, frame.to_ndarray(format="rgb24"))

    opened.pictures(line, ticks_of(Uniform(count), line), take)
    return opened, seen


@pytest.mark.parametrize(
    ("film", "mode"),
    [
        (Film(options={"g": "20"}), "fast"),
        (Film("libx265", options={"x265-params": "log-level=none:keyint=20"}), "fast"),
        (Film("libvpx-vp9", ".webm", options={"g": "20", "cpu-used": "8"}), "fast"),
        (Film("mpeg4", ".avi", options={"g": "12"}), "fast"),
        (Film("mpeg4", ".avi", options={"g": "12", "bf": "2"}), "plain"),
        (Film("libx264", ".avi", options={"bf": "3"}), "counted"),
        (Film("mjpeg", ".avi", format="yuvj420p"), "plain"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.codec + value.suffix,
)
def test_the_cheapest_way_that_is_exact(tmp_path: Path, film: Film, mode: str) -> None:
    opened, _ = look(shoot(tmp_path / "film", film))
    assert opened.mode == mode


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_a_file_too_big_to_keep_is_read_again_with_seeks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    path = shoot(tmp_path / "film", Film(codec, suffix, count=200, options={"g": "25"}, sound="mp2"))
    _, kept = look(path, 12)
    monkeypatch.setattr(reader, "CACHED_PACKETS", 0)
    monkeypatch.setattr(reader, "SEEK_BEYOND", 0)
    opened, again = look(path, 12)
    assert opened.cached is None
    assert opened.mode == "fast"
    assert kept.keys() == again.keys()
    for tick, (stamp, picture) in kept.items():
        assert again[tick][0] == stamp
        np.testing.assert_array_equal(again[tick][1], picture)


def test_keyframes_that_are_none_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may mark any packet as a keyframe; pictures that build on nothing must not be shown."""
    path = shoot(tmp_path / "film", Film("mpeg4", ".mkv", count=60, options={"g": "60"}))
    times, frames = plain(path)
    add = packets.PacketTable.add

    def lie(table: Any, packet: Any, shift: int) -> None:
        add(table, packet, shift)
        table.keys[-1] = len(table) % 7 == 1

    monkeypatch.setattr(packets.PacketTable, "add", lie)
    opened, seen = look(path)
    assert opened.mode == "plain"
    for stamp, picture in seen.values():
        number = min(range(len(times)), key=lambda n: abs(float(times[n]) - stamp / 1000))
        np.testing.assert_array_equal(picture, frames[number])


@pytest.mark.parametrize("starts", [(2_000_000, 0), (0, 2_000_000)])
def test_a_clock_that_starts_anew_goes_on(tmp_path: Path, starts: tuple[int, int]) -> None:
    """Two broadcasts after one another: the clock goes back, or far ahead, in mid-file."""
    parts = []
    for number, first in enumerate(starts):
        stamps = [first + 512 * i for i in range(50)]
        film = Film(suffix=".ts", count=50, stamps=stamps, options={"bf": "0", "g": "10"})
        parts.append(shoot(tmp_path / f"part{number}", film).read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    opened = VideoReader(File(os.open(path, os.O_RDONLY)), rules())
    line = opened.survey(None)
    assert len(line.pts) == 100
    assert float(line.length * line.base) == pytest.approx(4.0, abs=0.2)
    assert np.diff(line.pts).max() * line.base < 0.2


def test_hevc_layers_are_seen() -> None:
    mp4 = bytes([1, *[0] * 20, 0xFF, 0])  # lengths of four bytes

    def unit(kind: int, layer: int) -> bytes:
        return bytes([kind << 1, layer, 7, 7])

    def lengths(*units: bytes) -> memoryview:
        return memoryview(b"".join(len(u).to_bytes(4, "big") + u for u in units))

    def starts(*units: bytes) -> memoryview:
        return memoryview(b"".join(b"\0\0\0\1" + u for u in units))

    for wrap, settings in ((lengths, mp4), (starts, b"")):
        assert not packets.in_upper_layer(wrap(unit(39, 1), unit(1, 1)), settings)
        assert packets.in_upper_layer(wrap(unit(35, 1), unit(0, 2)), settings)
        assert not packets.in_upper_layer(wrap(unit(39, 3)), settings)
        assert not packets.in_upper_layer(memoryview(b"\0"), settings)
