"""What training a model on a library comes to, and where it goes, whichever model it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagline.tagging.catalog.files import without_links
from tagline.tagging.catalog.read import CatalogReader


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of a training."""

    folder: Path  # the saved model; its class's from_pretrained reads it
    figures: Mapping[str, float]  # on validation videos: R@1 and its kin, F1 or R-precision
    left_out: tuple[tuple[str, str], ...] = ()  # (path, reason) of videos that could not be read
    details: Any = None  # what the model's own `train` returned


def own_folder(catalog: CatalogReader, name: str, out: str | os.PathLike[str] | None = None) -> Path:
    """Where a model goes: into `out`, else beside the catalog under its name.

    Raises NotOurs where a link would lead elsewhere.
    """
    if out is not None:
        return Path(out).expanduser()
    assert catalog.file is not None
    return without_links(catalog.file.parent / "models" / name)
