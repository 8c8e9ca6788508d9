"""What a stranger does first with an installed wheel, in an environment without torch: see `make wheel`.

`smoke.py library FOLDER` is run before, by the repository's own environment: it tags and embeds a small
library, which the wheel then searches and shows.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from importlib.metadata import distributions, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOMS = {"experts", "tagging", "table", "retrieval", "benchmarks"}
TAGLINE = str(Path(sys.executable).with_name("tagline"))
GUIDE = Path(__file__).parent.parent / "docs" / "python.md"
TOKEN = "smoke-smoke-smoke"
SIGNS = {"holiday": "WELCOME TO LISBON", "garden": "FRESH TOMATOES"}


def tagline(*arguments: str, expect: int = 0) -> str:
    """What it prints; with --json the data alone."""
    done = subprocess.run([TAGLINE, *arguments], capture_output=True, text=True)
    assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout if "--json" in arguments else done.stdout + done.stderr


def video(path: Path, sign: str, seconds: int = 2) -> None:
    """Some seconds of a sign."""
    board = Image.new("RGB", (640, 360), (30, 60, 90))
    ImageDraw.Draw(board).text((40, 140), sign, (255, 255, 255), ImageFont.load_default(48))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("h264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for _ in range(2 * seconds):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(board), format="rgb24")))
        out.mux(stream.encode(None))


def make_library(folder: Path) -> None:
    """Tagged and embedded with all extras at hand."""
    videos = folder / "Videos"
    videos.mkdir(parents=True)
    for name, sign in SIGNS.items():
        video(videos / f"{name}.mp4", sign, 90)  # docs/python.md speaks of its second minute
    tagline("tag", str(videos), "--only", "scene,screen", "--weights", "playhouse")
    tagline("index", "--library", str(videos), "--weights", "playhouse")
    # What docs/python.md rejects, and what it asks with.
    tagline("tags", "add", "holiday.mp4", "cat", "--library", str(videos))
    tagline("tags", "add", "garden.mp4", "vegetables", "--library", str(videos))


def check_installation() -> None:
    modules = [path.parts for path in files("tagline") or [] if path.suffix == ".py"]
    assert {parts[0] for parts in modules} == {"tagline"}, modules
    assert {parts[1] for parts in modules if len(parts) > 2} == ROOMS, modules
    assert not any(find_spec(room) for room in ROOMS), "a room is installed under its bare name"
    names = {one.metadata["Name"].lower() for one in distributions()}
    assert not names & {"torch", "torchvision", "transformers"}, names


def check_words() -> None:
    assert "tagline" in tagline("--version")
    assert "Commands" in tagline("--help")
    assert "tagline[models]" in tagline("doctor")
    tagline("nonsense", expect=2)


def check_library(videos: Path) -> None:
    library = ("--library", str(videos))
    hits = json.loads(tagline("search", "lisbon", *library, "--json"))
    assert "holiday.mp4" in json.dumps(hits["hits"]), hits
    shown = json.loads(tagline("show", "holiday.mp4", *library, "--json"))
    assert "lisbon" in json.dumps(shown).lower(), shown
    assert "tagline[models]" in tagline("index", *library, expect=1)
    assert "tagline[models]" in tagline("train", "table", "--data", str(videos), expect=1)
    assert "in tagline's repository" in tagline("bench", "playhouse", "card", "tiny", expect=1)
    # An expert that cannot look is told, and the videos stay as they are.
    assert "scene needs torch" in tagline("tag", str(videos), "--only", "scene", "--weights", "playhouse")


def check_page(videos: Path) -> None:
    """`serve` is started, asked once, and stopped."""
    command = [TAGLINE, "serve", "--library", str(videos), "--port", "0", "--token", TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://[^/\s]+", line)
            assert found, line
            request = urllib.request.Request(
                f"{found[0]}/api/search?q=tomatoes", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
            assert "garden" in text, text
        finally:
            process.terminate()


def check_tagging() -> None:
    with tempfile.TemporaryDirectory() as folder:
        video(Path(folder) / "sign.mp4", "GRAND OPENING")
        # What needs an extra says so, and the others work on.
        tagline("tag", folder, "--only", "object,screen")
        assert "opening" in tagline("show", "sign.mp4", "--library", folder, "--json").lower()


def check_guide(home: Path) -> None:
    """Every statement of docs/python.md runs, or says which extra it needs."""
    if not GUIDE.is_file():
        return
    from tagline.experts.extras import ExtraMissing

    os.environ["HOME"] = str(home)
    names: dict[str, Any] = {}
    left_out: set[str] = set()
    ran = 0
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S):
        for statement in ast.parse(block).body:
            parts = list(ast.walk(statement))
            if left_out & {part.id for part in parts if isinstance(part, ast.Name)}:
                continue
            try:
                exec(compile(ast.Module([statement], []), str(GUIDE), "exec"), names)
                ran += 1
            except ExtraMissing as error:
                print(f"docs/python.md: {ast.unparse(statement)}: {error}")
                assigned = (p for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store))
                left_out |= {part.id for part in assigned}
    assert ran >= 5, f"of docs/python.md only {ran} statements ran without extras"


def main(folder: Path) -> None:
    check_installation()
    check_words()
    check_library(folder / "Videos")
    check_page(folder / "Videos")
    check_tagging()
    check_guide(folder)
    print("the installed wheel works without torch: 1 passed, 0 failed")


if __name__ == "__main__":
    *made, place = sys.argv[1:]
    here = Path(place).resolve()
    # The library's folder is all that is handed over; the cache lies in it.
    os.environ |= {"XDG_CACHE_HOME": str(here / "cache"), "XDG_DATA_HOME": str(here / "data")}
    make_library(here) if made == ["library"] else main(here)
