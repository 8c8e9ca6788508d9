"""Limits: what one file may cost the decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. Beyond that it is unreadable, with the reason in words."""

    seconds: float = 300.0  # of wall time, and of CPU time; what is there after 80 % of it is handed over
    seconds_per_mb: float = 2.0  # of the file, beside that: a film of two hours takes longer than a clip,
    most_seconds: float = 4 * 3600.0  # up to this
    memory: int = 3 * GIB  # of a child process, beyond what it starts with
    pixels: int = 36_000_000  # of one picture: 8192 x 4320 is allowed
    streams: int = 64
    packets: int = 5_000_000  # pictures of one video
    duration: float = 7 * 86400.0  # seconds
    rate: float = 10_000.0  # pictures a second
    sound_seconds: float = 6 * 3600.0  # sound after that is left out
    view_bytes: int = GIB  # of one sampling: bigger pictures are scaled down to fit
    changes_bytes: int = GIB // 2  # of one sampling by changes: more of them lie further apart
    footage_bytes: int = 4 * GIB  # of all samplings of one video, and its sound
    preview_bytes: int = 256 << 20
    stalled: float = 60.0  # seconds in which a child does nothing at all, after which it is given up
    files: int = 250  # after which a child is replaced, so that what FFmpeg leaks stays little
    ahead: int = 12  # videos decoded before they are asked for, at most
    ahead_bytes: int = GIB  # and no more of them once they are this big together

    def for_size(self, size: int) -> Limits:
        """The limits for a file of so many bytes."""
        more = min(self.seconds_per_mb * size / 1e6, max(0.0, self.most_seconds - self.seconds))
        return replace(self, seconds=self.seconds + more)


LIMITS = Limits()
