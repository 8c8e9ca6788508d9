"""What people decide about tags: it wins over every expert, lasts over every run, and can be undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from looks import FACTS, HUMAN, OBJECT, SCREEN, look, tag, texts, video

from tagline.experts.footage import Facts
from tagline.experts.tags import Modality, Tag
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.records import Place
from tagline.tagging.catalog.write import Catalog


def test_forms_of_one_word_become_one_tag(catalog: Catalog) -> None:
    video_id = video(catalog, look(tag("Dogs", 0, 2, 0.5), tag("dog", 1, 3, 0.75), tag("dog", 8, 9)))
    assert catalog.tags(video_id) == [
        Tag("dog", OBJECT, 0.75, 0, 3, "object", 1),
        Tag("dog", OBJECT, 0.5, 8, 9, "object", 8),
    ]
    assert [t.text for t in catalog.tags(video_id, raw=True)] == ["Dogs", "dog", "dog"]


def test_rejected_stays_rejected_after_every_run(catalog: Catalog) -> None:
    video_id = video(catalog, look(tag("dog")))
    catalog.decide.reject(video_id, "DOGS")
    assert texts(catalog, video_id) == []
    video(catalog, look(tag("dog"), tag("cat"), version="2"))
    video(catalog, look(tag("dog", modality=Modality.SCENE), expert="scene"))
    assert texts(catalog, video_id) == ["cat"]
    assert catalog.fulltext.videos_with_any(["dog"], 9) == []


def test_a_rejection_may_be_of_one_modality(catalog: Catalog) -> None:
    video_id = video(catalog, look(tag("dog")), look(tag("dog", modality=SCREEN), expert="screen"))
    catalog.decide.reject(video_id, "dog", OBJECT)
    assert [t.modality for t in catalog.tags(video_id)] == [SCREEN]
    catalog.decide.reject(video_id, "dog")
    catalog.decide.accept(video_id, "dog", OBJECT)
    assert [t.modality for t in catalog.tags(video_id)] == [OBJECT]


def test_accepted_stays_where_no_expert_says_it_any_more(catalog: Catalog) -> None:
    video_id = video(catalog, look(tag("dog", 1, 3), tag("cat")))
    catalog.decide.accept(video_id, "dog")
    assert [t.score for t in catalog.tags(video_id) if t.text == "dog"] == [1.0]
    video(catalog, look(tag("cat"), version="2"))
    assert Tag("dog", OBJECT, 1.0, 1, 3, "human") in catalog.tags(video_id)


def test_an_added_tag_keeps_its_spelling_and_its_span(catalog: Catalog) -> None:
    video_id = video(catalog, look(tag("dog")))
    catalog.decide.add(video_id, "Anna", span=(2, 4))
    catalog.decide.add(video_id, "holiday")
    assert [t for t in catalog.tags(video_id) if t.source == "human"] == [
        Tag("holiday", HUMAN, 1.0, 0, 10, "human"),
        Tag("Anna", HUMAN, 1.0, 2, 4, "human"),
    ]
    catalog.decide.reject(video_id, "anna")
    assert "Anna" not in texts(catalog, video_id)
    with pytest.raises(ValueError, match="ends after it starts"):
        catalog.decide.add(video_id, "x", span=(4, 2))
    with pytest.raises(ValueError, match="needs a text"):
        catalog.decide.add(video_id, "\u200b \n")


def test_names_change_in_the_whole_library_and_for_what_comes_later(catalog: Catalog) -> None:
    first = video(catalog, look(tag("puppy"), tag("kitten")))
    catalog.decide.rename("puppies", "Rex")
    catalog.decide.merge(["kitten", "tomcat"], "cat")
    catalog.decide.alias("moggy", "cat")
    second = video(catalog, look(tag("puppy"), tag("tomcat"), tag("moggy", 5, 6)), digest="b" * 64)
    assert texts(catalog, first) == ["Rex", "cat"]
    assert texts(catalog, second) == ["Rex", "cat", "cat"]
    assert catalog.canonical("moggies") == "cat"
    assert set(catalog.fulltext.videos_with_any(["rex"], 9)) == {first, second}
    assert [(c.text, c.videos, c.spans) for c in catalog.tag_counts()] == [("cat", 2, 3), ("Rex", 2, 2)]


def test_a_rejection_follows_a_later_rename(catalog: Catalog) -> None:
    video_id = video(catalog, look(tag("puppy")))
    catalog.decide.reject(video_id, "puppy")
    catalog.decide.rename("puppy", "Rex")
    assert texts(catalog, video_id) == []
    catalog.decide.rename("dog", "puppy")
    video(catalog, look(tag("dog"), version="2"))
    assert texts(catalog, video_id) == ["puppy"], "this name came later than the rejection"


def test_names_can_be_swapped(catalog: Catalog) -> None:
    video_id = video(catalog, look(tag("left", 0, 1), tag("right", 5, 6)))
    for old, new in (("left", "between"), ("right", "left"), ("between", "right")):
        catalog.decide.rename(old, new)
    assert texts(catalog, video_id) == ["right", "left"]


VERDICTS = st.lists(
    st.tuples(
        st.sampled_from(["accept", "reject", "add", "rename", "merge", "alias"]),
        st.sampled_from(["dog", "cat", "Dogs", "newt"]),
        st.sampled_from(["dog", "cat", "Rex"]),
        st.sampled_from([None, OBJECT, SCREEN]),
    ),
    max_size=6,
)


def _decide(
    catalog: Catalog, video_id: int, kind: str, text: str, target: str, modality: Modality | None
) -> None:
    if kind in ("accept", "reject"):
        getattr(catalog.decide, kind)(video_id, text, modality)
    elif kind == "add":
        catalog.decide.add(video_id, text, modality or HUMAN, (1, 2))
    elif kind == "merge":
        catalog.decide.merge([text, "newt"], target, modality)
    else:
        getattr(catalog.decide, kind)(text, target, modality)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VERDICTS)
def test_undo_takes_back_act_by_act_and_re_runs_change_nothing(verdicts: list[Any]) -> None:
    with Catalog.in_memory() as catalog:
        looks = (
            look(tag("dogs", 0, 1), tag("cat", 2, 3)),
            look(tag("dog", modality=SCREEN), expert="screen"),
        )
        video_id = video(catalog, *looks)
        states = [list(dump_lines(catalog))]
        for verdict in verdicts:
            _decide(catalog, video_id, *verdict)
            states.append(list(dump_lines(catalog)))
        held = catalog.tags(video_id)
        video(catalog, *looks)
        assert catalog.tags(video_id) == held
        assert list(dump_lines(catalog)) == states[-1]
        for before in reversed(states[:-1]):
            assert catalog.decide.undo()
            assert list(dump_lines(catalog)) == before
        assert catalog.decide.undo() == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VERDICTS, st.sampled_from(["dog", "newt"]), st.sampled_from([OBJECT, SCREEN]))
def test_the_last_word_on_a_tag_holds(verdicts: list[Any], text: str, modality: Modality) -> None:
    with Catalog.in_memory() as catalog:
        video_id = video(catalog, look(tag("dogs", 0, 1), tag("cat", 2, 3)))
        for verdict in verdicts:
            _decide(catalog, video_id, *verdict)
        name = catalog.canonical(text, modality)

        def there() -> bool:
            return any(
                t.modality == modality and t.text.lower() == name.lower() for t in catalog.tags(video_id)
            )

        catalog.decide.accept(video_id, name, modality)
        assert there()
        catalog.decide.reject(video_id, name)
        assert not there()
        catalog.decide.add(video_id, name, modality)
        assert there()


def test_what_a_person_said_follows_a_file_that_was_written_anew(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    old = catalog.save("a" * 64, Place(str(path), 1, 1), facts=FACTS, looks=[look(tag("dog"))])
    catalog.decide.reject(old, "dog")
    other_title = Facts(10.02, 640, 360, FACTS.fps, "h264", 90, "bt709", True, "Another title")
    new = catalog.save("b" * 64, Place(str(path), 2, 2), facts=other_title, looks=[look(tag("dog"))])
    assert texts(catalog, new) == []
    longer = Facts(60.0, 640, 360, FACTS.fps, "h264", 90, "bt709", True)
    another = catalog.save("c" * 64, Place(str(path), 3, 3), facts=longer, looks=[look(tag("dog"))])
    assert texts(catalog, another) == ["dog"], "that is another film"
