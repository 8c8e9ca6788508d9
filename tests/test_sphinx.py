"""The recogniser's children: they answer in order, and one that dies or hangs costs its piece only."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sounds import music, silence

from tagline.experts.asr import sphinx

# A child that repeats how many samples it got; 13 samples kill it, 14 make it hang.
REPEATS = """
import json, struct, sys, time
while True:
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        break
    count = len(sys.stdin.buffer.read(struct.unpack("=I", head)[0])) // 2
    if count == 13:
        sys.exit(1)
    if count == 14:
        time.sleep(600)
    answer = json.dumps([[str(count), 0.0, 1.0, 0.5]]).encode()
    sys.stdout.buffer.write(struct.pack("=I", len(answer)) + answer)
    sys.stdout.buffer.flush()
"""


def pool(children: int, program: str = REPEATS) -> sphinx.SphinxPool:
    return sphinx.SphinxPool(children, [sys.executable, "-c", program])


def sounds(*counts: int) -> list[np.ndarray]:
    return [np.zeros(count, dtype=np.float32) for count in counts]


def test_answers_come_in_order():
    made = pool(2)
    counts = list(range(20, 60))
    assert [found[0][0] for found in made.hear(sounds(*counts))] == [str(count) for count in counts]
    made.close()


@pytest.mark.parametrize("bad", [13, 14])
def test_a_child_that_dies_or_hangs_costs_one_piece(monkeypatch, bad):
    monkeypatch.setattr(sphinx, "PATIENCE", 2.0)
    monkeypatch.setattr(sphinx, "SLOWEST", 0.0)
    made = pool(1)
    heard = list(made.hear(sounds(5, bad, 6, 7)))
    assert heard[1] is None
    assert [found[0][0] for found in (heard[0], heard[2], heard[3])] == ["5", "6", "7"]
    made.close()


def test_children_end_with_the_pool():
    made = pool(2)
    children = list(made._all)
    made.close()
    assert all(child.poll() is not None for child in children)


def test_a_recogniser_that_cannot_start_says_why():
    program = f"import sys; sys.path.insert(0, {sphinx.ROOT!r}); from tagline.experts.asr import sphinx\n"
    program += "def broken(): raise OSError('no model')\nsphinx.recogniser = broken\nsphinx.main()"
    made = pool(1, program)
    with pytest.raises(RuntimeError, match="pocketsphinx did not start: OSError: no model"):
        list(made.hear(sounds(5)))
    made.close()


def test_sound_as_bytes_is_cut_off_where_it_is_too_loud():
    values = np.frombuffer(sphinx.as_bytes(np.float32([0.0, 1.0, -1.0, 3.0, -3.0, 0.5])), dtype="<i2")
    assert values.tolist() == [0, 32767, -32767, 32767, -32767, 16383]


def test_the_real_recogniser_answers_for_any_sound():
    """What it makes of a chord is no matter (voice activity goes first), but it ends and stays in time."""
    made = sphinx.SphinxPool(1)
    nothing, least, found = made.hear([silence(0.0), silence(0.01), music(2.0)])
    assert nothing == least == []
    assert found is not None
    assert all(0.0 <= start < end <= 2.0 and 0.0 <= sure <= 1.0 for _, start, end, sure in found)
    made.close()
