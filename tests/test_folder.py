"""The run over folders: only what is stale, what fails costs itself alone, and how long it takes is said."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import fakes
import pytest
from folder_runs import look, undisturbed, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline import run as folders
from tagline.tagging.pipeline import walk
from tagline.tagging.pipeline.plan import Plan, describe, duration, plan
from tagline.tagging.pipeline.walk import Walk


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
    monkeypatch.setattr(
        "tagline.tagging.pipeline.plan.content_hash", lambda path: pytest.fail(f"{path} was hashed")
    )
    with Catalog.open(films) as catalog:
        before = list(dump_lines(catalog))
        made = plan(catalog, [films], fakes.experts())
        assert "\n".join(describe(made)).splitlines()[1:3] == ["3 unchanged", "object: 1 video, new"]
        assert list(dump_lines(catalog)) == before


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
    assert made.gone_for_good == 0
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
    monkeypatch.setattr("tagline.tagging.pipeline.plan.decoder_version", lambda: "another")
    monkeypatch.setattr("tagline.tagging.pipeline.run.decoder_version", lambda: "another")
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


# ---- saying how long


def test_an_estimate_comes_from_earlier_runs(decoder: type[fakes.FakeDecoder], films: Path) -> None:
    write(films, 4)
    with Catalog.open(films) as catalog:
        made = plan(catalog, [films], fakes.experts())
        assert made.seconds() == (None, ["object", "scene", "screen", "speech"])
    look(films)
    with Catalog.open(films) as catalog:
        catalog.execute("UPDATE video SET duration = 60, size = 100")
        catalog.execute("UPDATE run SET seconds = 30 WHERE expert = 'object'")
        catalog.set_meta("pace", "1.5")
        write(films / "more", 6, title="more")
        made = plan(catalog, [films], [fakes.FakeObjects()])
        seconds, unknown = made.seconds()
        length = sum(job.place.size for job in made.jobs) * 60 / 100
        assert (seconds, unknown) == (pytest.approx(1.5 * length * 30 / 60), [])
        assert list(describe(made))[-1] == f"about {duration(seconds or 0)}"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (45, "45 s"), (120, "2 min"), (5_340, "89 min"), (12_000, "3 h 20 min")],
)
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_hash_is_of_the_whole_file(tmp_path: Path) -> None:
    """Two files that agree in size, head and tail are two videos."""
    data = bytearray(5 << 20)
    (tmp_path / "a").write_bytes(data)
    data[len(data) // 2] = 1
    (tmp_path / "b").write_bytes(data)
    assert walk.content_hash(str(tmp_path / "a")) != walk.content_hash(str(tmp_path / "b"))
    assert folders.FAILURES_LISTED >= 100


@pytest.mark.parametrize(("seconds", "kept"), [(3600.0, {"object"}), (20.0, set())])
def test_of_a_long_video_each_report_is_kept_when_it_is_there(
    decoder: type[fakes.FakeDecoder],
    films: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    kept: set[str],
) -> None:
    write(films, 1, duration=seconds)

    def killed(self: object, batch: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(fakes.FakeScenes, "__call__", killed)
        with pytest.raises(SystemExit):
            look(films, experts=[fakes.FakeObjects(), fakes.FakeScenes()])
    with Catalog.open(films) as catalog:
        assert {run.expert for video in catalog.videos() for run in catalog.runs(video.id)} == kept
    made, outcome, _ = look(films, experts=[fakes.FakeObjects(), fakes.FakeScenes()])
    assert {name for job in made.jobs for name in job.names} == {"object", "scene"} - kept
    assert (outcome.progress.tagged, outcome.failures) == (1, [])
