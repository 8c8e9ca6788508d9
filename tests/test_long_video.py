"""The long film of the benchmark: what it is made of, and how it is judged."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tagline.benchmarks.quality.long_video import Shot, ShownText, judged, script, share_seen


def test_a_film_is_shots_without_gaps_and_texts_that_come_twice() -> None:
    shots, texts = script(600, seed=1)
    assert shots[0].start == 0
    assert shots[-1].end == 600
    assert all(a.end == b.start for a, b in pairwise(shots))
    assert len(texts) == 50
    assert len({one.text for one in texts}) == 25
    assert all(a.end < b.start for a, b in pairwise(texts))


def test_texts_are_judged_by_when_they_were_read_and_how_long() -> None:
    texts = [ShownText("ABCDEF GHKLMN", 5, 7), ShownText("RSTUVW XYZABC", 17, 19)]
    both = [("ABCDEFGHKLMN", 5.2, 7.1), ("RSTUVW XYZABC", 17.0, 19.4)]
    found = judged(both, texts)
    assert found["text_recall"] == 1
    assert found["text_time_error_p95"] == pytest.approx(0.39)
    assert found["bridged_gaps"] == 0
    assert judged(both[:1], texts)["text_recall"] == 0.5
    assert judged([], texts) == {"text_time_error_p95": None, "text_recall": 0, "bridged_gaps": 0}


def test_a_tag_that_goes_on_where_its_text_was_not_has_bridged_a_gap() -> None:
    texts = [ShownText("ABCDEF", 5, 7), ShownText("ABCDEF", 65, 67)]
    assert judged([("ABCDEF", 5.0, 67.0)], texts)["bridged_gaps"] == 1
    assert judged([("ABCDEF", 5.0, 40.0)], texts)["bridged_gaps"] == 1
    assert judged([("ABCDEF", 5.0, 7.4)], texts)["bridged_gaps"] == 0


def test_a_shot_is_seen_if_a_look_falls_into_it() -> None:
    shots = [Shot(0, 2, "still"), Shot(2, 3, "moving")]
    assert share_seen(shots, [0.0, 1.0]) == 0.5
    assert share_seen(shots, [0.0, 2.0]) == 1
