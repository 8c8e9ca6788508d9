"""A decoder's child that lies: its parent believes nothing that an honest one could not have said."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tagline.experts.decode import reply
from tagline.experts.decode.buffer import SharedMemory
from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import Limits
from tagline.experts.footage import Footage, PerSecond, Sound, Uniform, Unreadable, Windows

SAMPLINGS = (Uniform(2), Windows(2, 2, 0.1), Sound())
PICTURE = 4 * 6 * 3  # bytes
NOTHING: dict[str, Any] = {}

# It does what the file says, to which it adds nothing of tagline's: it starts in no time.
LIAR = """
import json, os, socket, struct, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
def exactly(size, fds):
    parts = b""
    while len(parts) < size:
        part, got, _, _ = socket.recv_fds(channel, size - len(parts), 1)
        fds += got
        if not part:
            sys.exit()
        parts += part
    return parts
def memory(size, content=b"", seal=os.MFD_ALLOW_SEALING):
    fd = os.memfd_create("footage", os.MFD_CLOEXEC | seal)
    os.ftruncate(fd, size)
    os.pwrite(fd, content, 0)
    return fd
def answer(message, *fds):
    socket.send_fds(channel, [struct.pack("=I", len(message))], list(fds))
    channel.sendall(message)
while True:
    fds = []
    order = json.loads(exactly(struct.unpack("=I", exactly(4, fds))[0], fds))
    exec(os.pread(fds[0], 1 << 20, 0))
"""


def honest() -> dict[str, Any]:
    """What an honest child says of a video of two seconds: sound, then two pictures, then four."""
    return {
        "facts": {
            "duration": 2.0,
            "width": 6,
            "height": 4,
            "fps": [25, 1],
            "codec": "h264",
            "rotation": 0,
            "colour": "",
            "has_sound": True,
            "title": None,
            "created": None,
            "start": 0.0,
        },
        "views": [
            {"place": 4096, "shape": [2, 4, 6, 3], "times": [0.5, 1.5]},
            {"place": 8192, "shape": [4, 4, 6, 3], "times": [0.4, 0.5, 0.4, 0.6]},
        ],
        "sound": {"samples": 100, "start": 0.0},
        "coverage": {"wanted": 6, "read": 6, "sound": "read", "notes": []},
        "mode": "fast",
    }


def but(**changes: Any) -> dict[str, Any]:
    """The honest answer with some values in the place of others: facts__width=5, views__0__place=-4."""
    answer = honest()
    for path, value in changes.items():
        *way, last = path.split("__")
        place: Any = answer
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        place[int(last) if isinstance(place, list) else last] = value
    return answer


HONEST = json.dumps(honest()).encode()


@pytest.fixture
def liar(tmp_path: Path) -> Path:
    child = tmp_path / "liar.py"
    child.write_text(LIAR)
    return child


def asked(liar: Path, deed: str, **limits: Any) -> Footage | Unreadable:
    """What becomes of a video whose child does this."""
    path = liar.with_name("video.mp4")
    path.write_text(deed)
    with Decoder(jobs=1, child=liar, limits=Limits(**{"seconds": 60, **limits})) as decoder:
        try:
            footage = decoder.read(path, SAMPLINGS)
        except Unreadable as reason:
            if "nonsense" in str(reason):
                assert not decoder._idle  # who lied once is not asked again
            return reason
        return footage


def said(answer: Any, memory: str = "memory(12288)") -> str:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return f"answer({text!r}.encode(), {memory})"


def test_what_an_honest_child_says_is_taken(liar: Path) -> None:
    footage = asked(liar, said(honest()))
    assert isinstance(footage, Footage)
    assert footage.view(SAMPLINGS[1]).frames.shape == (4, 4, 6, 3)
    assert footage.facts.fps == 25
    assert footage.coverage.complete


LIES: dict[str, dict[str, Any]] = {
    "a terabyte of pictures": but(views__0__shape=[2, 600_000, 600_000, 3]),
    "a terabyte in many pictures": but(views__0__shape=[1 << 30, 4, 6, 3]),
    "more pictures than were asked for": but(
        views__0__shape=[3, 4, 6, 3], views__0__times=[0.1, 0.2, 0.3], coverage__read=7, coverage__wanted=7
    ),
    "pictures beyond what was sent": but(views__1__place=12288 - PICTURE),
    "a place before all places": but(views__0__place=-4096),
    "a place between numbers": but(views__0__place=4097),
    "a place that is no number": but(views__0__place="4096"),
    "a place that is a fraction": but(views__0__place=4096.0),
    "a shape of truths": but(views__0__shape=[True, 4, 6, 3]),
    "a shape that overflows": but(views__0__shape=[1 << 62, 4, 6, 3]),
    "four colours": but(views__0__shape=[2, 4, 6, 4]),
    "a side of nothing": but(views__0__shape=[2, 0, 6, 3]),
    "times that are not numbers": but(views__0__times=["0.5", "1.5"]),
    "times that are true": but(views__0__times=[False, True]),
    "times that run backward": but(views__0__times=[1.5, 0.5]),
    "times that run backward in a window": but(views__1__times=[0.5, 0.4, 0.4, 0.6]),
    "times before the beginning": but(views__0__times=[-0.5, 0.5]),
    "times beyond the end": but(views__0__times=[0.5, 9.5]),
    "times in a thousand years": but(views__0__times=[3e10, 3e10]),
    "fewer times than pictures": but(views__0__times=[0.5]),
    "half a window": but(
        views__1__shape=[3, 4, 6, 3], views__1__times=[0.4, 0.5, 0.6], coverage__read=5, coverage__wanted=5
    ),
    "a view too many": {**honest(), "views": [*honest()["views"], honest()["views"][0]]},
    "views that are a table": but(views={}),
    "an hour of sound in a page": but(sound__samples=57_600_000),
    "more sound than the limit": but(sound__samples=1 << 40),
    "sound that began before all": but(sound__start=-1e300),
    "sound without a start": but(sound={"samples": 3}),
    "sound that is there and is not": but(coverage__sound="absent"),
    "a state of sound of its own": but(coverage__sound="lovely"),
    "a state of sound that cannot be looked up": but(coverage__sound=[]),
    "more read than wanted": but(coverage__wanted=3),
    "more read than came": but(coverage__read=5),
    "notes without an end": but(coverage__notes=["x"] * 10_000),
    "a note without an end": but(coverage__notes=["x" * 100_000]),
    "a note that is a table": but(coverage__notes=[{"a": 1}]),
    "coverage that is a list": {**honest(), "coverage": []},
    "a title without an end": but(facts__title="x" * 10_000),
    "a title that is a list": but(facts__title=["x"]),
    "a codec without an end": but(facts__codec="x" * 10_000),
    "a date that is none": but(facts__created="yesterday"),
    "a width below nothing": but(facts__width=-1),
    "a width that is a fraction": but(facts__width=6.5),
    "a picture of a gigapixel": but(facts__width=100_000, facts__height=10_000),
    "a rotation by a little": but(facts__rotation=7),
    "a rate without a second": but(facts__fps=[25, 0]),
    "a rate of three numbers": but(facts__fps=[25, 1, 1]),
    "a rate beyond all": but(facts__fps=[10**300, 1]),
    "a duration of a thousand years": but(facts__duration=3e10),
    "a duration below nothing": but(facts__duration=-1.0),
    "sound perhaps": but(facts__has_sound="perhaps"),
    "nothing at all": NOTHING,
    "facts that are a number": {"facts": 1},
    "a reason that is a table": {"unreadable": {"a": 1}},
    "a reason without an end": {"unreadable": "x" * 20_000},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_unreadable_file(liar: Path, lie: str) -> None:
    answer = LIES[lie]
    told = said(answer, *([] if "unreadable" not in answer else ["*[]"]))
    reason = asked(liar, told)
    assert isinstance(reason, Unreadable)
    assert str(reason).startswith("could not be decoded: the decoder answered nonsense (")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(but(views__0__times=[math.nan, 1.5])),
        json.dumps(but(facts__duration=math.inf)),
        json.dumps(but(views__0__times=[0.5, 1.5])).replace("1.5", "1e999"),
        json.dumps(but(facts__width=6)).replace('"width": 6', f'"width": {"9" * 6000}'),
        "[" * 50_000,
        '{"facts": ' * 6_000 + "1" + "}" * 6_000,
        "[]",
        "7",
        "",
        "\x00",
    ],
)
def test_what_is_no_answer_at_all_is_one_unreadable_file(liar: Path, text: str) -> None:
    assert "the decoder answered nonsense (" in str(asked(liar, said(text)))


@pytest.mark.parametrize(
    "deed",
    {
        "channel.sendall(struct.pack('=I', 200 << 20) + b' ' * (1 << 20)); time.sleep(60)": "a long answer",
        "answer(b'{}')": "no memory",
        "answer(b'x' * 9, *[memory(1) for _ in range(200)])": "many descriptors",
        "[socket.send_fds(channel, [b'\\x00'], [memory(1)]) for _ in range(4)]": "one with each byte",
        f"answer({HONEST!r}, fds[0])": "the video itself",
        f"answer({HONEST!r}, channel.fileno())": "its line",
        f"answer({HONEST!r}, memory(12288, b'', 0))": "memory that can change",
        f"answer({HONEST!r}, memory(1 << 45))": "a memory of 32 TiB",
        f"answer({HONEST!r}, memory(12288, struct.pack('=f', float('nan')) * 9))": "NaN",
    },
)
def test_what_comes_with_an_answer_is_checked_too(liar: Path, deed: str) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
    started = time.monotonic()
    assert "the decoder answered nonsense (" in str(asked(liar, deed))
    assert time.monotonic() - started < 50
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems seal no memory")
def test_what_was_handed_over_changes_no_more(tmp_path: Path) -> None:
    store = SharedMemory()
    store.write(0, np.zeros(12288, np.uint8))
    footage = reply.footage_of("x.mp4", SAMPLINGS, Limits(), honest(), store.fd)
    with pytest.raises(OSError, match=r"."):
        os.pwrite(store.fd, b"\xff", 4096)
    with pytest.raises(OSError, match=r"."):
        os.ftruncate(store.fd, 1 << 40)
    assert footage.view(SAMPLINGS[0]).frames.max() == 0
    store.close()


def test_texts_of_a_child_carry_no_signs_that_a_terminal_obeys(liar: Path) -> None:
    evil = "a\x1b]0;x\x07b\u202ec\nd\u200be\udc1bf"
    footage = asked(
        liar, said(but(facts__title=evil, facts__codec=evil, facts__colour=evil, coverage__notes=[evil]))
    )
    assert isinstance(footage, Footage)
    for text in (footage.facts.title, footage.facts.codec, footage.facts.colour, *footage.coverage.notes):
        assert text is not None
        assert text.isprintable()
        assert text.startswith("a")
    reason = asked(liar, f"answer({json.dumps({'unreadable': evil})!r}.encode())")
    assert str(reason).isprintable()


def test_a_preview_is_a_film_of_the_size_that_it_has(liar: Path) -> None:
    video = liar.with_name("video.mp4")
    film = "memory(99, b'....ftyp')"
    for memory, size in (("memory(99)", 99), (film, 98), (film, 1 << 40)):
        video.write_text(f"answer({json.dumps({'size': size, 'seconds': 1.0}).encode()!r}, {memory})")
        with Decoder(jobs=1, child=liar) as decoder, pytest.raises(Unreadable, match="nonsense"):
            decoder.preview(video, 0.0, 1.0)


def test_how_long_an_answer_may_be_depends_on_what_was_asked() -> None:
    times = [i / 7 for i in range(5_000)]
    assert len(json.dumps(times)) < reply.longest([PerSecond(9.0, most=5_000)]) - 60_000 < 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say what a process does")
@pytest.mark.parametrize(
    ("deed", "how"),
    [("os.kill(os.getpid(), 19)", "was stopped by somebody"), ("time.sleep(600)", "fell asleep")],
)
def test_a_child_that_does_nothing_is_given_up_long_before_the_time_limit(
    liar: Path, deed: str, how: str
) -> None:
    before = set(psutil.Process().children())
    reason = asked(liar, deed, seconds=500, stalled=1.0)
    assert str(reason).startswith(f"its decoder {how} and did nothing for ")
    assert set(psutil.Process().children()) <= before
