"""The server: one process on one address; slow people are waited for, stalled connections are closed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_TIMEOUT = 10.0  # seconds that a request may take to arrive
MAX_HEAD = 16 << 10  # bytes of a request's head
STALL = 30.0  # seconds in which a reader takes LEAST of what waits for it, or all of it
LEAST = 64 << 10  # bytes: two kilobytes a second, a tenth of the thinnest video
GIVES_WAY = 1.0  # seconds after which a reader that takes nothing may lose its connection to a newcomer
SEND_BUFFER = (
    256 << 10
)  # bytes that the system holds of each connection; little, so that it shows who does not read
MAX_CONNECTIONS = 1_500  # at most; each is a few kilobytes
SHUTDOWN_TIMEOUT = 2  # seconds for answers under way when the server ends

_FULL = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class TimeoutProtocol(H11Protocol):
    """A connection that is closed when a request does not arrive whole in time, ended when an answer is not
    read, and turned away if too many are open."""

    waiting: asyncio.TimerHandle | None = None
    stalled: asyncio.TimerHandle | None = None
    since = math.inf  # by the loop's clock: bytes wait for the reader

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # pause_writing and resume_writing tell of every byte
        if len(self.connections) > MAX_CONNECTIONS and not self._take_a_place():
            transport.write(_FULL)
            transport.close()
            return
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._arm()
        super().data_received(data)
        arriving = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not arriving or self.transport.is_closing():
            self._disarm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._moves()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._disarm()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.since = self.loop.time()
        self._watch()

    def resume_writing(self) -> None:
        self._moves()
        super().resume_writing()

    def _watch(self) -> None:
        self.stalled = self.loop.call_later(STALL, self._look, self.transport.get_write_buffer_size())

    def _look(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < LEAST:
            self._end()
        else:
            self._watch()

    def _moves(self) -> None:
        self.since = math.inf
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    def _end(self) -> None:
        """At once, and without what waits to be sent: the system would go on offering that for minutes."""
        self._moves()
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self.transport.abort()

    def _take_a_place(self) -> bool:
        """End the connection whose reader has taken nothing for the longest time, if there is one."""
        readers = [one for one in self.connections if isinstance(one, TimeoutProtocol)]
        slowest = min(readers, key=lambda one: one.since)
        if slowest.since + GIVES_WAY > self.loop.time():
            return False
        slowest._end()
        return True

    def _arm(self) -> None:
        if self.waiting is None:
            self.waiting = self.loop.call_later(REQUEST_TIMEOUT, self.transport.close)

    def _disarm(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None


def listen(host: str, port: int) -> socket.socket:
    """A socket on this address. Raises OSError where that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=1024)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # its connections inherit it
    listening.setblocking(False)
    return listening


def serve(app: ASGIApp, listening: socket.socket, ready: Callable[[], Any]) -> None:
    """Serve until Ctrl-C, which comes out as KeyboardInterrupt. `ready` is called once it answers."""
    more_files()
    if threading.current_thread() is threading.main_thread():
        # Whoever started us in the background may have had it ignored: then we would end without a word.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config = uvicorn.Config(
        app,
        http=TimeoutProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        h11_max_incomplete_event_size=MAX_HEAD,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if not self.should_exit:
                ready()

    Server(config).run(sockets=[listening])


def more_files() -> None:
    """Each connection is an open file; some systems allow few unless one asks."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * MAX_CONNECTIONS + 500
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
