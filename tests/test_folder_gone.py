"""A26: files that are deleted and folders that cannot be reached; what the catalog knows of them is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fakes
import pytest
from folder_runs import look, write

from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import describe


def unmount(films: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "empty":
        for path in films.rglob("*.mp4"):
            path.unlink()
        (films / "sub").rmdir()
    elif how == "away":
        films.rename(films.with_name("elsewhere"))
    else:
        scandir = os.scandir

        def refused(path: Any) -> Any:
            if str(path).startswith(str(films)):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refused)
        lstat = os.lstat

        def hidden(path: Any, **rest: Any) -> Any:
            if str(path).startswith(str(films) + os.sep):
                raise PermissionError(13, "Permission denied")
            return lstat(path, **rest)

        monkeypatch.setattr(os, "lstat", hidden)


@pytest.mark.parametrize("how", ["empty", "away", "no permission"])
def test_a_folder_that_cannot_be_reached_deletes_nothing(
    decoder: type[fakes.FakeDecoder], films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    write(films, 3)
    write(films / "sub", 2, title="below")
    before = look(films, library=tmp_path)[2]
    with monkeypatch.context() as patch:
        unmount(films, how, patch)
        made, outcome, after = look(films, library=tmp_path)
        assert after == before
        assert made.unreachable == 5
        assert outcome.partly
        assert any(
            "cannot be reached: is a disk not mounted? Nothing was removed" in line for line in describe(made)
        )


def test_an_empty_folder_inside_may_be_a_disk_that_is_away(
    decoder: type[fakes.FakeDecoder], films: Path
) -> None:
    write(films, 2)
    inside = write(films / "disk", 2, title="below")
    before = look(films)[2]
    for path in inside:
        path.unlink()
    made, _, after = look(films)
    assert (made.unreachable, made.gone) == (2, [])
    assert after == before


def test_a_deleted_file_is_hidden_and_comes_back_with_all_that_was_said(
    decoder: type[fakes.FakeDecoder], films: Path, tmp_path: Path
) -> None:
    path = write(films, 3)[0]
    before = look(films)[2]
    with Catalog.open(films) as catalog:
        video = catalog.find(path)
        assert video is not None
        catalog.decide.add(video.id, "Anna")
        before = list(dump_lines(catalog))
    path.rename(tmp_path / "kept.mp4")
    made, outcome, _ = look(films)
    assert (made.gone_for_good, outcome.partly) == (1, False)
    with Catalog.open(films) as catalog:
        assert len(list(catalog.videos())) == 2
        assert len(list(catalog.videos(gone=True))) == 3
        assert ("Anna", 1) not in [(c.text, c.videos) for c in catalog.tag_counts()]
    (tmp_path / "kept.mp4").rename(path)
    made, _, after = look(films)
    assert (after, made.jobs, decoder.read_paths) == (before, [], [])
