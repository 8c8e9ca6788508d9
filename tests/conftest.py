"""What tests share: one thread a process, no network, where the real data lies, and worlds of stand-ins.

TAGLINE_SHAKE=SEED shakes the last bits of vectors, see shaking.py. Tests of vectors are marked `numeric`.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fakes import FakeDecoder
    from hub import Place

    from tagline.tagging.catalog.write import Catalog

# Two test processes share two cores; before torch and OpenMP are loaded.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A test is numeric if its file imports one of these, or a stand-in made of vectors.
NUMERIC = (
    "torch",
    "tagline.table",
    "tagline.experts.clip",
    "tagline.experts.sound",
    "tagline.experts.scene",
    "tagline.retrieval.query.qb_norm",
    "tagline.retrieval.tune.fit",
    "tagline.retrieval.embed.encode",
    "tagline.retrieval.embed.query_encoder",
    "tagline.retrieval.query.explain",
    "tagline.retrieval.index.faiss_index",
    "tagline.retrieval.index.update",
    "tagline.retrieval.embed.text_tower",
    "tagline.retrieval.query.candidates",
    "tagline.tagging.generator",
    "tagline.tagging.fusion",
    "tagline.tagging.ml.ann",
    "tagline.tagging.neighbours",
    "tagline.tagging.ranker",
    "tagline.benchmarks.baselines",
    "embedding",
    "shaking",
    "table_world",
    "tagger_world",
)


def pytest_configure(config: pytest.Config) -> None:
    # Not in the process that only hands out tests: this imports torch.
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        import shaking

        shaking.install()


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, those inside its functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def is_numeric(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in NUMERIC)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    numeric: dict[Path, bool] = {}
    for item in items:
        if item.path not in numeric:
            numeric[item.path] = any(map(is_numeric, imported(item.path)))
        if numeric[item.path]:
            item.add_marker("numeric")


@pytest.fixture(autouse=True)
def no_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has approved nothing yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with real videos, sounds and annotations; a test that needs it is skipped without it."""
    folder = os.environ.get("TAGLINE_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TAGLINE_TEST_DATA names no folder with real data")
    return Path(folder)


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> type[FakeDecoder]:
    """Stand-ins in the place of the decoder and of the built-in experts."""
    import fakes

    return fakes.use_fakes(monkeypatch)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """An empty folder."""
    films = tmp_path / "films"
    films.mkdir()
    return films


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """An empty catalog of the test's folder."""
    from tagline.tagging.catalog.write import Catalog

    with Catalog.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def vtt(tmp_path: Path) -> Path:
    """Annotations of a small MSR-VTT."""
    from annotations import small_vtt

    return small_vtt(tmp_path / "annotations")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The world of pull_world: a user with nothing, three small entries, and the server that has them."""
    import pull_world

    with pull_world.serve(tmp_path, monkeypatch) as server:
        yield server
