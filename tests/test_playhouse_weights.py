"""The weights that come with the package: whole, loaded by the ordinary experts, and they find something."""

from __future__ import annotations

import json
import math
from pathlib import Path

import av
import numpy as np
import pytest
import seeing
from click.testing import CliRunner
from filming import Film, shoot

from tagline.benchmarks.cli.playhouse import playhouse
from tagline.benchmarks.playhouse.render.video import render_video, video_spec
from tagline.benchmarks.playhouse.train import dataset, loop, recipes, thresholds
from tagline.benchmarks.playhouse.truth.truth import visible_things
from tagline.benchmarks.playhouse.world.scenario import SPLIT_BASES, scenario
from tagline.benchmarks.quality import experts
from tagline.experts import storage
from tagline.experts.base import build_expert
from tagline.experts.footage import Work
from tagline.experts.panel import Panel
from tagline.experts.tags import Modality, Report, Tag
from tagline.experts.weights import registry
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.coverage import coverage_gaps
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run

HELD_OUT = SPLIT_BASES["test"] + 700_000
FOLDERS = sorted(path.parent.name for path in registry.PLAYHOUSE_FOLDER.glob("*/entry.json"))


def test_every_folder_is_what_some_lesson_makes() -> None:
    made = {name for lesson in recipes.recipes() for name in lesson.makes}
    assert {"object", "person", "scene", "clip"} <= set(FOLDERS) <= made


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_what_its_entry_says(name: str) -> None:
    folder = registry.PLAYHOUSE_FOLDER / name
    entry = json.loads((folder / "entry.json").read_text())
    for file, expected in entry["sha256"].items():
        assert storage.hash_file(folder / file, fresh=True) == expected
    inside = {path.name for path in folder.iterdir()}
    assert inside == {*entry["sha256"], "entry.json", "card.md"}
    assert registry.find(f"playhouse-{name}").path == folder
    card = (folder / "card.md").read_text()
    assert f"experts --only {name} --seed" in card
    assert entry["licence"] in card


def test_all_of_them_are_small() -> None:
    size = sum(path.stat().st_size for path in registry.PLAYHOUSE_FOLDER.rglob("*") if path.is_file())
    assert size < 40e6


def test_on_videos_that_nothing_was_trained_on_the_experts_find_the_scene(tmp_path: Path) -> None:
    names = tuple(name for name in ("object", "person", "scene", "motion") if name in FOLDERS)
    seeds = range(HELD_OUT, HELD_OUT + 3)
    panel = Panel([build_expert(name, {"collection": "playhouse"}) for name in names], jobs=1)
    assert [expert.missing() for expert in panel.experts] == [None] * len(names)
    work = [Work(render_video(video_spec(seed), tmp_path), names) for seed in seeds]
    found = 0
    for seed, seen in zip(seeds, panel.run(work), strict=True):
        assert set(seen.reports) == set(names)
        assert panel.broken == {}
        reports = {name: report for name, report in seen.reports.items() if isinstance(report, Report)}
        assert set(reports) == set(names)
        true = {shot.scene for shot in scenario(seed).shots}
        found += bool(true & {tag.text for tag in reports["scene"].tags})
        assert {sighting.text for sighting in reports["person"].sightings} <= {"man", "woman", "boy", "girl"}
        assert all(len(vector.values) == 192 for vector in reports["scene"].vectors)
        assert len(reports["scene"].vectors) >= 6
    assert found >= 2


def test_of_videos_from_elsewhere_they_say_nothing_but_why(tmp_path: Path) -> None:
    names = tuple(name for name in ("object", "person", "scene", "motion") if name in FOLDERS)
    own = render_video(video_spec(HELD_OUT), tmp_path)
    foreign = shoot(tmp_path / "foreign", Film(width=320, height=240, count=75))
    unmarked = _without_metadata(own, tmp_path / "unmarked.mp4")  # the same pictures, from nobody knows where
    panel = Panel([build_expert(name, {"collection": "playhouse"}) for name in names], jobs=1)
    seen = [result.reports for result in panel.run(Work(path, names) for path in (own, foreign, unmarked))]
    assert any(report.sightings for report in seen[0].values() if isinstance(report, Report))
    for reports in seen[1:]:
        assert set(reports) == set(names)
        for report in reports.values():
            assert isinstance(report, Report)
            assert (report.tags, report.sightings, report.vectors) == ([], [], [])
            assert "the playhouse's weights know only the videos that it drew" in report.notes[0]


def test_named_one_by_one_they_refuse_as_well_and_other_weights_do_not(tmp_path: Path) -> None:
    named = build_expert("object", {"weights": "playhouse-object"})
    foreign = seeing.footage([named])
    assert named.refuses(foreign)  # type: ignore[attr-defined]
    for settings in ({}, {"weights": str(tmp_path)}):
        assert build_expert("object", settings).refuses(foreign) is None  # type: ignore[attr-defined]


def test_speech_by_the_recogniser_of_the_playhouse_is_for_its_voices_alone() -> None:
    pytest.importorskip("pocketsphinx")
    foreign = seeing.footage([])
    said = build_expert("speech", {"collection": "playhouse"}).refuses(foreign)  # type: ignore[attr-defined]
    assert said.startswith("did not listen: ")
    assert build_expert("speech").refuses(foreign) is None  # type: ignore[attr-defined]


def test_show_says_once_of_each_expert_that_it_did_not_look(tmp_path: Path) -> None:
    names = [name for name in ("object", "scene") if name in FOLDERS]
    shoot(tmp_path / "foreign", Film(count=25))
    experts = [build_expert(name, {"collection": "playhouse"}) for name in names]
    with Catalog.open(tmp_path) as catalog:
        result = run(plan(catalog, [tmp_path], experts), Panel(experts, jobs=1))
        assert not result.failures
        (video,) = catalog.videos()
        gaps = [gap.reason for gap in coverage_gaps(catalog, video) if gap.expert in names]
    assert len(gaps) == len(names)
    assert all(reason.startswith("did not look: the playhouse's weights know only") for reason in gaps)


def test_a_video_without_the_mark_is_rendered_anew(tmp_path: Path) -> None:
    path = render_video(video_spec(HELD_OUT), tmp_path)
    drawn = path.read_bytes()
    path.write_bytes(drawn.replace(b"drawn by", b"filmed b"))
    assert render_video(video_spec(HELD_OUT), tmp_path).read_bytes() == drawn


def _without_metadata(path: Path, to: Path) -> Path:
    """The video's pictures as they are, in a file that says nothing of its origin."""
    with av.open(str(path)) as source, av.open(str(to), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    return to


def test_what_is_plainly_visible_is_also_visible() -> None:
    for seed in range(HELD_OUT, HELD_OUT + 8):
        for persons in (True, False):
            plain = visible_things(seed, persons)
            assert plain.must <= plain.may


def test_spans_overlap_as_sets() -> None:
    assert experts.overlap([(0, 4)], [(2, 6)]) == pytest.approx(2 / 6)
    assert experts.overlap([(0, 1), (2, 3)], [(0, 3)]) == pytest.approx(2 / 3)
    assert experts.overlap([], [(0, 3)]) == 0.0


def test_reports_that_say_the_truth_score_one_and_silence_scores_none() -> None:
    seeds = range(HELD_OUT, HELD_OUT + 12)
    perfect, silent = {}, {}
    for seed in seeds:
        world = scenario(seed)
        scene = [Tag(shot.scene, Modality.SCENE, 0.9, shot.start, shot.end, "scene") for shot in world.shots]
        things = [
            Tag(name, Modality.OBJECT, 0.9, 0.0, world.duration, "object")
            for name in visible_things(seed, False).must
        ]
        shown = [Tag(s.text, Modality.SCREEN, 0.9, s.start, s.end, "screen") for s in world.screen_texts]
        perfect[seed] = {"object": Report(things), "scene": Report(scene), "screen": Report(shown)}
        silent[seed] = {name: Report() for name in perfect[seed]}
    values, _ = experts.score(perfect)
    assert values == {"object_f1": 1.0, "scene_accuracy": 1.0, "screen_recall": 1.0}
    values, _ = experts.score(silent)
    assert values == {"object_f1": 0.0, "scene_accuracy": 0.0, "screen_recall": 0.0}


def test_a_shift_moves_the_threshold() -> None:
    moved = thresholds.logit_shift(0.2, 0.4)
    logit = math.log(0.2 / 0.8) + moved
    assert 1 / (1 + math.exp(-logit)) == pytest.approx(0.4)


def test_a_course_ends_after_its_steps_and_falls() -> None:
    rates = list(loop.TrainingSchedule(50, 1e-3))
    assert len(rates) == 50
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[-1] < 1e-4 < rates[5]


def test_every_number_comes_once_a_round() -> None:
    order = loop.endless_batches(10, 4, np.random.default_rng(0))
    seen = np.concatenate([next(order) for _ in range(5)])
    assert sorted(seen.tolist()) == sorted([*range(10), *range(10)])


def test_nothing_is_drawn_of_test_seeds_for_training() -> None:
    with pytest.raises(ValueError, match="test seeds"):
        dataset.frames("test", 10)


def test_the_command_names_the_experts_that_there_are() -> None:
    answer = CliRunner().invoke(playhouse, ["experts", "--only", "nose"])
    assert answer.exit_code == 2
    assert "object, person, scene, motion, clip" in answer.output


def test_marks_of_classes_against_trying_them_all() -> None:
    rng = np.random.default_rng(0)
    right, wrong, missed = (rng.integers(0, 9, (2, 4)) for _ in range(3))

    def f1(places: tuple[int, ...]) -> float:
        counted = (right, wrong, missed)
        r, w, m = (sum(int(c[row, place]) for row, place in enumerate(places)) for c in counted)
        return 2 * r / (2 * r + w + m)

    one, common = thresholds.best_thresholds(right, wrong, missed, each=False)
    assert len(set(one)) == 1
    assert common == pytest.approx(max(f1((place, place)) for place in range(4)))
    several, best = thresholds.best_thresholds(right, wrong, missed, each=True)
    assert best == pytest.approx(f1(tuple(several)))
    assert best == pytest.approx(max(f1((a, b)) for a in range(4) for b in range(4)))
