"""The playhouse's pictures: what is drawn, that a seed always draws the same, that boxes fit the drawing."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tagline.benchmarks.playhouse.draw import inventory
from tagline.benchmarks.playhouse.draw.appearance import PERSONS
from tagline.benchmarks.playhouse.draw.drawing import Sketch
from tagline.benchmarks.playhouse.draw.figures import Pose, figure
from tagline.benchmarks.playhouse.draw.inventory import SCENES, backdrop
from tagline.benchmarks.playhouse.draw.motions import MOTIONS, STILL, body_state
from tagline.benchmarks.playhouse.render import renderer, video
from tagline.benchmarks.playhouse.truth import sets
from tagline.benchmarks.playhouse.world import characters, scenario

SEEDS = range(300)
# Version of the world, then the frames, the sound and the texts of seed 7.
GOLDEN = (2, "a1cd3fdcd00c", "8c5a06eb490e", "27289e969df3")


def test_the_world_is_as_rich_as_promised() -> None:
    assert len(SCENES) >= 12
    assert len(inventory.OBJECTS) >= 30
    assert len(MOTIONS) >= 12
    assert set(PERSONS) == {"man", "woman", "boy", "girl"}
    assert set(characters.USUAL) == set(SCENES)
    usual = {name.replace("-", " ") for names in characters.USUAL.values() for name in names.split()}
    assert usual <= set(inventory.OBJECTS)


@pytest.mark.parametrize("scene", SCENES)
def test_a_place_always_looks_the_same_and_differs_from_other_scenes(scene: str) -> None:
    light = SCENES[scene].lightings[0]
    first = np.asarray(backdrop(scene, 3, light, 1.6).picture(90))
    again = np.asarray(backdrop(scene, 3, light, 1.6).picture(90))
    assert first.shape == (90, 144, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, np.asarray(backdrop(scene, 4, light, 1.6).picture(90)))
    other = next(name for name in SCENES if name != scene)
    stranger = np.asarray(backdrop(other, 3, SCENES[other].lightings[0], 1.6).picture(90))
    assert np.abs(first.astype(int) - stranger).mean() > 10
    assert backdrop(scene, 3, light, 0.56).picture(100).size == (56, 100)


def test_light_does_not_move_the_furniture() -> None:
    day, night = backdrop("farm", 2, "day", 1.5).sketch, backdrop("farm", 2, "overcast", 1.5).sketch
    assert len(day.outlines) == len(night.outlines) + 2  # the sun and its glow
    assert np.array_equal(day.outlines[-1], night.outlines[-1])


@pytest.mark.parametrize("name", inventory.OBJECTS)
def test_every_object_stands_on_its_spot_and_can_look_the_other_way(name: str) -> None:
    left, top, right, bottom = inventory.sketch(name, "blue").extent()
    assert 0.1 < right - left < 1.7
    assert 0.1 < bottom - top < 1.8
    assert abs(bottom) < 0.06
    mirrored = inventory.sketch(name, "blue", True).extent()
    assert mirrored == pytest.approx((-right, top, -left, bottom))
    reds = inventory.sketch(name, "red").colours
    assert (name in inventory.COLOURED) <= (reds != inventory.sketch(name, "blue").colours)


def test_grown_ups_are_taller_and_feet_are_on_the_ground() -> None:
    height = {}
    for kind in PERSONS:
        drawn, _ = figure(replace(characters.characters(kind)[0].appearance, hat=None, size=1.0), Pose())
        _, top, _, bottom = drawn.extent()
        assert bottom == pytest.approx(0.0, abs=1e-9)
        height[kind] = -top
    assert min(height["man"], height["woman"]) > 1.2 * max(height["boy"], height["girl"])


def test_motions_move_and_one_frame_does_not_give_them_away() -> None:
    for motion in MOTIONS:
        poses = [body_state(motion, step * 0.13) for step in range(24)]
        assert len({pose.pose for pose in poses} | {pose.ball for pose in poses}) > 12, motion
    # A standing start: several motions pass through nearly the same pose.
    for motion in ("bowing", "falling over", "sitting down"):
        pose = body_state(motion, 0.0).pose
        assert pose.lean == pytest.approx(0, abs=1)
        assert pose.turn == 0
    left, right = body_state("walking left", 2.0), body_state("walking right", 2.0)
    assert left.travel == -right.travel < 0
    assert left.pose.facing == right.pose.facing == 1  # faces do not tell the way


def test_scenarios_keep_the_promises_about_size_length_and_cuts() -> None:
    worlds = [scenario.scenario(seed) for seed in SEEDS]
    for world in worlds:
        assert 6 <= world.duration <= 15
        assert min(world.width, world.height) >= 224
        assert world.width % 2 == world.height % 2 == 0
        assert 10 <= world.fps <= 30
        edges = [0.0, *(shot.end for shot in world.shots)]
        assert [shot.start for shot in world.shots] == edges[:-1]
        assert edges[-1] == world.duration
        assert all(shot.end - shot.start > 1.5 for shot in world.shots)
        assert all(0 <= said.start < said.end <= world.duration for said in world.speech)
        assert world.sound or not world.speech
    assert {len(world.shots) for world in worlds} == {1, 2, 3}
    assert any(world.height > world.width for world in worlds)
    assert any(not world.sound for world in worlds)
    moves = {shot.camera.move for world in worlds for shot in world.shots}
    assert moves == {"still", "pan left", "pan right", "zoom in", "zoom out", "hand-held"}


def _pairs(seeds: range) -> set[tuple[str, str]]:
    shots = [shot for seed in seeds for shot in scenario.scenario(seed).shots]
    return {(shot.scene, actor.motion) for shot in shots for actor in shot.actors if actor.motion != STILL}


def test_some_compositions_places_and_characters_appear_in_test_only() -> None:
    test = range(20_000_000, 20_000_300)
    held = {pair for pair in _pairs(test) if characters.in_test_only("scene motion", *pair)}
    assert len(held) > 10
    assert not {pair for pair in _pairs(SEEDS) if characters.in_test_only("scene motion", *pair)}
    for seeds, allowed in ((SEEDS, False), (range(10_000_000, 10_000_100), False), (test, True)):
        shots = [shot for seed in seeds for shot in scenario.scenario(seed).shots]
        shy = {
            character.name
            for kind in PERSONS
            for character in characters.characters(kind)
            if character.test_only
        }
        assert any(characters.test_only_place(shot.place) for shot in shots) == allowed
        assert bool({actor.name for shot in shots for actor in shot.actors} & shy) == allowed


def test_names_of_places_and_characters_are_unique() -> None:
    places = [
        characters.place_name(scene, place)
        for scene in SCENES
        for place in range(characters.PLACES_PER_SCENE)
    ]
    people = [character.name for kind in PERSONS for character in characters.characters(kind)]
    assert len(set(places)) == len(places)
    assert len(set(people)) == len(people)


def test_splits_of_all_sets_and_seeds_are_disjoint() -> None:
    owner: dict[int, str] = {}
    for name in sets.SET_SIZES:
        for seed in (0, 1, 2, 149):
            for spec in sets.videos(name, seed):
                assert scenario.split_of(spec.seed) == spec.split
                assert owner.setdefault(spec.seed, spec.split) == spec.split
    bench, demo = ({spec.seed for spec in sets.videos(name)} for name in ("bench", "demo"))
    assert not bench & demo
    assert not bench & {spec.seed for spec in sets.videos("bench", 1)}
    with pytest.raises(ValueError, match="no set"):
        sets.videos("huge")


def test_boxes_enclose_exactly_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: take a thing out of the world and see where the picture changes."""
    checked = 0
    monkeypatch.setattr(renderer, "_shadow", lambda *_: None)
    for seed in range(40):
        world = replace(scenario.scenario(seed), grain=0, vignette=False, screen_texts=(), speech=())
        shot = replace(world.shots[0], occluder=None, weather="clear", lighting="day", clutter=0)
        if not shot.props or len(shot.props) > 2 or len(shot.actors) > 1:
            continue
        world = replace(world, shots=(shot,), duration=shot.end)
        before = np.asarray(renderer.picture(world, 0.5, 0)).astype(int)
        without = replace(world, shots=(replace(shot, props=shot.props[1:]),))
        after = np.asarray(renderer.picture(without, 0.5, 0)).astype(int)
        changed = np.argwhere(np.abs(before - after).max(axis=2) > 4)
        box = next((box for box in renderer.boxes(world, 0.5) if box.name == shot.props[0].name), None)
        if not len(changed) or box is None or box.visible < 0.95:
            continue
        top, left = changed.min(axis=0)
        bottom, right = changed.max(axis=0) + 1
        w, h = world.width, world.height
        found = np.array([box.x * w, box.y * h, (box.x + box.width) * w, (box.y + box.height) * h])
        assert np.abs(found - (left, top, right, bottom)).max() < 5, (seed, box)
        checked += 1
    assert checked >= 4


def test_what_is_covered_counts_as_less_visible() -> None:
    plate = Sketch().box(0, 0, 1, 1, (0, 0, 0))
    own = renderer._parts(plate, 0, 0)
    everything = (-5.0, -5.0, 5.0, 5.0)
    assert renderer._visible(own, [], everything) == 1.0
    assert renderer._visible(own, [renderer._parts(plate, 0.5, 0)], everything) == pytest.approx(0.5)
    assert renderer._visible(own, [renderer._parts(plate, 0, 0)], everything) == 0.0
    assert renderer._visible(own, [], (0.5, -1.0, 2.0, 2.0)) == pytest.approx(0.5)


_PRINT = """
import hashlib
from tagline.benchmarks.playhouse.render import sound, video
from tagline.benchmarks.playhouse.world.scenario import scenario
from tagline.benchmarks.playhouse.truth.truth import to_json, truth
frames, _ = video.frames(7)
heard = sound.sound(scenario(7))
for content in (frames.tobytes(), heard.tobytes(), repr(to_json(truth(7))).encode()):
    print(hashlib.sha256(content).hexdigest()[:12])
"""


def test_a_seed_gives_the_same_frames_sound_and_texts_on_every_machine() -> None:
    """As printed where this was written. If you change the world on purpose, raise `sets.VERSION` too."""
    plain = {
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
    }
    for changed in ({"PYTHONHASHSEED": "0"}, {"PYTHONHASHSEED": "1", **plain}):
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _PRINT],
            env={**os.environ, **changed},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        assert (sets.VERSION, *run.stdout.split()) == GOLDEN


def test_frames_for_training_are_the_frames_of_the_scenario() -> None:
    seed = next(seed for seed in SEEDS if scenario.scenario(seed).duration * scenario.scenario(seed).fps < 75)
    frames, times = video.frames(seed)
    world = scenario.scenario(seed)
    assert frames.shape == (len(times), world.height, world.width, 3)
    assert frames.dtype == np.uint8
    assert np.allclose(np.diff(times), 1 / world.fps)
    assert np.abs(np.diff(frames[::5].astype(np.int16), axis=0)).max() > 30  # something moves
