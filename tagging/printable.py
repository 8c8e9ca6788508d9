"""Names and times as they may be shown: nothing in them can move a cursor, colour a line or turn it round."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import PurePath

# Cc: controls and escapes; Cf: right-to-left overrides, zero-width; Cs: bytes that were not UTF-8;
# Co, Cn: no agreed look; Zl, Zp: line breaks that are not \n.
UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
JOINERS = frozenset("\u200c\u200d")  # needed to spell Persian and Indic words and to join emoji


def safe(name: str | os.PathLike[str], limit: int | None = None) -> str:
    r"""The name with everything that a terminal might obey written as \x1b, \u202e or \xff.

    A backslash of the name itself stays as it is: the result is for reading, not for opening.
    With `limit`, the middle of a longer name is left out.
    """
    text = os.fspath(name)
    shown = "".join(
        _escape(c) if unicodedata.category(c) in UNSHOWABLE and c not in JOINERS else c for c in text
    )
    if limit is not None and len(shown) > limit:
        keep = max(limit - 1, 2)
        head = keep // 2
        shown = f"{shown[:head]}…{shown[-(keep - head) :]}"
    return shown


def clock(seconds: float) -> str:
    """1:05, 1:02:03"""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def video_name(paths: Sequence[str], video_id: int) -> str:
    """What a video is called in a sentence: its file's name, or its id."""
    return safe(PurePath(paths[0]).name, 80) if paths else f"video {video_id}"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode hands it over
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
