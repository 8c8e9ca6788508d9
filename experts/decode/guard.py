"""Guard: the child process in which files are decoded. The only process that loads FFmpeg.

It talks to its parent over one socket: an order comes in as JSON together with a descriptor of the opened
file, the answer goes out as JSON together with a descriptor of nameless memory that holds pictures and
sound. The child opens nothing itself, so the kernel can keep it from opening anything. Nothing that comes
from a file is ever unpickled, and what is in the memory is only ever read as numbers.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from tagline.experts import footage
from tagline.experts.decode import sandbox
from tagline.experts.footage import Sampling, Unreadable

SAMPLING_TYPES = {
    kind.__name__: kind
    for kind in (
        footage.Uniform,
        footage.PerSecond,
        footage.Changes,
        footage.Windows,
        footage.PerShot,
        footage.Sound,
    )
}
LENGTH = struct.Struct("=I")
PLAYLISTS = (
    b"#EXTM3U",
    b"ffconcat",
    b"<MPD",
    b"v=0",
    b"[playlist]",
    b"<asx",
    b"<smil",
    b"[InternetShortcut]",
)


Answer = tuple[dict[str, Any], int | None]  # what lies where, and the memory; or why not, and None


def main() -> None:
    serve(shut_in(), carry_out)


def serve(channel: socket.socket, carry_out: Callable[[dict[str, Any], int | None], Answer]) -> None:
    """Answer orders about opened files until the other side is gone."""
    while (got := receive(channel)) is not None:
        message, file = got
        order = json.loads(message)
        sandbox.limit_cpu(order["limits"]["seconds"])
        reply, fd = carry_out(order, file)
        send(channel, reply, fd)
        for done in (file, fd):
            if done is not None:
                os.close(done)


def load_decoder() -> None:
    """All that is ever needed: nothing can be loaded later, as nothing can be opened."""
    import av
    import av.subtitles.codeccontext
    import av.subtitles.stream
    import av.subtitles.subtitle
    import numpy.ma  # noqa: F401

    from tagline.experts.decode import preview as previewing  # noqa: F401

    av.codec.codecs_available  # noqa: B018


def shut_in(load: Callable[[], None] = load_decoder) -> socket.socket:
    """Load all that the work needs, then give up every right; the line to the parent.

    Arguments of the program: the socket's descriptor, the parent's process id, bytes of memory allowed.
    """
    channel = socket.socket(fileno=int(sys.argv[1]))
    sandbox.ignore_interrupts()
    sandbox.die_with(int(sys.argv[2]))
    load()
    sandbox.limit_memory(int(sys.argv[3]))
    sandbox.confine(keep=[channel.fileno()])
    return channel


def receive(channel: socket.socket) -> tuple[bytes, int | None] | None:
    """One message and the descriptor that came with it; None when the other side is gone."""
    fds: list[int] = []
    head = receive_exactly(channel, LENGTH.size, fds)
    message = None if head is None else receive_exactly(channel, LENGTH.unpack(head)[0], fds)
    return None if message is None else (message, fds[0] if fds else None)


def receive_exactly(channel: socket.socket, size: int, fds: list[int]) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part, got, _, _ = socket.recv_fds(channel, size - len(parts), 1)
        fds += got
        if not part:
            return None
        parts += part
    return bytes(parts)


def send(channel: socket.socket, reply: dict[str, Any], fd: int | None = None) -> None:
    message = json.dumps(reply).encode()
    socket.send_fds(channel, [LENGTH.pack(len(message))], [] if fd is None else [fd])
    channel.sendall(message)


def pack_samplings(samplings: tuple[Sampling, ...]) -> list[list[Any]]:
    """Samplings as JSON takes them: [kind, its values in order]."""
    return [[type(s).__name__, [getattr(s, name) for name in s.__dataclass_fields__]] for s in samplings]


def carry_out(order: dict[str, Any], file: int | None) -> Answer:
    """What becomes of one order about an opened file: (what lies where, descriptor), or (why not, None)."""
    import av

    from tagline.experts.decode.buffer import SharedMemory
    from tagline.experts.decode.extract import extract
    from tagline.experts.decode.preview import preview
    from tagline.experts.decode.reader import File

    assert file is not None
    video = File(file, order["suffix"])
    samplings = [SAMPLING_TYPES[name](*values) for name, values in order["samplings"]]
    store = SharedMemory()
    ffmpeg_log: list[str] = []  # by FFmpeg, while it opened the file
    try:
        if "preview" in order:
            return preview(video, order["preview"], order["limits"], store, ffmpeg_log), store.fd
        return extract(video, samplings, order["limits"], store, ffmpeg_log), store.fd
    except Unreadable as error:
        reason = str(error)
    except MemoryError:
        reason = f"needs more memory than the limit of {order['limits']['memory'] / 2**30:.1f} GB"
    except (av.error.FFmpegError, OSError) as error:
        reason = reason_not_opened(file, error, ffmpeg_log)
    except Exception as error:  # whatever a broken file brings about costs this file alone
        reason = f"cannot be decoded ({type(error).__name__}: {str(error)[:200]})"
    store.close()
    return {"unreadable": reason}, None


def reason_not_opened(file: int, error: Any, ffmpeg_log: list[str]) -> str:
    """Why a file could not be opened, from what it begins with and what FFmpeg said."""
    head = os.pread(file, 512, 0)
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(PLAYLISTS) or b"<MPD" in head:
        return "is a playlist, not a video"
    everything = " ".join(ffmpeg_log)
    if "ncrypt" in everything:
        return "is encrypted"
    if "moov atom not found" in everything:
        return "is cut off or damaged: the index (moov) is missing"
    if "max_streams" in everything:
        return "has too many streams"
    if "not on whitelist" in everything:
        return "is not a video of a kind that is read here"
    detail = ffmpeg_log[-1].strip() if ffmpeg_log else str(error.strerror or type(error).__name__)
    return f"is damaged, or not a video of a kind that is read here ({detail[:160]})"


if __name__ == "__main__":
    main()
