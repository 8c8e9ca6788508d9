"""The order of the rooms: no import runs to the right, none runs in a circle, none is heavy too early."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tagline.benchmarks.quality import house

ROOT = Path(__file__).parent.parent
HEAVY = {
    "av",
    "faiss",
    "matplotlib",
    "open_clip",
    "pyarrow",
    "pytorchvideo",
    "torch",
    "torchvision",
    "transformers",
    "ultralytics",
    "whisper",
}


MODULES = house.modules(ROOT)
GRAPH = house.import_graph(MODULES)


def test_rooms_import_only_to_their_left() -> None:
    wrong = [
        f"{name} -> {target}"
        for name, targets in GRAPH.items()
        for target in targets
        if house.ROOMS.index(target.split(".")[1]) > house.ROOMS.index(name.split(".")[1])
    ]
    assert wrong == []


def test_no_room_is_imported_by_its_bare_name() -> None:
    """`tagging` and `tagline.tagging` would be two modules."""
    found = []
    for path in [*MODULES.values(), *(ROOT / "tests").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in house.ROOMS]
    assert found == []


def test_no_import_runs_in_a_circle() -> None:
    done: set[str] = set()
    trail: list[str] = []

    def visit(name: str) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        trail.append(name)
        # A package's own __init__ is run on the way to every module in it; that is no circle.
        for target in sorted(GRAPH[name]):
            if not name.startswith(target + "."):
                visit(target)
        trail.pop()
        done.add(name)

    for name in GRAPH:
        visit(name)


def test_no_folder_of_a_room_is_in_a_circle_with_another() -> None:
    # What runs in a circle between two files is the test above's to say.
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    circles = [circle for circle in house.folder_cycles(GRAPH) if packages.intersection(circle)]
    assert circles == []


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        name for name, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["tag", "--help"], ["bench", "list"]])
def test_nothing_heavy_is_imported_for_an_answer_in_words(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        f"sys.argv = ['tagline', *{arguments!r}]\n"
        "from tagline.retrieval.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"loaded = set(sys.modules) & {HEAVY!r}\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
