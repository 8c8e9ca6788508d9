"""What a stranger does first with an installed wheel. Run by `make wheel` in an empty environment."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path

import av
import numpy as np

ROOMS = {"experts", "tagging", "table", "retrieval", "benchmarks"}
TAGLINE = str(Path(sys.executable).with_name("tagline"))


def tagline(*arguments: str, expect: int = 0) -> str:
    done = subprocess.run([TAGLINE, *arguments], capture_output=True, text=True)
    assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def video(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for shade in np.linspace(0, 255, 20, dtype=np.uint8):
            picture = np.full((240, 320, 3), shade, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


def main() -> None:
    modules = [path.parts for path in files("tagline") or [] if path.suffix == ".py"]
    assert {parts[0] for parts in modules} == {"tagline"}, modules
    assert {parts[1] for parts in modules if len(parts) > 2} == ROOMS, modules

    assert "tagline" in tagline("--version")
    assert "Commands" in tagline("--help")
    tagline("doctor")
    tagline("nonsense", expect=2)
    with tempfile.TemporaryDirectory() as folder:
        video(Path(folder) / "grey.mp4")
        # ultralytics is an extra: its experts say so and the others work on.
        tagline("tag", folder, "--only", "object,screen")
        shown = json.loads(tagline("show", "grey.mp4", "--library", folder, "--json"))
        assert shown, shown
    print("the installed wheel works: 1 passed, 0 failed")


if __name__ == "__main__":
    main()
