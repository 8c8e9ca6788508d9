"""Sphinx: pocketsphinx in child processes of our own, since it holds the interpreter's lock.

A child reads a length and as many bytes of sound, answers with a length and JSON, and ends when nobody
writes to it any more. If it crashes or hangs on a piece of sound, that costs the piece.
"""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np

import tagline
from tagline.experts.asr.vad import Samples
from tagline.experts.footage import SOUND_RATE

LENGTH = struct.Struct("=I")
SHORTEST = 2 * SOUND_RATE // 10  # bytes; in less than a tenth of a second no word fits
PATIENCE = 60.0  # seconds for a child to load its model and answer
SLOWEST = 30.0  # … and this many more for each second of sound; a thousandth of it is usual

# Nothing is imported from the folder that we happen to stand in: it may be somebody's videos.
ROOT = str(Path(tagline.__file__).resolve().parents[1])
CHILD = f"import sys; sys.path.insert(0, {ROOT!r}); from tagline.experts.asr import sphinx; sphinx.main()"

TimedWords = list[tuple[str, float, float, float]]  # word, start and end in seconds, probability


class SphinxPool:
    """Several children, each with its own recogniser. They live as long as the pool does."""

    def __init__(self, children: int, command: list[str] | None = None) -> None:
        self._command = command or [sys.executable, "-P", "-B", "-c", CHILD]
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._all: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(children, thread_name_prefix="sphinx")
        for _ in range(children):
            self._free.put(self._start())
        self.close: Callable[[], Any] = weakref.finalize(self, _close, self._threads, self._all)

    def hear(self, sounds: Iterable[Samples]) -> Iterator[TimedWords | None]:
        """The words of each sound, in order; None where a child was lost over it."""
        yield from self._threads.map(self._ask, sounds)

    def _ask(self, sound: Samples) -> TimedWords | None:
        child = self._free.get()
        limit = threading.Timer(PATIENCE + SLOWEST * len(sound) / SOUND_RATE, child.kill)
        limit.daemon = True
        limit.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            _send(child.stdin, as_bytes(sound))
            answer = json.loads(_receive(child.stdout))
        except (OSError, EOFError, ValueError):
            _end(child)
            self._all.remove(child)
            child = self._start()
            return None
        finally:
            limit.cancel()
            self._free.put(child)
        if isinstance(answer, str):
            raise RuntimeError(f"pocketsphinx did not start: {answer}")
        return [(str(word), float(start), float(end), float(sure)) for word, start, end, sure in answer]

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            self._command,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._all.append(child)
        return child


def as_bytes(sound: Samples) -> bytes:
    """float32 -1..1 as the 16-bit numbers that the recogniser takes."""
    return (np.clip(sound, -1.0, 1.0) * 32767).astype("<i2").tobytes()


def main() -> None:
    """The child. Its recogniser is loaded once; each sound is heard as if it were the first."""
    from tagline.experts.decode import sandbox

    sandbox.ignore_interrupts()
    inward, outward = sys.stdin.buffer, sys.stdout.buffer
    try:
        recognise = recogniser()
    except Exception as error:
        recognise = _failing(f"{type(error).__name__}: {error}")
    while True:
        try:
            sound = _receive(inward)
        except EOFError:
            return
        _send(outward, json.dumps(recognise(sound)).encode())


def recogniser() -> Callable[[bytes], Any]:
    """From 16-bit sound to (word, start, end, probability) of each word."""
    from pocketsphinx import Decoder

    # Levels estimated over the whole utterance, so that what was heard before makes no difference.
    decoder = Decoder(loglevel="FATAL", cmn="batch", samprate=SOUND_RATE)
    frames = float(decoder.config["frate"])  # a second

    def recognise(sound: bytes) -> list[tuple[str, float, float, float]]:
        if len(sound) < SHORTEST:
            return []
        decoder.reinit_feat()  # or its estimate of the noise would go on from the sound before
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return []
        return [
            # "was(2)" is the second way to pronounce "was"
            (part.word.partition("(")[0], part.start_frame / frames, (part.end_frame + 1) / frames, part.prob)
            for part in decoder.seg()
            if part.word[0] not in "<[+"  # silence, noises
        ]

    return recognise


def _failing(reason: str) -> Callable[[bytes], Any]:
    return lambda sound: reason


def _send(channel: Any, data: bytes) -> None:
    channel.write(LENGTH.pack(len(data)) + data)
    channel.flush()


def _receive(channel: BinaryIO | Any) -> bytes:
    (length,) = LENGTH.unpack(_exactly(channel, LENGTH.size))
    return _exactly(channel, length)


def _exactly(channel: BinaryIO | Any, count: int) -> bytes:
    data = channel.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for channel in (child.stdin, child.stdout):
        if channel is not None:
            with contextlib.suppress(OSError):
                channel.close()


def _close(threads: ThreadPoolExecutor, children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        _end(child)
    threads.shutdown(wait=False)
