"""The run over folders: only what is stale, nothing lost or doubled whatever happens, nothing deleted."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experts.panel import Panel
from tagging import folder as folders
from tagging import walk
from tagging.catalog import Catalog, CatalogFull
from tagging.dump import dump
from tagging.folder import Busy, Outcome, only_writer, run
from tagging.planning import Plan, describe, duration, plan
from tagging.walk import Walk


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> type[fakes.FakeDecoder]:
    return fakes.use_fakes(monkeypatch)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    films = tmp_path / "films"
    films.mkdir()
    return films


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
) -> tuple[Plan, Outcome, list[str]]:
    """One run: its plan, how it ended, and what the catalog then holds."""
    fakes.FakeDecoder.read_paths.clear()
    fakes.FakeExpert.looked.clear()
    with Catalog.open(library or films) as catalog, only_writer(catalog):
        made = plan(catalog, [films], fakes.experts() if experts is None else experts, **options)
        outcome = run(made, Panel(made.experts, batch=batch), on_progress, stop)
        return made, outcome, list(dump(catalog))


def reasons(made: Plan) -> dict[tuple[str, str], int]:
    return dict(made.looks)


# ---- only what is stale


def test_a_second_run_does_nothing(decoder: type[fakes.FakeDecoder], films: Path) -> None:
    write(films, 5)
    made, outcome, first = look(films)
    assert (made.found, outcome.progress.tagged, outcome.partly) == (5, 5, False)
    assert len(fakes.FakeExpert.looked) == 20
    made, outcome, second = look(films)
    assert (made.jobs, made.unchanged, outcome.progress.done) == ([], 5, 0)
    assert decoder.read_paths == fakes.FakeExpert.looked == []
    assert first == second


def test_each_expert_is_stale_for_its_own_reason(decoder: type[fakes.FakeDecoder], films: Path) -> None:
    write(films, 2)
    look(films, experts=[fakes.FakeObjects(), fakes.FakeScenes(), fakes.FakeScreen()])
    changed = [
        fakes.FakeObjects(version="2"),
        fakes.FakeScenes(confidence=0.5),
        fakes.FakeScreen(),
        fakes.FakeSpeech(),
    ]
    made, _, _ = look(films, experts=changed)
    assert reasons(made) == {
        ("object", "the expert is another version"): 2,
        ("scene", "other weights or settings"): 2,
        ("speech", "this expert has not looked yet"): 2,
    }
    assert Counter(name for name, _ in fakes.FakeExpert.looked) == {"object": 2, "scene": 2, "speech": 2}
    assert len(decoder.read_paths) == 2, "each file is decoded once for all experts that are stale"


def test_planning_changes_nothing_and_opens_no_new_file(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films, 3)
    look(films)
    fakes.write_video(films / "new.mp4", tags={"object": ["a longer tag, so that its size is new"]})
    monkeypatch.setattr("tagging.planning.content_hash", lambda path: pytest.fail(f"{path} was hashed"))
    with Catalog.open(films) as catalog:
        before = list(dump(catalog))
        made = plan(catalog, [films], fakes.experts())
        assert "\n".join(describe(made)).splitlines()[1:3] == ["3 unchanged", "object: 1 video, new"]
        assert list(dump(catalog)) == before


def test_a_touched_file_costs_a_hash_and_a_changed_one_a_look(
    decoder: type[fakes.FakeDecoder], films: Path
) -> None:
    first, second = write(films, 2)
    look(films)
    os.utime(first, ns=(1, 1))
    fakes.write_video(second, tags={"object": ["something else"]})
    made, _, rows = look(films)
    assert decoder.read_paths == [second]
    assert reasons(made)["object", "the file changed"] == 1
    assert sum("something else" in row for row in rows if row.startswith('["tag"')) == 1
    with Catalog.open(films) as catalog:
        assert [v.paths for v in catalog.videos()] == [[str(first)], [str(second)]]
        assert len(list(catalog.videos(gone=True))) == 3, "what it was before is kept"


def test_renamed_and_moved_files_cost_nothing(decoder: type[fakes.FakeDecoder], films: Path) -> None:
    paths = write(films, 4)
    look(films)
    (films / "sub").mkdir()
    moved = [paths[0].rename(films / "other name.mp4"), paths[1].rename(films / "sub" / "01.mp4")]
    made, outcome, _ = look(films)
    assert (made.moved, outcome.progress.skipped, decoder.read_paths) == (2, 2, [])
    assert made.lost == 0
    with Catalog.open(films) as catalog:
        assert sorted(p for v in catalog.videos() for p in v.paths) == sorted(map(str, [*moved, *paths[2:]]))
        assert all(catalog.tags(v.id) for v in catalog.videos())


@pytest.mark.parametrize("together", [True, False])
def test_the_same_content_twice_is_one_video_with_two_paths(
    decoder: type[fakes.FakeDecoder], films: Path, together: bool
) -> None:
    for name in ("a.mp4", "b.mp4"):
        fakes.write_video(films / name, tags={"object": ["dog"]})
        if not together:
            look(films)
    _, outcome, _ = look(films)
    assert len(decoder.read_paths) == together
    assert outcome.progress.failed == 0
    with Catalog.open(films) as catalog:
        assert [v.paths for v in catalog.videos()] == [[str(films / "a.mp4"), str(films / "b.mp4")]]
    assert look(films)[0].unchanged == 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(7)), st.integers(1, 5), st.integers(0, 7))
def test_the_order_of_files_and_an_interrupted_run_do_not_change_the_catalog(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], batch: int, stop_after: int
) -> None:
    """Whatever the order in which the folder lists its files, and wherever a run was stopped."""
    with pytest.MonkeyPatch.context() as patch:
        fakes.use_fakes(patch)
        films = tmp_path_factory.mktemp("films")
        write(films, 5)
        fakes.write_video(films / "05.mp4", unreadable="the moov is missing")
        fakes.write_video(films / "06.mp4", tags={"object": ["thing 0"]}, salt=0)  # a copy of the first
        expected = look(films, library=films / "expected")[2]
        entries = Walk._entries

        def shuffled(self: Walk, folder: str) -> list[Any]:
            listing = entries(self, folder)
            return [listing[i] for i in order] if len(listing) == 7 else listing

        patch.setattr(walk, "sorted", lambda items, **_: list(items), raising=False)
        patch.setattr(Walk, "_entries", shuffled)
        stop = threading.Event()

        def watch(progress: Any) -> None:
            if progress.done >= stop_after:
                stop.set()

        library = films / "other"
        look(films, library=library, batch=batch, stop=stop, on_progress=watch)
        assert look(films, library=library, batch=batch)[2] == expected


def test_stopping_finishes_what_is_in_hand_and_the_next_run_the_rest(
    decoder: type[fakes.FakeDecoder], films: Path, tmp_path: Path
) -> None:
    write(films, 20)
    stop = threading.Event()
    _, outcome, _ = look(films, stop=stop, on_progress=lambda progress: stop.set())
    assert outcome.stopped
    assert 1 <= outcome.progress.done <= 4
    _, rest, rows = look(films)
    assert not rest.stopped
    assert rest.progress.tagged == 20 - outcome.progress.done
    assert rows == undisturbed(films, tmp_path)


# ---- what fails


def test_a_bad_file_costs_itself_and_is_not_tried_again_in_vain(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films, 3)
    bad = fakes.write_video(films / "bad.mp4", unreadable="the moov is missing")
    odd = fakes.write_video(films / "odd.mp4", raises={"scene": "no such scene"})
    _, outcome, _ = look(films)
    assert outcome.failures == [
        (str(bad), "", "the moov is missing"),
        (str(odd), "scene", "ValueError: no such scene"),
    ]
    assert (outcome.progress.tagged, outcome.progress.failed, outcome.partly) == (3, 2, True)
    made, outcome, _ = look(films)
    assert (decoder.read_paths, made.failed_before, outcome.partly) == ([], 2, True)
    made, _, _ = look(films, retry=True)
    assert set(decoder.read_paths) == {bad, odd}
    assert Counter(name for name, _ in fakes.FakeExpert.looked) == {"scene": 1}
    monkeypatch.setattr("tagging.planning.decoder_version", lambda: "another")
    monkeypatch.setattr("tagging.folder.decoder_version", lambda: "another")
    look(films)
    assert decoder.read_paths == [bad], "another decoder may read it"
    fakes.write_video(bad, tags={"object": ["dog"]})
    fakes.write_video(odd, tags={"object": ["cat"]})
    _, outcome, _ = look(films)
    assert not outcome.partly
    assert outcome.progress.tagged == 2


def test_an_expert_without_weights_is_said_and_the_others_work(
    decoder: type[fakes.FakeDecoder], films: Path
) -> None:
    write(films, 2)
    missing = "not run: weights x.pt (5.4 MB) are not here; run `tagline models pull object`"
    experts = [fakes.FakeObjects(absent=missing), fakes.FakeScenes()]
    _, outcome, _ = look(films, experts=experts)
    assert outcome.not_run == {"object": missing}
    assert (outcome.progress.tagged, outcome.partly) == (2, False)
    made, _, _ = look(films, experts=[fakes.FakeObjects(), fakes.FakeScenes()])
    assert reasons(made) == {("object", "this expert has not looked yet"): 2}


def test_an_expert_that_cannot_be_loaded_fails_once_and_is_tried_by_the_next_run(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(films, 9)
    loads = []

    def broken(self: object, device: str) -> None:
        loads.append(device)
        raise OSError("weights are cut off")

    with monkeypatch.context() as patch:
        patch.setattr(fakes.FakeScenes, "load", broken)
        _, outcome, _ = look(films)
    assert len(loads) == 1
    assert outcome.not_run == {"scene": "not run: it could not be loaded (OSError: weights are cut off)"}
    assert (outcome.progress.tagged, outcome.failures) == (9, [])
    made, _, _ = look(films)
    assert reasons(made) == {("scene", "this expert has not looked yet"): 9}


def test_a_file_that_changes_while_it_is_read_is_read_again(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(films, 1)[0]
    read = fakes.FakeDecoder.read

    def copying(self: Any, file: Path, samplings: Any) -> Any:
        footage = read(self, file, samplings)
        fakes.write_video(path, tags={"object": ["the end of it"]})
        return footage

    with monkeypatch.context() as patch:
        patch.setattr(fakes.FakeDecoder, "read", copying)
        _, outcome, rows = look(films)
    assert "changed or went away while it was being read" in outcome.failures[0][2]
    assert [row for row in rows if row.startswith('["video"')] == []
    _, outcome, rows = look(films)
    assert outcome.progress.tagged == 1
    assert [row for row in rows if row.startswith('["failure"')] == []


def test_a_file_that_could_not_be_opened_needs_no_excuse_once_it_is_gone(
    decoder: type[fakes.FakeDecoder], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = write(films, 2)
    with monkeypatch.context() as patch:
        patch.setattr(folders, "readable", lambda path: path != str(second))  # root may read everything
        _, outcome, rows = look(films)
    assert outcome.failures == [(str(second), "", "may not be read (permission denied)")]
    assert [row for row in rows if row.startswith('["failure"')] != []
    second.unlink()
    _, outcome, rows = look(films)
    assert not outcome.partly
    assert [row for row in rows if row.startswith('["failure"')] == []
    assert first.exists()


# ---- A26: nothing is deleted


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
        before = list(dump(catalog))
    path.rename(tmp_path / "kept.mp4")
    made, outcome, _ = look(films)
    assert (made.lost, outcome.partly) == (1, False)
    with Catalog.open(films) as catalog:
        assert len(list(catalog.videos())) == 2
        assert len(list(catalog.videos(gone=True))) == 3
        assert ("Anna", 1) not in [(c.text, c.videos) for c in catalog.tag_counts()]
    (tmp_path / "kept.mp4").rename(path)
    made, _, after = look(films)
    assert (after, made.jobs, decoder.read_paths) == (before, [], [])


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
        pages = catalog.connection.execute("PRAGMA page_count").fetchone()[0]
        catalog.connection.execute(f"PRAGMA max_page_count = {pages + 200}")
        made = plan(catalog, [films], fakes.experts())
        with pytest.raises(CatalogFull):
            run(made, Panel(made.experts, batch=4))
        written = len(list(catalog.videos()))
        assert 0 < written < 30
        assert catalog.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
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
                partly = Counter(dump(catalog))
        assert not partly - Counter(expected), "only whole videos"
        assert look(films, library=library)[2] == expected
        moments += 1
    assert moments >= 15


def test_a_second_run_is_refused_in_a_sentence_and_a_dead_one_holds_nothing(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = (
        "import sys, time; from tagging.catalog import Catalog; from tagging.folder import only_writer\n"
        "with Catalog.open(sys.argv[1]) as catalog, only_writer(catalog):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(films)], stdout=subprocess.PIPE, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with Catalog.open(films) as catalog:
            with pytest.raises(Busy, match=rf"process {other.pid}\) is writing"), only_writer(catalog):
                pass
            video = catalog.save("a" * 64, None, facts=None)
            catalog.decide.add(video, "a verdict need not wait for a run", span=(0, 1))
            other.kill()
            other.wait()
            with (
                only_writer(catalog),
                pytest.raises(Busy, match=f"process {os.getpid()}"),
                only_writer(catalog),
            ):
                pass
            with only_writer(catalog):
                pass


ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(240)
def test_kill_9_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The measurement `kill9` in small: real files, the real decoder, the real command."""
    from benchmarks.kill9 import Bench

    bench = Bench(tmp_path, 24)
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
        catalog.connection.execute("PRAGMA synchronous = OFF")  # this is about memory
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


# ---- saying how long


def test_an_estimate_comes_from_earlier_runs(decoder: type[fakes.FakeDecoder], films: Path) -> None:
    write(films, 4)
    with Catalog.open(films) as catalog:
        made = plan(catalog, [films], fakes.experts())
        assert made.seconds() == (None, ["object", "scene", "screen", "speech"])
    look(films)
    with Catalog.open(films) as catalog:
        catalog.connection.execute("UPDATE run SET seconds = 30 WHERE expert = 'object'")
        catalog.set_meta("pace", "1.5")
        write(films / "more", 6, title="more")
        made = plan(catalog, [films], [fakes.FakeObjects()])
        assert made.seconds() == (6 * 30 * 1.5, [])
        assert list(describe(made))[-1] == f"about {duration(270)}"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (45, "45 s"), (120, "2 min"), (5_340, "89 min"), (12_000, "3 h 20 min")],
)
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.fixture(autouse=True)
def stay_here() -> Iterator[None]:
    here = Path.cwd()
    yield
    os.chdir(here)


def test_the_hash_is_of_the_whole_file(tmp_path: Path) -> None:
    """Two files that agree in size, head and tail are two videos."""
    data = bytearray(5 << 20)
    (tmp_path / "a").write_bytes(data)
    data[len(data) // 2] = 1
    (tmp_path / "b").write_bytes(data)
    assert walk.content_hash(str(tmp_path / "a")) != walk.content_hash(str(tmp_path / "b"))
    assert folders.REMEMBERED >= 100
