"""Lies: what a decoder's child may say that no honest one would, and a child that says as it is told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tagline.experts.footage import Sampling, Sound, Uniform, Windows

SAMPLINGS: tuple[Sampling, ...] = (Uniform(2), Windows(2, 2, 0.1), Sound())
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


def liar(folder: Path) -> Path:
    """The program of a child that does what its video says."""
    child = folder / "liar.py"
    child.write_text(LIAR, encoding="utf-8")
    return child


def said(answer: Any, memory: str = "memory(12288)") -> str:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return f"answer({text!r}.encode(), {memory})"


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

# What is no answer at all.
NO_ANSWERS = (
    json.dumps(but(views__0__times=[math.nan, 1.5])),
    json.dumps(but(facts__duration=math.inf)),
    json.dumps(honest()).replace("1.5", "1e999"),
    json.dumps(honest()).replace('"width": 6', f'"width": {"9" * 6000}'),
    "[" * 50_000,
    '{"facts": ' * 6_000 + "1" + "}" * 6_000,
    "[]",
    "7",
    "",
    "\x00",
)
