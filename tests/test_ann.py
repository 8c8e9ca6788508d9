"""Nearest vectors: against a full sort, page by page or at once, through every way into a file and back."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from tagline.tagging.ml import ann
from tagline.tagging.ml.ann import NO_ROW, VectorIndex, recall, unit

ROOT = Path(__file__).parent.parent


def test_exact_search_is_a_full_sort_with_ties_in_order() -> None:
    rng = np.random.default_rng(0)
    rows = np.round(rng.normal(size=(300, 6)), 1).astype(np.float32)
    rows[200:] = rows[:100]  # ties
    asked = rows[:7]
    scores, numbers = VectorIndex(rows).search(asked, 25)
    full = asked @ rows.T
    assert numbers.tolist() == [np.argsort(-row, kind="stable")[:25].tolist() for row in full]
    assert np.allclose(scores, np.take_along_axis(full, numbers, 1))


def test_fewer_rows_than_asked_for() -> None:
    scores, numbers = VectorIndex(np.eye(3, dtype=np.float32)).search(np.eye(3, dtype=np.float32)[:1], 5)
    assert numbers.tolist() == [[0, 1, 2, NO_ROW, NO_ROW]]
    assert np.isneginf(scores[0, 3:]).all()
    none = VectorIndex(np.zeros((0, 3), np.float32)).search(np.ones((2, 3), np.float32), 1)
    assert none[1].tolist() == [[NO_ROW], [NO_ROW]]


def test_the_index_keeps_its_promise_and_grows() -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, 16))
    rows = unit(centres[rng.integers(0, 40, 6000)] + 0.4 * rng.normal(size=(6000, 16)))
    index = VectorIndex(rows, exact=1000, target_recall=0.95)
    asked = unit(rows[:100] + 0.05 * rng.normal(size=(100, 16)))
    assert recall(index.search(asked, 10)[1], index.exact_search(asked, 10)[1]) >= 0.93
    new = unit(np.ones((1, 16)))
    index.add(new)
    assert index.search(new, 1)[1].tolist() == [[6000]]


def test_units_have_length_one_or_none() -> None:
    found = unit([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]])
    assert found.dtype == np.float32
    assert found.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0], [1, 0]]
    assert unit([3.0, 4.0]).tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("page", [1, 3, 7, 50])
def test_pages_one_by_one_have_the_best_of_all(page: int) -> None:
    rng = np.random.default_rng(4)
    rows = unit(np.round(rng.normal(size=(50, 4)), 0))
    rows[30:40] = rows[:10]  # ties across pages
    names = np.arange(100, 150)
    pages = ann.ExactPages(rows[:6], 5)
    for start in range(0, 50, page):
        pages.update(names[start : start + page], rows[start : start + page])
    wanted = ann.top_k(rows[:6] @ rows.T, np.broadcast_to(names, (6, 50)), 5)
    assert np.array_equal(pages.numbers, wanted[1])
    assert np.allclose(pages.scores, wanted[0])
    few = ann.ExactPages(rows[:1], 5)
    few.update(names[:2], rows[:2])
    assert few.numbers[0, 2:].tolist() == [NO_ROW] * 3


def test_the_best_candidates_come_with_ties_by_number_and_are_filled_up() -> None:
    scores, numbers = ann.top_k(
        np.array([[0.5, 0.5, 0.7, -np.inf]], np.float32), np.array([[5, 3, 9, NO_ROW]]), 6
    )
    assert numbers.tolist() == [[9, 3, 5, NO_ROW, NO_ROW, NO_ROW]]
    assert scores[0, 3:].tolist() == [-np.inf] * 3


def test_recall_counts_what_there_was_to_find() -> None:
    assert recall(np.array([[1, 2, NO_ROW]]), np.array([[2, 3, NO_ROW]])) == 0.5
    assert recall(np.array([[NO_ROW]]), np.array([[NO_ROW]])) == 0


@pytest.mark.parametrize(("target", "wanted"), [(0.3, (4, 0.4)), (0.7, (8, 0.8)), (1.1, (10, 1.0))])
def test_probes_are_doubled_until_it_is_enough(target: float, wanted: tuple[int, float]) -> None:
    assert ann.tune_probes(lambda probes: probes / 10, target, first=4, most=10) == wanted


@pytest.mark.parametrize("recipe", ["Flat", "IVF8,Flat", "IVF8,PQ2x4fs,Refine(SQ8)"])
def test_an_index_answers_the_same_from_a_file_and_from_bytes(recipe: str, tmp_path: Path) -> None:
    rows = unit(np.random.default_rng(5).normal(size=(800, 4)))
    index = ann.untrained(4, recipe)
    assert ann.is_exact(index) == (recipe == "Flat")
    index.train(rows)
    index.add(rows)
    knobs = (
        {} if recipe == "Flat" else {"probes": 8} if "Refine" not in recipe else {"probes": 8, "widen": 40}
    )
    found = ann.search(index, rows[:9], 5, **knobs)
    assert recall(found[1], ann.exact(rows[:9], rows, 5)[1]) > 0.9
    ann.save(index, tmp_path / "index")
    written: list[bytes] = []
    ann.save_to(index, lambda data: written.append(bytes(data)) or len(bytes(data)))
    for again in (
        ann.load(tmp_path / "index"),
        ann.from_bytes(ann.to_bytes(index)),
        ann.from_bytes(np.frombuffer(b"".join(written), np.uint8)),
    ):
        scores, numbers = ann.search(again, rows[:9], 5, **knobs)
        assert np.array_equal(numbers, found[1])
        assert np.array_equal(scores, found[0])
    with pytest.raises(RuntimeError):
        ann.from_bytes(np.zeros(3, np.uint8))


def test_fewer_rows_than_asked_of_faiss() -> None:
    index = ann.untrained(2)
    index.add(np.eye(2, dtype=np.float32))
    scores, numbers = ann.search(index, np.eye(2, dtype=np.float32)[:1], 4)
    assert numbers.tolist() == [[0, 1, NO_ROW, NO_ROW]]
    assert np.isneginf(scores[0, 2:]).all()


def test_threads_are_given_back() -> None:
    with ann.threads(1) as before, ann.threads(2) as inside:
        assert inside == 1
    with ann.threads(1) as again:
        assert again == before


def test_faiss_is_imported_in_one_file() -> None:
    found = []
    for room in ("experts", "tagging", "table", "retrieval", "benchmarks"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                found += [path for name in names if name.split(".")[0] == "faiss"]
    assert found == [ROOT / "tagging" / "ml" / "ann.py"]
