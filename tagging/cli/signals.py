"""Signals: how a command is asked to end, and with which exit code it does."""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, from whoever runs services or shuts a machine down. It ends a command as Ctrl-C does."""


def end_in_order() -> None:
    """Let SIGTERM end this program by an exception, so that everything is closed on the way."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def exit_code(reason: BaseException | None) -> int:
    """The exit code of a command that was interrupted by this."""
    return TERMINATED if isinstance(reason, Terminated) else INTERRUPTED


def _terminated(number: int, frame: object) -> NoReturn:
    raise Terminated
