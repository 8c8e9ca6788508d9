"""HTTP ranges against plain slicing, and what stands in answers of several parts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.retrieval.web.api import ranges
from tagline.retrieval.web.api.ranges import NotSatisfiable, parse


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-", [(0, 100)]),
        ("bytes=90-200", [(90, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("Bytes = 5-6", [(5, 7)]),
        ("bytes=0-1,10-11, -2", [(0, 2), (10, 12), (98, 100)]),
        ("bytes=0-5,3-9", [(0, 10)]),
        ("bytes=50-60,200-300", [(50, 61)]),
        ("bytes=5-2", None),
        ("bytes=abc", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=1-2-3", None),
        ("bytes=+1-2", None),
        ("bytes=١-٢", None),
        ("lines=0-1", None),
        ("bytes", None),
        (f"bytes={'9' * 5000}-", None),
    ],
)
def test_known_headers(header: str | None, expected: list[tuple[int, int]] | None) -> None:
    assert parse(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0", "bytes=100-,200-"])
def test_what_lies_behind_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(NotSatisfiable):
        parse(header, 100)


def test_a_storm_of_stretches_is_refused() -> None:
    with pytest.raises(NotSatisfiable):
        parse("bytes=" + ",".join(f"{i * 10}-{i * 10}" for i in range(200)), 10_000)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 130), st.integers(0, 130)),
            st.tuples(st.just(None), st.integers(0, 130)),
            st.tuples(st.integers(0, 130), st.just(None)),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_the_bytes_are_those_that_slicing_gives(specs: list[tuple[int | None, int | None]]) -> None:
    data = bytes(range(100))
    header = "bytes=" + ",".join(f"{'' if a is None else a}-{'' if b is None else b}" for a, b in specs)
    valid = all(a is None or b is None or a <= b for a, b in specs)
    wanted: set[int] = set()
    for a, b in specs:
        cut = (
            data[-b:] if a is None and b else data[a : None if b is None else b + 1] if a is not None else b""
        )
        wanted |= set(cut)
    try:
        stretches = parse(header, 100)
    except NotSatisfiable:
        assert valid
        assert not wanted
        return
    if not valid:
        assert stretches is None
        return
    assert stretches is not None
    given_bytes = [byte for first, end in stretches for byte in data[first:end]]
    assert set(given_bytes) == wanted
    assert len(given_bytes) == len(set(given_bytes)), "no byte is sent twice"


def test_the_length_of_an_answer_in_parts_is_exact() -> None:
    stretches = [(0, 4), (10, 13)]
    body = b"".join(
        ranges.part_head(one, 100, "video/mp4", "b") + b"x" * (one[1] - one[0]) + b"\r\n" for one in stretches
    ) + ranges.closing("b")
    assert len(body) == ranges.parts_length(stretches, 100, "video/mp4", "b")
    assert re.findall(rb"Content-Range: bytes (\S+)", body) == [b"0-3/100", b"10-12/100"]
