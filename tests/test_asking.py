"""What people type: sums of phrases, days, lengths; and whatever else, without a surprise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.retrieval.query.parse import BadFilter, ParsedQuery, parse, parse_day, parse_duration


@pytest.mark.parametrize(
    ("query", "wanted", "unwanted"),
    [
        ("a dog on the beach", ("a dog on the beach",), ()),
        ("beach + dog - person", ("beach", "dog"), ("person",)),
        ("beach - two people", ("beach",), ("two people",)),
        ("+ beach", ("beach",), ()),
        ("well-known C++ talk", ("well-known C++ talk",), ()),
        ("-5 degrees", ("-5 degrees",), ()),
        ("beach +", ("beach",), ()),
        ("- person", (), ("person",)),
        ("-", (), ()),
        ("", (), ()),
        ("5 - 3 + 1", ("5", "1"), ("3",)),
    ],
)
def test_sums(query: str, wanted: tuple[str, ...], unwanted: tuple[str, ...]) -> None:
    assert parse(query) == ParsedQuery(wanted, unwanted)


@given(st.text(max_size=60))
def test_any_text_is_a_query(query: str) -> None:
    found = parse(query)
    assert all(phrase == phrase.strip() != "" for phrase in (*found.include, *found.exclude))
    assert len(found.include) + len(found.exclude) <= 17


def test_days() -> None:
    assert [parse_day(text) for text in ("2024", "2024-05", " 2024-05-17 ")] == [
        "2024",
        "2024-05",
        "2024-05-17",
    ]
    for wrong in ("yesterday", "17.5.2024", "2024-13", "2024-02-30", "24", "2024-5", ""):
        with pytest.raises(BadFilter, match="2024-05-17"):
            parse_day(wrong)


def test_lengths() -> None:
    assert [parse_duration(text) for text in ("90", "90s", "1.5m", "2min", "1h", "1:30", "1:02:03")] == [
        90, 90, 90, 120, 3600, 90, 3723,
    ]  # fmt: skip
    for wrong in ("long", "-5", "1:90", "1e9", "5 d", ""):
        with pytest.raises(BadFilter, match="1:30"):
            parse_duration(wrong)
