"""No room is ever imported by its bare name: `experts.x` beside `tagline.experts.x` would be two modules."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import fakes
import pytest

from tagline.benchmarks.cli.bench import LAZY_COMMANDS
from tagline.benchmarks.registry.record import MEASUREMENTS
from tagline.retrieval.cli.main import COMMANDS
from tagline.tagging.catalog.records import Caption

TESTS = Path(__file__).parent
ROOT = TESTS.parent
# Runs command lines in one process, each through the same door as the shell's, and says what was imported.
PROGRAM = """
import json, sys
sys.path.insert(0, {tests!r})
import pytest
from click.testing import CliRunner
from embedding import use_fake_embedder
from pathlib import Path
from tagline.retrieval.cli.main import cli

def bare():
    rooms = {{"experts", "tagging", "table", "retrieval", "benchmarks"}}
    return sorted(name for name in sys.modules if name.split(".")[0] in rooms)

with pytest.MonkeyPatch.context() as patch:
    use_fake_embedder(patch, Path({cache!r}))
    patch.setattr("tagline.experts.devices.choose_device", lambda wish: "cpu")
    patch.setattr("tagline.tagging.library._device", lambda *_: "cpu")
    for words in json.loads({lines!r}):
        done = CliRunner().invoke(cli, words)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code in (0, 3, 4), (words, done.exit_code, done.output)
        assert not bare(), (words, bare())
"""


def lines(folder: Path, out: Path) -> list[list[str]]:
    """A line for every command that ends by itself."""
    dog, whole = "dog.mp4", str(folder)
    return [
        ["tag", whole],
        ["plan", whole, "--json"],
        ["show", dog, "--transcript"],
        ["show", dog, "--fused"],
        ["tags", "list"],
        ["tags", "add", dog, "Anna", "--from", "1"],
        ["tags", "accept", dog, "dog"],
        ["tags", "reject", dog, "beach"],
        ["tags", "undo"],
        ["tag", whole, "--precision", "0.9"],
        ["search", "dog"],
        ["index", whole, "--weights", "playhouse"],
        ["search", "a", "dog", "on", "the", "beach", "--json"],
        ["similar", dog],
        ["describe", dog],
        ["explain", "dog", dog, "--json"],
        ["tune"],
        *(
            ["export", "--format", form, "--out", str(out)]
            for form in ("xmp", "nfo", "vtt", "vtt-tags", "json", "csv", "parquet", "coco")
        ),
        ["import", str(out)],
        ["eval", "--json"],
        ["models", "list"],
        ["doctor"],
        ["approve", "http://127.0.0.1:1/none"],
        ["approve"],
        ["train", "settings"],
        ["train", "settings", "--of", "tagger"],
        ["bench", "list"],
        ["catalog", "--help"],
        ["serve", "--help"],
        ["selftest", "--help"],
        ["bench", "--help"],
        ["train", "table", "--help"],
        ["bench", "prepare", "--help"],
    ]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for name, content in {
        "dog.mp4": {"tags": {"object": ["dog", "ball"], "scene": ["beach"]}, "words": "a talk about space"},
        "cat.mp4": {"tags": {"object": ["cat"], "scene": ["kitchen"]}},
    }.items():
        fakes.write_video(tmp_path / "videos" / name, **content)
    with fakes.library(tmp_path / "videos", {}) as catalog:
        catalog.put_captions(catalog.put_video("0" * 64), [Caption("a dog on the beach")])
    return tmp_path / "videos"


def environment(videos: Path) -> dict[str, str]:
    home = videos.parent / "home"
    home.mkdir(exist_ok=True)
    return {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "TAGLINE_LIBRARY": str(videos),
    }


@pytest.mark.timeout(300)
def test_no_command_imports_a_bare_room(videos: Path, tmp_path: Path) -> None:
    import json

    listed = lines(videos, tmp_path / "out")
    # cluster runs have tests of their own; the rest of COMMANDS is here.
    assert {words[0] for words in listed} == set(COMMANDS)
    program = PROGRAM.format(tests=str(TESTS), cache=str(tmp_path / "cache"), lines=json.dumps(listed))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(videos),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.timeout(120)
def test_the_server_starts_answers_and_stops_without_a_bare_room(videos: Path, tmp_path: Path) -> None:
    import signal
    import urllib.request

    program = (
        "import atexit, sys\n"
        "rooms = {'experts', 'tagging', 'table', 'retrieval', 'benchmarks'}\n"
        "def bare():\n    print('bare:', [n for n in sys.modules if n.split('.')[0] in rooms], flush=True)\n"
        "atexit.register(bare)\n"
        "sys.argv = ['tagline', 'serve', '--port', '0']\n"
        "from tagline.retrieval.cli.main import main\nmain()\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(videos),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address is not None
        with urllib.request.urlopen(address[0], timeout=20) as page:
            assert page.status == 200
        server.send_signal(signal.SIGINT)
        told, _ = server.communicate(timeout=30)
    finally:
        server.kill()
    assert "bare: []" in told


def test_every_string_that_names_a_module_leads_somewhere() -> None:
    from importlib import import_module

    strings = [place for place, _ in COMMANDS.values()]
    strings += [f"{module}:__doc__" for module in LAZY_COMMANDS.values()]
    strings += [place for place, *_ in MEASUREMENTS.values()]
    assert len(strings) > 40
    for string in strings:
        module, _, attribute = string.partition(":")
        assert module.startswith("tagline."), string
        assert getattr(import_module(module), attribute), string


def test_python_dash_m_tagline_is_the_command_line() -> None:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tagline", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("tagline, version ")
    assert time.monotonic() - begun < 20
