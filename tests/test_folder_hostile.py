"""The run over hostile folders, and whatever stops it: nothing is lost or doubled, nothing holds it up."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import psutil
import pytest
from folder_runs import look, undisturbed, write

from tagline.experts.panel import Panel
from tagline.tagging.catalog.connection import CatalogFull
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.lock import CatalogBusy, only_writer
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run
from tagline.tagging.pipeline.walk import Walk

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def stay_here() -> Iterator[None]:
    here = Path.cwd()
    yield
    os.chdir(here)


# ---- A5, A27: names and things that are no files


@pytest.mark.timeout(60)
def test_loops_pipes_sockets_and_devices_are_passed_over(
    decoder: type[fakes.FakeDecoder], films: Path
) -> None:
    real = write(films, 1)[0]
    (films / "loop").symlink_to(films)
    (films / "loop.mp4").symlink_to(films / "loop.mp4")
    (films / "broken.mp4").symlink_to(films / "nowhere.mp4")
    (films / "folder.mp4").symlink_to(films)
    (films / "null.mp4").symlink_to("/dev/zero")
    os.mkfifo(films / "pipe.mp4")
    (films / "dir.mp4").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(films)  # a socket's path must be short
        server.bind("s.mp4")
        made, outcome, _ = look(films)
    assert (made.found, outcome.progress.tagged, decoder.read_paths) == (1, 1, [real])
    assert made.skipped["pipes, sockets and devices"] == 3
    assert sum(made.skipped.values()) == 6
    assert not outcome.partly


@pytest.mark.timeout(60)
def test_a_pipe_put_in_the_place_of_a_file_does_not_hold_the_run(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(films, 1)[0]
    with Catalog.open(films) as catalog:
        made = plan(catalog, [films], fakes.experts())
        path.unlink()
        os.mkfifo(path)
        outcome = run(made, Panel(made.experts))
    assert "not a plain file" in outcome.failures[0][2]


@pytest.mark.parametrize("when", ["before it is read", "while it is looked at", "and put back"])
def test_a_video_swapped_for_another_of_its_size_and_time_is_not_taken_for_it(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Neither in its place nor written over, and not even if it is as before at the end."""
    path, other = write(films, 2)
    facts = path.stat()

    def swap() -> None:
        aside = films / "aside"
        if when == "and put back":
            path.rename(aside)
            path.write_bytes(other.read_bytes())
            path.unlink()
            aside.rename(path)
        else:
            path.write_bytes(other.read_bytes())
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    if when == "before it is read":
        read = fakes.FakeDecoder.read

        def swapped(self: fakes.FakeDecoder, asked: Path, samplings: Any) -> Any:
            if asked == path:
                swap()
            return read(self, asked, samplings)

        monkeypatch.setattr(fakes.FakeDecoder, "read", swapped)
    else:

        class Swapping(fakes.FakeObjects):
            def __call__(self, batch: Any) -> Any:
                swap()
                return super().__call__(batch)

    experts = fakes.experts() if when == "before it is read" else [Swapping()]
    time.sleep(0.02)  # clocks of file systems are coarse
    _, outcome, _ = look(films, experts=experts)
    assert [Path(p) for p, _, _ in outcome.failures] == [path]
    assert "changed or went away while it was being read" in outcome.failures[0][2]
    with Catalog.open(films) as catalog:
        assert [Path(p) for video in catalog.videos() for p in video.paths] == [other]


ODD_NAMES = [
    b"-y.mp4",
    b"http:x.mp4",
    b"concat:a|b.mp4",
    b"f%03d.mp4",
    b"two\nlines.mp4",
    b"\x1b[2Jclear.mp4",
    b"not utf-8 \xff\xfe.mp4",
    b"n" * 251 + b".mp4",
    "\u202ereversed.mp4".encode(),
    b"<svg onload=alert(1)>.mp4",
    "日本語.MP4".encode(),
    b"'; DROP TABLE video; --.mp4",
]


def test_any_name_is_read_and_kept(decoder: type[fakes.FakeDecoder], films: Path) -> None:
    paths = [os.fsdecode(os.fsencode(films) + b"/" + name) for name in ODD_NAMES]
    for number, path in enumerate(paths):
        fakes.write_video(Path(path), salt=number)
    _, outcome, _ = look(films)
    assert outcome.failures == []
    with Catalog.open(films) as catalog:
        assert sorted(p for v in catalog.videos() for p in v.paths) == sorted(paths)
    made, _, _ = look(films)
    assert made.unchanged == len(paths)


def test_which_files_are_looked_at(films: Path) -> None:
    names = "a.mp4 B.MOV c.webm d.txt e.jpg .hidden.mp4 ._a.mp4 .git/x.mp4 x/y/z.mkv x/w.gif play.m3u8"
    for name in [*names.split(), "code.ts", "film.ts"]:
        path = films / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"G\0\x11" if name == "film.ts" else b"export const a = 1;\n")

    def found(**options: Any) -> set[str]:
        return {os.path.relpath(place.path, films) for place in Walk([films], **options)}

    everything = {"a.mp4", "B.MOV", "c.webm", "film.ts", "play.m3u8", "x/w.gif", "x/y/z.mkv"}
    assert found() == everything
    assert found(exclude=["*.gif", "y"]) == everything - {"x/w.gif", "x/y/z.mkv"}
    assert found(include=["*.mp4", "x/*"]) == {"a.mp4", "x/w.gif", "x/y/z.mkv"}
    assert [place.path for place in Walk([films / "d.txt"])] == [str(films / "d.txt")], (
        "who names it means it"
    )
    assert len(list(Walk([films, films / "x"]))) == len(everything), "a folder named twice is visited once"


def test_folders_may_lie_deeper_than_a_program_may_recurse(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    folder = tmp_path
    for _ in range(depth):
        folder /= "d"
        folder.mkdir()
    file = folder / "deep.mp4"
    file.touch()
    try:
        assert [place.path for place in Walk([tmp_path])] == [str(file)]
    finally:  # what clears up after tests recurses, too
        file.unlink()
        os.removedirs(folder)
        tmp_path.mkdir(parents=True, exist_ok=True)


# ---- A25: whatever stops a run


def test_a_full_disk_stops_the_run_and_nothing_is_lost(
    decoder: type[fakes.FakeDecoder], films: Path, tmp_path: Path
) -> None:
    write(films, 30, words="a long story " * 200)
    with Catalog.open(films) as catalog:
        pages = catalog.query_one("PRAGMA page_count")[0]
        catalog.execute(f"PRAGMA max_page_count = {pages + 200}")
        made = plan(catalog, [films], fakes.experts())
        with pytest.raises(CatalogFull):
            run(made, Panel(made.experts, batch=4))
        written = len(list(catalog.videos()))
        assert 0 < written < 30
        assert not catalog.check_integrity()
    made, outcome, rows = look(films)
    assert outcome.progress.tagged == 30 - written
    assert rows == undisturbed(films, tmp_path)


def test_an_interrupt_at_any_moment_leaves_whole_videos(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A KeyboardInterrupt out of every place where the catalog is written to, in turn."""
    write(films, 3)
    expected = look(films, library=films / "expected")[2]
    moments = 0
    while True:
        library = films / f"library {moments}"
        left = moments
        with monkeypatch.context() as patch, Catalog.open(library) as catalog:
            put_look, put_path = Catalog.put_look, Catalog.put_path

            def tick(work: Any) -> Any:
                def wrapped(*args: Any, **rest: Any) -> Any:
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise KeyboardInterrupt
                    return work(*args, **rest)

                return wrapped

            patch.setattr(Catalog, "put_look", tick(put_look))
            patch.setattr(Catalog, "put_path", tick(put_path))
            made = plan(catalog, [films], fakes.experts())
            try:
                run(made, Panel(made.experts))
                break
            except KeyboardInterrupt:
                partly = Counter(dump_lines(catalog))
        assert not partly - Counter(expected), "only whole videos"
        assert look(films, library=library)[2] == expected
        moments += 1
    assert moments >= 15


def test_a_second_run_is_refused_in_a_sentence_and_a_dead_one_holds_nothing(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = (
        "import sys, time; from tagline.tagging.catalog.write import Catalog\n"
        "from tagline.tagging.catalog.lock import only_writer\n"
        "with Catalog.open(sys.argv[1]) as catalog, only_writer(catalog):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(films)], stdout=subprocess.PIPE, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with Catalog.open(films) as catalog:
            with pytest.raises(CatalogBusy, match=rf"process {other.pid}\) is writing"), only_writer(catalog):
                pass
            video = catalog.save("a" * 64, None, facts=None)
            catalog.decide.add(video, "a verdict need not wait for a run", span=(0, 1))
            other.kill()
            other.wait()
            with (
                only_writer(catalog),
                pytest.raises(CatalogBusy, match=f"process {os.getpid()}"),
                only_writer(catalog),
            ):
                pass
            with only_writer(catalog):
                pass


@pytest.mark.timeout(240)
def test_kill_9_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The measurement `kill9` in small: real files, the real decoder, the real command."""
    from tagline.benchmarks.robustness.kill9 import KillRuns

    bench = KillRuns(tmp_path, 24)
    undisturbed = Counter(bench.finish("undisturbed"))
    assert sum(row.startswith('["run"') for row in undisturbed) > 30
    draw = random.Random(1)
    for number in range(2):
        outcome = bench.trial(number, draw, undisturbed, bench.timing[1])
        assert {key: outcome[key] for key in ("lost", "doubled", "damaged")} == {
            "lost": 0,
            "doubled": 0,
            "damaged": 0,
        }
        assert outcome["written"] < 24


# ---- A29, A30: many files, no network


def test_ten_thousand_files_need_no_more_memory_than_a_few(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.FakeDecoder, "read_paths", Forgetful())
    monkeypatch.setattr(fakes.FakeExpert, "looked", Forgetful())
    for number in range(10_000):
        (films / f"{number}.mp4").write_bytes(b"%d" % number)
    process = psutil.Process()
    used: list[int] = []

    def watch(progress: Any) -> None:
        if progress.done % 1_000 == 0:
            used.append(process.memory_info().rss)

    with Catalog.open(films) as catalog:
        catalog.execute("PRAGMA synchronous = OFF")  # this is about memory
        before = process.memory_info().rss
        made = plan(catalog, [films], [fakes.FakeObjects()])
        assert process.memory_info().rss - before < 25 << 20
        outcome = run(made, Panel(made.experts), watch)
    assert outcome.progress.tagged == 10_000
    assert used[-1] - used[0] < 8 << 20, "9,000 files later"


class Forgetful(list[Any]):
    def append(self, item: Any) -> None:
        pass


def test_a_run_touches_no_network(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **rest: Any) -> Any:
        raise AssertionError("something wants to speak to the network")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    write(films, 3)
    _, outcome, _ = look(films)
    assert (outcome.progress.tagged, outcome.failures) == (3, [])
