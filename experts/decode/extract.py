"""One file from packets to the frames and sound that were asked for. Runs in the guarded child only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import av
import numpy as np

from tagline.experts.decode.buffer import PAGE, FrameBuffer, SharedMemory, rotation, upright
from tagline.experts.decode.changes import Watcher, small_picture
from tagline.experts.decode.packets import sound_is_read
from tagline.experts.decode.reader import PACKET_SHARE, SOUND_SHARE, File, OutOfTime, Rules, VideoReader
from tagline.experts.decode.reply import NOTES, clean_metadata
from tagline.experts.decode.sampling import SHOT_SIDE, Timeline, shot_ticks, shots_of, ticks_of
from tagline.experts.decode.soundtrack import Samples, Soundtrack
from tagline.experts.footage import SOUND_RATE, Changes, PerShot, Sound, Unreadable

SHARE_OF_TIME = 0.8  # of the time limit: after that, what is there so far is handed over

PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 12: "p3"}
TRANSFER_CURVES = {16: "pq", 18: "hlg"}


def extract(
    file: File, samplings: list[Any], limits: dict[str, Any], store: SharedMemory, ffmpeg_log: list[str]
) -> dict[str, Any]:
    """Decode what is asked for into the store; returns what lies where, as JSON takes it.

    ffmpeg_log: is filled with what FFmpeg said while it opened the file.
    """
    reader = open_reader(file, Rules.of(limits, limits["seconds"] * SHARE_OF_TIME), ffmpeg_log)
    try:
        return _Extraction(reader, samplings, limits, store).run()
    finally:
        reader.close()


def open_reader(file: File, rules: Rules, ffmpeg_log: list[str]) -> VideoReader:
    """A reader on a file; what FFmpeg says meanwhile goes into `ffmpeg_log`."""
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # or the reason would depend on which file came before
    try:
        with av.logging.Capture() as captured:
            try:
                return VideoReader(file, rules)
            finally:
                ffmpeg_log += [text for _, _, text in captured[-100:]]
    finally:
        av.logging.set_level(None)


class _Extraction:
    def __init__(
        self, reader: VideoReader, samplings: list[Any], limits: dict[str, Any], store: SharedMemory
    ) -> None:
        self.reader, self.samplings, self.limits, self.memory = reader, samplings, limits, store
        self.views = [s for s in samplings if not isinstance(s, Sound)]
        self.fixed = [s for s in self.views if not isinstance(s, Changes)]
        self.watchers: dict[Changes, Watcher] = {}
        self.notes: list[str] = []
        self.track: Soundtrack | None = None
        self.buffer = FrameBuffer(store, 0, [], [])
        self.timeline: Timeline | None = None

    def run(self) -> dict[str, Any]:
        sound = self._hear()
        if self.reader.video is None:
            return self._sound_alone(sound)
        try:
            self.timeline = self.reader.survey(self.track)
            if self.track is not None:
                self.track.cut |= self.reader.unread
            shots = self._shots() if any(isinstance(s, PerShot) for s in self.views) else []
            wanted = [ticks_of(s, self.timeline, shots) for s in self.fixed]
            self.watchers = {s: Watcher(s, self.timeline) for s in self.views if isinstance(s, Changes)}
            place = 4 * self.track.length if self.track else 0
            self.buffer = FrameBuffer(self.memory, place, self.fixed, wanted)
            # Where only sound is asked for, one picture is still seen: without one it is no video.
            ticks = sorted({*self.buffer.ticks, *(t for w in self.watchers.values() for t in w.ticks)})
            self.reader.pictures(self.timeline, ticks or [self.timeline.first], self._take, self._again)
        except OutOfTime:
            self.notes.append(f"stopped after {self.reader.rules.seconds:.0f} s, the time limit")
            if self.buffer.size is None:
                raise Unreadable(f"took longer than {self.limits['seconds']:.0f} s") from None
        if self.buffer.size is None:
            raise Unreadable(
                f"has no picture that can be decoded ({len(self.reader.table)} are there, all damaged)"
            )
        return self._describe(sound)

    def _take(self, tick: int, frame: Any, stamp: int) -> None:
        if self.buffer.size is None:
            self._lay_out(frame)
        self.buffer.put(tick, frame, stamp)
        if any(tick in watcher.watched for watcher in self.watchers.values()):
            small = small_picture(frame)
            for watcher in self.watchers.values():
                watcher.see(tick, frame, stamp, small, self.memory)

    def _lay_out(self, frame: Any) -> None:
        most = self.limits["footage_bytes"]
        self.buffer.lay_out(frame, self.limits["view_bytes"], most)
        end = self.buffer.end
        if self.watchers:
            share = (most - end) // len(self.watchers) - PAGE
            share = min(share, self.limits["view_bytes"], self.limits["changes_bytes"])
            for watcher in self.watchers.values():
                end = watcher.lay_out(frame, end, share)

    def _again(self) -> None:
        for watcher in self.watchers.values():
            watcher.restart()

    def _hear(self) -> str:
        """Get ready for the sound; what is known of it beforehand."""
        stream = self.reader.audio
        if Sound() not in self.samplings:
            return "not asked"
        if stream is None:
            return "absent"
        codec = stream.codec_context
        if codec is None or not sound_is_read(codec.name):
            name = "a format that no decoder here knows" if codec is None else f"the format {codec.name}"
            self.notes.append(f"sound missing: it is in {name}")
            return "unreadable"

        def write(sample: int, samples: Samples) -> None:
            self.memory.write(4 * sample, samples)

        def too_late() -> bool:
            return self.reader.rules.is_over(SOUND_SHARE if self.reader.video is not None else 1.0)

        self.track = Soundtrack(stream, write, self.limits["sound_seconds"], too_late)
        return "read"

    def _shots(self) -> list[int]:
        assert self.timeline is not None
        small: dict[int, Any] = {}

        def take(tick: int, frame: Any, stamp: int) -> None:
            small[tick] = upright(frame, SHOT_SIDE)

        self.reader.pictures(self.timeline, sorted(set(shot_ticks(self.timeline))), take)
        ticks = sorted(small)
        return shots_of(ticks, np.stack([small[tick] for tick in ticks])) if ticks else []

    def _sound(self, state: str, zero: Fraction) -> tuple[str, dict[str, Any] | None]:
        """What became of the sound: (state, where it lies)."""
        track = self.track
        if state != "read" or track is None:
            return state, None
        if track.start is None:
            self.notes.append("sound missing: none of it could be decoded")
            return "unreadable", None
        if abs(track.start - zero) > self.reader.rules.duration:
            self.notes.append("sound missing: it begins days before or after the pictures")
            return "unreadable", None
        if track.errors or track.cut:
            cut = f"it goes on too long, and was cut after {spoken(track.length / SOUND_RATE)}"
            why = cut if track.cut else counted(track.errors, "damaged packet")
            self.notes.append(f"sound incomplete: {why}")
            state = "partly"
        return state, {"samples": track.length, "start": float(track.start - zero)}

    def _describe(self, state: str) -> dict[str, Any]:
        reader, canvas, timeline = self.reader, self.buffer, self.timeline
        assert timeline is not None
        zero = self._zero(timeline)
        if timeline.first * timeline.base - zero > reader.rules.duration:
            raise Unreadable("has pictures that begin days after its sound")
        sound, lies = self._sound(state, zero)
        stamps = canvas.close_gaps()
        watchers = self.watchers.values()
        wanted = sum(map(len, canvas.wanted)) + sum(watcher.wanted for watcher in watchers)
        read = sum(map(len, stamps)) + sum(len(watcher.looks) for watcher in watchers)
        if read < wanted:
            self.notes.append(f"{wanted - read} of {wanted} frames unreadable")
        if reader.unread:
            self.notes.append(
                f"the file goes on for longer than {PACKET_SHARE * reader.rules.seconds:.0f} s can read"
            )
        elif timeline.broken is not None:
            length, there = (
                timeline.length * timeline.base,
                (timeline.broken - timeline.first) * timeline.base,
            )
            self.notes.append(f"the file breaks off after {float(there):.1f} of {float(length):.1f} seconds")
        if reader.errors:
            self.notes.append(f"the file is damaged: {counted(reader.errors, 'packet')} could not be read")
        if canvas.shrunk:
            self.notes.append(f"pictures scaled down to {canvas.shrunk} pixels to fit into memory")
        if any(watcher.shrunk for watcher in watchers):
            self.notes.append("pictures scaled down to fit into memory")
        self.notes += sorted({looked_every(watcher) for watcher in watchers if watcher.wider})

        def seconds(ticks: list[int]) -> list[float]:
            return [float(min(max(t, timeline.first), timeline.end) * timeline.base - zero) for t in ticks]

        fixed = iter(zip(canvas.places, canvas.shapes, stamps, strict=True))
        views: list[dict[str, Any]] = []
        for sampling in self.views:
            if isinstance(sampling, Changes):
                views.append(_view_of(self.watchers[sampling], seconds))
                continue
            place, shape, kept = next(fixed)
            views.append({"place": place, "shape": [len(kept), *shape, 3], "times": seconds(kept)})
        return {
            "facts": self._facts(timeline, zero),
            "views": views,
            "sound": lies,
            "coverage": {"wanted": wanted, "read": read, "sound": sound, "notes": self.notes[:NOTES]},
            "mode": reader.mode,
        }

    def _sound_alone(self, state: str) -> dict[str, Any]:
        """A file without pictures: its sound, and of every view no frame."""
        reader, audio = self.reader, self.reader.audio
        if audio is None:
            raise Unreadable("has neither pictures nor sound")
        codec = audio.codec_context
        if codec is None or not sound_is_read(codec.name):
            name = "a format that no decoder here knows" if codec is None else f"the format {codec.name}"
            raise Unreadable(f"has no picture, and its sound is in {name}")
        # Where nobody listens, one frame of it is still decoded: without one there is nothing in the file.
        track = self.track or Soundtrack(audio, lambda sample, samples: None, 0)

        def hear(packet: Any, shift: Fraction) -> None:
            if self.track is not None or track.start is None:
                track(packet, shift)

        try:
            reader.survey_sound(hear)
        except OutOfTime:
            self.notes.append(f"stopped after {reader.rules.seconds:.0f} s, the time limit")
            track.cut = True
        if track.start is None:
            raise Unreadable("has no picture, and none of its sound could be decoded")
        start = audio.start_time * Fraction(audio.time_base) if audio.start_time is not None else Fraction(0)
        zero = max(Fraction(0), start)
        sound, lies = self._sound(state, zero)
        if 4 * (lies["samples"] if lies else 0) > self.limits["footage_bytes"]:
            raise Unreadable("gives more sound than the limit")
        seconds = max(Fraction(0), reader.sound_end - zero)  # by the packets, whether anybody listens or not
        if seconds > reader.rules.duration:
            raise Unreadable(f"says that it lasts {float(seconds) / 86400:.0f} days")
        if reader.errors:
            self.notes.append(f"the file is damaged: {counted(reader.errors, 'packet')} could not be read")
        tags = reader.container.metadata
        return {
            "facts": {
                "duration": float(seconds) or None,
                "width": 0,
                "height": 0,
                "fps": None,
                "codec": codec.codec.canonical_name,
                "rotation": 0,
                "colour": "",
                "has_sound": True,
                "title": clean_metadata(tags.get("title") or audio.metadata.get("title")),
                "created": _created(tags),
                "start": float(zero),
            },
            "views": [
                {"place": 0, "shape": [0, 1, 1, 3], "times": [], "until": [], "interval": 1.0}
                for _ in self.views
            ],
            "sound": lies,
            "coverage": {"wanted": 0, "read": 0, "sound": sound, "notes": self.notes[:NOTES]},
            "mode": "sound",
        }

    def _zero(self, timeline: Timeline) -> Fraction:
        """The file's own time of second 0: where a player's clock starts, picture or sound."""
        zero, audio = timeline.first * timeline.base, self.reader.audio
        if audio is not None and audio.start_time is not None:
            # Sound may begin a little below 0, with samples that only warm the decoder up.
            zero = min(zero, max(Fraction(0), audio.start_time * Fraction(audio.time_base)))
        return zero

    def _facts(self, timeline: Timeline, zero: Fraction) -> dict[str, Any]:
        reader, frame = self.reader, self.buffer.frame
        turned = rotation(frame)
        width, height = (frame.height, frame.width) if turned % 180 else (frame.width, frame.height)
        per_second = len(timeline.pts) / (
            ((timeline.broken or timeline.end) - timeline.first) * timeline.base
        )
        rate = reader.video.average_rate
        if not rate or not 0.95 < rate / per_second < 1.05:  # some headers say anything
            rate = per_second.limit_denominator(1001)
        codec = reader.video.codec_context
        tags = reader.container.metadata
        return {
            "duration": float(timeline.length * timeline.base),
            "width": width,
            "height": height,
            "fps": [rate.numerator, rate.denominator],
            "codec": codec.codec.canonical_name,
            "rotation": turned,
            "colour": _colour(codec.color_primaries, codec.color_trc),
            "has_sound": reader.audio is not None,
            "title": clean_metadata(tags.get("title") or reader.video.metadata.get("title")),
            "created": _created(tags),
            "start": float(zero),
            "comment": clean_metadata(tags.get("comment")),
        }


def _view_of(watcher: Watcher, seconds: Callable[[list[int]], list[float]]) -> dict[str, Any]:
    times, until = seconds(watcher.stamps), seconds(watcher.until)
    latest = [*times[1:], max(until, default=0.0)]
    return {
        "place": watcher.place,
        "shape": [len(watcher.looks), *watcher.shape, 3],
        "times": times,
        "until": [max(a, min(b, c)) for a, b, c in zip(times, until, latest, strict=True)],
        "interval": watcher.interval,
    }


def looked_every(watcher: Watcher) -> str:
    """The note on looks that lie further apart than was asked for."""
    return (
        f"looked every {watcher.interval:.1f} s instead of {watcher.sampling.interval:g} s: "
        "it changes more often than there is memory for"
    )


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"


def spoken(seconds: float) -> str:
    """90 seconds, 24 minutes, 6.0 hours."""
    if seconds < 120:
        return counted(round(seconds), "second")
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _colour(primaries: int, curve: int) -> str:
    return " ".join(filter(None, (PRIMARIES.get(primaries, ""), TRANSFER_CURVES.get(curve, ""))))


def _created(tags: dict[str, str]) -> str | None:
    """When it was filmed, ISO 8601; years before film, and clocks that were never set, do not count."""
    for name in ("com.apple.quicktime.creationdate", "creation_time", "date"):
        try:
            moment = datetime.fromisoformat(tags[name].strip())
        except (KeyError, ValueError):
            continue
        if moment.replace(tzinfo=moment.tzinfo or UTC) > datetime(1971, 1, 1, tzinfo=UTC):
            return moment.isoformat()
    return None
