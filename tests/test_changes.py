"""Looks at what changes: chosen by the real decoder, and the spans that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import LIMITS
from tagline.experts.footage import Changes, Footage, Seconds, Uniform, View
from tagline.experts.panel import Panel
from tagline.experts.tags import Modality, Report, Sighting, Tag
from tagline.experts.vision.frames import frame_spans
from tagline.tagging.catalog.lock import only_writer
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run
from tagline.tagging.report import video_report

RATE = 10  # pictures a second of these films


def film(path: Path, seconds: float, level: Callable[[float], int]) -> Path:
    """A film of plain pictures with a dark square; level: how bright a picture at a second is."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"g": "20", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(round(seconds * RATE)):
            picture = np.full((64, 96, 3), level(number / RATE), np.uint8)
            picture[20:40, 30:60] = 20
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_what_stands_is_looked_at_once_and_every_cut_is_seen(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 60, lambda at: 200 if 21 <= at < 23 else 90)
    asked = Changes(1.0), Changes(1.0, longest_gap=10.0), Uniform(2)
    with Decoder(jobs=1) as decoder:
        footage = decoder.read(path, asked)
    view = footage.view(asked[0])
    assert view.until is not None
    assert view.times.tolist() == pytest.approx([0, 21, 23, 53], abs=0.1)
    assert view.until.tolist() == pytest.approx([20.5, 22.5, 53, 59.5], abs=0.1)
    assert [int(frame[0, 0, 0]) // 50 for frame in view.frames] == [1, 4, 1, 1]  # moved with their times
    assert len(footage.view(asked[1]).times) == 8
    assert len(footage.view(asked[2]).times) == 2
    assert footage.coverage.complete


def test_what_moves_all_the_time_is_looked_at_all_the_time(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 30, lambda at: 60 + round(at * 20) % 100)
    with Decoder(jobs=1) as decoder:
        view = decoder.read(path, (Changes(2.0),)).view(Changes(2.0))
    assert np.diff(view.times).max() <= 2.0


def test_looks_that_do_not_fit_lie_further_apart_evenly_and_that_is_said(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 60, lambda at: 60 + round(at * 20) % 100)
    few = 24 * 96 * 64 * 3
    with Decoder(jobs=1, limits=replace(LIMITS, changes_bytes=few)) as decoder:
        footage = decoder.read(path, (Changes(0.5),))
    view = footage.view(Changes(0.5))
    assert 12 <= len(view.times) <= 24
    assert view.interval is not None
    assert view.interval > 0.5
    gaps = np.diff(view.times)
    assert gaps.min() > 0.4 * gaps.max()
    assert view.times[-1] > 55
    assert any(f"looked every {view.interval:.1f} s" in note for note in footage.coverage.notes)
    expected = [60 + round(at * 20) % 100 for at in view.times]
    assert [int(frame[0, 0, 0]) for frame in view.frames] == pytest.approx(expected, abs=6)


def spans(seen: list[float], times: list[float], until: list[float], interval: float = 1.0) -> list[Tag]:
    view = View(np.zeros((len(times), 1, 1, 3), np.uint8), _array(times), _array(until), interval)
    sightings = [Sighting("dog", 0.9, time) for time in seen]
    return frame_spans(sightings, view, 100.0, Modality.OBJECT, "object", min_frames=1)


def _array(values: list[float]) -> Seconds:
    return np.array(values, np.float64)


def ends(tags: list[Tag]) -> list[tuple[float, float]]:
    return [(tag.start, tag.end) for tag in tags]


def test_a_span_goes_on_while_the_picture_is_known_to_stay() -> None:
    assert ends(spans([0.0], [0.0, 30.0], [29.5, 30.0])) == [(0.0, 29.75)]
    assert ends(spans([0.0, 30.0], [0.0, 30.0], [29.5, 40.0])) == [(0.0, 40.5)]


def test_a_span_never_bridges_what_nobody_saw() -> None:
    times = [0.0, 1.0, 9.0, 10.0]
    assert ends(spans(times, times, times)) == [(0.0, 1.5), (8.5, 10.5)]


def test_one_look_that_missed_it_is_bridged_unless_it_stood() -> None:
    times = [0.0, 1.0, 2.0]
    assert ends(spans([0.0, 2.0], times, times)) == [(0.0, 2.5)]
    assert ends(spans([0.0, 9.0], [0.0, 1.0, 9.0], [0.5, 8.5, 9.0])) == [(0.0, 0.75), (8.75, 9.5)]


def test_a_thing_in_one_picture_that_stands_is_as_good_as_in_many() -> None:
    view = View(np.zeros((2, 1, 1, 3), np.uint8), _array([0.0, 10.0]), _array([9.5, 10.0]), 1.0)
    seen = [Sighting("dog", 0.9, 0.0), Sighting("cat", 0.9, 10.0)]
    tags = frame_spans(seen, view, 11.0, Modality.OBJECT, "object", min_frames=2)
    assert [tag.text for tag in tags] == ["dog"]


class Looker:
    """An expert that finds nothing, where something changes."""

    name = "looker"
    modality = Modality.OBJECT
    version = "1"
    needs = (Changes(1.0, side=32),)

    def missing(self) -> str | None:
        return None

    def fingerprint(self) -> str:
        return self.name

    def load(self, device: str) -> None:
        pass

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [Report() for _ in batch]


def test_show_says_how_often_an_expert_looked(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", 12, lambda at: 200 if at >= 6 else 90)
    with Catalog.open(tmp_path) as catalog, only_writer(catalog):
        run(plan(catalog, [tmp_path], [Looker()]), Panel([Looker()], jobs=1))
        report = video_report(catalog, next(catalog.videos()))
    assert report.looks() == [("looker", "2 looks, every 6.0 s")]
    assert report.as_dict()["experts"][0]["looks"] == 2
