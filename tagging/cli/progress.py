"""What a run shows while it goes on, and the table at its end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from tagline.experts import printable
from tagline.experts.printable import safe
from tagline.tagging.pipeline.plan import duration, notices

if TYPE_CHECKING:
    from rich.console import Console

    from tagline.tagging.pipeline.progress import Progress, RunResult

EVERY = 10.0  # seconds between two lines where nothing can be drawn over
SHOWN = 20  # failures that the final table lists

# What an expert says that lacks its weights and nothing else: the sentence of registry.missing_sentence.
WEIGHTS_ABSENT = re.compile(
    r"not run: weights (?P<weights>.+) are not here; run `tagline models pull (?P<target>\S+)`"
)


class ProgressDisplay:
    """One line for the whole and one for the present stage, drawn over; plain lines where that cannot be.

    Everything goes to standard error; what failed is listed at the end.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or printable.console(stderr=True)
        self.quiet = quiet
        self._live: Live | None = None
        self._whole, self._stage = "starting", ""
        self._said = time.monotonic()

    def __enter__(self) -> ProgressDisplay:
        if not self.quiet and self.console.is_terminal:
            self._live = Live(self._drawn(), console=self.console, transient=True, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def stage(self, name: str, videos: int) -> None:
        """The panel's stage has changed: "reading", or an expert's name."""
        self._stage = "reading videos" if name == "reading" else f"{name}: {videos} at once"
        self._draw()

    def progress(self, progress: Progress) -> None:
        """One more file is done, or none yet."""
        if self.quiet:
            return
        self._whole = progress_line(progress)
        if self._live is not None:
            self._draw()
        elif time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            self.console.print(Text(self._whole), soft_wrap=True)

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._drawn())

    def _drawn(self) -> Text:
        return Text(f"{self._whole}\n{self._stage}", overflow="ellipsis", no_wrap=True)


def progress_line(progress: Progress) -> str:
    """The line for the whole run."""
    left = progress.left
    parts = [f"{progress.done}/{progress.total} files"]
    if progress.done:
        parts.append(f"{progress.per_minute:.0f} a minute")
    if left is not None and progress.done < progress.total:
        parts.append(f"{duration(left)} left")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.skipped:
        parts.append(f"{progress.skipped} copied or moved")
    return ", ".join(parts)


def _not_run_lines(not_run: Mapping[str, str]) -> Iterator[str]:
    """Why experts did not run; those that lack nothing but weights share one line, with what these cost, and
    so do those that lack the same library."""
    absent = {name: found for name, why in not_run.items() if (found := WEIGHTS_ABSENT.fullmatch(why))}
    if len(absent) > 1:
        weights = ", ".join(found["weights"] for found in absent.values())
        targets = " ".join(dict.fromkeys(found["target"] for found in absent.values()))
        names = ", ".join(absent)
        yield f"{names}: not run: weights {weights} are not here; run `tagline models pull {targets}`"
    others: dict[str, list[str]] = {}
    for name, reason in not_run.items():
        if len(absent) < 2 or name not in absent:
            others.setdefault(reason.replace(f"{name} needs", "needs"), []).append(name)
    for reason, experts in others.items():
        yield f"{', '.join(experts)}: {not_run[experts[0]] if len(experts) == 1 else reason}"


def print_result(outcome: RunResult, console: Console | None = None) -> None:
    """How the run ended: files, experts, failures with their reasons, and where to look next."""
    console = console or printable.console()
    made, progress = outcome.plan, outcome.progress

    def say(text: str) -> None:
        console.print(Text(safe(text)), soft_wrap=True)

    files = [f"{progress.tagged} tagged", f"{made.unchanged} unchanged"]
    if progress.skipped:
        files.append(f"{progress.skipped} copied or moved")
    files.append(f"{progress.failed + made.failed_before} failed")
    if outcome.stopped:
        files.append(f"{progress.total - progress.done} not reached")
    say(f"{', '.join(files)}, in {duration(outcome.seconds)}")

    if any(share.videos for share in outcome.experts.values()):
        grid = Table(box=None, pad_edge=False, header_style="")
        for title in ("expert", "videos", "tags", "failed", "seconds"):
            grid.add_column(title, justify="left" if title == "expert" else "right")
        for name, share in outcome.experts.items():
            row = (share.videos, share.tags, share.failed, f"{share.seconds:.1f}")
            grid.add_row(Text(safe(name)), *map(str, row))
        console.print(grid)
    for line in _not_run_lines(outcome.not_run):
        say(line)
    for message in outcome.messages:
        say(message)
    for line in notices(made):
        say(line)
    for path, expert, reason in outcome.failures[:SHOWN]:
        say(f"failed: {path}{f' ({expert})' if expert else ''}: {reason}")
    more = len(outcome.failures) - SHOWN
    if more > 0:
        say(f"and {more} more; `tagline tag --json` lists them")
    if made.failed_before:
        say(f"{made.failed_before} failed in an earlier run and were not tried again; --retry tries them")
    if outcome.stopped:
        say("stopped; the next run goes on from here")
    elif progress.tagged:
        say("`tagline show VIDEO` shows what is in one, `tagline tags list` what is in all")
