"""An index in pieces: the same answers as exact search, rebuilt only where needed, asked until all answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shaking import shaken

from tagline.retrieval.index.base import BadIndex
from tagline.retrieval.ray import build, index_shard
from tagline.retrieval.ray.index_shard import IndexShard, Location, ShardedIndex
from tagline.retrieval.ray.serving import ServedIndex
from tagline.tagging.ml import ann
from tagline.tagging.ray import ClusterError
from tagline.tagging.ray.shards import ShardStore

D = 16
rng = np.random.default_rng(3)
CENTRES = rng.standard_normal((20, D))


def vectors(count: int, seed: int) -> np.ndarray[Any, Any]:
    draw = np.random.default_rng(seed)
    return shaken(ann.unit(CENTRES[draw.integers(0, 20, count)] + 0.3 * draw.standard_normal((count, D))))


def shelf_of(folder: Path, parts: int = 6, each: int = 50) -> tuple[ShardStore, np.ndarray[Any, Any]]:
    """Shards with vectors, three a video; the first part holds a look that another supersedes."""
    shelf = ShardStore(str(folder))
    shelf.create()
    whole = []
    for number in range(parts):
        rows = vectors(3 * each, number)
        whole.append(rows)
        looks, found = [], []
        for video in range(each):
            key = {"hash": f"{number:02d}{video:04d}", "expert": "scene"}
            looks.append(
                {**key, "modality": "scene", "version": "1", "fingerprint": "f", "at": f"2026-{number}"}
            )
            found += [
                {**key, "fingerprint": "f", "start": float(i), "end": i + 1.0, "values": rows[3 * video + i]}
                for i in range(3)
            ]
        shelf.write(f"{number:032d}", {"looks": looks, "vectors": found})
    old = [
        {
            "hash": "010000",
            "expert": "scene",
            "modality": "scene",
            "version": "0",
            "fingerprint": "f",
            "at": "1",
        }
    ]
    stale = [
        {"hash": "010000", "expert": "scene", "fingerprint": "f", "start": 9.0, "end": 9.0, "values": rows[0]}
    ]
    shelf.write("f" * 32, {"looks": old, "vectors": stale})
    return shelf, np.concatenate(whole)


@pytest.fixture
def index(tmp_path: Path) -> tuple[Path, ShardedIndex, np.ndarray[Any, Any]]:
    """What building.build makes, without a cluster: the same functions, one after another."""
    shelf, whole = shelf_of(tmp_path / "shards")
    return *built(shelf, tmp_path / "index"), whole


def built(shelf: ShardStore, out: Path) -> tuple[Path, ShardedIndex]:
    mark, groups, rows = build.plan_shards(shelf, shelf.parts(), "scene", None, 400)
    out.mkdir(exist_ok=True)
    learnt = build._train(shelf.url, groups, "scene", mark, rows)
    ann.save(ann.from_bytes(learnt), out / index_shard.TRAINED)
    names = [f"shard-{n:05d}" for n in range(len(groups))]
    counts = [build._build_shard(shelf.url, g, "scene", mark, str(out / n)) for n, g in zip(names, groups)]
    size = int(ann.load(out / index_shard.TRAINED).d)
    head = build._tune_probes(
        out, ShardedIndex(mark, "scene", size, sum(counts), 1, tuple(names)), lambda text: None
    )
    head.write(out)
    return out, head


class Local:
    """A handle that asks a piece here, and fails as often as it is told to."""

    def __init__(self, piece: IndexShard, failures: int = 0) -> None:
        self.piece, self.failures, self.asked = piece, failures, 0
        self.search, self.locations = _Method(self, "search"), _Method(self, "locations")


class _Method:
    def __init__(self, handle: Local, name: str) -> None:
        self.handle, self.name = handle, name

    def remote(self, *arguments: Any) -> Any:
        handle, name = self.handle, self.name

        class Answer:
            def result(self, timeout_s: float) -> Any:
                handle.asked += 1
                if handle.asked <= handle.failures:
                    raise TimeoutError
                return getattr(handle.piece, name)(*arguments)

        return Answer()


def served(out: Path, head: ShardedIndex, *failures: int, patience: float = 10) -> ServedIndex:
    hurt = [*failures, *[0] * len(head.shards)]
    handles = [Local(IndexShard(out / name, head), hurt[n]) for n, name in enumerate(head.shards)]
    return ServedIndex(out, handles=handles, patience=patience)


def test_pieces_together_find_what_exact_search_finds(index: tuple[Path, ShardedIndex, Any]) -> None:
    out, head, whole = index
    assert len(head.shards) == 3
    assert head.rows == len(whole) == 900
    ask = served(out, head)
    queries = vectors(50, 99)
    ids, scores = ask.search(queries, 10)
    truth = np.sort(queries @ whole.T, axis=1)[:, ::-1][:, :10]
    assert ids.shape == scores.shape == (50, 10)
    assert np.mean(np.abs(scores - truth) < 2e-3) > 0.95
    assert all(len(set(row)) == 10 for row in ids.tolist())
    by_hash = {f"{p:02d}{v:04d}": whole[150 * p + 3 * v :][:3] for p in range(6) for v in range(50)}
    for query, row, found in zip(queries, ids, scores, strict=True):
        for spot, score in zip(ask.locations(row), found, strict=True):
            assert by_hash[spot.video][int(spot.start)] @ query == pytest.approx(score, abs=2e-3)
            assert spot.end == spot.start + 1


def test_a_lost_answer_is_asked_for_again_and_nothing_changes(index: tuple[Path, ShardedIndex, Any]) -> None:
    out, head, _ = index
    queries = vectors(5, 7)
    calm, hurt = served(out, head), served(out, head, 2, 0, 1)
    assert np.array_equal(calm.search(queries, 7)[0], hurt.search(queries, 7)[0])
    assert hurt.retries == 3
    with pytest.raises(ClusterError, match="1 of 3 pieces of the index do not answer"):
        served(out, head, 0, 1_000_000, patience=0.3).search(queries, 7)


def test_what_is_there_is_not_built_again(index: tuple[Path, ShardedIndex, Any], tmp_path: Path) -> None:
    out, head, _ = index
    shelf = ShardStore(str(tmp_path / "shards"))
    mark, groups, _ = build.plan_shards(shelf, shelf.parts(), "scene", None, 400)
    before = (out / "shard-00001" / "index.faiss").stat().st_mtime_ns
    for group, name in zip(groups, head.shards, strict=True):
        build._build_shard(shelf.url, group, "scene", mark, str(out / name))
    assert (out / "shard-00001" / "index.faiss").stat().st_mtime_ns == before
    (out / "shard-00001" / index_shard.DONE_FILE).unlink()  # as if its node had been lost while it wrote
    build._build_shard(shelf.url, groups[1], "scene", mark, str(out / "shard-00001"))
    assert (out / "shard-00001" / "index.faiss").stat().st_mtime_ns > before


def test_an_index_of_another_model_is_refused(index: tuple[Path, ShardedIndex, Any], tmp_path: Path) -> None:
    out, _, _ = index
    with pytest.raises(BadIndex, match="another model"):
        ShardedIndex.read(out, "g")
    with pytest.raises(BadIndex, match="there is no index"):
        ShardedIndex.read(tmp_path / "nowhere")
    (out / "index.json").write_text((out / "index.json").read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(BadIndex, match="newer"):
        ShardedIndex.read(out)
    (out / "index.json").write_text("{")
    with pytest.raises(BadIndex, match="damaged"):
        ShardedIndex.read(out)


def test_vectors_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    shelf, _ = shelf_of(tmp_path / "shards", parts=2)
    key = {"hash": "x", "expert": "scene", "fingerprint": "other"}
    shelf.write("e" * 32, {"vectors": [{**key, "start": 0.0, "end": 1.0, "values": [1.0] * D}]})
    with pytest.raises(ClusterError, match="2 different models"):
        build.plan_shards(shelf, shelf.parts(), "scene", None, 400)
    assert build.plan_shards(shelf, shelf.parts(), "scene", "other", 400)[2] == 1
    with pytest.raises(ClusterError, match="no vectors of 'speech'"):
        build.plan_shards(shelf, shelf.parts(), "speech", None, 400)


def test_locations_are_what_was_written(tmp_path: Path) -> None:
    sample = vectors(200, 1)
    trained = index_shard.train(sample, 200)
    locations = [Location(f"{n}", float(n), n + 0.5) for n in range(200)]
    index_shard.write_shard(tmp_path / "shard-00007", trained, sample, locations)
    piece = IndexShard(tmp_path / "shard-00007", ShardedIndex("f", "scene", D, 200, 1, ("shard-00007",)))
    assert piece.locations(np.array([7 * index_shard.MAX_ROWS + 3, 7 * index_shard.MAX_ROWS])) == [
        locations[3],
        locations[0],
    ]
