"""The frame cache: whole files or none, and what is broken is found before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tagline.experts.decode.decoder
from tagline.experts.footage import Coverage, Facts, Footage, Uniform, Unreadable, View
from tagline.table.frame_cache import HEADER, BadFrames, FrameCache


def picture(count: int = 3, side: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, side, side)).astype(np.uint8)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    cache = FrameCache(3, 8, tmp_path)
    assert not cache.has("a")
    cache.write("a", picture())
    assert cache.has("a")
    assert np.array_equal(cache.read("a"), picture())
    assert isinstance(cache.read("a"), np.memmap)
    cache.write("a", picture(2, seed=1))  # a short video has fewer frames; a new version takes the place
    assert np.array_equal(FrameCache(3, 8, tmp_path).read("a"), picture(2, seed=1))


def test_other_samplings_lie_elsewhere(tmp_path: Path) -> None:
    FrameCache(3, 8, tmp_path).write("a", picture())
    assert not FrameCache(4, 8, tmp_path).has("a")
    assert not FrameCache(3, 16, tmp_path).has("a")


@pytest.mark.parametrize("harm", ["short", "long", "flipped", "magic", "empty", "gone"])
def test_harm_is_found(tmp_path: Path, harm: str) -> None:
    cache = FrameCache(3, 8, tmp_path)
    cache.write("a", picture())
    path = cache.path("a")
    data = bytearray(path.read_bytes())
    if harm == "flipped":
        data[HEADER.size + 100] ^= 1
    elif harm == "magic":
        data[0] ^= 1
    data = {"short": data[:-1], "long": data + b"x", "empty": bytearray()}.get(harm, data)
    path.write_bytes(data)
    if harm == "gone":
        path.unlink()
    again = FrameCache(3, 8, tmp_path)
    assert not again.has("a")
    with pytest.raises(BadFrames, match="train again"):
        again.read("a")
    again.write("a", picture())
    assert again.has("a")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FrameCache(3, 8, tmp_path)
    cache.write("a", picture())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        cache.write("a", picture(seed=1))
    assert np.array_equal(FrameCache(3, 8, tmp_path).read("a"), picture())
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [cache.path("a").name]


def test_frames_of_a_wrong_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not \\[T, 3, 8, 8\\]"):
        FrameCache(3, 8, tmp_path).write("a", picture(side=9))


class FakeDecoder:
    """Gives each file a grey of its own; `bad.mp4` cannot be read, `none.mp4` has no frames."""

    opened: list[str] = []  # noqa: RUF012

    def __init__(self, jobs: int | None = None) -> None:
        pass

    def __enter__(self) -> FakeDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_all(
        self, orders: Iterator[tuple[Path, tuple[Uniform, ...]]]
    ) -> Iterator[tuple[Path, Footage | Unreadable]]:
        for path, (sampling,) in orders:
            FakeDecoder.opened.append(path.name)
            if path.name == "bad.mp4":
                yield path, Unreadable("it is no video")
                continue
            count = 0 if path.name == "none.mp4" else sampling.count
            frames = np.full((count, 20, 10, 3), len(path.name), np.uint8)
            facts = Facts(1.0, 10, 20, None, "h264", 0, "", False)
            yield (
                path,
                Footage(
                    str(path), facts, {sampling: View(frames, np.arange(count) / 2)}, None, 0, Coverage()
                ),
            )


def test_each_video_is_decoded_once_and_what_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tagline.experts.decode.decoder, "Decoder", FakeDecoder)
    FakeDecoder.opened.clear()
    cache = FrameCache(3, 8, tmp_path)
    work = [(name, Path(f"{name}.mp4")) for name in ("a", "bad", "none", "bb")]
    found = {key: why for key, _, why in cache.fill(work)}
    assert found == {"a": None, "bad": "it is no video", "none": "no frame could be read", "bb": None}
    assert np.array_equal(cache.read("bb"), np.full((3, 3, 8, 8), 6, np.uint8))  # "bb.mp4"
    assert not cache.has("bad")

    FakeDecoder.opened.clear()
    cache.path("bb").write_bytes(b"broken")
    assert {key: why for key, _, why in cache.fill(work)} == found
    assert FakeDecoder.opened == ["bad.mp4", "none.mp4", "bb.mp4"]  # again: what failed, and what broke
