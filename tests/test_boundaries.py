"""What stands in one place only: SQL in the catalog."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("experts", "tagging", "table", "retrieval", "benchmarks", "tagline")
MODULES = sorted(
    path
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)
STATEMENT = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE (TABLE|INDEX|TRIGGER|VIRTUAL|UNIQUE|TEMP)|PRAGMA)\s+\S"
)
FROM_OUTSIDE = (
    "benchmarks/robustness/kill9.py",  # looks at a run's file while the run writes to it
    "benchmarks/robustness/damaged_libraries.py",  # writes what no catalog of ours holds
    "tagging/attacks/libraries.py",  # so does a stranger
)


def statements(source: str) -> Iterator[str]:
    """The string constants of a module that begin as SQL does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.match(node.value):
            yield node.value


def outside(path: Path) -> bool:
    return not path.is_relative_to(ROOT / "tagging" / "catalog")


@pytest.mark.parametrize(
    "source",
    [
        'rows = f("SELECT id FROM video")',
        'f(f"DELETE FROM {table} WHERE id = ?")',
        'f("""\n  CREATE TABLE t(a)""")',
    ],
)
def test_a_statement_is_recognised(source: str) -> None:
    assert list(statements(source))


def test_all_sql_stands_in_the_catalog() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): list(statements(path.read_text(encoding="utf-8")))
        for path in MODULES
        if outside(path)
    }
    assert len(found) > 100
    assert {name for name, some in found.items() if some} == {*FROM_OUTSIDE}
