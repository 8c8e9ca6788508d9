"""Selftest: makes hostile files and checks what becomes of each: `tagline selftest --hostile`.

A case makes its files in a folder of its own, hands them to a real `Decoder` and says what went wrong;
nothing said is a pass. An honest file goes along with each: it must be read whatever the others do.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from tagline.experts.attacks import hostile
from tagline.experts.decode import syscalls
from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import Limits
from tagline.experts.footage import Footage, Sampling, Sound, Uniform, Unreadable

Check = Callable[[Path], str]
Result = tuple[str, str, bool, str]  # id of the attack, the case, passed?, what was seen
SAMPLINGS: tuple[Sampling, ...] = (Uniform(3, side=64), Sound())
LIMITS = Limits(seconds=20)


class Cases(list[tuple[str, str, Check]]):
    """Attacks of one kind: (id, the case, what carries it out in a folder of its own)."""

    def case(self, name: str, case: str) -> Callable[[Check], Check]:
        def note(check: Check) -> Check:
            self.append((name, case, check))
            return check

        return note


CASES = Cases()
attack = CASES.case


@dataclass
class Unexpected(Exception):
    """A case that came out wrong; the message says how."""

    message: str


def run_cases(workdir: Path, cases: Iterable[tuple[str, str, Check]]) -> Iterator[Result]:
    """Every case, in a folder of its own under `workdir`: (id, case, passed?, what was seen)."""
    for number, (attack, case, check) in enumerate(cases):
        folder = workdir / f"{number:02d}"
        folder.mkdir(parents=True)
        try:
            yield attack, case, True, check(folder)
        except Unexpected as wrong:
            yield attack, case, False, wrong.message
        except Exception as error:  # the selftest itself must come to its end
            yield attack, case, False, f"{type(error).__name__}: {error}"


def taken_over(folder: Path) -> list[Result]:
    """Each thing that a decoder's child tries when a video has taken it over, and what became of it."""
    from tagline.experts.attacks import intruder

    # Where the kernel filters nothing, what is left is to try what any program can do.
    found = intruder.outcomes(folder) if syscalls.offered() else intruder.plain_outcomes(folder)
    return [("A32", f"{outcome.deed}: {outcome.call}", outcome.passed, outcome.seen) for outcome in found]


def honest(folder: Path) -> Result:
    """An honest file alone."""
    try:
        decode_all(folder)
    except Unexpected as wrong:
        return "", "an honest video", False, wrong.message
    return "", "an honest video", True, "it was read"


def decode_all(folder: Path, *paths: Path, **options: Any) -> list[Footage | Unreadable]:
    """What becomes of each path; an honest file before and after must be read."""
    honest = hostile.honest_video(folder / "honest.mp4")
    with Decoder(jobs=1, **{"limits": LIMITS, **options}) as decoder:
        orders = [(path, SAMPLINGS) for path in (honest, *paths, honest)]
        results = [result for _, result in decoder.read_all(orders)]
    for result in (results[0], results[-1]):
        if isinstance(result, Unreadable):
            raise Unexpected(f"an honest file beside it was not read: {result}")
    return results[1:-1]


def refused(folder: Path, *paths: Path, because: str = "", **options: Any) -> str:
    """All of `paths` must fail with a reason that has `because` in it. Returns the reasons."""
    reasons: list[str] = []
    for path, result in zip(paths, decode_all(folder, *paths, **options), strict=True):
        if not isinstance(result, Unreadable):
            raise Unexpected(f"{path.name!r} was read")
        if because not in str(result):
            raise Unexpected(f"{path.name!r} failed for another reason: it {result}")
        reasons.append(str(result))
    return "; ".join(dict.fromkeys(reasons))


@contextmanager
def untouched(path: Path) -> Iterator[None]:
    """Fails if the file is read meanwhile, by its time of access (where the file system keeps one)."""
    os.utime(path, (1, 2))
    yield
    if path.stat().st_atime != 1:
        raise Unexpected(f"{path.name} outside was opened")


@contextmanager
def unvisited() -> Iterator[tuple[int, int]]:
    """(TCP port, UDP port) on loopback. Fails if anybody calls meanwhile."""
    calls: list[str] = []
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        for line in (tcp, udp):
            line.bind(("127.0.0.1", 0))
        tcp.listen()
        tcp.setblocking(False)
        udp.setblocking(False)
        yield tcp.getsockname()[1], udp.getsockname()[1]
        for line in (tcp, udp):
            try:
                line.accept() if line is tcp else line.recv(1)
                calls.append("called")
            except BlockingIOError:
                pass
    if calls:
        raise Unexpected("a packet left")


@attack("A1", "an HLS playlist that names a file outside")
def _hls(folder: Path) -> str:
    secret = hostile.honest_video(folder / "outside" / "secret.ts")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    paths = hostile.text_files(folder, text, "x.mp4", "x.m3u8")
    with untouched(secret):
        return refused(folder, *paths, because="playlist")


@attack("A2", "a DASH manifest that names a file outside")
def _dash(folder: Path) -> str:
    secret = hostile.honest_video(folder / "outside" / "secret.mp4")
    with untouched(secret):
        return refused(folder, *hostile.text_files(folder, hostile.dash(secret.as_uri()), "x.mp4", "x.mpd"))


@attack("A3", "a concat list that names a sibling")
def _concat(folder: Path) -> str:
    sibling = hostile.honest_video(folder / "sibling.mp4")
    with untouched(sibling):
        paths = hostile.text_files(folder, "ffconcat version 1.0\nfile sibling.mp4\n", "x.mp4", "x.ffconcat")
        return refused(folder, *paths, because="playlist")


@attack("A4", "playlists, manifests, SDP and concat lists that name an address")
def _network(folder: Path) -> str:
    with unvisited() as (tcp, udp):
        address = f"http://127.0.0.1:{tcp}/a.ts"
        texts = {
            "hls": f"#EXTM3U\n#EXTINF:9,\n{address}\n",
            "metadata": "#EXTM3U\n#EXTINF:9,\nhttp://169.254.169.254/latest/meta-data\n",
            "dash": hostile.dash(address),
            "concat": f"ffconcat version 1.0\nfile {address}\n",
            "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            f"m=video {udp} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
            "reference": f"[Reference]\nRef1={address}\n",
        }
        paths = [
            path for name, text in texts.items() for path in hostile.text_files(folder, text, f"{name}.mp4")
        ]
        return refused(folder, *paths)


@attack("A5", "names that mean something to a shell, a terminal or FFmpeg")
def _names(folder: Path) -> str:
    names = [
        b"-y.mp4",
        b"http:x.mp4",
        b"concat:a|b",
        b"f%03d.png",
        b"a\nb.mp4",
        b"\x1b[31mred.mp4",
        b"\xff\xfe not utf-8.mp4",
        b"n" * 251 + b".mp4",
        "\u202egpj.mp4".encode(),
        b"file:x.mp4",
        b"x.mp4?a=b#c",
        b"\"quo'te`$(x)`.mp4",
    ]
    content = hostile.honest_video(folder / "content.mp4").read_bytes()
    paths: list[Path] = []
    for name in names:
        path = folder / os.fsdecode(name)
        try:
            path.write_bytes(content)
        except OSError:
            continue  # this file system allows no such name, so no such file can come
        paths.append(path)
    for path, result in zip(paths, decode_all(folder, *paths), strict=True):
        if isinstance(result, Unreadable):
            raise Unexpected(f"{path.name!r} was not read: it {result}")
    return f"{len(paths)} of {len(names)} names were possible here, and read"


@attack("A6", "a picture of 15360x15360 in a small file")
def _huge(folder: Path) -> str:
    return refused(folder, hostile.huge_gif(folder / "huge.gif"), because="15360x15360")


@attack("A6", "a frame that is far bigger than its container says")
def _liar(folder: Path) -> str:
    return refused(folder, hostile.lying_vp8(folder / "lying.webm"), because="more than the limit")


@attack("A6", "a duration of years")
def _years(folder: Path) -> str:
    return refused(
        folder, hostile.timed(folder / "years.mkv", Fraction(400 * 86400), count=6), because="days"
    )


@attack("A6", "a million frames a second")
def _rate(folder: Path) -> str:
    path = hostile.timed(folder / "fast.mp4", Fraction(1, 1_000_000), count=150)
    return refused(folder, path, because="pictures a second")


@attack("A6", "10,000 streams")
def _streams(folder: Path) -> str:
    return refused(folder, hostile.many_streams(folder / "streams.mkv", 10_000), because="streams")


@attack("A6", "a picture that changes its size")
def _growing(folder: Path) -> str:
    parts = [hostile.honest_video(folder / f"{n}.ts", width=n, height=n).read_bytes() for n in (64, 128)]
    path = folder / "growing.ts"
    path.write_bytes(b"".join(parts))
    return refused(folder, path, because="changes its size")


@attack("A7", "files with nothing in them to see")
def _nothing(folder: Path) -> str:
    whole = hostile.honest_video(folder / "whole.mp4").read_bytes()
    for name, content in {
        "empty.mp4": b"",
        "cut.mp4": whole[: len(whole) // 2],
        "random.mp4": hostile.random_bytes(50_000),
        "text.mp4": b"just words\n" * 50,
    }.items():
        (folder / name).write_bytes(content)
    paths = [folder / name for name in ("empty.mp4", "cut.mp4", "random.mp4", "text.mp4")]
    paths.append(hostile.without_pictures(folder / "none.mp4"))
    return refused(folder, *paths)


@attack("A7", "sound without a picture, and with a cover only")
def _sound_only(folder: Path) -> str:
    paths = hostile.sound_only(folder / "sound.m4a"), hostile.cover_only(folder / "cover.mkv")
    for path, result in zip(paths, decode_all(folder, *paths), strict=True):
        if isinstance(result, Unreadable):
            raise Unexpected(f"{path.name!r} was not read: it {result}")
        if result.facts.has_pictures or result.sound is None:
            raise Unexpected(f"{path.name!r} was not taken for sound alone")
    return "heard, with no picture to look at"


@attack("A7", "an encrypted video")
def _encrypted(folder: Path) -> str:
    return refused(folder, hostile.encrypted(folder / "locked.mp4"), because="encrypted")


@attack("A8", "a decoder that crashes, and one that hangs")
def _crash(folder: Path) -> str:
    paths = [path for name in ("crash", "hang") for path in hostile.text_files(folder, name, f"{name}.mp4")]
    results = decode_all(
        folder, *paths, child=hostile.bad_child(folder / "child.py"), limits=Limits(seconds=6)
    )
    reasons = [str(result) for result in results]
    if "crashed" not in reasons[0] or "took longer than" not in reasons[1]:
        raise Unexpected(f"the reasons are {reasons}")
    return "; ".join(reasons)


@attack("A9", "attachments that are named as files elsewhere")
def _attachment(folder: Path) -> str:
    inside = folder / "in"
    inside.mkdir()
    path = hostile.with_attachment(inside / "x.mkv", "../written.txt")
    before = sorted(folder.rglob("*"))
    result = decode_all(inside, path)[0]
    if isinstance(result, Unreadable):
        raise Unexpected(f"the video around it was not read: it {result}")
    if new := set(folder.rglob("*")) - {*before, inside / "honest.mp4"}:
        raise Unexpected(f"it wrote {sorted(new)}")
    return "read; nothing was written"


@attack("A27", "a link in a circle, a pipe, a device, a socket, a folder")
def _no_files(folder: Path) -> str:
    circle, pipe, device, line = (folder / f"{name}.mp4" for name in ("circle", "pipe", "device", "line"))
    circle.symlink_to(circle)
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    (folder / "folder.mp4").mkdir()
    paths = [circle, pipe, device, folder / "folder.mp4"]
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.bind(os.path.relpath(line))  # such names may be 100 bytes long only
            paths.append(line)
        except OSError:
            pass
        return refused(folder, *paths)


@attack("A27", "a pipe that nobody writes to does not hold anything up")
def _pipe(folder: Path) -> str:
    pipe = folder / "pipe.mp4"
    os.mkfifo(pipe)
    done = threading.Event()

    def read() -> None:
        refused(folder, pipe, because="named pipe")
        done.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(30)
    if not done.is_set():
        raise Unexpected("it waits for the pipe")
    return "refused without opening it"
