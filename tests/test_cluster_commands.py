"""The commands around clusters: what they say without Ray, and what they do with shards."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from click.testing import CliRunner, Result
from cluster_world import order, walk_through

from tagline.retrieval.cli.main import cli
from tagline.tagging import ray
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.ray import connection
from tagline.tagging.ray.sources import list_sources


def tagline(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.use_fakes(monkeypatch)
    monkeypatch.setattr(ray, "find_spec", lambda name: True)  # nothing here needs Ray itself
    folder = tmp_path / "films"
    for n in range(3):
        fakes.write_video(folder / f"{n}.mp4", tags={"object": ["dog"], "scene": [f"room {n}"]}, salt=n)
    return folder


@pytest.fixture
def shards(films: Path) -> str:
    out = films / ".tagline" / "shards"
    walk_through(list_sources([str(films)]).sources, out, order())
    return str(out)


def test_without_ray_one_is_told_what_to_install(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda name: None)
    Catalog.open(films).close()
    for words in (
        ("tag", str(films), "--cluster", "auto"),
        ("index", str(films), "--cluster", "auto", "--out", str(tmp_path / "index")),
        ("serve", "--cluster", "auto", "--index", str(tmp_path)),
        ("train", "table", "--data", str(films), "--cluster", "auto", "--device", "cpu"),
    ):
        answer = tagline(*words)
        assert answer.exit_code == 1, words
        assert "pip install 'tagline[cluster]'" in answer.output, words
    assert tagline("tag", str(films), "--json").exit_code == 0  # everything else works


def test_options_of_a_cluster_do_not_stand_alone(films: Path) -> None:
    for words in (
        ("tag", str(films), "--shards", "x"),
        ("tag", str(films), "--pool", "read=2"),
        ("tag", str(films), "--cluster", "auto", "--library", str(films)),
        ("tag", str(films / "absent"), "--cluster", "auto"),
        ("tag", "s3://bucket/films", "--cluster", "auto"),  # where are the results to go?
        ("index", str(films), "--out", "x"),
        ("index", str(films), "--cluster", "auto"),
        ("serve", "--index", "x"),
        ("serve", "--cluster", "auto"),
        ("serve", "--cluster", "local", "--index", "x"),  # it would be gone when the command ends
        ("train", "table", "--data", str(films), "--workers", "2"),
    ):
        assert tagline(*words).exit_code == 2, words


def test_a_dry_run_says_what_is_left(films: Path, shards: str) -> None:
    fakes.write_video(films / "new.mp4", tags={"object": ["cat"]}, salt="new")
    answer = tagline("tag", str(films), "--cluster", "auto", "--dry-run", "--json")
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert (told["found"], told["to_do"]) == (4, 1)


def test_shards_are_brought_in_and_asked(films: Path, shards: str) -> None:
    told = json.loads(tagline("catalog", "count", shards, "--json").stdout)
    assert (told["videos"], told["tags"], told["failures"]) == (3, 6, 0)
    hits = json.loads(tagline("catalog", "query", shards, "dogs", "--json").stdout)
    assert sorted(Path(hit["url"]).name for hit in hits) == ["0.mp4", "1.mp4", "2.mp4"]
    counts = json.loads(tagline("catalog", "query", shards, "--modality", "object", "--json").stdout)
    assert counts == [{"text": "dog", "modality": "object", "videos": 3, "spans": 3}]
    assert tagline("catalog", "query", shards, "zebra").exit_code == 4
    brought = tagline("catalog", "import", shards)  # they lie in the library's own folder
    assert brought.exit_code == 0, brought.output
    assert brought.stdout.startswith("3 videos, 12 looks, 0 known")
    assert "0 looks, 12 known" in tagline("catalog", "import", shards).stdout
    with Catalog.open(films) as catalog:
        assert {tag.text for video in catalog.videos() for tag in catalog.tags(video.id)} >= {"dog", "room 1"}


def test_a_place_without_shards_is_a_sentence(tmp_path: Path) -> None:
    for words in (
        ("count", str(tmp_path)),
        ("query", str(tmp_path)),
        ("import", str(tmp_path), "--library", str(tmp_path)),
    ):
        answer = tagline("catalog", *words)
        assert answer.exit_code == 1
        assert "there are no shards" in answer.output


def test_a_sentence_is_asked_of_a_served_index(
    films: Path, shards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_cluster_index import Local, built

    from tagline.retrieval.ray import serving
    from tagline.retrieval.ray.index_shard import IndexShard, ShardedIndex
    from tagline.tagging.ray.shards import ShardStore

    out, head = built(ShardStore(shards), tmp_path / "index")
    replace(head, source_url=shards).write(out)
    monkeypatch.setattr(
        serving, "_handle", lambda name: Local(IndexShard(out / name, ShardedIndex.read(out)))
    )
    monkeypatch.setattr(connection, "connected", lambda address: nullcontext([]))
    words = ("catalog", "ask", str(out), "a", "dog", "--cluster", "auto", "--json", "-k", "2")
    refused = tagline(*words)
    assert refused.exit_code == 1
    assert "no tower for texts" in refused.output

    class Towers:
        def encode_texts(self, texts: list[str]) -> np.ndarray[Any, Any]:
            assert texts == ["a dog"]
            return np.asarray(IndexShard(out / head.shards[0], head).vectors[1:2], np.float32)

    monkeypatch.setattr(fakes.FakeScenes, "towers", Towers(), raising=False)
    hits = json.loads(tagline(*words).stdout)
    assert hits[0]["score"] == pytest.approx(1.0, abs=1e-3)
    assert len(hits) == 2
    assert all(hit["url"].endswith(".mp4") for hit in hits)
    replace(head, fingerprint="another", source_url=shards).write(out)
    other = tagline(*words)
    assert other.exit_code == 1
    assert "is not the one that the index was made with" in other.output


def test_an_address_where_nobody_listens_is_a_sentence_at_once(films: Path) -> None:
    pytest.importorskip("ray")
    answer = tagline("tag", str(films), "--cluster", "127.0.0.1:1")
    assert answer.exit_code == 1
    assert "no Ray cluster can be joined at 127.0.0.1:1 (Connection refused)" in answer.output
