"""Reply: what a decoder's child answers, checked before anything of it is used.

A child that a file has taken over may answer whatever it likes. What is believed is what an honest one
could have said about this order: sizes within the limits and within the bytes that came, times that are
finite, in order and inside the video, texts of bounded length without control characters, nothing more.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import numpy as np

from tagline.experts.decode.limits import Limits
from tagline.experts.footage import (
    MAX_LOOKS,
    SOUND_RATE,
    Changes,
    Coverage,
    Facts,
    Footage,
    PerSecond,
    PerShot,
    Pictures,
    Sampling,
    Sound,
    Uniform,
    Unreadable,
    View,
    Windows,
)

TEXT = 500  # characters of a title or a reason
NOTES, NOTE = 20, 300  # notes of one video, characters of each
HEAD = 64 << 10  # bytes of an answer, beside the times of its pictures
TIME = 32  # bytes that one time may take in JSON
NUMBER = 1 << 53  # whole numbers up to here are what they say, in JSON as everywhere else
SOUND_STATES = ("not asked", "read", "absent", "partly", "unreadable")
HEARD = ("read", "partly")
SLACK = 0.001  # seconds, of rounding

_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)


class NonsenseReply(Exception):
    """An answer that no honest child gives. The message says what is wrong with it, in a few words."""


def clean_metadata(text: str | None, most: int = TEXT) -> str | None:
    """Text from a file without control characters, on one line, of bounded length; None: nothing is left."""
    return _UNSAFE.sub(" ", text or "").strip()[:most] or None


def longest(samplings: Sequence[Sampling]) -> int:
    """Bytes that an answer to these samplings may have."""
    return HEAD + TIME * sum((1 + isinstance(one, Changes)) * most_frames(one) for one in samplings)


def most_frames(sampling: Sampling) -> int:
    """How many frames a sampling can give."""
    if isinstance(sampling, Uniform):
        return sampling.count
    if isinstance(sampling, PerSecond | PerShot):
        return max(1, sampling.most)
    if isinstance(sampling, Changes):
        return MAX_LOOKS
    return 0 if isinstance(sampling, Sound) else sampling.count * sampling.length


def parsed(message: bytes) -> dict[str, Any]:
    """The JSON object that a child sent. Raises NonsenseReply."""
    try:
        found = json.loads(message.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise NonsenseReply("it is no JSON") from None
    return _table(found, "the answer")


def refusal_of(reply: dict[str, Any]) -> Unreadable:
    """Why the child did not read the file. Raises NonsenseReply if it does not say."""
    if "unreadable" not in reply:
        raise NonsenseReply("neither a video nor a reason")
    return Unreadable(_text(reply["unreadable"], 2 * TEXT, "the reason") or "could not be decoded")


def footage_of(
    path: str | os.PathLike[str],
    samplings: Sequence[Sampling],
    limits: Limits,
    reply: dict[str, Any],
    fd: int,
) -> Footage:
    """Footage over the memory behind `fd`, which stays the caller's to close. Raises NonsenseReply."""
    memory = mapped(fd, limits.footage_bytes + (1 << 20))
    facts = _facts(_table(reply.get("facts"), "facts"), limits)
    pictures = [sampling for sampling in samplings if not isinstance(sampling, Sound)]
    listed = reply.get("views")
    if not isinstance(listed, list) or len(listed) != len(pictures):
        raise NonsenseReply("other views than were asked for")
    views: dict[Any, View] = {
        sampling: _view(memory, _table(view, "a view"), sampling, facts, limits)
        for sampling, view in zip(pictures, listed, strict=True)
    }
    if sum(view.frames.nbytes for view in views.values()) > limits.footage_bytes:
        raise NonsenseReply("more pictures than the limit")
    sound, start = _sound(memory, reply.get("sound"), limits)
    frames = sum(len(view.times) for view in views.values())
    coverage = _coverage(_table(reply.get("coverage"), "coverage"), frames, sum(map(most_frames, pictures)))
    if (sound is not None) != (coverage.sound in HEARD) or (sound is not None and Sound() not in samplings):
        raise NonsenseReply("sound that is there and is not")
    return Footage(os.fspath(path), facts, views, sound, start, coverage)


def preview_of(reply: dict[str, Any], fd: int, most: int) -> bytes:
    """The MP4 that a child made. Raises NonsenseReply."""
    size = _whole(reply.get("size"), most, "the size")
    content = bytes(mapped(fd, most))
    if len(content) != size or content[4:8] != b"ftyp":
        raise NonsenseReply("a preview that is none")
    return content


def picture_of(reply: dict[str, Any], fd: int, limits: Limits) -> Pictures:
    """A single picture: uint8 [H, W, 3]. Raises NonsenseReply."""
    memory = mapped(fd, 3 * limits.pixels)
    shape = reply.get("shape")
    if not isinstance(shape, list) or len(shape) != 3 or shape[2] != 3:
        raise NonsenseReply("a shape")
    height, width, _ = (_whole(side, NUMBER, "a shape") for side in shape)
    if not 0 < height * width <= limits.pixels:
        raise NonsenseReply("a picture beyond the limit")
    picture: Pictures = _array(memory, np.uint8, 0, (height, width, 3))
    return picture


def mapped(fd: int, most: int) -> mmap.mmap | bytes:
    """The memory behind a descriptor, read-only; from here on nobody changes it or its size."""
    try:
        import fcntl

        if hasattr(fcntl, "F_ADD_SEALS"):
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        size = os.fstat(fd).st_size
        if size > most:
            raise NonsenseReply(f"{size} bytes, more than the limit")
        # Older kernels map what is sealed only as somebody's own; nothing is copied until somebody writes.
        return mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) if size else b""
    except OSError:
        raise NonsenseReply("memory that cannot be read") from None


def _facts(said: dict[str, Any], limits: Limits) -> Facts:
    duration = said.get("duration")
    width, height = (_whole(said.get(name), NUMBER, name) for name in ("width", "height"))
    if width * height > limits.pixels or (width == 0) != (height == 0):
        raise NonsenseReply("a picture beyond the limit")
    created = _text(said.get("created"), 64, "a date")
    if created is not None:
        try:
            datetime.fromisoformat(created)
        except ValueError:
            raise NonsenseReply("a date that is none") from None
    rotation = said.get("rotation")
    if _whole(rotation, 270, "a rotation") % 90:
        raise NonsenseReply("a rotation that is none")
    if type(said.get("has_sound")) is not bool:
        raise NonsenseReply("has_sound")
    return Facts(
        duration=None if duration is None else _number(duration, 0.0, limits.duration * 2, "a duration"),
        width=width,
        height=height,
        fps=_rate(said.get("fps")),
        codec=_text(said.get("codec"), 40, "a codec") or "",
        rotation=int(rotation),  # type: ignore[arg-type]
        colour=_text(said.get("colour"), 40, "a colour") or "",
        has_sound=said["has_sound"],
        title=_text(said.get("title"), TEXT, "a title"),
        created=created,
        start=_number(said.get("start", 0.0), -1e12, 1e12, "a start"),
        comment=_text(said.get("comment"), TEXT, "a comment"),
    )


def _rate(said: Any) -> Fraction | None:
    if said is None:
        return None
    if not isinstance(said, list) or len(said) != 2:
        raise NonsenseReply("a frame rate")
    above, below = (_whole(part, NUMBER, "a frame rate") for part in said)
    if not above or not below:
        raise NonsenseReply("a frame rate")
    return Fraction(above, below)


def _view(
    memory: mmap.mmap | bytes, said: dict[str, Any], sampling: Sampling, facts: Facts, limits: Limits
) -> View:
    shape = said.get("shape")
    if not isinstance(shape, list) or len(shape) != 4 or shape[3] != 3:
        raise NonsenseReply("a shape")
    count, height, width, _ = (_whole(side, NUMBER, "a shape") for side in shape)
    if count > most_frames(sampling):
        raise NonsenseReply("more frames than were asked for")
    if (
        height * width > limits.pixels
        or height * width == 0
        or 3 * count * height * width > limits.view_bytes
    ):
        raise NonsenseReply("pictures beyond the limit")
    frames = _array(memory, np.uint8, _whole(said.get("place"), NUMBER, "a place"), (count, height, width, 3))
    together = sampling.length if isinstance(sampling, Windows) else count
    times = _times(said.get("times"), count, together, facts, limits)
    if not isinstance(sampling, Changes):
        return View(frames, times)
    until = _times(said.get("until"), count, count, facts, limits)
    if (until < times).any() or (until[:-1] > times[1:] + SLACK).any():
        raise NonsenseReply("pictures that stay too long")
    return View(frames, times, until, _number(said.get("interval"), 1e-6, limits.duration, "an interval"))


def _times(said: Any, count: int, together: int, facts: Facts, limits: Limits) -> np.ndarray[Any, Any]:
    """Seconds [count], in order within each `together` of them, and all within the length of the video."""
    if not isinstance(said, list) or len(said) != count or (together and count % together):
        raise NonsenseReply("times that do not go with the frames")
    length = limits.duration if facts.duration is None else facts.duration
    times = np.array([_number(moment, -SLACK, limits.duration * 2, "a time") for moment in said], np.float64)
    if count:
        if (np.diff(times.reshape(-1, together), axis=1) < 0).any():
            raise NonsenseReply("times that run backward")
        if times.max() - times.min() > length + SLACK:
            raise NonsenseReply("times beyond the end")
    times.flags.writeable = False
    return times


def _sound(memory: mmap.mmap | bytes, said: Any, limits: Limits) -> tuple[Any, float]:
    """(float32 [S] or None, its first second)."""
    if said is None:
        return None, 0.0
    said = _table(said, "sound")
    samples = _whole(said.get("samples"), int(limits.sound_seconds * SOUND_RATE) + 1, "the sound's length")
    start = _number(said.get("start"), -limits.duration, limits.duration, "the sound's start")
    sound = _array(memory, np.float32, 0, (samples,))
    # The ends of its range are not finite if any sample is not.
    if samples and not (math.isfinite(sound.min()) and math.isfinite(sound.max())):
        raise NonsenseReply("sound that is not a number")
    return sound, start


def _coverage(said: dict[str, Any], frames: int, most: int) -> Coverage:
    wanted, read = _whole(said.get("wanted"), most, "wanted"), _whole(said.get("read"), most, "read")
    notes, sound = said.get("notes"), said.get("sound")
    if read != frames or read > wanted:
        raise NonsenseReply("counts that do not go with the frames")
    if sound not in SOUND_STATES:
        raise NonsenseReply("a state of sound that there is not")
    if not isinstance(notes, list) or len(notes) > NOTES:
        raise NonsenseReply("notes")
    return Coverage(wanted, read, sound, [note for said in notes if (note := _text(said, NOTE, "a note"))])


def _array(memory: mmap.mmap | bytes, kind: Any, place: int, shape: tuple[int, ...]) -> Any:
    count = math.prod(shape)
    if count == 0:
        return np.zeros(shape, kind)
    if place % 4 or place + count * np.dtype(kind).itemsize > len(memory):
        raise NonsenseReply("more than was sent")
    array = np.frombuffer(memory, kind, count, place).reshape(shape)
    array.flags.writeable = False
    return array


def _table(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise NonsenseReply(what)
    return found


def _whole(found: Any, most: int, what: str) -> int:
    if type(found) is not int or not 0 <= found <= most:
        raise NonsenseReply(what)
    return found


def _number(found: Any, least: float, most: float, what: str) -> float:
    if type(found) not in (int, float) or not least <= found <= most:
        raise NonsenseReply(what)
    return float(found)


def _text(found: Any, most: int, what: str) -> str | None:
    if found is not None and (type(found) is not str or len(found) > most):
        raise NonsenseReply(what)
    return clean_metadata(found, most)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
