"""The measurement `attacks`, part by part in small, and that it goes on where it was interrupted."""

from __future__ import annotations

import random
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import pages
import pytest

from tagline.benchmarks.registry import measurements
from tagline.benchmarks.robustness import attacks, fuzz_catalogs, fuzz_http, kill_writers, mutants, stalled
from tagline.benchmarks.robustness.attacks import Part
from tagline.tagging.attacks.libraries import alter
from tagline.tagging.catalog.write import Catalog

SIZES = dict.fromkeys(("catalogs", "shell", "http", "media", "kills", "stalled", "seconds"), 1)


# ---- broken files


def test_a_broken_file_of_every_kind_is_answered_for(tmp_path: Path) -> None:
    originals = mutants.make_originals(tmp_path)
    suffixes = {suffix for suffix, _ in originals}
    assert len(suffixes & {recipe.suffix for recipe in mutants.RECIPES}) >= 8
    assert suffixes > {*mutants.PICTURES.values(), *mutants.SUBTITLES}
    tally = mutants.run(tmp_path, originals, range(len(originals)), seed=0, jobs=1)
    assert (tally.hangs, tally.dead) == (0, 0)
    assert tally.outcomes.total() == len(originals) + 1, "a GIF is read as a video and as a picture"
    assert tally.outcomes["read"] > 3


# ---- kills


@pytest.mark.timeout(180)
def test_what_was_reported_as_written_outlives_kills(tmp_path: Path) -> None:
    tally = kill_writers.run(tmp_path, 3, seed=0)
    assert tally.kills == 3
    assert (tally.lost, tally.doubled, tally.damaged) == (0, 0, 0), tally.wrong
    assert tally.videos >= 20


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Any]:
    """A library that was tagged and judged, as its watcher knows it."""
    kill_writers.make_files(tmp_path / "videos")
    library = tmp_path / "library"
    library.mkdir()
    kill_writers.tag(library, tmp_path / "videos")
    with Catalog.open(library) as catalog:
        for text in ("one", "two", "three"):
            catalog.decide.add(1, text)
    tally = kill_writers.KillTally()
    watcher = kill_writers.Watched(library, tmp_path / "videos", random.Random(0), tally)
    watcher.standing = ["one", "two", "three"]
    watcher.look()
    assert (tally.lost, tally.doubled, tally.damaged) == (0, 0, 0)
    return watcher


@pytest.mark.parametrize(
    ("script", "lost", "doubled"),
    [
        ("DELETE FROM verdict WHERE text = 'three'", 0, 0),  # was being taken back
        ("DELETE FROM verdict WHERE text = 'two'", 1, 0),
        ("DELETE FROM verdict", 3, 0),
        ("UPDATE verdict SET text = 'two', act = 9 WHERE text = 'three'", 1, 1),
        ("DELETE FROM tag WHERE id = 1", 1, 0),
        ("UPDATE tag SET score = 0.25 WHERE id = 1", 1, 0),
        (
            "INSERT INTO tag(video_id, expert, modality, said, text, score, start, end, best)"
            " SELECT video_id, expert, modality, said, text, score, start, end, best FROM tag WHERE id = 1",
            0,
            1,
        ),
    ],
)
def test_what_is_lost_or_doubled_is_seen(killed: Any, script: str, lost: int, doubled: int) -> None:
    alter(killed.folder, script)
    killed.look()
    assert (killed.tally.lost, killed.tally.doubled) == (lost, doubled), killed.tally.wrong


def test_a_verdict_that_was_written_and_not_reported_is_in_flight(killed: Any) -> None:
    with Catalog.open(killed.folder) as catalog:
        catalog.decide.add(1, "four")
    before = killed.tally.in_flight
    killed.look()
    assert (killed.tally.lost, killed.tally.doubled) == (0, 0)
    assert killed.tally.in_flight == before + 1


def test_what_comes_out_in_the_end_is_compared_with_an_undisturbed_library(
    killed: Any, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    kill_writers.tag(undisturbed, tmp_path / "videos")
    alter(killed.folder, "DELETE FROM word WHERE rowid = 1")
    kill_writers.compare(killed.folder, undisturbed, tmp_path / "expected", killed.tally)
    assert (killed.tally.lost, killed.tally.doubled) == (1, 0), killed.tally.wrong


# ---- the page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, list[str]]]:
    """The page on a real socket: its port, and the ids of its videos."""
    folder = tmp_path_factory.mktemp("library")
    with pages.world(folder) as world, pages.served(world.catalog) as address:
        film = next(world.catalog.videos())
        path = fakes.write_video(folder / "dog.mp4")
        with path.open("ab") as file:
            file.truncate(stalled.SIZE)
        world.catalog.put_path(film.id, pages.place(path))
        yield int(address.split(":")[2].split("/")[0]), [world.ids()["dog.mp4"], *world.ids().values()]


@pytest.mark.timeout(120)
def test_requests_of_every_kind_bring_about_no_fault(page: tuple[int, list[str]]) -> None:
    tally = fuzz_http.run(page[0], pages.TOKEN, page[1], range(150), seed=0)
    assert (tally.server_errors, tally.unanswered) == (0, 0), tally.faults
    assert {"200", "400", "403", "404"} <= set(tally.statuses)


def test_who_hangs_up_in_the_middle_of_a_request_brings_about_no_fault(
    page: tuple[int, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    head = f"POST /api/videos/{page[1][0]}/verdicts HTTP/1.1\r\nHost: 127.0.0.1:{page[0]}\r\n"
    head += (
        f"Authorization: Bearer {pages.TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", page[0]), 10) as line:
        line.sendall(head.encode() + b'{"kind": ')
        line.shutdown(socket.SHUT_WR)
        while line.recv(1 << 16):
            pass
    tally = fuzz_http.run(page[0], pages.TOKEN, page[1], range(10), seed=3)  # what was under way has ended
    assert (tally.server_errors, tally.unanswered) == (0, 0)
    assert "Traceback" not in capfd.readouterr().err


def test_a_fault_and_a_silent_end_are_counted() -> None:
    class Fault(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(1 << 16).startswith(b"GET"):
                self.request.sendall(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Fault) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tally = fuzz_http.run(server.server_address[1], "x", ["a" * 20], range(40), seed=0)
        server.shutdown()
    assert tally.server_errors > 10
    assert tally.unanswered > 0
    assert any("500" in fault for fault in tally.faults)


@pytest.mark.timeout(120)
def test_others_are_answered_beside_readers_that_take_nothing(page: tuple[int, list[str]]) -> None:
    port, ids = page
    tally = stalled.run(port, pages.TOKEN, ids[0], readers=40, seconds=1.0)
    assert tally.opened > 40
    assert tally.statuses["200"] > 0
    assert not {status for status in tally.statuses if status.startswith("5")}
    assert len(tally.seconds) == tally.statuses.total()
    assert 0 < tally.p95_ms < float("inf")


# ---- through the shell


@pytest.mark.timeout(180)
def test_a_damaged_library_ends_in_a_sentence_through_the_shell(tmp_path: Path) -> None:
    tally = fuzz_catalogs.run_in_shell(tmp_path, 1, seed=0, first=4)
    assert (tally.runs, tally.hangs, tally.tracebacks) == (1, 0, [])


# ---- the whole

COUNTED = (
    *("runs", "tracebacks", "hangs", "server_errors", "unanswered", "dead_batches", "lost", "doubled"),
    *("damaged", "in_flight", "verdicts", "answers", "turned_away"),
)


def made(name: str, numbers: range, calls: list[str]) -> Part:
    def run(scratch: Path, of: range) -> dict[str, Any]:
        calls.append(f"{name} {of.start}")
        if calls[-1] == "kills 2" and len(calls) < 4:
            raise KeyboardInterrupt
        zero = (
            "runs",
            "tracebacks",
            "hangs",
            "server_errors",
            "unanswered",
            "dead_batches",
            "lost",
            "doubled",
        )
        more = dict.fromkeys((*zero, "damaged", "in_flight", "verdicts", "answers", "turned_away"), 0)
        return {**more, "cases": 3, "survived": 2, "p95_ms": 7.5, "count": len(of), "wrong": [f"{name}!"]}

    return Part(name, numbers, run)


def test_it_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    some = [("cases", range(1)), ("kills", range(2)), ("kills", range(2, 3)), ("stalled", range(5))]
    monkeypatch.setattr(attacks, "parts", lambda sizes, seed: [made(*part, calls) for part in some])
    monkeypatch.setattr(attacks, "code_fingerprint", lambda *rooms: "this code")
    options = {"kills": "3", "state": str(tmp_path / "state")}
    with pytest.raises(KeyboardInterrupt):
        attacks.measure(options)
    record = attacks.measure(options)
    assert calls == ["cases 0", "kills 0", "kills 2", "kills 2", "stalled 0"]
    assert attacks.measure(options)["values"] == record["values"]
    assert len(calls) == 5
    values = record["values"]
    assert (values["cases"], values["survived"], values["attacks_succeeded"]) == (3, 2, 1)
    assert (values["kill9"], values["stalled"], values["p95_ms"]) == (3, 5, 7.5)
    assert record["configuration"]["sizes"]["kills"] == 3
    assert record["configuration"]["full_size"] is False
    assert record["details"]["wrong"]["kills"] == ["kills!", "kills!"]
    monkeypatch.setattr(attacks, "code_fingerprint", lambda *rooms: "other code")
    attacks.measure(options)
    assert len(calls) == 9, "after a change of the code all is tried anew"


def test_its_parts_cover_all_sizes_and_its_aims_are_for_figures_that_it_has() -> None:
    found: dict[str, list[int]] = {}
    for part in attacks.parts(attacks.DEFAULTS, seed=0):
        found.setdefault(part.name, []).extend(part.numbers)
    assert {name: len(numbers) for name, numbers in found.items()} == {
        "cases": 1,
        **{key: size for key, size in attacks.DEFAULTS.items() if key not in ("seconds", "seed")},
    }
    assert all(numbers == list(range(len(numbers))) for numbers in found.values())
    assert set(measurements.AIMS["attacks"]) <= set(attacks.record([], SIZES, 0)["values"])
