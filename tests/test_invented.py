"""Text that listeners make up: each kind is left out, and what people really say is left in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.experts.asr.hallucinations import LOOPS, credible_words, without_loops, without_noises
from tagline.experts.tags import Word


def said(text: str) -> list[Word]:
    return [Word(word, 0.3 * at, 0.3 * at + 0.2, 0.9) for at, word in enumerate(text.split())]


def text(words: list[Word]) -> str:
    return " ".join(word.text for word in words)


@pytest.mark.parametrize(
    "line",
    [
        "Subtitles by the Amara.org community",
        "Untertitel der Amara.org-Community",
        "Untertitel im Auftrag des ZDF für funk, 2017",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "Transcribed by somebody else",
        "字幕由Amara.org社区提供",
        "[Music]",
        "(upbeat music playing)",
        "♪ ♪ ♪",
    ],
)
def test_signatures_and_noises_are_no_speech(line):
    assert credible_words(said(line), 4.0) == []


@pytest.mark.parametrize("line", ["Thank you.", "Thanks for watching!", "you", "Vielen Dank."])
def test_a_courtesy_is_believed_only_where_somebody_spoke(line):
    assert text(credible_words(said(line), 1.0)) == line  # a second of clear speech
    assert credible_words(said(line), 1.0, unsure=True) == []
    assert credible_words(said(line), 25.0) == []  # a word or two in so long a stretch


def test_loops_are_cut_and_mostly_loops_are_dropped():
    assert credible_words(said("so " * 40), 20.0) == []
    assert credible_words(said("the same thing again " * 15), 20.0) == []
    once = (
        "we are going to the lake " + "and then " * (LOOPS + 1) + "we will swim in it until the sun goes down"
    )
    assert text(credible_words(said(once), 20.0)) == (
        "we are going to the lake and then we will swim in it until the sun goes down"
    )


@pytest.mark.parametrize(
    "line",
    [
        "no no no do not go there",
        "she sells sea shells she sells sea shells",
        "turn on the subtitles please they are in the menu",
        "thank you all for coming to this lecture on clean rooms",
        "he left (as he always did) before noon",
    ],
)
def test_what_people_say_stays(line):
    without_asides = line.replace(" (as he always did)", "")
    assert text(credible_words(said(line), 4.0)) == without_asides


def test_nobody_speaks_that_fast():
    line = said("one two three four five six seven eight nine ten eleven twelve")
    assert credible_words(line, 0.5) == []
    assert credible_words(line, 4.0) == line


def test_noises_among_words_are_left_out():
    assert text(without_noises(said("[applause] good evening (loud cheers from all) everybody ♪"))) == (
        "good evening everybody"
    )


@pytest.mark.parametrize("times", [LOOPS + 1, LOOPS + 2, 60])
def test_one_word_over_and_over_is_cut(times):
    assert text(without_loops(said(" ".join(["a"] * times)))) == "a"


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60))
def test_cutting_loops_leaves_words_in_order_and_no_long_runs(letters):
    words = said(" ".join(letters))
    kept = without_loops(words)
    assert [word for word in words if word in kept] == kept
    if len(letters) <= LOOPS:
        assert kept == words
