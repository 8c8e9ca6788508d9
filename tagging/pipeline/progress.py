"""How far a run is, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tagline.tagging.pipeline.plan import Plan

FAILURES_LISTED = 1_000  # failures that an outcome lists; the catalog holds all


@dataclass(slots=True)
class Progress:
    """How far a run is. Handed to `on_progress` after each file."""

    total: int
    done: int = 0  # files dealt with, however they ended
    tagged: int = 0
    failed: int = 0
    skipped: int = 0  # nothing to do after all: moved, or a copy of another
    path: str = ""  # the last one
    reason: str | None = None  # why it failed
    started: float = field(default_factory=time.monotonic)

    @property
    def per_minute(self) -> float:
        """Files a minute."""
        return 60 * self.done / max(time.monotonic() - self.started, 1e-9)

    @property
    def left(self) -> float | None:
        """Seconds to go, as far as one can tell."""
        if not self.done:
            return None
        return (time.monotonic() - self.started) * (self.total - self.done) / self.done


@dataclass(slots=True)
class ExpertTotals:
    """What one expert did in a run."""

    videos: int = 0
    tags: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class RunResult:
    """How a run ended."""

    plan: Plan
    progress: Progress
    experts: dict[str, ExpertTotals] = field(default_factory=dict)
    failures: list[tuple[str, str, str]] = field(default_factory=list)  # path, expert or "", reason
    messages: list[str] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    stopped: bool = False
    seconds: float = 0.0

    @property
    def partly(self) -> bool:
        """Whether something that should have been looked at was not."""
        made = self.plan
        failed = self.progress.failed or self.failures or made.failed_before
        return bool(failed or made.troubles or made.unreachable)
