"""What every test shares: one thread a process, no network, and where the real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Two test processes share two cores; before torch and OpenMP are loaded.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with real videos, sounds and annotations; a test that needs it is skipped without it."""
    folder = os.environ.get("TAGLINE_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TAGLINE_TEST_DATA names no folder with real data")
    return Path(folder)
