"""A picture of unknown origin: it is read in a locked-in child, whatever it is, and never by this process."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tagline.benchmarks.quality import house
from tagline.experts.attacks import hostile
from tagline.experts.decode import still
from tagline.experts.decode.still import read_picture
from tagline.experts.footage import Unreadable


@pytest.fixture(autouse=True)
def not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a picture was opened in this process")

    monkeypatch.setattr(PIL.Image, "open", refuse)


def picture(width: int = 40, height: int = 24) -> np.ndarray:
    row, column = np.mgrid[:height, :width]
    return np.stack([row * 9 % 256, column * 5 % 256, (row + column) * 3 % 256], axis=2).astype(np.uint8)


@pytest.mark.parametrize("form", still.FORMATS)
def test_every_kind_is_read_as_it_was_drawn(tmp_path: Path, form: str) -> None:
    drawn = picture()
    path = tmp_path / "a.picture"
    how = {"quality": 95} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    PIL.Image.fromarray(drawn).save(path, form, **how)
    seen = read_picture(path)
    assert seen.shape == drawn.shape
    assert seen.dtype == np.uint8
    if form in ("PNG", "WEBP", "BMP"):
        np.testing.assert_array_equal(seen, drawn)
    else:
        assert np.abs(seen.astype(int) - drawn).mean() < 12


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_colours_is_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image = (
        PIL.Image.new("I;16", (9, 5)) if mode == "I;16" else PIL.Image.fromarray(picture(9, 5)).convert(mode)
    )
    image.save(path)
    assert read_picture(path).shape == (5, 9, 3)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *more: bytes, rows: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zeros(size: int) -> bytes:
    """So many bytes, packed a thousand times over."""
    packer = zlib.compressobj(9)
    return (
        b"".join(packer.compress(bytes(min(1 << 20, size - i))) for i in range(0, size, 1 << 20))
        + packer.flush()
    )


def test_bombs_end_as_a_sentence(tmp_path: Path) -> None:
    """More pixels than there is memory, texts of gigabytes, a giant animation, frames without an end."""
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    hostile.huge_gif(tmp_path / "giant.gif")
    files = {
        "bomb.png": (png(60_000, 60_000, rows=zeros(1 << 24)), "has more than 50 million pixels"),
        "wide.png": (png(2**31 - 1, 2**31 - 1), "pixels|no picture"),
        "text.png": (png(4, 4, chunk(b"zTXt", b"a\0\0" + zeros(1 << 28)), rows=b""), "no picture"),
        "profile.png": (png(4, 4, chunk(b"iCCP", b"a\0\0" + zeros(1 << 28)), rows=b""), "no picture"),
        "cut.jpg": (b"\xff\xd8\xff\xe0" + b"\0" * 500, "no picture"),
        "page.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
        "film.tif": (b"II*\0" + b"\xff" * 500, "no picture"),
        "giant.gif": ((tmp_path / "giant.gif").read_bytes(), "has more than 50 million pixels"),
        "empty.png": (b"", "is empty"),
    }
    for name, (content, reason) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unreadable, match=reason):
            read_picture(tmp_path / name)
    endless = tmp_path / "endless.gif"
    endless.write_bytes(
        b"GIF89a" + struct.pack("<HH", 1, 1) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + frame * 500_000
    )
    assert read_picture(endless).shape == (1, 1, 3)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(Unreadable, match="is a folder"):
        read_picture(tmp_path / "folder.png")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce this")
def test_the_child_has_given_up_its_rights_before_it_sees_the_picture(tmp_path: Path) -> None:
    """The real program, but for a Pillow that was taken over: it opens, writes and calls nobody."""
    path, secret = tmp_path / "a.png", tmp_path / "secret"
    PIL.Image.fromarray(picture()).save(path)
    secret.write_text("secret")
    program = tmp_path / "child.py"
    program.write_text(
        "from tagline.experts.decode import guard, still\n"
        "from tagline.experts.footage import Unreadable\n"
        "import os, socket\n"
        "def taken(handle, most):\n"
        "    done = []\n"
        "    for name, deed in {\n"
        f"        'read': lambda: os.open({str(secret)!r}, os.O_RDONLY),\n"
        f"        'write': lambda: os.open({str(secret)!r}, os.O_WRONLY),\n"
        "        'call': lambda: socket.socket(),\n"
        "        'fork': os.fork,\n"
        "    }.items():\n"
        "        try:\n"
        "            deed()\n"
        "            done.append(name)\n"
        "        except OSError:\n"
        "            pass\n"
        "    raise Unreadable(f'did {done}')\n"
        "channel = guard.shut_in(still.load)\n"
        "still._pixels = taken\n"
        "guard.serve(channel, still.carry_out)\n"
    )
    with pytest.raises(Unreadable, match=r"^did \[\]$"):
        read_picture(path, child=program)


@pytest.mark.parametrize(
    "answer",
    ["{'shape': [1 << 20, 1 << 20, 3]}", "{'shape': [9, 9, 3]}", "{'shape': [4, 4]}", "{'shape': 'x'}", "{}"],
)
def test_what_it_says_is_not_believed(tmp_path: Path, answer: str) -> None:
    program = tmp_path / "child.py"
    program.write_text(
        "import os, socket, sys\n"
        "from tagline.experts.decode import buffer, guard\n"
        "channel = socket.socket(fileno=int(sys.argv[1]))\n"
        "guard.receive(channel)\n"
        "store = buffer.SharedMemory()\n"
        "os.ftruncate(store.fd, 100)\n"
        f"guard.send(channel, {answer}, store.fd)\n"
    )
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    with pytest.raises(Unreadable, match="nonsense"):
        read_picture(path, child=program)


def test_nobody_else_opens_pictures_or_videos() -> None:
    """Parsers of others see a file of unknown origin in a locked-in child, and nowhere else."""
    openers = ("Image.open(", "av.open(", "VideoCapture(", "imread(", "read_video(", "soundfile.", "pysubs2")
    found = {
        name.removeprefix("tagline.")
        for name, path in house.modules(Path(__file__).parent.parent).items()
        if name.split(".")[1] != "benchmarks" and any(word in path.read_text("utf-8") for word in openers)
    }
    inside = {f"experts.decode.{name}" for name in ("reader", "preview", "still")}
    # hostile only writes, and yolo takes back what its library did to Pillow.
    assert found - {"experts.attacks.hostile"} == inside
