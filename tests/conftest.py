"""What tests share: one thread a process, no network, where the real data lies, and worlds of stand-ins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fakes import FakeDecoder
    from hub import Place

    from tagging.catalog import Catalog

# Two test processes share two cores; before torch and OpenMP are loaded.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


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
    from tagging.catalog import Catalog

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
