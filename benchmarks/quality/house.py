"""The package as it is laid out and installed: what `pip install` brings, and how well one finds one's way.

Of these figures `source_lines`, `largest_folder`, `files_under_60_lines` and `repeated_names` are there to be
looked at; the others have aims. All but the wheel and its installation are read from the syntax tree.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagline.benchmarks.quality.old_names import old_names
from tagline.benchmarks.registry import repository

PACKAGE = "tagline"
ROOMS = ("experts", "tagging", "table", "retrieval", "benchmarks")
FEW_LINES = 60

Graph = Mapping[str, set[str]]


def measure(options: dict[str, str]) -> dict[str, Any]:
    """install=yes: also install the wheel into an empty environment (needs a package index)."""
    root = repository.checkout("what is measured here is")
    found = modules(root)
    with tempfile.TemporaryDirectory() as temporary:
        wheel = build_wheel(root, Path(temporary))
        values: dict[str, Any] = {
            "packages_installed": len(installed_packages(wheel)),
            "wheel_mb": round(wheel.stat().st_size / 1e6, 2),
        }
        if options.get("install") == "yes":
            values |= base_install(wheel, root, Path(temporary) / "empty")
    cycles, old = folder_cycles(import_graph(found)), old_words(found.values(), old_names())
    undocumented, repeated = undocumented_names(root), repeated_names(found)
    sizes = {name: count_lines(path) for name, path in found.items()}
    folders = folder_sizes(root)
    largest = max(folders, key=lambda folder: folders[folder])
    few = [
        name
        for name, path in found.items()
        if path.name not in ("__init__.py", "__main__.py") and sizes[name] < FEW_LINES
    ]
    values |= {
        "folder_cycles": len(cycles),
        "old_words": len(old),
        "public_api_documented": not undocumented,
        "source_lines": sum(sizes.values()),
        "largest_folder": folders[largest],
        "files_under_60_lines": len(few),
        "repeated_names": len(repeated),
    }
    return {
        "values": values,
        "configuration": {"old_words": len(old_names())},
        "details": {
            "folder_cycles": cycles,
            "old_words": old,
            "undocumented": undocumented,
            "largest_folder": largest,
            "files_under_60_lines": few,
            "repeated_names": repeated,
        },
    }


# -- the tree ------------------------------------------------------------------------------------------


def modules(root: Path) -> dict[str, Path]:
    """Every module of the rooms, by the name under which it is imported."""
    found = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return found


def imports(name: str, path: Path) -> set[str]:
    """Everything that a module imports, at its top or inside its functions, by full name."""
    found: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return found


def import_graph(found: Mapping[str, Path]) -> dict[str, set[str]]:
    """Which of the modules each of them imports."""
    return {
        name: {target for target in imports(name, path) if target in found and target != name}
        for name, path in found.items()
    }


def folder_cycles(graph: Graph) -> list[list[str]]:
    """Groups of folders, and files beside them, that import one another in a circle, at every depth.

    What lies in a folder counts as the folder, seen from the folder above.
    """
    packages = {name.rpartition(".")[0] for name in graph if name.count(".") > 1}
    found = []
    for package in sorted(packages):
        between: dict[str, set[str]] = defaultdict(set)
        for name, targets in graph.items():
            own = _inside(name, package)
            others = {_inside(target, package) for target in targets}
            if own:
                between[own] |= {other for other in others if other and other != own}
        found += circles(between)
    return found


def circles(graph: Graph) -> list[list[str]]:
    """The groups of nodes of which each is reached from each other."""
    reached = {name: _reached(name, graph) for name in graph}
    groups = {
        frozenset({name, *(one for one in reached[name] if name in reached.get(one, ()))})
        for name in graph
        if name in reached[name]
    }
    return sorted(sorted(group) for group in groups)


def _reached(start: str, graph: Graph) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = set(graph.get(ahead.pop(), ())) - found
        found |= new
        ahead += new
    return found


def _inside(name: str, package: str) -> str | None:
    """The folder or file directly in the package that a module belongs to; None: it lies elsewhere."""
    if not name.startswith(f"{package}."):
        return None
    return f"{package}.{name.removeprefix(f'{package}.').partition('.')[0]}"


def definitions(path: Path) -> Iterator[str]:
    """What a module defines at its top, and its classes' members as `Class.member`."""
    for node in syntax(path).body:
        for name in _defined(node):
            yield name
            if isinstance(node, ast.ClassDef):
                yield from (f"{name}.{member}" for part in node.body for member in _defined(part))
                yield from (f"{name}.{attribute}" for attribute in _own_attributes(node))


def _defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [part.id for one in targets for part in ast.walk(one) if isinstance(part, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _own_attributes(made: ast.ClassDef) -> set[str]:
    """What its methods assign to `self`."""
    return {
        node.attr
        for node in ast.walk(made)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def old_words(paths: Iterable[Path], unwanted: Mapping[str, str]) -> list[str]:
    """Those of the unwanted names that are defined again, with the file."""
    return sorted(f"{path.name}: {name}" for path in paths for name in definitions(path) if name in unwanted)


def repeated_names(found: Mapping[str, Path]) -> dict[str, list[str]]:
    """Public names of classes and functions that several modules define: each means several things."""
    where: dict[str, list[str]] = defaultdict(list)
    for module, path in found.items():
        for node in syntax(path).body:
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and node.name[0] != "_"
            ):
                where[node.name].append(module)
    return {name: places for name, places in sorted(where.items()) if len(places) > 1}


def folder_sizes(root: Path) -> dict[str, int]:
    """How many modules and folders of code lie in each folder of the rooms."""
    found: dict[str, int] = {}
    for room in ROOMS:
        for marker in sorted((root / room).rglob("__init__.py")):
            folder = marker.parent
            names = [path for path in folder.glob("*.py") if path != marker]
            names += [path.parent for path in folder.glob("*/__init__.py")]
            found[str(folder.relative_to(root))] = len(names)
    return found


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# -- the public door -------------------------------------------------------------------------------------


def undocumented_names(root: Path) -> list[str]:
    """Public names that lack a docstring, an example in it (what is called) or a place in docs/python.md."""
    import tagline

    guide = root / "docs" / "python.md"
    text = guide.read_text(encoding="utf-8") if guide.is_file() else ""
    public: dict[str, Any] = {
        name: getattr(tagline, name) for name in getattr(tagline, "__all__", ()) if name[0] != "_"
    }
    if not public:
        return ["tagline.__all__"]
    methods = {
        f"Library.{name}": member
        for name, member in vars(public.get("Library", object)).items()
        if name[0] != "_" and callable(member)
    }
    return [
        name
        for name, member in {**public, **methods}.items()
        if not is_documented(member) or name.rpartition(".")[2] not in text
    ]


def is_documented(member: Any) -> bool:
    """A class that only holds values needs a docstring; what is called needs an example in it as well."""
    text = inspect.getdoc(member) or ""
    if not text or isinstance(member, type):
        return bool(text)
    return any(_is_example(paragraph) for paragraph in text.split("\n\n")[1:])


def _is_example(paragraph: str) -> bool:
    """Whether it is Python that calls something."""
    try:
        return any(isinstance(node, ast.Call) for node in ast.walk(ast.parse(textwrap.dedent(paragraph))))
    except SyntaxError:
        return False


# -- the wheel -------------------------------------------------------------------------------------------


def build_wheel(root: Path, into: Path) -> Path:
    _run(sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(into), str(root))
    return next(into.glob("*.whl"))


def installed_packages(wheel: Path) -> set[str]:
    """The names that a wheel puts beside other packages."""
    with zipfile.ZipFile(wheel) as content:
        return {
            name.partition("/")[0]
            for name in content.namelist()
            if not name.partition("/")[0].endswith((".dist-info", ".data"))
        }


def base_install(wheel: Path, root: Path, empty: Path) -> dict[str, Any]:
    """Size and content of an environment with the wheel and what it asks for, without extras."""
    found = install(str(wheel), root, empty)
    torch = subprocess.run([str(found.python), "-c", "import torch"], capture_output=True)
    return {"base_install_mb": found.megabytes, "torch_in_base": torch.returncode == 0}


@dataclass(frozen=True, slots=True)
class Installation:
    """An environment that was empty before."""

    python: Path
    megabytes: int  # of all its files
    seconds: float  # that pip took, downloads included


def install(what: str, root: Path, empty: Path) -> Installation:
    """Install a wheel, with extras in brackets or without, by pip into a new environment and no cache."""
    python = empty / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    _run(sys.executable, "-m", "venv", str(empty))
    begun = time.perf_counter()
    _run(
        *(str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check"),
        *("--constraint", str(root / "constraints.txt"), what),
    )
    seconds = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in empty.rglob("*") if path.is_file() and not path.is_symlink())
    return Installation(python, round(size / 1e6), round(seconds, 1))


def _run(*program: str) -> None:
    from tagline.tagging.ml.config import BadConfig

    done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise BadConfig(f"{' '.join(program[1:4])} failed: {why}")
