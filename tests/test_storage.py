"""Files are written whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from tagline.experts.storage import open_atomic, write_atomic


def test_what_fails_half_way_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.bin"
    write_atomic(path, b"old")

    def fail() -> None:
        with open_atomic(path) as file:
            file.write(b"new")
            assert path.read_bytes() == b"old", "nobody sees a part"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert [one.name for one in path.parent.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("durable", [True, False])
def test_writers_of_handles_and_of_paths_are_served(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"a longer file than the one that comes")
    with open_atomic(path, durable=durable) as file:
        np.save(file, np.arange(3))
    assert np.load(path).tolist() == [0, 1, 2]
    with open_atomic(path, durable=durable) as file:
        beside = Path(file.name)
        assert (beside.parent, beside.suffix) == (path.parent, ".npy")
        beside.write_text("by its path")
    assert path.read_text() == "by its path"
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444, "others may read it, as any file"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "狗")
    assert (tmp_path / "a").read_bytes() == "狗".encode()
