"""The frame cache: every training video is decoded once and then read as bytes, straight into a batch.

One file a video, named after its content and what was sampled. A file is written beside its place and
moved there when it is whole; its header holds a checksum, so what a full disk, a power cut or a bad cable
left behind is found when it is read, never trained on.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tagline.experts.footage import Footage, Uniform, Unreadable
from tagline.experts.storage import cache_home, open_atomic
from tagline.experts.vision.frames import Preparation

Frames = npt.NDArray[np.uint8]  # [T, 3, S, S], RGB

MAGIC = b"TAGFRAME"
VERSION = 1  # another way of sampling, scaling or storing is another version
HEADER = struct.Struct("<8sIIII")  # magic, version, frames, side, CRC-32 of the pixels


class BadFrames(Exception):
    """Frames that are not there or not whole. The message says which file and what to do."""


class FrameSource(Protocol):
    """Where a batch gets its frames from."""

    def read(self, key: str) -> Frames:
        """uint8 [T, 3, S, S], T from 1 to the count that was sampled; raises BadFrames."""


class FrameCache:
    """Frames of `count` uniform moments, shorter side scaled to `side` and the middle cut out."""

    def __init__(self, count: int, side: int, folder: Path | None = None) -> None:
        self.sampling = Uniform(count, side=side)
        self.count, self.side = count, side
        self.folder = (folder or cache_home() / "frames") / f"v{VERSION}-uniform{count}-{side}px"
        # As CLIP's own preprocessing: bicubic, the middle square.
        self.preparation = Preparation(size=(side, side), scale=side, interpolation="bicubic")
        self._checked: set[str] = set()

    def path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.frames"

    # -- reading -------------------------------------------------------------------------------------

    def read(self, key: str) -> Frames:
        """A view of the file's bytes, mapped into memory. The checksum is compared once in a process."""
        path = self.path(key)
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                header = HEADER.unpack(file.read(HEADER.size))
            magic, version, count, side, checksum = header
            whole = HEADER.size + count * 3 * side * side
            if (magic, version, side) != (MAGIC, VERSION, self.side) or not count or size != whole:
                raise BadFrames(f"{path} is no whole file of frames; train again and it is decoded anew")
            frames = np.memmap(path, np.uint8, "r", HEADER.size, (count, 3, side, side))
        except (OSError, struct.error) as error:
            raise BadFrames(f"the frames of {key} are not in the cache ({error}); train again") from error
        if key not in self._checked:
            if _checksum(frames) != checksum:
                raise BadFrames(f"{path} has changed since it was written; train again to decode it anew")
            self._checked.add(key)
        return frames

    def has(self, key: str) -> bool:
        """Whether the frames are here and whole."""
        try:
            self.read(key)
        except BadFrames:
            return False
        return True

    # -- writing -------------------------------------------------------------------------------------

    def write(self, key: str, frames: Frames) -> None:
        """Keep frames, uint8 [T, 3, S, S]: whole or not at all."""
        if frames.ndim != 4 or frames.shape[1:] != (3, self.side, self.side) or not len(frames):
            raise ValueError(f"frames of shape {frames.shape}, not [T, 3, {self.side}, {self.side}]")
        path = self.path(key)
        pixels = np.ascontiguousarray(frames, dtype=np.uint8)
        with open_atomic(path) as file:
            file.write(HEADER.pack(MAGIC, VERSION, len(pixels), self.side, _checksum(pixels)))
            file.write(pixels.data)
        self._checked.discard(key)

    def prepare(self, footage: Footage) -> Frames:
        """uint8 [T, H, W, 3] of the footage's view to uint8 [T, 3, S, S]."""
        found: Frames = self.preparation.fit(footage.view(self.sampling).frames).numpy()
        return found

    def fill(
        self, work: Iterable[tuple[str, Path]], *, jobs: int | None = None
    ) -> Iterator[tuple[str, Path, str | None]]:
        """Decode what is not here yet. Yields (key, path, None), or the reason why there are no frames."""
        from tagline.experts.decode.decoder import Decoder

        wanted: list[tuple[str, Path]] = []
        for key, path in work:
            if self.has(key):
                yield key, path, None
            else:
                wanted.append((key, path))
        if not wanted:
            return
        with Decoder(jobs=jobs) as decoder:
            orders = ((path, (self.sampling,)) for _, path in wanted)
            for (key, path), (_, result) in zip(wanted, decoder.read_all(orders), strict=True):
                yield key, path, self._keep(key, result)

    def _keep(self, key: str, result: Footage | Unreadable) -> str | None:
        if isinstance(result, Unreadable):
            return str(result)
        try:
            if not len(result.view(self.sampling).times):
                return "no frame could be read"
            self.write(key, self.prepare(result))
            return None
        finally:
            result.close()


class FramesInMemory:
    """Frames that are in memory anyway, as a source of batches."""

    def __init__(self, frames: Mapping[str, Frames]) -> None:
        self.frames = frames

    def read(self, key: str) -> Frames:
        if key not in self.frames:
            raise BadFrames(f"there are no frames of {key}")
        return self.frames[key]


def _checksum(frames: Frames) -> int:
    return zlib.crc32(frames.data)
