"""Decoder: a small pool of guarded child processes that turn files into footage, ahead of who reads it."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from tagline.experts.decode import reply
from tagline.experts.decode.child import Child, ChildDied
from tagline.experts.decode.guard import pack_samplings
from tagline.experts.decode.limits import LIMITS, Limits
from tagline.experts.decode.opening import opened
from tagline.experts.footage import Footage, Sampling, Unreadable, distinct_samplings

# Raise it when more files can be read, or others than before: what failed is then tried again.
VERSION = "3"

Taken = TypeVar("Taken")
Source = TypeVar("Source", bound="os.PathLike[str]")  # a path, or something that knows its path


class Decoder:
    """Decodes files in `jobs` child processes. Use it as a context manager, or call `close`.

    child: the program that the children run; tests put one in its place that crashes or hangs.
    """

    def __init__(
        self,
        jobs: int | None = None,
        limits: Limits = LIMITS,
        *,
        child: Path | None = None,
    ) -> None:
        self.jobs = jobs or min(8, cores())
        self.limits = limits
        self.child = child or Path(__file__).parent / "guard.py"
        self.replaced = 0  # children that died or had to be killed
        self._idle: list[Child] = []
        self._all: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False
        # A child dies with the thread that started it, so one thread that stays starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="nursery")

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all children, at once."""
        with self._lock:
            self._closed = True
            children, self._all, self._idle = list(self._all), set(), []
        for child in children:
            child.kill()
        self._starter.shutdown(wait=False)

    def read(self, path: Path, samplings: Iterable[Sampling]) -> Footage:
        """Decode one file, here and now. Raises `Unreadable`."""
        result = self._decode(Path(path), distinct_samplings(samplings))
        if isinstance(result, Unreadable):
            raise result
        return result

    def read_all(
        self, orders: Iterable[tuple[Source, Iterable[Sampling]]]
    ) -> Iterator[tuple[Source, Footage | Unreadable]]:
        """Decode many files, in order; a file that cannot be read comes as `Unreadable`, not as an error.

        What an order names its file by, a path or a `Work`, comes back with the result.

        Orders are drawn in the caller's own thread, and no more of them than may be decoded ahead.
        """
        queue: _Queue[Source] = _Queue(self.limits)
        workers = [
            threading.Thread(target=self._work, args=(queue,), name="decoder", daemon=True)
            for _ in range(self.jobs)
        ]
        source = iter(orders)
        drawn = True
        try:
            for worker in workers:
                worker.start()
            while True:
                while drawn and queue.room:
                    order = next(source, None)
                    drawn = order is not None
                    if order is not None:
                        queue.put(order[0], distinct_samplings(order[1]))
                if not queue.waiting:
                    return
                yield queue.take()
        finally:
            queue.end()

    def _work(self, queue: _Queue[Source]) -> None:
        while (job := queue.next()) is not None:
            try:
                result: Footage | Unreadable = self._decode(Path(job.source), job.samplings)
            except Exception as error:  # a fault of this program must not stop the batch either
                result = Unreadable(f"could not be decoded: {type(error).__name__}: {error}")
            queue.done(job, result)

    def preview(
        self, path: Path, start: float, seconds: float, *, zero: float = 0.0, side: int = 360
    ) -> bytes:
        """A stretch as an MP4 that any browser plays, `zero` being `Facts.start`. Raises `Unreadable`.

        Times in seconds. The shorter side has at most `side` pixels; there is at most 30 pictures a second.
        """
        wanted = {"start": start, "seconds": seconds, "zero": zero, "side": side}
        order = {"samplings": [], "preview": wanted}
        film = self._ask(
            Path(path), order, reply.HEAD, lambda a, fd: reply.preview_of(a, fd, self.limits.preview_bytes)
        )
        if isinstance(film, Unreadable):
            raise film
        return film

    def _decode(self, path: Path, samplings: tuple[Sampling, ...]) -> Footage | Unreadable:
        def footage(answer: dict[str, Any], memory: int) -> Footage:
            return reply.footage_of(path, samplings, self.limits, answer, memory)

        order = {"samplings": pack_samplings(samplings)}
        return self._ask(path, order, reply.longest(samplings), footage)

    def _ask(
        self, path: Path, what: dict[str, Any], most: int, take: Callable[[dict[str, Any], int], Taken]
    ) -> Taken | Unreadable:
        """Let a child carry out an order, and make of its answer what `take` makes of it.

        most: bytes of the answer; take: gets the answer and a descriptor of the memory that it speaks of.
        """
        try:
            file = opened(path)
        except Unreadable as error:
            return error
        with os.fdopen(file, "rb", 0):
            limits = self.limits.for_size(os.fstat(file).st_size)
            order = {"limits": asdict(limits), "suffix": Path(path).suffix.lower(), **what}
            return self._ask_about(file, order, most, take)

    def _ask_about(
        self, file: int, order: dict[str, Any], most: int, take: Callable[[dict[str, Any], int], Taken]
    ) -> Taken | Unreadable:
        try:
            child = self._borrow()
        except OSError as error:
            return Unreadable(f"could not be decoded: no decoder could be started ({error})")
        fd: int | None = None
        try:
            seconds, stalled = order["limits"]["seconds"], self.limits.stalled
            answer, fd = child.ask(order, seconds, file, most=most, stalled=stalled)
            result = reply.refusal_of(answer) if fd is None else take(answer, fd)
        except reply.NonsenseReply as nonsense:  # who has answered so once is not asked again
            self._discard(child)
            return Unreadable(f"could not be decoded: the decoder answered nonsense ({nonsense})")
        except ChildDied as gone:
            self._discard(child)
            return Unreadable(str(gone))
        except BaseException:  # Ctrl-C in `read`: the child is busy, nobody waits for it any more
            self._discard(child)
            raise
        finally:
            if fd is not None:
                os.close(fd)
        self._give_back(child)
        return result

    def _borrow(self) -> Child:
        with self._lock:
            if self._closed:
                raise OSError("the decoder is closed")
            while self._idle:
                child = self._idle.pop()
                if child.process.poll() is None:
                    return child
                self._all.discard(child)  # somebody else has ended it; that is no file's fault
                child.kill()
            try:
                child = self._starter.submit(Child, self.child, self.limits.memory).result()
            except RuntimeError as error:  # the interpreter is on its way out
                raise OSError(error) from None
            self._all.add(child)
            return child

    def _give_back(self, child: Child) -> None:
        child.files += 1
        with self._lock:
            if not self._closed and child.files < self.limits.files:
                self._idle.append(child)
                return
            self._all.discard(child)
        child.kill()

    def _discard(self, child: Child) -> None:
        child.kill()
        with self._lock:
            self.replaced += not self._closed
            self._all.discard(child)


@dataclass(slots=True, eq=False)
class _Job(Generic[Source]):
    source: Source
    samplings: tuple[Sampling, ...]
    result: Footage | Unreadable | None = None
    size: int = 0


class _Queue(Generic[Source]):
    """Orders on their way: put in and taken out in order by one thread, worked on by others."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._jobs: deque[_Job[Source]] = deque()  # not yet taken, in order
        self._fresh: deque[_Job[Source]] = deque()  # not yet begun
        self._bytes = 0  # of what is done and not yet taken
        self._ended = False
        self._changed = threading.Condition()

    @property
    def room(self) -> bool:
        return len(self._jobs) < self.limits.ahead

    @property
    def waiting(self) -> bool:
        return bool(self._jobs)

    def put(self, source: Source, samplings: tuple[Sampling, ...]) -> None:
        with self._changed:
            job = _Job(source, samplings)
            self._jobs.append(job)
            self._fresh.append(job)
            self._changed.notify_all()

    def take(self) -> tuple[Source, Footage | Unreadable]:
        """The oldest job's result, when it is there."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs[0].result is not None)
            job = self._jobs.popleft()
            self._bytes -= job.size
            self._changed.notify_all()
        assert job.result is not None
        return job.source, job.result

    def next(self) -> _Job[Source] | None:
        """The next job to begin; waits while enough lies ready. None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._may_begin())
            return None if self._ended else self._fresh.popleft()

    def _may_begin(self) -> bool:
        # The oldest job may always be begun, or who waits for it would wait for ever.
        return bool(self._fresh) and (
            self._fresh[0] is self._jobs[0] or self._bytes < self.limits.ahead_bytes
        )

    def done(self, job: _Job[Source], result: Footage | Unreadable) -> None:
        with self._changed:
            if self._ended:
                if isinstance(result, Footage):
                    result.close()
                return
            job.result, job.size = result, nbytes_of(result)
            self._bytes += job.size
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            for job in self._jobs:
                if isinstance(job.result, Footage):
                    job.result.close()
            self._jobs.clear()
            self._changed.notify_all()


def cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def nbytes_of(result: Footage | Unreadable) -> int:
    """Bytes of pictures and sound."""
    if isinstance(result, Unreadable):
        return 0
    sound = 0 if result.sound is None else result.sound.nbytes
    return sound + sum(view.frames.nbytes for view in result.views.values())
