"""What may be shown: nothing of it can move a cursor, colour a line or turn it round.

`guard_streams` puts the safety where everything passes by, on the standard streams: whatever a file's name, a
tag, a transcript or the text of an error holds, what a terminal, a pipe or a log gets is text. `console`
makes the one kind of rich console there is, which sends its own colours past that and its text through it.
"""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Cc: controls and escapes; Cf: right-to-left overrides, zero-width; Cs: bytes that were not UTF-8;
# Co, Cn: no agreed look; Zl, Zp: line breaks that are not \n.
UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
JOINERS = frozenset("\u200c\u200d")  # needed to spell Persian and Indic words and to join emoji


def safe(name: str | os.PathLike[str], limit: int | None = None) -> str:
    r"""The name on one line, with everything that a terminal might obey written as \x1b, \u202e or \xff.

    A backslash of the name itself stays as it is: the result is for reading, not for opening.
    With `limit`, the middle of a longer name is left out.
    """
    shown = _escaped(os.fspath(name), JOINERS)
    if limit is not None and len(shown) > limit:
        keep = max(limit - 1, 2)
        head = keep // 2
        shown = f"{shown[:head]}…{shown[-(keep - head) :]}"
    return shown


def safe_lines(text: str) -> str:
    """The same of a text that has lines and columns of its own."""
    return text if text.isascii() and text.isprintable() else _escaped(text, _LAYOUT)


def say(sentence: str, *, err: bool = False) -> None:
    """Write one line, which stays one line whatever the names in it hold."""
    import click

    click.echo(safe(sentence), err=err)


class SafeStream:
    """A standard stream through which only text gets out. Everything but writing is the stream's own."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(safe_lines(text))
        return len(text)

    @property
    def buffer(self) -> io.RawIOBase:
        """Whoever wants to encode by itself (click does, for ASCII) is led back here."""
        return _SafeBytes(self)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _SafeBytes(io.RawIOBase):
    def __init__(self, stream: SafeStream) -> None:
        self.stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.stream.write(bytes(data).decode("utf-8", "replace")) and len(data)

    def flush(self) -> None:
        self.stream.flush()


def guard_streams() -> None:
    """Make the standard streams safe, once. To be called before a command does anything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, SafeStream):
            continue
        if isinstance(stream, io.TextIOWrapper) and "utf" not in (stream.encoding or "").lower():
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows a question mark
        setattr(sys, name, SafeStream(stream))


def console(**options: Any) -> Console:
    """A terminal that takes text as text: no markup, no emoji codes, no guessing what to highlight.

    options: those of rich's Console; `stderr` for the standard error.
    """
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else safe_lines(text), style, control)

    stream = sys.stderr if options.pop("stderr", False) else sys.stdout
    options.setdefault("file", stream.stream if isinstance(stream, SafeStream) else stream)
    return SafeConsole(markup=False, emoji=False, highlight=False, soft_wrap=False, **options)


_LAYOUT = JOINERS | {"\n", "\t"}


def _escaped(text: str, but: frozenset[str]) -> str:
    return "".join(_escape(c) if unicodedata.category(c) in UNSHOWABLE and c not in but else c for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode hands it over
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
