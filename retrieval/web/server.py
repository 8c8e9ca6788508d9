"""The server: one process on one address, with patience for people and none for connections that dawdle."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

DAWDLE = 10.0  # seconds that a request may take to arrive
HEAD_MOST = 16 << 10  # bytes of a request's head
CONNECTIONS = 1_500  # at most; each is a few kilobytes
FAREWELL = 2  # seconds for answers under way when the server ends

_FULL = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Patient(H11Protocol):
    """A connection that is closed when a request does not arrive whole in time, and turned away if too many
    are open."""

    waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
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
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._disarm()
        super().on_response_complete()

    def _arm(self) -> None:
        if self.waiting is None:
            self.waiting = self.loop.call_later(DAWDLE, self.transport.close)

    def _disarm(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None


def listen(host: str, port: int) -> socket.socket:
    """A socket on this address. Raises OSError where that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=1024)
    listening.setblocking(False)
    return listening


def serve(app: ASGIApp, listening: socket.socket, ready: Callable[[], Any]) -> None:
    """Serve until Ctrl-C, which comes out as KeyboardInterrupt. `ready` is called once it answers."""
    _more_files()
    if threading.current_thread() is threading.main_thread():
        # Whoever started us in the background may have had it ignored: then we would end without a word.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config = uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=FAREWELL,
        h11_max_incomplete_event_size=HEAD_MOST,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if not self.should_exit:
                ready()

    Server(config).run(sockets=[listening])


def _more_files() -> None:
    """Each connection is an open file; some systems allow few unless one asks."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * CONNECTIONS + 500
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
