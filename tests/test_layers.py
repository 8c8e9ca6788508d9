"""The order of the rooms: no import runs to the right, none runs in a circle, none is heavy too early."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ["experts", "tagging", "table", "retrieval", "benchmarks"]
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


def modules() -> dict[str, Path]:
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(("tagline", *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return found


def imports(name: str, path: Path) -> set[str]:
    """Everything that a module imports, at its top or inside its functions, by full name."""
    found: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return found


MODULES = modules()
GRAPH = {
    name: {target for target in imports(name, path) if target in MODULES and target != name}
    for name, path in MODULES.items()
}


def test_rooms_import_only_to_their_left() -> None:
    wrong = [
        f"{name} -> {target}"
        for name, targets in GRAPH.items()
        for target in targets
        if ROOMS.index(target.split(".")[1]) > ROOMS.index(name.split(".")[1])
    ]
    assert wrong == []


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
