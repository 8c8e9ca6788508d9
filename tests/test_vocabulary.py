"""One spelling for each tag: what folds together, what must not, and nothing that a terminal would obey."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.experts.tags import Modality
from tagline.tagging.vocabulary import LONGEST, Band, Vocabulary, clean, normal


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("Dogs", "dog"),
        ("  traffic   lights ", "traffic light"),
        ("Traffic_Light", "traffic light"),
        ("knives", "knife"),
        ("children", "child"),
        ("kids", "child"),
        ("boxes", "box"),
        ("dishes", "dish"),
        ("puppies", "puppy"),
        ("movies", "movie"),
        ("shoes", "shoe"),
        ("potatoes", "potato"),
        ("Television", "tv"),
        ("cell phone", "phone"),
        ("mobile phones", "phone"),
        ("Ｄｏｇ", "dog"),
        ("straße", "strasse"),
        ("dog\u202egod", "doggod"),
        ("two\nlines", "two line"),
    ],
)
def test_what_means_the_same_has_one_form(said: str, form: str) -> None:
    assert normal(said) == form


NO_PLURALS = """
glasses, wine glasses, sunglasses, bus, tennis, scissors, jeans, chess, gas, grass, dress, class, iris, news,
series, species, gymnastics, physics, christmas, paris, los angeles, texas, circus, cactus, octopus, lens,
campus, boss, washing hands, playing cards, brushing teeth, sports, badlands
"""


@pytest.mark.parametrize("word", [word.strip() for word in NO_PLURALS.split(",")])
def test_what_only_looks_like_a_plural_stays(word: str) -> None:
    assert normal(word) == word


def test_what_is_written_somewhere_keeps_its_words() -> None:
    assert normal("EXIT Signs", Modality.SCREEN) == "exit signs"
    assert normal("My Cell Phones", Modality.TITLE) == "my cell phones"


@given(st.text(max_size=300))
def test_clean_text_is_safe_short_and_stays_as_it_is(text: str) -> None:
    once = clean(text)
    assert len(once) <= LONGEST
    assert once == once.strip()
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in once)
    assert clean(once) == once
    once.encode("utf-8")


@given(st.text(max_size=200), st.sampled_from([None, *Modality]))
def test_the_normal_form_of_a_normal_form_is_itself(text: str, modality: Modality | None) -> None:
    assert normal(normal(text, modality), modality) == normal(text, modality)


def test_real_label_lists_keep_their_distinctions(data: Path) -> None:
    """No two labels of Kinetics-400 or Places365 may become one."""
    kinetics = (data / "vocab" / "label_map_k400.txt").read_text(encoding="utf-8").splitlines()
    places = (data / "vocab" / "categories_places365.txt").read_text(encoding="utf-8").splitlines()
    scenes = [line.split(" ")[0][3:] for line in places]
    for labels in (kinetics, scenes):
        labels = [label for label in labels if label.strip()]
        assert len({normal(label) for label in labels}) == len({label.lower() for label in labels})


def test_frequent_tags_are_the_fewest_that_make_up_the_share() -> None:
    vocabulary = Vocabulary({"dog": 50, "Cats": 25, "cat": 16, "newt": 5, "eft": 4}, share=0.9)
    assert vocabulary.frequent == {"dog", "cat"}
    assert [vocabulary.band(text) for text in ("Dogs", "newt", "unicorn")] == [
        Band.FREQUENT,
        Band.RARE,
        Band.NOVEL,
    ]
    assert len(vocabulary) == 4
    assert "cats" in vocabulary


@given(st.dictionaries(st.text("abcdefg", min_size=1, max_size=3), st.integers(1, 40), min_size=1))
def test_the_split_is_minimal_and_complete(counts: dict[str, int]) -> None:
    vocabulary = Vocabulary(counts)
    total = vocabulary.counts.total()
    covered = sum(vocabulary.counts[text] for text in vocabulary.frequent)
    rarest = min(vocabulary.counts[text] for text in vocabulary.frequent)
    assert covered >= 0.9 * total
    assert covered - rarest < 0.9 * total
    assert all(vocabulary.counts[t] <= rarest for t in vocabulary.counts if t not in vocabulary.frequent)


def test_counting_does_not_depend_on_order() -> None:
    texts = ["a", "b", "c", "b", "d", "e", "f"]
    assert Vocabulary.count(texts).frequent == Vocabulary.count(reversed(texts)).frequent
