"""What a long measurement has done already, kept so that it goes on where it was interrupted.

Figures are kept under everything that they depend on: configuration, data, and the code of the rooms that
made them. After a change of any of these they are made anew; nothing needs to be deleted by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.experts.storage import cache_home, hash_path, open_atomic, write_atomic
from tagline.tagging.ml.config import digest

Array = npt.NDArray[Any]


def cached_figures(
    name: str, about: Any, make: Callable[[], Mapping[str, Any]], where: Path | None = None
) -> dict[str, Any]:
    """The figures of one run of the measurement `name`: those kept for the same `about`, or new ones.

    about: JSON data, all that the figures depend on. where: the folder that keeps them, if it is another one.
    """
    path = (where or folder(name)) / f"{digest(about)[:32]}.json"
    if path.is_file():
        cached: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
        return cached
    figures_made = json.loads(json.dumps(make()))
    write_atomic(
        path, json.dumps({"about": about, "figures": figures_made}, indent=1, ensure_ascii=False) + "\n"
    )
    return dict(figures_made)


def array_path(name: str, about: Any) -> Path:
    """Where the array is kept, for those who make many at a time."""
    key = digest(about)[:32]
    return folder(name) / key[:2] / f"{key[2:]}.npy"


def put_array(path: Path, array: Array) -> None:
    """Write an array, whole or not at all."""
    with open_atomic(path, durable=False) as file:
        np.save(file, array, allow_pickle=False)


@cache  # what runs is what was there when it was asked first
def code_fingerprint(*packages: str) -> str:
    """sha256 over the files of packages: what changed there may change figures."""
    return digest(*(hash_path(Path(str(resources.files(package)))) for package in packages))


def folder(name: str) -> Path:
    """Where what belongs to the measurement `name` is kept."""
    return cache_home() / "bench" / name
