"""The transfer: whatever a server does on the way, a file comes whole or a sentence says why it does not."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import hub
import pytest
from pull_world import CHECKPOINT, ENTRIES, STATE

from tagline.experts.weights import fetch, pull, registry


def fetched(place: hub.Place, size: int | None = None, most: int | None = None) -> bytes:
    target = registry.weights_home() / "x"
    fetch.fetch(f"{place.url}/{STATE}", target, size=size, most=most)
    assert not target.with_name("x.part").exists()
    return target.read_bytes()


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [hub.Break(1000)],
        [hub.Break(1000), hub.Break(1), hub.Break(7000)],
        [hub.Status(503), hub.Status(429), hub.Break(0)],
        [hub.Lie(100)],
        [hub.Status(302, "/files.example/elsewhere")],
    ],
    ids=["plain", "broken once", "broken thrice", "busy", "promises more", "redirected"],
)
def test_whatever_happens_on_the_way_the_bytes_are_the_same(
    place: hub.Place, faults: list[hub.Fault]
) -> None:
    place.files["files.example/elsewhere"] = CHECKPOINT
    place.faults[STATE] = faults
    assert fetched(place) == CHECKPOINT


def test_a_broken_transfer_goes_on_where_it_stopped(place: hub.Place) -> None:
    place.faults[STATE] = [hub.Break(1000), hub.Break(2000)]
    assert fetched(place) == CHECKPOINT
    assert place.gets(STATE) == [None, "bytes=1000-", "bytes=3000-"]


def test_a_server_that_stays_broken_is_said_and_the_part_is_kept(place: hub.Place) -> None:
    place.faults[STATE] = [hub.Break(5000), *[hub.Status(503)] * (fetch.TRIES - 1)]
    with pytest.raises(fetch.FetchFailed, match=r"broke off after 5000 bytes.*503.*goes on from there"):
        fetched(place)
    place.asked.clear()
    assert fetched(place) == CHECKPOINT
    assert place.gets(STATE) == ["bytes=5000-"]


def test_a_part_of_a_file_that_has_changed_is_not_used(place: hub.Place) -> None:
    place.faults[STATE] = [hub.Break(5000), *[hub.Status(503)] * (fetch.TRIES - 1)]
    with pytest.raises(fetch.FetchFailed):
        fetched(place)
    place.files[STATE] = bytes(len(CHECKPOINT))
    assert fetched(place) == bytes(len(CHECKPOINT))


@pytest.mark.parametrize("attribute", ["etag", "ranges"])
def test_a_server_that_cannot_go_on_sends_all_again(place: hub.Place, attribute: str) -> None:
    setattr(place, attribute, False)
    place.faults[STATE] = [hub.Break(5000)]
    assert fetched(place) == CHECKPOINT


def test_silence_is_a_broken_transfer(place: hub.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PATIENCE", 0.2)
    place.faults[STATE] = [hub.Silent(2.0)]
    assert fetched(place) == CHECKPOINT


@pytest.mark.parametrize(
    ("fault", "limits", "said"),
    [
        (hub.Status(404), {}, "answers 404"),
        (hub.Status(403), {}, "answers 403"),
        (None, {"size": 10}, "should have 10"),
        (None, {"most": 1000}, "more than it may"),
        (hub.Endless(), {"most": 50_000}, "more than it should"),
        (hub.Status(302, "ftp://127.0.0.1/x"), {}, "not safe to follow"),
        (hub.Status(302, "file:///etc/passwd"), {}, "not allowed"),
    ],
)
def test_what_cannot_be_right_is_said_in_a_sentence(
    place: hub.Place, fault: hub.Fault | None, limits: dict[str, int], said: str
) -> None:
    place.faults[STATE] = [fault] if fault else []
    with pytest.raises(fetch.FetchFailed, match=said):
        fetched(place, **limits)
    assert not (registry.weights_home() / "x").exists()


def test_an_address_must_be_one_of_the_web(tmp_path: Path) -> None:
    with pytest.raises(fetch.FetchFailed, match="not an address on the web"):
        fetch.fetch("file:///etc/passwd", tmp_path / "x")


def test_a_full_disk_is_said_before_anything_is_fetched(
    place: hub.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage(10, 10, 5 << 20))
    for chosen in ENTRIES:
        with pytest.raises(pull.PullFailed, match="5 MB are free"):
            pull.pull(chosen)
    assert place.asked == []
