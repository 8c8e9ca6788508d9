"""A segment of a video, or of sound alone, as a small MP4 (H.264, AAC). Runs in the guarded child only."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from tagline.experts.decode.buffer import SharedMemory, rotation, upright
from tagline.experts.decode.extract import open_reader
from tagline.experts.decode.packets import sound_is_read
from tagline.experts.decode.reader import File, OutOfTime, Rules, VideoReader
from tagline.experts.footage import Unreadable

TICKS = 90_000  # a second, of the pictures
HERTZ = 48_000  # of the sound
BLOCK = 1024  # samples that AAC takes at a time
FASTEST = Fraction(1, 30)  # seconds between pictures, at the least


def preview(
    file: File, wanted: dict[str, Any], limits: dict[str, Any], store: SharedMemory, ffmpeg_log: list[str]
) -> dict[str, Any]:
    """Write the stretch into the store; returns its size in bytes and its length in seconds.

    wanted: `start` and `seconds` on our clock, `zero` (the file's own time at second 0), `side` in pixels.
    """
    reader = open_reader(file, Rules.of(limits, limits["seconds"]), ffmpeg_log)
    try:
        return _Preview(reader, wanted, store).run()
    except OutOfTime:
        raise Unreadable(
            f"took longer than {limits['seconds']:.0f} s, too long to be shown as it is played"
        ) from None
    finally:
        reader.close()


class _Preview:
    def __init__(self, reader: VideoReader, wanted: dict[str, Any], store: SharedMemory) -> None:
        self.reader, self.store, self.side = reader, store, int(wanted["side"])
        self.start = Fraction(wanted["start"]) + Fraction(wanted["zero"])  # by the file's own clock
        self.seconds = Fraction(wanted["seconds"])
        self.sound: Any = None  # float32 [2, S] at HERTZ; None: the file has none that can be read
        self.heard = 0  # samples up to the last that were there
        self.packets: list[Any] = []
        self.pictures: Any = None  # the stream that is written
        self.size = (0, 0)
        self.last = -1  # tick of the last picture

    def run(self) -> dict[str, Any]:
        with av.open(_Sink(self.store.fd), "w", format="mp4") as out:
            before = None
            for frame, at in self._frames():
                if at >= self.start and before is not None:
                    self._encode_picture(
                        out, before, Fraction(0)
                    )  # what is on the screen when the stretch begins
                    before = None
                if at < self.start:
                    before = frame
                else:
                    self._encode_picture(out, frame, at - self.start)
            if before is not None:
                self._encode_picture(out, before, Fraction(0))
            if self.pictures is not None:
                self.packets += self.pictures.encode(None)
            elif self.reader.video is not None:
                raise Unreadable("has no picture there that can be decoded")
            elif not self.heard:
                raise Unreadable("has no sound there that can be decoded")
            self._encode_sound(out)
            for packet in sorted(self.packets, key=lambda p: p.dts * p.time_base):
                out.mux(packet)
        seconds = self.heard / HERTZ if self.reader.video is None else max(self.last, 0) / TICKS
        return {"size": os.fstat(self.store.fd).st_size, "seconds": seconds}

    def _frames(self) -> Iterator[tuple[Any, Fraction]]:
        """Pictures with their time, from somewhere before the start to the end; sound is put aside."""
        reader, video, audio = self.reader, self.reader.video, self.reader.audio
        if audio is not None and (audio.codec_context is None or not sound_is_read(audio.codec_context.name)):
            audio = None
        if audio is not None:
            audio.codec_context.thread_count = 1
            self.sound = np.zeros((2, int(self.seconds * HERTZ)), np.float32)
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=HERTZ)
        leading = audio if video is None else video
        if leading is None:
            return
        base, end = Fraction(leading.time_base), self.start + self.seconds
        if self.start > 1:
            try:
                reader.container.seek(int(self.start / base), stream=leading, backward=True)
            except av.error.FFmpegError:
                reader.container.seek(0, backward=True)
        late = 0
        for packet in reader.container.demux([s for s in (video, audio) if s is not None]):
            reader.rules.check_time()
            try:
                frames = packet.decode()
            except av.error.MemoryError:
                raise
            except (av.error.FFmpegError, ValueError):
                continue
            for frame in frames:
                at = None if frame.pts is None else frame.pts * Fraction(frame.time_base)
                if at is None:
                    continue
                late += at >= end + 1  # both streams have to come so far, or one of them twice
                if isinstance(frame, av.AudioFrame):
                    self._place_sound(resampler, frame, at)
                elif at < end:
                    reader.rules.check_size(frame.width, frame.height)
                    yield frame, at
            if late > 50:
                return

    def _encode_picture(self, out: Any, frame: Any, at: Fraction) -> None:
        tick = int(at * TICKS)
        if self.last >= 0 and tick - self.last < int(FASTEST * TICKS * 9 / 10):
            return
        picture = self._small(frame)
        if self.pictures is None:
            self.size = picture.width, picture.height
            options = {"preset": "ultrafast", "crf": "24", "threads": "1", "x264-params": "keyint=60"}
            self.pictures = out.add_stream("libx264", rate=30, options=options)
            self.pictures.width, self.pictures.height = self.size
            self.pictures.pix_fmt = "yuv420p"
            self.pictures.codec_context.time_base = Fraction(1, TICKS)
        if (picture.width, picture.height) != self.size:
            picture = picture.reformat(width=self.size[0], height=self.size[1])
        picture.pts, picture.time_base, self.last = tick, Fraction(1, TICKS), tick
        picture.pict_type = 0  # the file's own choice of keyframes is not ours
        self.packets += self.pictures.encode(picture)

    def _small(self, frame: Any) -> Any:
        """Upright, the shorter side at most `side` pixels, both sides even."""
        if rotation(frame):
            pixels = upright(frame, self.side)
            even = np.ascontiguousarray(pixels[: len(pixels) // 2 * 2, : pixels.shape[1] // 2 * 2])
            return av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p")
        share = min(1.0, self.side / min(frame.width, frame.height))
        width, height = (max(2, round(side * share / 2) * 2) for side in (frame.width, frame.height))
        return frame.reformat(width=width, height=height, format="yuv420p")

    def _place_sound(self, resampler: Any, frame: Any, at: Fraction) -> None:
        """Lay sound down where its timestamp says; what is missing stays silent."""
        frame.pts = None
        place = int((at - self.start) * HERTZ)
        for part in resampler.resample(frame):
            samples = np.nan_to_num(part.to_ndarray())
            first, last = max(place, 0), min(place + samples.shape[1], self.sound.shape[1])
            if first < last:
                self.sound[:, first:last] = samples[:, first - place : last - place]
                self.heard = max(self.heard, last)
            place += samples.shape[1]

    def _encode_sound(self, out: Any) -> None:
        if self.sound is None or not self.heard:
            return
        stream = out.add_stream("aac", rate=HERTZ, layout="stereo")
        stream.bit_rate = 96_000
        for first in range(0, self.heard, BLOCK):
            block = np.ascontiguousarray(self.sound[:, first : min(first + BLOCK, self.heard)])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = HERTZ, first, Fraction(1, HERTZ)
            self.packets += stream.encode(frame)
        self.packets += stream.encode(None)


class _Sink(io.RawIOBase):
    """A file over a descriptor of nameless memory: this process may not open files for writing."""

    def __init__(self, fd: int) -> None:
        self.fd, self.place = fd, 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest:
            done = os.pwrite(self.fd, rest, self.place)
            rest, self.place = rest[done:], self.place + done
        return size

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        end = os.fstat(self.fd).st_size
        self.place = place + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: end}[whence]
        return self.place

    def tell(self) -> int:
        return self.place
