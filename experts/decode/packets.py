"""What is decoded at all, and what is known of a stream before it is: allow-lists, packets, timestamps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,ogg,asf,mxf,gif,mp3,wav,flac,aac,aiff"

# Taken where a file's content does not show what it is, as FFmpeg does where it knows the name.
BY_SUFFIX = {
    **dict.fromkeys((".mp4", ".m4v", ".m4a", ".m4b", ".mov", ".qt", ".3gp", ".3g2", ".mj2"), "mov"),
    **dict.fromkeys((".mkv", ".mka", ".webm", ".weba"), "matroska"),
    **dict.fromkeys((".ts", ".mts", ".m2ts", ".m2t"), "mpegts"),
    **dict.fromkeys((".mpg", ".mpeg", ".vob"), "mpeg"),
    **dict.fromkeys((".ogg", ".ogv", ".oga", ".opus"), "ogg"),
    **dict.fromkeys((".asf", ".wmv", ".wma"), "asf"),
    **dict.fromkeys((".aif", ".aiff"), "aiff"),
    **{f".{name}": name for name in ("avi", "flv", "mxf", "gif", "mp3", "wav", "flac", "aac")},
}


def _codec_names(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


PICTURE_CODECS = _codec_names("""
    h264 hevc vp8 vp9 libdav1d av1 vvc mpeg1video mpeg2video mpeg4 h263 h263p h263i flv
    msmpeg4 msmpeg4v1 msmpeg4v2 wmv1 wmv2 wmv3 vc1 vp6 vp6f vp6a theora
    mjpeg mjpegb jpeg2000 gif png prores dnxhd dvvideo rawvideo ffv1 huffyuv ffvhuff utvideo qtrle
    svq1 svq3 cinepak indeo3 indeo4 indeo5
""")

SOUND_CODECS = _codec_names("""
    aac aac_latm mp1 mp1float mp2 mp2float mp3 mp3float ac3 ac3_fixed eac3 dca truehd mlp
    opus libopus vorbis libvorbis flac alac amrnb amrwb libopencore_amrnb libopencore_amrwb
    wmav1 wmav2 wmapro wmalossless adpcm_ima_wav adpcm_ima_qt adpcm_ms adpcm_swf
    nellymoser speex libspeex gsm gsm_ms qdm2 qdmc mace3 mace6
""")

# Where a timestamp belongs to one picture, and a keyframe is a place to start decoding from.
SEEKABLE_CODECS = _codec_names("h264 hevc vp8 vp9 libdav1d mpeg1video mpeg2video mpeg4 h263 theora gif")

# Where pictures that no other refers to can be left out; with other codecs that gave wrong pictures.
SKIPPABLE_CODECS = _codec_names("h264 hevc")


def sound_is_read(name: str) -> bool:
    return name in SOUND_CODECS or name.startswith("pcm_")


CLOCK_JUMP = 10  # seconds between one packet and the next that mean that the clock was set anew


@dataclass(slots=True)
class PacketTable:
    """The packets of the picture stream, in the order of decoding, without what is in them."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)  # decoded for others' sake, not shown: edit lists
    shifts: list[int] = field(default_factory=list)  # ticks to add, where the file's clock has jumped
    bytes: int = 0

    def __len__(self) -> int:
        return len(self.pts)

    def add(self, packet: Any, shift: int) -> None:
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        self.durations.append(packet.duration or 0)
        self.places.append(-1 if packet.pos is None else packet.pos)
        self.keys.append(bool(packet.is_keyframe))
        self.hidden.append(bool(packet.is_discard))
        self.shifts.append(shift)
        self.bytes += packet.size


@dataclass(slots=True)
class StreamClock:
    """The clock of broadcasts, which may jump in mid-file: what follows a jump is taken to go on."""

    jumps: bool  # whether files of this kind do that
    offset: Fraction = Fraction(0)  # seconds to add to what the file says
    last: Fraction | None = None

    def shift(self, packet: Any) -> Fraction:
        """Seconds to add to a packet's timestamps."""
        stamp = packet.pts if packet.dts is None else packet.dts
        if not self.jumps or stamp is None:
            return self.offset
        now = stamp * Fraction(packet.time_base)
        if self.last is not None and abs(now + self.offset - self.last) > CLOCK_JUMP:
            self.offset = self.last + Fraction(1, 25) - now
        self.last = now + self.offset
        return self.offset


def packets_of(container: Any, streams: list[Any]) -> Iterator[Any]:
    """All packets of some streams, without PyAV's empty ones that mark the end."""
    try:
        for packet in container.demux(streams):
            if packet.size:
                yield packet
    except IndexError:  # so PyAV ends where streams came up that were not there at the beginning
        return


def stamps_of(table: PacketTable, shown: list[int], base: Fraction, rate: Fraction | None) -> list[int]:
    """A timestamp for every shown packet, in the order of decoding.

    Packets without one get their decoding time, or a place at the average rate.
    """
    step = max(1, int(1 / (rate or 25) / base))
    stamps: list[int] = []
    for count, i in enumerate(shown):
        dts, pts = table.dts[i], table.pts[i]
        own = pts if pts is not None else dts
        stamps.append(count * step if own is None else own + table.shifts[i])
    return stamps


def in_upper_layer(packet: memoryview, settings: bytes) -> bool:
    """Whether an HEVC picture is above the lowest layer in time.

    packet: NAL units, each after its length (MP4, Matroska: settings begin with 1) or a start code.
    """
    lengths = (settings[21] & 3) + 1 if len(settings) > 22 and settings[0] == 1 else 0
    at = 0
    while True:
        if lengths:
            begin = at + lengths
            at = begin + int.from_bytes(packet[at:begin], "big")
        else:
            found = bytes(packet[at : at + 4096]).find(b"\0\0\1")
            begin = at = at + found + 3 if found >= 0 else len(packet)
        if begin + 1 >= len(packet):
            return False
        kind, layer = packet[begin] >> 1 & 63, packet[begin + 1] & 7
        if kind < 32:  # a slice of the picture; above are parameter sets and messages
            return layer > 1
