"""The timeline: as wide as it may be, each bar where its span is, the surest first."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.experts.tags import HUMAN_SOURCE, Modality, Tag
from tagline.tagging.cli.timeline import (
    PLAIN,
    Lane,
    TimelineSymbols,
    axis,
    bars,
    clock,
    display_width,
    fit_width,
    lanes,
    timeline,
)

DOG = Tag("dog", Modality.OBJECT, 0.9, 10.0, 20.0, "object", 12.0)
signs = TimelineSymbols()

tag_lists = st.lists(
    st.builds(
        lambda text, modality, score, start, length: Tag(
            text, modality, score, start, start + length, "x", start
        ),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
        st.sampled_from(Modality),
        st.floats(0, 1),
        st.floats(0, 1e5),
        st.floats(0, 1e5),
    ),
    max_size=30,
)


def plain(line: list[tuple[str, str]]) -> str:
    return "".join(text for text, _ in line)


@settings(max_examples=100, deadline=None)
@given(tag_lists, st.none() | st.floats(0, 1e5), st.integers(24, 250), st.sampled_from([signs, PLAIN]))
def test_no_line_is_wider_than_the_terminal(
    tags: list[Tag], duration: float | None, width: int, drawn_with: TimelineSymbols
) -> None:
    for line in timeline(tags, duration, width, signs=drawn_with):
        assert display_width(plain(line)) <= width
        assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in plain(line))


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 100), st.floats(0, 100), st.integers(10, 200))
def test_a_bar_covers_exactly_the_cells_that_its_span_touches(
    start: float, length: float, width: int
) -> None:
    end = 200.0
    tag = Tag("a", Modality.OBJECT, 1.0, start, start + length, "x")
    drawn = plain(bars(Lane("a", (tag,)), end, width, "red"))
    assert len(drawn) == width
    for place, cell in enumerate(drawn):
        first, last = place * end / width, (place + 1) * end / width
        inside = first + 1e-6 < tag.end and tag.start < last - 1e-6
        if inside and tag.end - tag.start > 1e-3:
            assert cell == signs.bar
        if last < tag.start - 1e-6 or first > tag.end + 1e-6:
            assert cell == signs.empty
    assert signs.bar in drawn, "the shortest span is seen"


def test_the_best_second_is_marked_inside_the_bar() -> None:
    drawn = plain(bars(Lane("dog", (DOG,)), 100.0, 50, "red"))
    assert drawn.index(signs.best) == 6
    assert drawn.replace(signs.best, signs.bar).strip(signs.empty) == signs.bar * 5


def test_the_order_is_people_first_then_the_surest() -> None:
    tags = [
        Tag("cat", Modality.OBJECT, 0.4, 0, 1, "object"),
        DOG,
        Tag("beach", Modality.SCENE, 0.99, 0, 1, "scene"),
        Tag("Anna", Modality.OBJECT, 1.0, 0, 1, "human"),
        Tag("bird", Modality.OBJECT, 0.2, 5, 6, "object"),
    ]
    found = lanes(tags, {(Modality.OBJECT, "bird")})
    assert list(found) == [Modality.OBJECT, Modality.SCENE]
    assert [lane.text for lane in found[Modality.OBJECT]] == ["Anna", "bird", "dog", "cat"]
    text = "\n".join(plain(line) for line in timeline(tags, 30, 80, accepted={(Modality.OBJECT, "bird")}))
    assert text.count(signs.person) == 2


def test_what_is_left_out_is_said() -> None:
    tags = [Tag(f"thing {i}", Modality.OBJECT, 0.5, i, i + 1, "object") for i in range(20)]
    lines = [plain(line) for line in timeline(tags, 20, 80, most=12)]
    assert len(lines) == 1 + 12 + 1
    assert "and 8 more" in lines[-1]
    assert len(list(timeline(tags, 20, 80, most=None))) == 21


def test_a_narrow_terminal_gets_times_in_words() -> None:
    lines = [plain(line) for line in timeline([DOG], 100, 50)]
    assert len(lines) == 1
    assert "0:10-0:20" in lines[0]


def test_nothing_gives_an_empty_timeline() -> None:
    assert [plain(line).strip() for line in timeline([], None, 80)] in ([], [""])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.9, "1:05"), (3600, "1:00:00"), (3725, "1:02:05")]
)
def test_the_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@given(st.floats(0.01, 1e6), st.integers(12, 300))
def test_the_axis_begins_at_zero_and_ends_at_the_end(end: float, width: int) -> None:
    line = axis(end, width)
    assert len(line) == width
    assert line.endswith(clock(end))
    labels = line.split()
    assert len(labels) == len(set(labels)) or end < 2


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.integers(1, 40))
def test_fitting_gives_exactly_the_width(text: str, width: int) -> None:
    from tagline.tagging.printable import safe

    shown = fit_width(safe(text), width)
    assert display_width(shown) == width
    assert shown.rstrip() == safe(text).rstrip() or signs.cut in shown


def test_what_the_person_expert_says_is_not_what_a_person_says() -> None:
    seen = Tag("man", Modality.PERSON, 0.9, 0, 1, "person")
    said = Tag("Anna", Modality.PERSON, 1.0, 0, 1, HUMAN_SOURCE)
    lane_of = {lane.text: lane for lane in lanes([seen, said])[Modality.PERSON]}
    assert not lane_of["man"].by_person
    assert lane_of["Anna"].by_person
