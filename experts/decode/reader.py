"""Reader: decodes one file with PyAV. Runs in the guarded child process only (see guard.py).

The packets of the picture stream are read first, all of them, without decoding: that gives the true
timeline. Then only what is wanted is decoded, in the cheapest way that is certain to be exact:

- "fast": from the newest keyframe before each wanted picture, past pictures that no other picture
  refers to. Every wanted picture must come out under its own timestamp, and every keyframe must
  turn out to be one; else
- "plain": everything from the beginning, by timestamps; else, where timestamps run backward
- "counted": everything, the n-th picture that comes out under the n-th timestamp in order (AVI stores
  the order of decoding, which with B-frames is not that of showing).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
from av.stream import Disposition

from tagline.experts.decode.packets import (
    BY_SUFFIX,
    CONTAINERS,
    PICTURE_CODECS,
    SEEKABLE_CODECS,
    SKIPPABLE_CODECS,
    SOUND_CODECS,
    PacketTable,
    StreamClock,
    in_upper_layer,
    packets_of,
    stamps_of,
)
from tagline.experts.decode.sampling import Timeline, lost
from tagline.experts.footage import Unreadable

CACHED_PACKETS = 128 << 20  # bytes of packets that are kept rather than read again
# Shares of a file's time: after the first no more sound is decoded, after the second no more packets are
# read. The rest is for the pictures, which an endless track of sound would leave none.
SOUND_SHARE, PACKET_SHARE = 0.5, 0.75
SOUND_ALONE = 5  # seconds of sound without a picture, after which the pictures count as over
SEEK_BEYOND = 4 << 20  # bytes; below that, reading on is cheaper


class NotExact(Exception):
    """This way of decoding cannot vouch for its pictures here: take the next."""


class OutOfTime(Exception):
    pass


@dataclass(slots=True)
class Rules:
    """What a file may be and cost; `Limits` of the decoder, as the child needs them."""

    pixels: int
    streams: int
    seconds: float  # after which what is there so far is handed over
    packets: int
    duration: float
    rate: float
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, limits: dict[str, Any], seconds: float) -> Rules:
        names = ("pixels", "streams", "packets", "duration", "rate")
        return cls(**{name: limits[name] for name in names}, seconds=seconds)

    def check_time(self, share: float = 1.0) -> None:
        """Raises OutOfTime once this share of the time is over."""
        if self.is_over(share):
            raise OutOfTime

    def is_over(self, share: float) -> bool:
        return time.monotonic() - self.started > share * self.seconds

    def check_size(self, width: int, height: int) -> None:
        if width * height > self.pixels:
            raise Unreadable(
                f"the picture is {width}x{height}, more than the limit of "
                f"{self.pixels / 1e6:.0f} million pixels"
            )


class File(NamedTuple):
    """An opened file. The name itself stays with the parent."""

    fd: int
    suffix: str = ""  # as its name has it, in small letters: ".mp4"


Take = Callable[[int, Any, int], None]  # (wanted tick, frame, tick of the frame): hand over one picture


class VideoReader:
    """One file. The timeline is known after `survey`; then `pictures` as often as needed."""

    def __init__(self, file: File, rules: Rules) -> None:
        self.file, self.rules = file, rules
        self.container = self._open()
        self.video = self._pick_picture()
        self.audio = next(iter(_by_default(self.container.streams.audio)), None)
        self.table = PacketTable()
        self.cached: list[Any] | None = []
        self.sound_end = Fraction(0)  # seconds
        self.errors = 0  # packets that could not be decoded, and ends of files that could not be read
        self.unread = False  # the file goes on after what was read of it
        self.mode = "plain"
        self.layered = False  # HEVC with layers in time: pictures nobody refers to are not marked reliably
        self._starts: dict[int, int] = {}

    def _open(self) -> Any:
        options = {
            "format_whitelist": CONTAINERS,
            "protocol_whitelist": "fd",
            "fd": str(self.file.fd),
            "codec_whitelist": ",".join(sorted(PICTURE_CODECS | SOUND_CODECS)) + ",pcm_s16le",
        }
        container = self._container(options, None)
        if len(container.streams) > self.rules.streams:
            raise Unreadable(
                f"has {len(container.streams)} streams, more than the limit of {self.rules.streams}"
            )
        for stream in container.streams.video:
            if stream.codec_context is not None:
                self.rules.check_size(stream.codec_context.width, stream.codec_context.height)
        return container

    def _container(self, options: dict[str, str], kind: str | None) -> Any:
        os.lseek(self.file.fd, 0, os.SEEK_SET)  # an earlier container has moved it
        try:
            return av.open("fd:", format=kind, options=options, metadata_errors="ignore")
        except av.error.InvalidDataError:
            by_name = BY_SUFFIX.get(self.file.suffix)
            if kind is not None or by_name is None:
                raise
            return self._container(options, by_name)

    def _pick_picture(self) -> Any:
        """The stream that a player shows: the first that is marked as the default. None: sound alone."""
        streams = [s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            if self.container.streams.audio:
                return None
            cover = " but a cover" if self.container.streams.video else ""
            raise Unreadable(f"has no picture{cover} and no sound")
        stream = next(iter(_by_default(streams)))
        codec = stream.codec_context
        if codec is None:
            raise Unreadable("has a picture in a format that no decoder here knows")
        if codec.name not in PICTURE_CODECS:
            raise Unreadable(
                f"has a picture in the format {codec.name}, which is not on the list of those read"
            )
        codec.thread_count = 1
        return stream

    def survey(self, hear: Callable[[Any, Fraction], None] | None) -> Timeline:
        """Read every packet once: the timeline of the pictures; sound goes to `hear` as it comes by.

        A file that goes on for too long is read up to there, if it has shown a picture by then.
        """
        streams = [self.video] + ([self.audio] if self.audio is not None else [])
        try:
            self._read_packets(streams, hear)
        except OutOfTime:
            if not len(self.table):
                raise
            self.unread = True
            if hear is not None:
                hear(None, Fraction(0))
        if not len(self.table):
            raise Unreadable("has no pictures in it")
        return self._timeline()

    def survey_sound(self, hear: Callable[[Any, Fraction], None] | None) -> None:
        """Read every packet of a file without pictures once; sound goes to `hear` as it comes by."""
        self._read_packets([self.audio], hear)

    def _read_packets(self, streams: list[Any], hear: Callable[[Any, Fraction], None] | None) -> None:
        clock = StreamClock(jumps=self.container.format.name in ("mpegts", "mpeg"))
        try:
            for number, packet in enumerate(packets_of(self.container, streams)):
                if number % 64 == 0:
                    self.rules.check_time(PACKET_SHARE if self.video is not None else 1.0)
                shift = clock.shift(packet)
                if self.video is not None and packet.stream_index == self.video.index:
                    self._note(packet, shift)
                    continue
                if self.video is None and number < 8 and packet.has_sidedata("encryption_info"):
                    raise Unreadable("is encrypted")
                if packet.pts is not None:
                    ends: Fraction = (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base)
                    self.sound_end = max(self.sound_end, ends + shift)
                if hear is not None:
                    hear(packet, shift)
        except av.error.FFmpegError:
            self.errors += 1  # the rest of the file cannot be read; what came before can
        if hear is not None:
            hear(None, clock.offset)

    def _note(self, packet: Any, shift: Fraction) -> None:
        if len(self.table) < 8 and packet.has_sidedata("encryption_info"):
            raise Unreadable("is encrypted")
        self.table.add(packet, round(shift / Fraction(packet.time_base)) if shift else 0)
        if self.video.codec_context.name == "hevc" and not self.layered:
            self.layered = in_upper_layer(memoryview(packet), self.video.codec_context.extradata or b"")
        if len(self.table) > self.rules.packets:
            raise Unreadable(f"has more than {self.rules.packets} pictures")
        if self.table.bytes > CACHED_PACKETS:
            self.cached = None
        if self.cached is not None:
            self.cached.append(packet)

    def _timeline(self) -> Timeline:
        table, base = self.table, Fraction(self.video.time_base)
        shown = [i for i in range(len(table)) if not table.hidden[i]] or list(range(len(table)))
        raw = [table.pts[i] for i in shown]
        stamps = stamps_of(table, shown, base, self.video.average_rate)
        if stamps != raw:
            self.mode = "counted"
        elif self._startable(raw):
            self.mode = "fast"
        last = max(range(len(shown)), key=lambda n: stamps[n])
        if (stamps[last] - min(stamps)) * base > self.rules.duration:
            raise Unreadable(
                f"says that it lasts {float((stamps[last] - min(stamps)) * base) / 86400:.0f} days"
            )
        pts = np.array(sorted(stamps), np.int64)
        stays = table.durations[shown[last]] or Timeline(pts, 0, base).usual
        stays = stays or int(1 / (self.video.average_rate or 25) / base)
        timeline = self._with_end(Timeline(pts, int(pts[-1]) + max(1, stays), base))
        if timeline.length * base > 2 * self.rules.duration:
            raise Unreadable(f"says that it lasts {float(timeline.length * base) / 86400:.0f} days")
        rate = len(pts) / max(base, (int(pts[-1]) - int(pts[0])) * base)
        if len(pts) > 100 and rate > self.rules.rate:
            raise Unreadable(f"says that it has {float(rate):.0f} pictures a second")
        return timeline

    def _with_end(self, timeline: Timeline) -> Timeline:
        """The timeline up to where the file says that it ends, should it break off before that."""
        if self.unread and self.sound_end - timeline.end * timeline.base > SOUND_ALONE:
            return timeline  # the pictures had ended before the reading did
        promised, packets = self.container.duration, len(self.table)
        if self.container.format.name.startswith("mov"):
            if self.video.frames <= packets * 1.02 + 1 or not self.video.duration:
                return timeline
            start = self.video.start_time or 0
            promise = start + self.video.duration
        elif promised is not None and not any(self.table.shifts):
            there = max(timeline.end * timeline.base, self.sound_end)
            promise = int(Fraction(promised + (self.container.start_time or 0), 1_000_000) / timeline.base)
            if promise * timeline.base - there < max(Fraction(2), there / 10):
                return timeline
        else:
            return timeline
        if promise <= timeline.end or (promise - timeline.first) * timeline.base > self.rules.duration:
            return timeline
        return Timeline(timeline.pts, promise, timeline.base, broken=timeline.end)

    def _startable(self, raw: Sequence[int | None]) -> bool:
        codec = self.video.codec_context
        reordered_avi = self.container.format.name == "avi" and codec.has_b_frames
        return codec.name in SEEKABLE_CODECS and not reordered_avi and len(set(raw)) == len(raw)

    # -- decoding ---------------------------------------------------------------------------------

    def pictures(
        self,
        timeline: Timeline,
        ticks: Sequence[int],
        take: Take,
        again: Callable[[], None] = lambda: None,
    ) -> None:
        """Hand over the picture for each tick (ascending, each once), in any order, through `take`.

        A tick whose picture was lost is never handed over. `take` may be called again for a tick;
        `again` is called before all of them are.
        """
        if timeline.broken is not None:
            ticks = [tick for tick in ticks if tick < timeline.broken]
        while ticks:
            try:
                if self.mode == "fast":
                    self._fast(timeline, ticks, take)
                else:
                    self._through(timeline, ticks, take, counted=self.mode == "counted")
                return
            except NotExact:
                self.mode = "counted" if self.mode == "plain" else "plain"
                again()

    def _fast(self, timeline: Timeline, ticks: Sequence[int], take: Take) -> None:
        table, codec = self.table, self.video.codec_context
        number_of = {table.pts[i]: i for i in range(len(table)) if not table.hidden[i]}
        asked: dict[int, list[int]] = {}  # number of a packet: the ticks that want its picture
        for tick in ticks:
            asked.setdefault(number_of[int(timeline.pts[timeline.shown(tick)])], []).append(tick)
        plan = sorted((self.start_for(i), i) for i in asked)
        walk = _Walk(self, asked, take)
        for start, number in plan:
            if number in walk.taken:
                continue
            if start > walk.position or walk.position > number or start < walk.begun:
                walk.jump(start)
            walk.decode_until(number)
        walk.drain()
        codec.skip_frame = "DEFAULT"
        if len(walk.taken) != len(asked):
            raise NotExact

    def start_for(self, number: int) -> int:
        """The newest keyframe from which a packet's picture can be decoded."""
        if number not in self._starts:
            self._starts[number] = self._find_start(number)
        return self._starts[number]

    def _find_start(self, number: int) -> int:
        table, pts = self.table, self.table.pts[number] or 0
        if all(table.keys) and self.video.codec_context.name in SKIPPABLE_CODECS:
            return 0  # a file without a list of its keyframes says that all are
        while number > 0:
            key = table.pts[number]
            if table.keys[number] and not table.hidden[number] and key is not None and key <= pts:
                return number
            number -= 1
        return 0

    def _through(self, timeline: Timeline, ticks: Sequence[int], take: Take, counted: bool) -> None:
        """Decode everything. A tick is answered once a later picture is there, or none will come."""
        pending = list(ticks)
        before: tuple[Any, int] | None = None  # the picture before, and when it is shown
        for count, frame in enumerate(self._all_frames()):
            stamp = int(timeline.pts[min(count, len(timeline.pts) - 1)]) if counted else frame.pts
            if stamp is None or (before is not None and stamp < before[1]):
                raise NotExact
            while pending and pending[0] < stamp:
                self._answer(timeline, pending.pop(0), *(before or (frame, stamp)), take)
            before = frame, stamp
            if not pending:
                return
        for tick in pending:
            if before is not None:
                self._answer(timeline, tick, *before, take)

    def _answer(self, timeline: Timeline, tick: int, frame: Any, stamp: int, take: Take) -> None:
        if not lost(timeline, tick, stamp):
            take(tick, frame, stamp)

    def _all_frames(self) -> Iterator[Any]:
        if self.video.codec_context.is_open:
            self._renew()
        for packet in self.packets(0):
            yield from self.decode(packet, forgiving=True)
        yield from self.decode(None, forgiving=True)

    def _renew(self) -> None:
        """A decoder without a past: what it does with damage depends on what it saw before."""
        self.container = self._open()
        self.video = self._pick_picture()
        self.errors = 0

    def decode(self, packet: Any, forgiving: bool = False) -> list[Any]:
        self.rules.check_time()
        try:
            frames = self.video.codec_context.decode(packet)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            self.errors += 1
            if not forgiving:
                raise NotExact from None
            return []
        for frame in frames:
            self.rules.check_size(frame.width, frame.height)
        return list(frames)

    def packets(self, start: int) -> Iterator[Any]:
        """The picture packets from number `start` on: kept ones, or read again from the file."""
        if self.cached is not None:
            yield from self.cached[start:]
            return
        table = self.table
        container, number = self.container, 0
        sure = container.format.name.startswith(("mov", "matroska"))
        container.seek(0, backward=True)
        if start and sure and table.places[start] > SEEK_BEYOND:
            with suppress(av.error.FFmpegError):
                at = table.dts[start] if table.dts[start] is not None else table.pts[start]
                container.seek(at, stream=self.video, backward=True)
                number = -1  # somewhere before `start`
        for packet in packets_of(container, [self.video]):
            if number < 0:
                if not self._is(packet, start):
                    continue
                number = start
            if number >= start:
                if number >= len(table) or not self._is(packet, number):
                    raise NotExact
                yield packet
            number += 1

    def _is(self, packet: Any, number: int) -> bool:
        table = self.table
        place = -1 if packet.pos is None else packet.pos
        return packet.pts == table.pts[number] and place == table.places[number]

    def close(self) -> None:
        self.container.close()


class _Walk:
    """A way through the packets with jumps to keyframes, for the fast mode."""

    def __init__(self, reader: VideoReader, asked: dict[int, list[int]], take: Take) -> None:
        self.reader, self.asked, self.take = reader, asked, take
        self.codec = reader.video.codec_context
        self.skips = self.codec.name in SKIPPABLE_CODECS and not reader.layered
        self.by_pts = {reader.table.pts[i]: i for i in asked}
        self.taken: set[int] = set()
        self.begun = self.position = len(reader.table) + 1  # nowhere yet
        self.source: Iterator[Any] = iter(())
        self.doubtful: int | None = None  # timestamp of a keyframe that has yet to show that it is one

    def jump(self, start: int) -> None:
        self.drain()
        if self.codec.is_open:
            self.codec.flush_buffers()
        self.begun = self.position = start
        self.source = self.reader.packets(start)
        self.doubtful = self.reader.table.pts[start] if start else None

    def decode_until(self, last: int) -> None:
        while self.position <= last:
            packet = next(self.source, None)
            if packet is None:
                raise NotExact
            # The packet after a wanted one may be the second field of the same picture.
            whole = self.position in self.asked or self.position - 1 in self.asked
            if self.skips:
                self.codec.skip_frame = "DEFAULT" if whole else "NONREF"
            self.position += 1
            self._receive(self.reader.decode(packet))

    def drain(self) -> None:
        """Get out what the decoder still holds back."""
        if self.begun <= len(self.reader.table) and self.begun < self.position:
            self._receive(self.reader.decode(None))

    def _receive(self, frames: list[Any]) -> None:
        for frame in frames:
            if frame.pts == self.doubtful:
                if not frame.key_frame:
                    raise NotExact
                self.doubtful = None
            number = self.by_pts.get(frame.pts)
            if number is None or number in self.taken:
                continue
            if self.begun > self.reader.start_for(number):
                continue  # a picture that needs what lies before the place we came in at
            if self.doubtful is not None:
                raise NotExact
            self.taken.add(number)
            for tick in self.asked[number]:
                self.take(tick, frame, frame.pts)


def _by_default(streams: Sequence[Any]) -> list[Any]:
    return sorted(streams, key=lambda s: (not s.disposition & Disposition.default, s.index))
