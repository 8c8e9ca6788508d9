"""Files of sidecars: no link is followed, no protected file replaced, no half a file left."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tagline.tagging.formats import FORMATS, files, merging

# ---- files (A28)


def fill(data: bytes) -> Callable[[Any], None]:
    return lambda out: out.write(data) and None


def test_links_pipes_and_folders_are_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    (tmp_path / "link.xmp").symlink_to(outside)
    (tmp_path / "dead.xmp").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.xmp").mkdir()
    os.mkfifo(tmp_path / "pipe.xmp")
    for name in ("link.xmp", "dead.xmp", "folder.xmp", "pipe.xmp"):
        with pytest.raises(files.FileRefused):
            files.open_old(tmp_path / name, 100)
        with pytest.raises(files.FileRefused):
            files.replace_file(tmp_path / name, fill(b"x"), None)
    assert outside.read_text() == "secret"
    assert not (tmp_path / "nowhere").exists()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"dead.xmp", "folder.xmp", "link.xmp", "outside", "pipe.xmp"}


def test_a_protected_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_text("mine")
    path.chmod(0o444)
    old = files.open_old(path, 100)
    assert old is not None
    old.handle.close()
    with pytest.raises(files.FileRefused, match="write-protected"):
        files.replace_file(path, fill(b"x"), old.state)
    assert path.read_text() == "mine"


def test_a_file_that_changes_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_text("mine")
    old = files.open_old(path, 100)
    assert old is not None
    old.handle.close()

    def meddle(out: Any) -> None:
        out.write(b"x")
        path.write_text("mine, and more")

    with pytest.raises(files.FileRefused, match="changed by another program"):
        files.replace_file(path, meddle, old.state)
    assert path.read_text() == "mine, and more"
    with pytest.raises(files.FileRefused, match="changed by another program"):
        files.replace_file(path, fill(b"x"), None)
    assert [p.name for p in tmp_path.iterdir()] == ["a.xmp"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_text("mine")
    path.chmod(0o640)
    old = files.open_old(path, 100)
    assert old is not None
    old.handle.close()

    def break_off(out: Any) -> None:
        out.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(files.FileRefused, match="no space left"):
        files.replace_file(path, break_off, old.state)
    assert path.read_text() == "mine"
    files.replace_file(path, fill(b"whole"), old.state)
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["a.xmp"]


def test_names_of_sidecars(tmp_path: Path) -> None:
    video = tmp_path / "holiday.mp4"
    video.touch()
    assert files.sidecar_path(video, FORMATS["xmp"]).name == "holiday.mp4.xmp"
    assert files.sidecar_path(video, FORMATS["xmp"], short=True).name == "holiday.xmp"
    assert files.sidecar_path(video, FORMATS["nfo"]).name == "holiday.nfo"
    assert files.sidecar_path(video, FORMATS["vtt-tags"]).name == "holiday.tags.vtt"
    (tmp_path / "holiday.xmp").touch()
    assert files.sidecar_path(video, FORMATS["xmp"]).name == "holiday.xmp", "the one that is there"
    (tmp_path / "holiday.cr2").touch()
    assert files.sidecar_path(video, FORMATS["xmp"]).name == "holiday.mp4.xmp", "that one may be the photo's"
    with pytest.raises(files.FileRefused, match=r"holiday\.cr2"):
        files.sidecar_path(video, FORMATS["nfo"])


def test_every_format_has_what_the_table_says() -> None:
    for form in FORMATS.values():
        module = form.load()
        assert callable(module.read)
        assert callable(module.merge if form.beside else module.write)
    assert merging.FIELDS[0] == "video"
