"""Moments in order: both in one video, the second after the first, with a gap that can be bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import pytest
from click.testing import CliRunner

from tagline.experts.tags import Modality
from tagline.retrieval.cli.main import cli
from tagline.retrieval.query.hits import Filters
from tagline.retrieval.query.parse import Step, parse_steps
from tagline.retrieval.query.search import answer, search
from tagline.tagging.catalog.write import Catalog

VIDEOS: dict[str, dict[str, Any]] = {
    "right.mp4": {"tags": {"object": [("door", 0.9, 1.0, 2.0), ("dog", 0.8, 8.0, 9.0)]}},
    "wrong.mp4": {"tags": {"object": [("dog", 0.9, 1.0, 2.0), ("door", 0.8, 8.0, 9.0)]}},
    "late.mp4": {
        "duration": 100.0,
        "tags": {"object": [("door", 0.9, 1.0, 2.0), ("dog", 0.9, 60.0, 61.0), ("cat", 0.9, 90.0, 91.0)]},
    },
    "again.mp4": {
        "tags": {"object": [("dog", 0.5, 0.0, 1.0), ("door", 0.5, 3.0, 4.0), ("dog", 0.5, 6.0, 7.0)]}
    },
    "alone.mp4": {"tags": {"object": [("dog", 0.9, 1.0, 2.0)]}},
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return fakes.library(tmp_path, VIDEOS)


def names(hits: Any) -> list[str]:
    return [Path(hit.video.paths[0]).name for hit in hits]


def test_only_videos_that_have_both_in_this_order(catalog: Catalog) -> None:
    hits = search(catalog, '"door" then "dog"')
    assert names(hits) == ["late.mp4", "right.mp4", "again.mp4"]
    right = hits[1]
    assert (right.start, right.end) == (1.0, 9.0), "from the first moment to the last"
    assert [one.text for one in right.why] == ["door", "dog"]
    assert right.score == pytest.approx(0.9 * 0.8)
    assert (hits[2].start, hits[2].end) == (3.0, 7.0), "the dog that came before the door is not meant"


def test_the_gap_can_be_bounded(catalog: Catalog) -> None:
    assert names(search(catalog, '"door" then within 10s "dog"')) == ["right.mp4", "again.mp4"]
    assert names(search(catalog, "door then within 1m dog"))[0] == "late.mp4"
    assert names(search(catalog, '"door" then "dog" then within 40s "cat"')) == ["late.mp4"]
    assert search(catalog, '"cat" then "dog"') == []


def test_filters_and_mistakes_work_as_ever(catalog: Catalog) -> None:
    cats = Filters(lacking=((Modality.OBJECT, "cat"),))
    assert "late.mp4" not in names(search(catalog, '"door" then "dog"', filters=cats))
    assert names(search(catalog, '"door" then "dog - cat"'))[0] == "right.mp4"
    assert not answer(catalog, '"door" then "submarine"').answered


def test_in_a_plain_sentence_then_is_a_word() -> None:
    assert parse_steps("a man walks and then jumps") == []
    assert parse_steps('"a man then jumps"') == []
    assert parse_steps('"a" then') == []
    assert parse_steps('then "a"') == []
    assert parse_steps('"door opens" then "dog"') == [Step("door opens"), Step("dog")]
    assert parse_steps('door then "dog"') == [Step("door"), Step("dog")]
    assert parse_steps("a then within 1:30 b") == [Step("a"), Step("b", 90.0)]


def test_a_shell_takes_the_quotes_off_and_it_works_all_the_same(catalog: Catalog, tmp_path: Path) -> None:
    words = ["the door", "then", "a dog"]
    found = CliRunner().invoke(cli, ["search", *words, "--library", str(tmp_path), "--paths"])
    assert [Path(line).name for line in found.stdout.splitlines()] == ["late.mp4", "right.mp4", "again.mp4"]
