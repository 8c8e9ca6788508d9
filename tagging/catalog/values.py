"""What a value of the catalog may be. SQLite keeps anything in any column, and a catalog may be damaged or a
stranger's: where rows become records each value is checked, and a row with one that cannot be is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from tagline.experts.footage import Coverage
from tagline.experts.tags import Modality

LONGEST_TAG = 1_000  # characters; what is written is far shorter
LONGEST_TEXT = 64_000
LARGEST = 2**62
LATEST = 1e10  # seconds, and nobody's video is as long
DEEPEST = 50  # lists in lists

Kind = Callable[[Any], Any]  # gives the value as a record holds it, or raises BadValue
_SOUND = frozenset({"not asked", "read", "absent", "partly", "unreadable"})


class BadValue(ValueError):
    """A value that nothing of ours has written."""


def tag_text(value: Any) -> str:
    return _text(value, LONGEST_TAG)


def text(value: Any) -> str:
    return _text(value, LONGEST_TEXT)


def long_text(value: Any) -> str:
    """As long as a transcript."""
    return _text(value, 1 << 30)


def whole(value: Any) -> int:
    if type(value) is not int or abs(value) > LARGEST:
        raise BadValue("no whole number")
    return value


def row_id(value: Any) -> int:
    """Of a video; an index has room for so many."""
    if not 0 < whole(value) < 1 << 43:
        raise BadValue("no id")
    return int(value)


def flag(value: Any) -> bool:
    return bool(whole(value))


def number(value: Any) -> float:
    if type(value) not in (float, int) or not math.isfinite(value):
        raise BadValue("no number")
    return float(value)


def share(value: Any) -> float:
    """0 to 1"""
    if type(value) is float and 0.0 <= value <= 1.0:  # nearly always
        return value
    if not 0.0 <= number(value) <= 1.0:
        raise BadValue("no share")
    return float(value)


def seconds(value: Any) -> float:
    if type(value) is float and -LATEST <= value <= LATEST:  # nearly always
        return value
    if abs(number(value)) > LATEST:
        raise BadValue("no time")
    return float(value)


def modality(value: Any) -> Modality:
    try:
        return Modality(value)
    except (ValueError, TypeError) as error:
        raise BadValue("no modality") from error


def decision(value: Any) -> str:
    """What kind of verdict it is."""
    if value not in ("accept", "reject", "add", "rename", "merge", "alias"):
        raise BadValue("no verdict")
    return str(value)


def fraction(value: Any) -> Fraction:
    """ "30000/1001" """
    return _rate(_text(value, 60))


@lru_cache(maxsize=1_000)
def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise BadValue("no fraction") from error
    if not 0 <= rate <= 1_000_000:
        raise BadValue("no frame rate")
    return rate


def path(value: Any) -> str | bytes:
    """A name that is not UTF-8 is stored as its bytes."""
    if type(value) not in (str, bytes) or not 0 < len(value) <= LONGEST_TEXT:
        raise BadValue("no path")
    if ("\0" if isinstance(value, str) else b"\0") in value:
        raise BadValue("no path")
    return value  # type: ignore[no-any-return]


def floats(value: Any) -> bytes:
    """A vector, float32."""
    if (
        type(value) is not bytes
        or not value
        or len(value) % 4
        or not np.isfinite(np.frombuffer(value, "<f4")).all()
    ):
        raise BadValue("no vector")
    return value


def maybe(kind: Kind) -> Kind:
    """The same, or nothing."""
    return lambda value: None if value is None else kind(value)


def json_of(value: Any) -> Any:
    """What a text of JSON holds, not deeper than can be written again."""
    try:
        held = json.loads(long_text(value))
        _check_depth(held)
    except (ValueError, RecursionError) as error:
        raise BadValue("no JSON") from error
    return held


def notes(value: Any) -> list[str]:
    held = json_of(value)
    if not isinstance(held, list) or not all(isinstance(one, str) for one in held):
        raise BadValue("no list of sentences")
    return held


def facts(value: Any) -> dict[str, Any]:
    held = json_of(value)
    if not isinstance(held, dict):
        raise BadValue("no facts")
    return held


def coverage(value: Any) -> Coverage:
    held = facts(value)
    if set(held) - {"wanted", "read", "sound", "notes"}:
        raise BadValue("no coverage")
    found = Coverage(**held)
    sentences = isinstance(found.notes, list) and all(isinstance(note, str) for note in found.notes)
    if not sentences or found.sound not in _SOUND:
        raise BadValue("no coverage")
    whole(found.wanted), whole(found.read)
    return found


def _text(value: Any, most: int) -> str:
    if type(value) is not str or len(value) > most:
        raise BadValue("no text")
    return value


def _check_depth(held: Any) -> None:
    level = [held]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, list | dict)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise BadValue("too deep")
