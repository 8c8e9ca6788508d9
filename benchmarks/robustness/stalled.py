"""stalled: readers that take nothing of what they ask for, while others ask for what a page needs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SIZE = 8 << 20  # bytes of the film: many times what the system holds of a connection
OTHERS = 4  # people who read what they ask for
RENEWED = 0.02  # seconds after which the oldest of the stalled readers comes again


@dataclass(slots=True)
class StalledTally:
    """How others fared."""

    seconds: list[float] = field(default_factory=list)  # of each of their answers
    statuses: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)  # by status and address
    opened: int = 0  # stalled readers, all in all

    @property
    def p95_ms(self) -> float:
        ordered = sorted(self.seconds)
        return round(1000 * ordered[int(0.95 * len(ordered))], 1) if ordered else float("inf")

    @property
    def turned_away(self) -> int:
        """Answers that were none."""
        return sum(count for status, count in self.statuses.items() if not status.startswith("2"))


def run(port: int, token: str, film: str, readers: int, seconds: float) -> StalledTally:
    """So many stalled readers at any time, for some seconds; every answer that others get meanwhile."""
    tally = StalledTally()
    with contextlib.ExitStack() as stack:
        lines = deque(stack.enter_context(_stall(port, token, film, number)) for number in range(readers))
        tally.opened = readers
        asyncio.run(_ask_others(port, token, film, lines, seconds, tally))
        for line in lines:
            line.close()
    return tally


def _stall(port: int, token: str, film: str, number: int) -> socket.socket:
    """A connection that reads nothing of what it asks for: a film, or a hundred small answers."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.settimeout(20)
    line.connect(("127.0.0.1", port))
    small = 100 * _head(port, token, "/api/openapi.json")
    with contextlib.suppress(OSError):  # turned away before it was done asking
        line.sendall(small if number % 2 else _head(port, token, f"/media/{film}"))
    return line


def _head(port: int, token: str, address: str, *more: str) -> bytes:
    lines = [f"GET {address} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {token}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


async def _ask_others(
    port: int, token: str, film: str, lines: deque[socket.socket], seconds: float, tally: StalledTally
) -> None:
    end = time.monotonic() + seconds
    people = [asyncio.create_task(_person(port, token, film, place, end, tally)) for place in range(OTHERS)]
    while time.monotonic() < end:
        lines.popleft().close()
        lines.append(await asyncio.to_thread(_stall, port, token, film, tally.opened))
        tally.opened += 1
        await asyncio.sleep(RENEWED)
    await asyncio.gather(*people)


async def _person(port: int, token: str, film: str, place: int, end: float, tally: StalledTally) -> None:
    """What a page needs, one after the other, each on a connection of its own."""
    addresses: Sequence[tuple[str, ...]] = (
        ("/",),
        ("/static/main.js",),
        ("/api/search?q=dog",),
        (f"/api/videos/{film}",),
        (f"/media/{film}", "Range: bytes=0-99"),
        ("/api/progress",),
    )
    while time.monotonic() < end:
        address, *more = addresses[place % len(addresses)]
        place += 1
        begun, answer = time.monotonic(), b""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_head(port, token, address, "Connection: close", *more))
            answer = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            status = answer[9:12].decode("latin-1")
        except (OSError, TimeoutError) as error:
            status = type(error).__name__
        tally.seconds.append(time.monotonic() - begun)
        tally.statuses[status or "no answer"] += 1
        if not status.startswith("2"):
            tally.refused[f"{status or 'no answer'} {address}: {answer[-200:]!r}"] += 1
        await asyncio.sleep(0.01)


def make_film(folder: Path) -> None:
    """Make one of the films of a library so long that no system takes it at once. What it shows stays."""
    from tagline.tagging.catalog.records import Place
    from tagline.tagging.catalog.write import Catalog

    with Catalog.open(folder) as catalog:
        video = next(catalog.videos())
        path = Path(next(path for number, path, _ in catalog.places() if number == video.id))
        os.truncate(path, SIZE)
        facts = path.stat()
        catalog.put_path(video.id, Place(str(path), facts.st_size, facts.st_mtime_ns))
