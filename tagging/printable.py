"""Times and the names of videos, as sentences have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from tagline.experts.printable import safe as safe


def clock(seconds: float) -> str:
    """1:05, 1:02:03"""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def video_name(paths: Sequence[str], video_id: int) -> str:
    """What a video is called in a sentence: its file's name, or its id."""
    return safe(PurePath(paths[0]).name, 80) if paths else f"video {video_id}"
