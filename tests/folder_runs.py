"""Runs over a folder of stand-ins: videos are written, a run is made, and what the catalog then holds."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import fakes

from tagline.experts.panel import Panel
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.lock import only_writer
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import Plan, plan
from tagline.tagging.pipeline.progress import RunResult
from tagline.tagging.pipeline.run import run


def write(folder: Path, count: int, **content: Any) -> list[Path]:
    return [
        fakes.write_video(folder / f"{n:02d}.mp4", tags={"object": [f"thing {n}"]}, salt=n, **content)
        for n in range(count)
    ]


def undisturbed(films: Path, tmp_path: Path) -> list[str]:
    """What a catalog holds after one run over a copy of the folder, with nothing in the way."""
    copy = tmp_path / "undisturbed"
    shutil.copytree(films, copy, ignore=shutil.ignore_patterns(".tagline"))
    return look(copy)[2]


def look(
    films: Path,
    *,
    experts: list[Any] | None = None,
    library: Path | None = None,
    batch: int = 4,
    stop: threading.Event | None = None,
    on_progress: Any = lambda progress: None,
    **options: Any,
) -> tuple[Plan, RunResult, list[str]]:
    """One run: its plan, how it ended, and what the catalog then holds."""
    fakes.FakeDecoder.read_paths.clear()
    fakes.FakeExpert.looked.clear()
    with Catalog.open(library or films) as catalog, only_writer(catalog):
        made = plan(catalog, [films], fakes.experts() if experts is None else experts, **options)
        outcome = run(made, Panel(made.experts, batch=batch), on_progress, stop)
        return made, outcome, list(dump_lines(catalog))
