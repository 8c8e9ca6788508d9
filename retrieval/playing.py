"""Opening a video in the player of this machine, at the moment that was found."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


class NoPlayer(Exception):
    """There is nothing here that plays videos. The message says what to install."""


def player(path: str, start: float) -> list[str]:
    """The command that plays a file from a second on: its words, never a line for a shell.

    mpv and VLC start at the moment; what the desktop opens otherwise starts at the beginning.
    """
    file = os.path.abspath(path)  # noqa: PTH100 (odd names stay as they are; it never begins with a dash)
    second = f"{max(start, 0.0):.3f}"
    for name, words in (
        ("mpv", [f"--start={second}", "--force-window=yes", "--", file]),
        ("vlc", [f"--start-time={second}", file]),
        ("xdg-open", [file]),
        ("open", [file]),  # macOS
    ):
        found = shutil.which(name)
        if found:
            return [found, *words]
    raise NoPlayer("no player was found; install mpv or VLC, or open the file yourself")


def play(path: str, start: float) -> list[str]:
    """Start the player and leave it alone. Returns the command."""
    if not Path(path).exists():
        raise NoPlayer("the file is not there any more; run `tagline tag` on its folder")
    words = player(path, start)
    subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it outlives the terminal's Ctrl-C
    )
    return words
