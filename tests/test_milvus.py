"""Milvus: a file and a server give the answers of exact search, and refuse another model's questions."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shaking import shaken

from tagline.retrieval.index.base import BadIndex, Index

pytest.importorskip("pymilvus", reason="an index in Milvus needs tagline[milvus]")
pytest.importorskip("milvus_lite", reason="an index in a Milvus file needs tagline[milvus]")

from tagline.experts.tags import Embedding
from tagline.retrieval.embed.search_model import CHOICE, SearchModel
from tagline.retrieval.index.base import Level
from tagline.retrieval.index.milvus import MilvusIndex
from tagline.retrieval.index.update import open_index, update, update_in_milvus
from tagline.tagging.catalog.approvals import approve
from tagline.tagging.catalog.write import Catalog

D = 12
MODEL = "f" * 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a process of its own, spoken to over the network."""
    from tagline.tagging.ray.local import free_ports

    port = free_ports(1)[0]
    folder = tmp_path_factory.mktemp("milvus")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--data-dir", str(folder)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            MilvusIndex(address, MODEL, 2, name="ready").close()
            break
        except BadIndex:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.3)
    yield address
    process.kill()
    process.wait()


@pytest.fixture(params=["file", "server"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "rows.db") if request.param == "file" else request.getfixturevalue("server")


@pytest.fixture
def index(address: str, request: pytest.FixtureRequest) -> Iterator[MilvusIndex]:
    made = MilvusIndex(address, MODEL, D, name=f"t{abs(hash(request.node.name))}")
    yield made
    made.client.drop_collection(made.collection)
    made.close()


def unit(count: int, seed: int) -> np.ndarray[Any, Any]:
    rows = np.random.default_rng(seed).standard_normal((count, D)).astype(np.float32)
    return shaken(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def exact(held: dict[int, Any], queries: Any, k: int) -> np.ndarray[Any, Any]:
    """Ids of the best rows, equal scores in the order of ids."""
    ids = np.array(sorted(held))
    scores = np.round(queries @ np.stack([held[i] for i in ids]).T, 6)
    return ids[np.lexsort((np.broadcast_to(ids, scores.shape), -scores), axis=1)[:, :k]]


def test_it_is_an_index_and_answers_as_exact_search(index: MilvusIndex) -> None:
    as_index: Index = index
    draw = np.random.default_rng(1)
    held: dict[int, Any] = {}
    for step in range(4):
        ids = draw.choice(400, 60, replace=False) * 1_048_576
        rows = unit(60, step)
        as_index.add(ids, rows)
        held |= {int(i): row for i, row in zip(ids, rows, strict=True)}
        gone = draw.choice(400, 20, replace=False) * 1_048_576
        as_index.remove(gone)
        held = {i: row for i, row in held.items() if i not in set(gone.tolist())}
        assert len(as_index) == len(held)
        assert as_index.ids().tolist() == sorted(held)
        ids, scores = as_index.search(unit(5, 100 + step), 7)
        assert np.array_equal(ids, exact(held, unit(5, 100 + step), 7))
        assert np.allclose(
            scores, [[held[i] @ q for i in r] for q, r in zip(unit(5, 100 + step), ids.tolist())]
        )


def test_ties_come_in_the_order_of_ids_and_odd_queries_find_nothing(index: MilvusIndex) -> None:
    row = unit(1, 0)
    assert index.search(row, 5)[0].shape == (1, 0)
    index.add(np.array([9, 4, 7, 1, 8, 2]), np.repeat(row, 6, 0))
    index.add(np.array([100, 4]), np.concatenate([-row, row]))
    assert index.search(row, 4)[0].tolist() == [[1, 2, 4, 7]]
    assert index.search(row, 50)[0].tolist() == [[1, 2, 4, 7, 8, 9, 100]]
    ids, scores = index.search(np.full((1, D), np.nan, np.float32), 3)
    assert ids.tolist() == [[-1] * 3]
    assert np.isneginf(scores).all()
    index.add(np.array([5, 5]), np.concatenate([row, -row]))  # the last holds
    assert index.search(-row, 1)[0].tolist() == [[5]]
    for wrong in (np.full((1, D), np.nan), np.zeros((2, D)), np.zeros((1, D + 1))):
        with pytest.raises(ValueError, match=r"numbers|ids for"):
            index.add(np.array([1]), wrong.astype(np.float32))


def test_it_is_found_again_and_only_by_its_own_model(index: MilvusIndex, tmp_path: Path) -> None:
    index.add(np.arange(10), unit(10, 0))
    index.revision = 7
    index.save(tmp_path / "here.json")
    index.close()
    with pytest.raises(BadIndex, match="have not approved"):
        MilvusIndex.open(tmp_path / "here.json", MODEL)
    approve(index.address)
    again = MilvusIndex.open(tmp_path / "here.json", MODEL)
    assert (len(again), again.revision, again.fingerprint) == (10, 7, MODEL)
    with pytest.raises(BadIndex, match="another model"):
        MilvusIndex.open(tmp_path / "here.json", "0" * 64)
    newer = {**json.loads((tmp_path / "here.json").read_text()), "format": 9}
    (tmp_path / "here.json").write_text(json.dumps(newer))
    with pytest.raises(BadIndex, match="newer"):
        MilvusIndex.open(tmp_path / "here.json", MODEL)
    again.add(np.arange(3), unit(3, 0))
    other = MilvusIndex(index.address, "0" * 64, D, name=index.name)
    assert len(other) == 0  # another model's rows lie elsewhere
    other.client.drop_collection(other.collection)
    with pytest.raises(BadIndex, match="numbers"):
        MilvusIndex(index.address, MODEL, D + 4, name=index.name)
    index.client = again.client


def test_a_library_is_searched_in_milvus_as_in_faiss(address: str, tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "library") as catalog:
        for number in range(1, 8):
            catalog.put_video(f"{number:064x}")
            whole, *spans = unit(4, number)
            found = [Embedding(float(i), i + 1.0, vector) for i, vector in enumerate(spans)]
            catalog.vectors.put_embeddings(number, MODEL, "", Embedding(0.0, 9.0, whole), found)
        catalog.set_meta(CHOICE, SearchModel("appearance", "x", MODEL).as_json())
        for level in Level:
            update(catalog, level, MODEL)
            here = open_index(catalog, level)
            told = update_in_milvus(catalog, level, MODEL, address)
            there = open_index(catalog, level)
            assert here is not None
            assert isinstance(there, MilvusIndex)
            assert told.rows == len(there) == len(here)
            queries = unit(6, 50)
            assert np.array_equal(there.search(queries, 5)[0], here.search(queries, 5)[0])
            catalog.forget(3)
            again = update_in_milvus(catalog, level, MODEL, address)
            assert (again.added, again.removed) == (0, told.rows - again.rows)
            there.client.drop_collection(there.collection)
            update(catalog, level, MODEL)  # from now on in FAISS again
            assert not isinstance(open_index(catalog, level), MilvusIndex)
            catalog.put_video(f"{3:064x}")


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    from tagline.tagging.ray.local import free_ports

    with pytest.raises(BadIndex, match="is it running"):
        MilvusIndex(f"http://127.0.0.1:{free_ports(1)[0]}", MODEL, D)
