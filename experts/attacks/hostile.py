"""Hostile: makes the files of the selftest. It encodes with PyAV; it never decodes."""

from __future__ import annotations

import random
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np


def honest_video(path: Path, *, codec: str = "", width: int = 64, height: int = 48, count: int = 12) -> Path:
    """An honest short video of a moving square."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    codec = codec or {".ts": "mpeg2video", ".webm": "libvpx", ".mkv": "libx264"}.get(path.suffix, "libx264")
    with av.open(str(path), "w") as container:
        _pictures(container, codec, width, height, count)
    return path


def _pictures(
    container: Any,
    codec: str = "libx264",
    width: int = 64,
    height: int = 48,
    count: int = 12,
    step: Fraction | None = None,
) -> None:
    """Pictures `step` seconds apart, whatever the codec thinks of that; None: 25 a second."""
    import av

    stream = container.add_stream(codec, rate=25)
    stream.width, stream.height = width, height
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    packets: list[Any] = []
    for number in range(count):
        picture = np.full((height, width, 3), 40, np.uint8)
        picture[height // 4 : height // 2, number % (width // 2) :][:, : width // 4] = (250, 200, 20)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += stream.encode(frame)
    for number, packet in enumerate([*packets, *stream.encode(None)]):
        if step is not None:
            packet.pts = packet.dts = number * step.numerator
            packet.time_base = Fraction(1, step.denominator)
        container.mux(packet)


def text_files(folder: Path, text: str, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.write_text(text)
    return paths


def dash(address: str) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT9S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        f"<BaseURL>{address}</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>"
    )


def random_bytes(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def huge_gif(path: Path, side: int = 15360) -> Path:
    """A GIF whose header promises an enormous picture."""
    size = struct.pack("<HH", side, side)
    screen = b"GIF89a" + size + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    picture = b"\x2c" + b"\0\0\0\0" + size + b"\0" + b"\x02\x02\x44\x01\0"
    path.write_bytes(screen + picture * 2 + b"\x3b")
    return path


def lying_vp8(path: Path) -> Path:
    """A small video in whose keyframes, not in whose container, an enormous size is written."""
    honest_video(path)  # VP8, as WebM
    content = path.read_bytes()
    start = b"\x9d\x01\x2a"
    path.write_bytes(
        content.replace(start + struct.pack("<HH", 64, 48), start + struct.pack("<HH", 16000, 16000))
    )
    return path


def timed(path: Path, step: Fraction, count: int) -> Path:
    """A video whose pictures are `step` seconds apart."""
    import av

    options = {"video_track_timescale": str(step.denominator)} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        _pictures(container, "mpeg4", count=count, step=step)
    return path


def many_streams(path: Path, count: int) -> Path:
    """A Matroska file with nothing but `count` tracks in it."""

    def element(name: int, body: bytes) -> bytes:
        return (
            name.to_bytes((name.bit_length() + 7) // 8, "big")
            + (len(body) | 1 << 56).to_bytes(8, "big")
            + body
        )

    head = element(0x1A45DFA3, element(0x4282, b"matroska") + element(0x4287, b"\4") + element(0x4285, b"\2"))
    size = element(0xE0, element(0xB0, b"\x40") + element(0xBA, b"\x30"))
    tracks = b"".join(
        element(
            0xAE,
            element(0xD7, n.to_bytes(2, "big"))
            + element(0x73C5, n.to_bytes(2, "big"))
            + element(0x83, b"\1")
            + element(0x86, b"V_VP8")
            + size,
        )
        for n in range(1, count + 1)
    )
    path.write_bytes(head + element(0x18538067, element(0x1654AE6B, tracks)))
    return path


def without_pictures(path: Path) -> Path:
    """A video file with a picture track and not one picture in it."""
    import av

    with av.open(str(path), "w", options={"movflags": "empty_moov"}) as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return path


def sound_only(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        _sound(container)
    return path


def long_sound(path: Path, seconds: float) -> Path:
    """Three pictures, and sound that goes on for long after them."""
    import av

    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48_000)  # before anything is written
        _pictures(container, "mpeg4", count=3)
        _sound(container, seconds, sound)
    return path


def _sound(container: Any, seconds: float = 0.5, stream: Any = None) -> None:
    import av

    stream = stream or container.add_stream("aac", rate=48_000)
    for first in range(0, int(seconds * 48_000), 1024):
        wave = 0.2 * np.sin(np.arange(first, first + 1024) * 0.06)[None]
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def cover_only(path: Path) -> Path:
    """Sound with a cover picture, as music has it."""
    import av

    cover = honest_video(path.with_suffix(".mjpeg.avi"), codec="mjpeg", count=1)
    with av.open(str(path), "w") as container:
        container.add_attachment("cover.jpg", "image/jpeg", _jpeg(cover.read_bytes()))
        _sound(container)
    cover.unlink()
    return path


def _jpeg(content: bytes) -> bytes:
    """The JPEG picture inside of something else."""
    return content[content.index(b"\xff\xd8\xff") : content.rindex(b"\xff\xd9") + 2]


def encrypted(path: Path) -> Path:
    import av

    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    with av.open(str(path), "w", options=key) as container:
        _pictures(container)
    return path


def with_attachment(path: Path, name: str) -> Path:
    import av

    with av.open(str(path), "w") as container:
        container.add_attachment(name, "text/plain", b"should never be written")
        _pictures(container)
    return path


def bad_child(path: Path) -> Path:
    """A decoding process that dies over a file that begins with "crash", and hangs over "hang"."""
    path.write_text("""
import json, os, signal, socket, sys, time
from tagline.experts.decode import guard, sandbox

sandbox.ignore_interrupts()
sandbox.die_with(int(sys.argv[2]))
channel = socket.socket(fileno=int(sys.argv[1]))
while (got := guard.receive(channel)) is not None:
    message, file = got
    begin = os.pread(file, 5, 0)
    if begin == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if begin == b"hang":
        time.sleep(3600)
    reply, fd = guard.carry_out(json.loads(message), file)
    guard.send(channel, reply, fd)
    for done in (file, fd):
        if done is not None:
            os.close(done)
""")
    return path
