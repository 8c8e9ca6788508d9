"""Search by words: the right video, the right moment, the reason; and no sign of a query has a meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fakes
import pytest
from click.testing import CliRunner, Result

from tagline.experts.tags import Modality
from tagline.retrieval.cli.main import cli
from tagline.retrieval.query.hits import Filters
from tagline.retrieval.query.lexical import query_words
from tagline.retrieval.query.search import search
from tagline.tagging.catalog.write import Catalog

VIDEOS: dict[str, dict[str, Any]] = {
    "beach.mp4": {
        "tags": {"object": [("dog", 0.9, 2.0, 4.0), ("frisbee", 0.8, 3.0, 5.0)], "scene": ["beach"]},
    },
    "kitchen.mp4": {
        "tags": {"object": [("dog", 0.7, 0.0, 1.0), ("frisbee", 0.6, 9.0, 10.0)], "scene": ["kitchen"]}
    },
    "talk.mp4": {"words": "today we speak about volcanoes and rain", "tags": {"screen": ["BREAKING NEWS"]}},
    "holiday.mp4": {"title": "Our summer on the volcano", "tags": {"scene": ["mountain"]}},
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return fakes.library(tmp_path, VIDEOS)


def names(hits: list[Any]) -> list[str]:
    return [Path(hit.video.paths[0]).name for hit in hits]


def test_the_video_with_everything_at_once_comes_first(catalog: Catalog) -> None:
    hits = search(catalog, "a dog catches a frisbee on the beach")
    assert names(hits) == ["beach.mp4", "kitchen.mp4"]
    assert 3.0 <= hits[0].start <= hits[0].end <= 4.0, "where dog and frisbee are both there"
    assert {one.text for one in hits[0].why} == {"dog", "frisbee", "beach"}


def test_things_far_apart_in_a_video_count_less_than_things_together(catalog: Catalog) -> None:
    hits = search(catalog, "dog frisbee")
    assert names(hits)[:2] == ["beach.mp4", "kitchen.mp4"]
    assert hits[0].score > hits[1].score + 0.1


def test_speech_is_found_at_the_second_at_which_it_is_said(catalog: Catalog) -> None:
    hit = search(catalog, "volcano")[0]
    spoken = next(one for one in hit.why if one.kind == "speech")
    assert names([hit]) == ["talk.mp4"]
    assert (hit.start, hit.end) == (spoken.start, spoken.end)


def test_titles_and_text_on_screen_are_found(catalog: Catalog) -> None:
    assert names(search(catalog, "summer")) == ["holiday.mp4"]
    assert names(search(catalog, "breaking")) == ["talk.mp4"]


def test_filters(catalog: Catalog) -> None:
    kitchen = ((Modality.SCENE, "kitchen"),)
    assert names(search(catalog, "dog", filters=Filters(having=kitchen))) == ["kitchen.mp4"]
    assert names(search(catalog, "dog", filters=Filters(lacking=((None, "kitchen"),)))) == ["beach.mp4"]
    assert search(catalog, "dog", filters=Filters(having=((Modality.OBJECT, "kitchen"),))) == []


def test_what_a_person_rejected_is_not_found(catalog: Catalog) -> None:
    video = catalog.find("beach.mp4")
    assert video is not None
    catalog.decide.reject(video.id, "dog", Modality.OBJECT)
    assert names(search(catalog, "dog")) == ["kitchen.mp4"]


@pytest.mark.parametrize(
    "query", ['" OR *', "dog NEAR(", "tags:dog", "a" * 100_000, "\x00", "''", "-", "()", "NOT dog"]
)
def test_no_sign_of_a_query_has_a_meaning(catalog: Catalog, query: str) -> None:
    for hit in search(catalog, query):
        assert "dog" in query.lower()
        assert 0 <= hit.score <= 1


def test_words_of_a_query() -> None:
    assert query_words("The dog and the DOG") == ["dog"]
    assert query_words("where is he") == ["where", "is", "he"], "if no word says anything, all are asked"
    assert len(query_words(" ".join(map(str, range(1000))))) == 32


def ask(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["search", *words, "--library", str(folder)])


def test_the_command(catalog: Catalog, tmp_path: Path) -> None:
    shown = ask(tmp_path, "dog", "frisbee")
    assert shown.exit_code == 0
    assert shown.output.index("beach.mp4") < shown.output.index("kitchen.mp4")
    assert "0:03" in shown.output

    rows = json.loads(ask(tmp_path, "dog", "--json", "-k", "1").stdout)["hits"]
    assert [Path(row["video"]).name for row in rows] == ["beach.mp4"]
    assert rows[0]["why"][0]["text"] == "dog"

    assert ask(tmp_path, "dog", "--paths").stdout.splitlines() == [
        str(tmp_path / n) for n in ("beach.mp4", "kitchen.mp4")
    ]
    assert ask(tmp_path, "dog", "-0").output.count("\0") == 2
    assert [
        row["video"]
        for row in json.loads(ask(tmp_path, "dog", "--json", "--not", "scene:kitchen").stdout)["hits"]
    ] == [str(tmp_path / "beach.mp4")]


def test_nothing_found_is_said_and_has_its_own_exit_code(catalog: Catalog, tmp_path: Path) -> None:
    answer = ask(tmp_path, "submarine")
    assert answer.exit_code == 4
    assert "nothing found for 'submarine'" in answer.output
