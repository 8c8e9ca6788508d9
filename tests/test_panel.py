"""The panel: each file decoded once, one bad file or one failing expert costs exactly that, order is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fakes
import pytest

from tagline.experts.base import UnknownExpert, available_experts, build_expert
from tagline.experts.footage import Footage, Work
from tagline.experts.panel import Failed, Panel
from tagline.experts.tags import Report


def videos(folder: Path, count: int, **content: Any) -> list[Path]:
    return [
        fakes.write_video(folder / f"{n}.mp4", salt=n, tags={"object": [f"dog {n}"]}, **content)
        for n in range(count)
    ]


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_each_file_is_decoded_once_for_all_experts(
    decoder: type[fakes.FakeDecoder], tmp_path: Path, batch: int
) -> None:
    paths = videos(tmp_path, 5)
    panel = Panel(fakes.experts(), batch=batch)
    seen = list(panel.run(Work(path, ("object", "speech")) for path in paths))
    assert [one.path for one in seen] == paths
    assert decoder.read_paths == paths
    for number, one in enumerate(seen):
        assert set(one.reports) == {"object", "speech"}
        report = one.reports["object"]
        assert isinstance(report, Report)
        assert [tag.text for tag in report.tags] == [f"dog {number}"]
        assert set(one.seconds) == {"object", "speech"}


def test_each_expert_looks_only_where_it_was_asked(decoder: type[fakes.FakeDecoder], tmp_path: Path) -> None:
    first, second = videos(tmp_path, 2)
    seen = list(Panel(fakes.experts()).run([Work(first, ("object",)), Work(second, ("scene", "screen"))]))
    assert [set(one.reports) for one in seen] == [{"object"}, {"scene", "screen"}]


def test_what_is_asked_travels_with_the_file_even_if_one_file_comes_twice(
    decoder: type[fakes.FakeDecoder], tmp_path: Path
) -> None:
    path = fakes.write_video(tmp_path / "0.mp4", title="as the file says")
    first = Work(path, ("object",), "as the library says", job={"number": 1})
    second = Work(path, ("scene",), job={"number": 2})
    seen = []
    for one in Panel(fakes.experts()).run([first, second]):
        assert one.footage is not None
        seen.append((one.work.job, one.footage.facts.title, set(one.reports)))
    assert seen == [
        ({"number": 1}, "as the library says", {"object"}),
        ({"number": 2}, "as the file says", {"scene"}),
    ]


def test_an_unreadable_file_costs_that_file(decoder: type[fakes.FakeDecoder], tmp_path: Path) -> None:
    good, other = videos(tmp_path, 2)
    bad = fakes.write_video(tmp_path / "bad.mp4", unreadable="is empty (0 bytes)")
    seen = list(Panel(fakes.experts()).run(Work(path, ("object",)) for path in (good, bad, other)))
    assert [one.unreadable for one in seen] == [None, "is empty (0 bytes)", None]
    assert seen[1].reports == {}
    assert all(isinstance(one.reports["object"], Report) for one in (seen[0], seen[2]))


def test_an_expert_that_raises_on_one_video_fails_on_that_video_alone(
    decoder: type[fakes.FakeDecoder], tmp_path: Path
) -> None:
    paths = [*videos(tmp_path, 3), fakes.write_video(tmp_path / "odd.mp4", raises={"object": "no such box"})]
    seen = list(Panel(fakes.experts(), batch=4).run(Work(path, ("object", "scene")) for path in paths))
    assert seen[3].reports["object"] == Failed("ValueError: no such box")
    assert all(isinstance(one.reports["object"], Report) for one in seen[:3])
    assert all(isinstance(one.reports["scene"], Report) for one in seen)


class Greedy(fakes.FakeExpert):
    """Runs out of memory on the accelerator with more than `room` videos at once."""

    room = 2

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[str, int]] = []

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        self.sizes.append((self.device, len(batch)))
        if self.device != "cpu" and len(batch) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().__call__(batch)


def test_out_of_memory_halves_the_batch(decoder: type[fakes.FakeDecoder], tmp_path: Path) -> None:
    expert = Greedy()
    panel = Panel([expert], device="cuda", batch=8)
    seen = list(panel.run(Work(path, ("object",)) for path in videos(tmp_path, 8)))
    assert all(isinstance(one.reports["object"], Report) for one in seen)
    assert max(size for _, size in expert.sizes) == 4
    assert sum(size for _, size in expert.sizes if size <= 2) == 8
    assert panel.messages == []


def test_out_of_memory_with_one_video_goes_on_with_the_cpu_and_says_so_once(
    decoder: type[fakes.FakeDecoder], tmp_path: Path
) -> None:
    expert = Greedy()
    expert.room = 0
    panel = Panel([expert], device="cuda", batch=2)
    seen = list(panel.run(Work(path, ("object",)) for path in videos(tmp_path, 6)))
    assert all(isinstance(one.reports["object"], Report) for one in seen)
    assert len(panel.messages) == 1
    assert "goes on with the CPU" in panel.messages[0]
    assert sum(device == "cuda" for device, _ in expert.sizes) == 1, "the first batch is one video"


def test_footage_is_closed_once_the_caller_goes_on(decoder: type[fakes.FakeDecoder], tmp_path: Path) -> None:
    held = []
    for one in Panel(fakes.experts(), batch=2).run(Work(path, ("object",)) for path in videos(tmp_path, 3)):
        assert one.footage is not None
        assert one.footage.views
        held.append(one.footage)
    assert all(not footage.views for footage in held)


def test_work_is_drawn_lazily(decoder: type[fakes.FakeDecoder], tmp_path: Path) -> None:
    drawn = []

    def endless():  # type: ignore[no-untyped-def]
        path = videos(tmp_path, 1)[0]
        while True:
            drawn.append(path)
            yield Work(path, ("object",))

    stream = Panel(fakes.experts(), batch=4).run(endless())
    for _ in range(4):
        next(stream)
    assert len(drawn) <= 8
    stream.close()


def test_an_unknown_expert_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownExpert, match="no expert called 'smell'; there are object, person"):
        build_expert("smell")
    first = ["object", "person", "scene", "motion", "speech", "sound", "screen", "things", "faces"]
    assert list(available_experts())[:9] == first


def test_another_implementation_can_take_a_place(decoder: type[fakes.FakeDecoder]) -> None:
    expert = build_expert("object", {"use": "scene", "confidence": 0.3})
    assert isinstance(expert, fakes.FakeScenes)
    assert expert.confidence == 0.3
