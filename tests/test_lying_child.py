"""A decoder's child that lies: its parent believes nothing that an honest one could not have said."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tagline.experts.attacks import lies
from tagline.experts.attacks.lies import HONEST, LIES, NO_ANSWERS, SAMPLINGS, but, honest, said
from tagline.experts.decode import reply
from tagline.experts.decode.buffer import SharedMemory
from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import Limits
from tagline.experts.footage import Footage, PerSecond, Unreadable


@pytest.fixture
def liar(tmp_path: Path) -> Path:
    return lies.liar(tmp_path)


def asked(liar: Path, deed: str, **limits: Any) -> Footage | Unreadable:
    """What becomes of a video whose child does this."""
    path = liar.with_name("video.mp4")
    path.write_text(deed)
    with Decoder(jobs=1, child=liar, limits=Limits(**{"seconds": 60, **limits})) as decoder:
        try:
            footage = decoder.read(path, SAMPLINGS)
        except Unreadable as reason:
            if "nonsense" in str(reason):
                assert not decoder._idle  # who lied once is not asked again
            return reason
        return footage


def test_what_an_honest_child_says_is_taken(liar: Path) -> None:
    footage = asked(liar, said(honest()))
    assert isinstance(footage, Footage)
    assert footage.view(SAMPLINGS[1]).frames.shape == (4, 4, 6, 3)
    assert footage.facts.fps == 25
    assert footage.coverage.complete


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_unreadable_file(liar: Path, lie: str) -> None:
    answer = LIES[lie]
    told = said(answer, *([] if "unreadable" not in answer else ["*[]"]))
    reason = asked(liar, told)
    assert isinstance(reason, Unreadable)
    assert str(reason).startswith("could not be decoded: the decoder answered nonsense (")


@pytest.mark.parametrize("text", NO_ANSWERS, ids=range(len(NO_ANSWERS)))
def test_what_is_no_answer_at_all_is_one_unreadable_file(liar: Path, text: str) -> None:
    assert "the decoder answered nonsense (" in str(asked(liar, said(text)))


def _descriptors() -> int:
    """How many this process has open; 0 where nobody says."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.mark.parametrize(
    "deed",
    {
        "channel.sendall(struct.pack('=I', 200 << 20) + b' ' * (1 << 20)); time.sleep(60)": "a long answer",
        "answer(b'{}')": "no memory",
        "answer(b'x' * 9, *[memory(1) for _ in range(200)])": "many descriptors",
        "[socket.send_fds(channel, [b'\\x00'], [memory(1)]) for _ in range(4)]": "one with each byte",
        f"answer({HONEST!r}, fds[0])": "the video itself",
        f"answer({HONEST!r}, channel.fileno())": "its line",
        f"answer({HONEST!r}, memory(12288, b'', 0))": "memory that can change",
        f"answer({HONEST!r}, memory(1 << 45))": "a memory of 32 TiB",
        f"answer({HONEST!r}, memory(12288, struct.pack('=f', float('nan')) * 9))": "NaN",
    },
)
def test_what_comes_with_an_answer_is_checked_too(liar: Path, deed: str) -> None:
    before = _descriptors()
    started = time.monotonic()
    assert "the decoder answered nonsense (" in str(asked(liar, deed))
    assert time.monotonic() - started < 50
    assert _descriptors() <= before + 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems seal no memory")
def test_what_was_handed_over_changes_no_more(tmp_path: Path) -> None:
    store = SharedMemory()
    store.write(0, np.zeros(12288, np.uint8))
    footage = reply.footage_of("x.mp4", SAMPLINGS, Limits(), honest(), store.fd)
    with pytest.raises(OSError, match=r"."):
        os.pwrite(store.fd, b"\xff", 4096)
    with pytest.raises(OSError, match=r"."):
        os.ftruncate(store.fd, 1 << 40)
    assert footage.view(SAMPLINGS[0]).frames.max() == 0
    store.close()


def test_texts_of_a_child_carry_no_signs_that_a_terminal_obeys(liar: Path) -> None:
    evil = "a\x1b]0;x\x07b\u202ec\nd\u200be\udc1bf"
    footage = asked(
        liar, said(but(facts__title=evil, facts__codec=evil, facts__colour=evil, coverage__notes=[evil]))
    )
    assert isinstance(footage, Footage)
    for text in (footage.facts.title, footage.facts.codec, footage.facts.colour, *footage.coverage.notes):
        assert text is not None
        assert text.isprintable()
        assert text.startswith("a")
    reason = asked(liar, f"answer({json.dumps({'unreadable': evil})!r}.encode())")
    assert str(reason).isprintable()


def test_a_preview_is_a_film_of_the_size_that_it_has(liar: Path) -> None:
    video = liar.with_name("video.mp4")
    film = "memory(99, b'....ftyp')"
    for memory, size in (("memory(99)", 99), (film, 98), (film, 1 << 40)):
        video.write_text(f"answer({json.dumps({'size': size, 'seconds': 1.0}).encode()!r}, {memory})")
        with Decoder(jobs=1, child=liar) as decoder, pytest.raises(Unreadable, match="nonsense"):
            decoder.preview(video, 0.0, 1.0)


def test_how_long_an_answer_may_be_depends_on_what_was_asked() -> None:
    times = [i / 7 for i in range(5_000)]
    assert len(json.dumps(times)) < reply.longest([PerSecond(9.0, most=5_000)]) - 60_000 < 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say what a process does")
@pytest.mark.parametrize(
    ("deed", "how"),
    [("os.kill(os.getpid(), 19)", "was stopped by somebody"), ("time.sleep(600)", "fell asleep")],
)
def test_a_child_that_does_nothing_is_given_up_long_before_the_time_limit(
    liar: Path, deed: str, how: str
) -> None:
    before = set(psutil.Process().children())
    reason = asked(liar, deed, seconds=500, stalled=1.0)
    assert str(reason).startswith(f"its decoder {how} and did nothing for ")
    assert set(psutil.Process().children()) <= before
