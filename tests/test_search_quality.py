"""The measurement of search: its counting against cases worked out by hand, and that it leaks nothing."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import fakes
import pytest
from test_searcher import searcher, world

from tagline.benchmarks.playhouse.world import synonyms
from tagline.benchmarks.playhouse.world.sentences import TOPICS
from tagline.benchmarks.quality import search as measured
from tagline.retrieval.query.hits import Hit
from tagline.tagging.catalog.records import Caption


@pytest.mark.parametrize(
    ("one", "other", "iou"),
    [
        ((0, 4), (2, 6), 2 / 6),
        ((0, 4), (4, 8), 0),
        ((1, 2), (0, 4), 0.25),
        ((3, 3), (3, 3), 1),
        ((0, 0), (1, 1), 0),
    ],
)
def test_overlap(one: tuple[float, float], other: tuple[float, float], iou: float) -> None:
    assert measured.overlap(one, other) == pytest.approx(iou)
    assert measured.overlap(other, one) == pytest.approx(iou)


def test_places(tmp_path: Path) -> None:
    made = fakes.library(tmp_path, {name: {"salt": name} for name in ("a.mp4", "b.mp4")})
    a, b = made.videos()
    hits = [Hit(b, 0, 4, 1.0, ()), Hit(a, 0, 4, 0.5, ())]
    asked = measured.CaptionQuery("x", a.id, 0.0, 5.0)
    assert measured.rank_of(hits, asked, moment=False) == 2
    assert measured.rank_of(hits, asked, moment=True) == 2
    late = measured.CaptionQuery("x", a.id, 3.0, 9.0)
    assert measured.rank_of(hits, late, moment=False) == 2
    assert measured.rank_of(hits, late, moment=True) > 10
    assert measured.rank_of([], asked, moment=False) > 10


def test_strange_things_are_strange() -> None:
    tables = (synonyms.PERSONS, synonyms.SCENES, synonyms.MOTIONS, synonyms.OBJECTS, synonyms.TOPICS)
    own = {w for table in tables for row in table.values() for name in row for w in name.split()} | set(
        TOPICS
    )
    listed = "\n".join(
        (resources.files("tagline.experts") / "vision" / "labels" / f"{name}.txt").read_text("utf-8").lower()
        for name in ("kinetics400", "places365", "coco80")
    )
    for strange in measured.UNKNOWN_THINGS:
        assert strange not in own
        assert f" {strange}" not in listed.replace("\n", " ").replace("_", " ").replace("\t", " ")
    queries = measured.unanswerable_queries(200)
    assert len(set(queries)) == 200


def test_figures_on_a_small_world(tmp_path: Path) -> None:
    """Fitted on one library, asked on another one: figures come out, and nothing was read of the tests."""
    known = world(tmp_path / "val")
    asked = world(tmp_path / "test", videos=12, written=False)
    for video in list(asked.videos()):
        asked.put_captions(video.id, [Caption("a dog in the forest", 0.0, 5.0, split="test")])
    from tagline.retrieval.tune.tune import tune

    learnt = tune(known, searcher(known))
    ready = searcher(asked, learnt)
    queries = measured.captions_of(asked, 1)
    assert len(queries) == 12
    values, details = measured.rate(asked, ready, queries)
    assert {"words_r1", "vector_r1", "hybrid_r10", "bank_moment_r1"} <= values.keys()
    assert "tagline train table" in details["rerank"]
    assert all(values[f"{way}_moment_r10"] <= values[f"{way}_r10"] for way in measured.SYSTEMS)
    said = measured.refusals(asked, ready, queries, ["a submarine", "bungee jumping"])
    assert said["false_answers"] == 0
    assert '"weights"' in measured.as_defaults(learnt)
